//! What a run measures while it runs: a histogram for each connection, merged at the end and never averaged, and a beat
//! for every second on the way.

use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

use crate::schedule::Due;

/// Ten minutes; what takes longer counts as this.
const HIGHEST_NS: u64 = 600_000_000_000;
const BEATS_MAX: u32 = 300;

/// When a run's load begins, and the part of it that counts.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub begin: Instant,
    pub start: Instant,
    pub end: Instant,
    /// Time between two beats.
    pub beat: Duration,
}

impl Window {
    pub fn new(warmup: Duration, seconds: Duration) -> Window {
        Window::after(Duration::ZERO, warmup, seconds)
    }

    /// Begins after `lead`, in which connections are made.
    pub fn after(lead: Duration, warmup: Duration, seconds: Duration) -> Window {
        let begin = Instant::now() + lead;
        let start = begin + warmup;
        let beat = Duration::from_secs(1).max((warmup + seconds) / BEATS_MAX);
        Window { begin, start, end: start + seconds, beat }
    }

    pub fn seconds(&self) -> f64 {
        (self.end - self.start).as_secs_f64()
    }

    fn beat_of(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.begin)) / nanos(self.beat).max(1)
    }

    /// The instant of a schedule's nanosecond.
    pub fn at(&self, ns: u64) -> Instant {
        self.begin + Duration::from_nanos(ns)
    }

    /// Nanoseconds since the load began.
    pub fn since(&self, now: Instant) -> u64 {
        nanos(now.saturating_duration_since(self.begin))
    }
}

/// What one thread saw between two beats.
#[derive(Clone, Debug)]
pub struct Beat {
    pub part: usize,
    pub number: u64,
    pub records: u64,
    pub bytes: u64,
    pub latency: Histogram<u64>,
}

/// What a connection has done within the window.
#[derive(Clone, Debug)]
pub struct Stats {
    pub requests: u64,
    pub records: u64,
    pub bytes: u64,
    /// Requests that were timed: the samples behind the percentiles.
    pub timed: u64,
    /// Requests of an overloaded broker that nobody waited for any longer.
    pub unanswered: u64,
    /// From the instant a record was due: when its request was made, in a closed loop.
    pub latency: Histogram<u64>,
    /// From the instant the request was handed to the connection.
    pub service: Histogram<u64>,
    /// From the instant the request was due to the instant it was handed to the connection: the loader's own share.
    pub delay: Histogram<u64>,
}

impl Stats {
    pub fn new() -> Stats {
        Stats {
            requests: 0,
            records: 0,
            bytes: 0,
            timed: 0,
            unanswered: 0,
            latency: histogram(),
            service: histogram(),
            delay: histogram(),
        }
    }

    pub fn merge(&mut self, other: &Stats) {
        self.requests += other.requests;
        self.records += other.records;
        self.bytes += other.bytes;
        self.timed += other.timed;
        self.unanswered += other.unanswered;
        for (ours, theirs) in [
            (&mut self.latency, &other.latency),
            (&mut self.service, &other.service),
            (&mut self.delay, &other.delay),
        ] {
            ours.add(theirs).expect("histograms grow as needed");
        }
    }
}

/// A request that is out.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub due: Due,
    pub issued_ns: u64,
}

/// What was moved by one request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moved {
    pub records: u64,
    pub bytes: u64,
}

/// The measuring side of one thread: its connections' stats and its present beat.
pub struct Meter {
    pub window: Window,
    pub connections: Vec<Stats>,
    beat: Beat,
    /// None once this thread's load has ended.
    beats: Option<Sender<Beat>>,
}

impl Meter {
    pub fn new(window: Window, part: usize, connections: usize, beats: Sender<Beat>) -> Meter {
        let beat = Beat { part, number: 0, records: 0, bytes: 0, latency: coarse() };
        Meter { window, connections: vec![Stats::new(); connections], beat, beats: Some(beats) }
    }

    /// Counts what is done within the window; times what was due within it, however late it was done.
    pub fn done(&mut self, connection: usize, asked: Asked, now: Instant, moved: Moved, records_timed: u32) {
        self.moved(connection, now, moved);
        let now_ns = self.window.since(now);
        let (from, to) = (self.window.since(self.window.start), self.window.since(self.window.end));
        let is_due_within = asked.due.last_ns >= from && asked.due.last_ns < to;
        let Some(stats) = self.connections.get_mut(connection) else { return };
        for (due, count) in asked.due.points(records_timed) {
            let latency = now_ns.saturating_sub(due).min(HIGHEST_NS);
            if is_due_within {
                record(&mut stats.latency, latency, count);
            }
            record(&mut self.beat.latency, latency, count);
        }
        if is_due_within {
            stats.timed += 1;
            record(&mut stats.service, now_ns.saturating_sub(asked.issued_ns), 1);
            record(&mut stats.delay, asked.issued_ns.saturating_sub(asked.due.last_ns), 1);
        }
    }

    /// Counts what is done within the window.
    pub fn moved(&mut self, connection: usize, now: Instant, moved: Moved) {
        self.turn(now);
        self.beat.records += moved.records;
        self.beat.bytes += moved.bytes;
        if let Some(stats) = self.connections.get_mut(connection)
            && now >= self.window.start
            && now < self.window.end
        {
            stats.requests += 1;
            stats.records += moved.records;
            stats.bytes += moved.bytes;
        }
    }

    /// Counts what was never answered as having waited until now, which is the least it would have.
    pub fn abandoned(&mut self, connection: usize, asked: Asked, now: Instant, records_timed: u32) {
        if let Some(stats) = self.connections.get_mut(connection) {
            stats.unanswered += 1;
        }
        // Not moved: nothing arrived.
        let (kept, nothing) = (self.beat.clone(), Moved::default());
        let requests = self.connections.get(connection).map_or(0, |stats| stats.requests);
        self.done(connection, asked, now, nothing, records_timed);
        if let Some(stats) = self.connections.get_mut(connection) {
            stats.requests = requests;
        }
        self.beat = kept;
    }

    /// Sends the beat that has ended, if one has. Nobody listening is no reason to stop.
    fn turn(&mut self, now: Instant) {
        let number = self.window.beat_of(now);
        if number > self.beat.number {
            self.send(number);
        }
    }

    fn send(&mut self, next: u64) {
        let fresh = Beat { number: next, records: 0, bytes: 0, latency: coarse(), ..self.beat };
        let ended = std::mem::replace(&mut self.beat, fresh);
        if let Some(beats) = &self.beats {
            let _ = beats.send(ended);
        }
    }

    /// The load has ended: sends the beat that has begun, and lets go of who listens.
    pub fn close(&mut self) {
        self.send(u64::MAX);
        self.beats = None;
    }

    /// All connections together.
    pub fn merged(self) -> Stats {
        merged(self.connections.iter())
    }
}

pub fn merged<'a>(parts: impl Iterator<Item = &'a Stats>) -> Stats {
    let mut all = Stats::new();
    parts.for_each(|part| all.merge(part));
    all
}

/// What takes longer than ten minutes counts as that.
pub fn record(histogram: &mut Histogram<u64>, nanos: u64, count: u64) {
    histogram.record_n(nanos.min(HIGHEST_NS), count).expect("histograms grow as needed");
}

/// Nanoseconds to three digits; grows with what it sees, for a run may have hundreds.
pub fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("constant bounds")
}

fn coarse() -> Histogram<u64> {
    Histogram::new(2).expect("constant bounds")
}

pub fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    #[test]
    fn latency_counts_from_the_instant_it_was_due() {
        let window = Window::new(Duration::ZERO, Duration::from_secs(10));
        let (sender, beats) = channel();
        let mut meter = Meter::new(window, 0, 1, sender);
        // Ten records due over the first second; a stall; sent after two seconds, answered after three.
        let asked = Asked { due: Due { first_ns: 0, last_ns: 1_000_000_000 }, issued_ns: 2_000_000_000 };
        let moved = Moved { records: 10, bytes: 1000 };
        meter.done(0, asked, window.begin + Duration::from_secs(3), moved, 10);
        meter.close();
        let stats = meter.merged();
        assert_eq!((stats.requests, stats.records, stats.timed), (1, 10, 1));
        let seconds = |nanos: u64| nanos.div_ceil(1_000_000) / 1000;
        assert_eq!((seconds(stats.latency.min()), seconds(stats.latency.max())), (2, 3));
        assert_eq!(stats.latency.len(), 10);
        assert_eq!((seconds(stats.service.max()), seconds(stats.delay.max())), (1, 1));
        let beats: Vec<(u64, u64)> = beats.iter().map(|beat| (beat.number, beat.records)).collect();
        assert_eq!(beats, [(0, 0), (3, 10)]);
    }

    #[test]
    fn what_nobody_waited_for_is_timed_and_not_counted() {
        let window = Window::new(Duration::ZERO, Duration::from_secs(1));
        let mut meter = Meter::new(window, 0, 1, channel().0);
        let asked = Asked { due: Due::default(), issued_ns: 0 };
        meter.abandoned(0, asked, window.begin + Duration::from_millis(500), 1);
        let stats = meter.merged();
        assert_eq!((stats.requests, stats.records, stats.unanswered, stats.timed), (0, 0, 1, 1));
        assert_eq!(stats.latency.len(), 1);
    }

    #[test]
    fn histograms_are_merged_not_averaged() {
        let mut one = Stats::new();
        let mut two = Stats::new();
        (0..99).for_each(|_| record(&mut one.latency, 1_000, 1));
        record(&mut two.latency, 1_000_000_000, 1);
        let all = merged([&one, &two].into_iter());
        assert_eq!(all.latency.len(), 100);
        assert!(all.latency.value_at_quantile(0.99) < 1_100 && all.latency.max() >= 999_000_000);
    }
}
