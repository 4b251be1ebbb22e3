//! What a run has measured; one per thread, merged at the end.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Nanoseconds up to ten minutes, three digits.
const HIGHEST_NS: u64 = 600_000_000_000;

/// The part of a run that counts.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub start: Instant,
    pub end: Instant,
}

impl Window {
    pub fn new(warmup: Duration, seconds: Duration) -> Window {
        let start = Instant::now() + warmup;
        Window { start, end: start + seconds }
    }
}

pub struct Stats {
    window: Window,
    pub requests: u64,
    pub records: u64,
    pub bytes: u64,
    /// Requests of an overloaded broker that nobody waited for any longer.
    pub unanswered: u64,
    /// From the instant a request was due: when it was made, in a closed loop.
    pub latency: Histogram<u64>,
    /// From the instant it was handed to the connection.
    pub service: Histogram<u64>,
}

impl Stats {
    pub fn new(window: Window) -> Stats {
        Stats {
            window,
            requests: 0,
            records: 0,
            bytes: 0,
            unanswered: 0,
            latency: histogram(),
            service: histogram(),
        }
    }

    /// Counts what is done within the window; times what was due within it, however late it was done.
    pub fn done(&mut self, due: Instant, issued: Instant, now: Instant, records: u64, bytes: u64) {
        if now >= self.window.start && now < self.window.end {
            self.requests += 1;
            self.records += records;
            self.bytes += bytes;
        }
        self.time(due, issued, now);
    }

    pub fn abandoned(&mut self, due: Instant, issued: Instant, now: Instant) {
        self.unanswered += 1;
        self.time(due, issued, now);
    }

    fn time(&mut self, due: Instant, issued: Instant, now: Instant) {
        if due >= self.window.start && due < self.window.end {
            self.latency.saturating_record(nanos(now.saturating_duration_since(due)));
            self.service.saturating_record(nanos(now.saturating_duration_since(issued)));
        }
    }

    pub fn merge(&mut self, other: &Stats) {
        self.requests += other.requests;
        self.records += other.records;
        self.bytes += other.bytes;
        self.unanswered += other.unanswered;
        self.latency.add(&other.latency).expect("all histograms have one shape");
        self.service.add(&other.service).expect("all histograms have one shape");
    }
}

pub fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, HIGHEST_NS, 3).expect("constant bounds")
}

pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Processor time this process has used so far.
pub fn processor_time() -> Duration {
    // SAFETY: all-zero is a valid rusage; the call fills it and cannot fail with RUSAGE_SELF.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        let _ = libc::getrusage(libc::RUSAGE_SELF, &raw mut usage);
        usage
    };
    let part = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec.cast_unsigned()) + Duration::from_micros(time.tv_usec.cast_unsigned())
    };
    part(usage.ru_utime) + part(usage.ru_stime)
}
