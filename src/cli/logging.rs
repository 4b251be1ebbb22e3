//! Log lines: `tracing` to standard error, filtered by RINGMAIN_LOG, written by a thread of its own.
//!
//! A shard never waits for a slow terminal or a stuck journal: lines go through a bounded queue. When the queue is full,
//! they are counted and dropped. Lines of the `log` crate (glommio's) are included.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

const LINES_QUEUED_MAX: usize = 4096;
/// How long a process that ends in order waits until its last lines are written.
const FLUSH_WAIT: Duration = Duration::from_secs(1);
const DEFAULT_FILTER: &str = "info,glommio=warn";

#[derive(Debug)]
enum Entry {
    Line(Vec<u8>),
    Flush(flume::Sender<()>),
}

/// A guard of the log: dropping it writes out what is queued. Hold it as long as the process logs.
#[derive(Debug)]
pub struct Logging {
    lines: Lines,
}

/// The queue of log lines that are not written yet.
#[derive(Clone, Debug)]
pub struct Lines(flume::Sender<Entry>);

impl Lines {
    /// Waits until everything logged so far is written, but at most `within`, because standard error may be stuck.
    pub fn flush(&self, within: Duration) {
        let (done, written) = flume::bounded(1);
        if self.0.send_timeout(Entry::Flush(done), within).is_ok() {
            let _ = written.recv_timeout(within);
        }
    }
}

impl Logging {
    #[must_use]
    pub fn lines(&self) -> Lines {
        self.lines.clone()
    }
}

/// Starts logging for the whole process. Called once, before any other thread starts.
///
/// # Errors
/// When RINGMAIN_LOG is no filter, or the writing thread cannot be started.
pub fn start() -> Result<Logging, LoggingError> {
    let written = std::env::var("RINGMAIN_LOG").ok().filter(|filter| !filter.is_empty());
    let filter = EnvFilter::try_new(written.as_deref().unwrap_or(DEFAULT_FILTER))
        .map_err(|error| LoggingError::Filter(error.to_string()))?;
    let (lines, queue) = flume::bounded(LINES_QUEUED_MAX);
    let dropped = Arc::new(AtomicU64::new(0));
    let queued = Queue { lines: lines.clone(), dropped: Arc::clone(&dropped) };
    std::thread::Builder::new()
        .name("log".to_owned())
        .spawn(move || write_lines(&queue, &dropped, io::stderr()))?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(queued)
        .try_init()
        .expect("logging is started once");
    Ok(Logging { lines: Lines(lines) })
}

#[derive(Debug, thiserror::Error)]
pub enum LoggingError {
    #[error("RINGMAIN_LOG is no filter such as info or ringmain=debug: {0}")]
    Filter(String),
    #[error("cannot start the logging thread: {0}")]
    Thread(#[from] io::Error),
}

impl Drop for Logging {
    fn drop(&mut self) {
        self.lines.flush(FLUSH_WAIT);
    }
}

fn write_lines(queue: &flume::Receiver<Entry>, dropped: &AtomicU64, mut out: impl Write) {
    // A failure to write is ignored: with standard error closed there is nobody to tell.
    for entry in queue {
        match entry {
            Entry::Line(line) => drop(out.write_all(&line)),
            Entry::Flush(done) => drop(done.send(())),
        }
        let lost = dropped.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = writeln!(out, "{lost} log lines were dropped: standard error is too slow");
        }
    }
}

/// The subscriber's end of the queue.
#[derive(Clone)]
struct Queue {
    lines: flume::Sender<Entry>,
    dropped: Arc<AtomicU64>,
}

impl<'a> MakeWriter<'a> for Queue {
    type Writer = Queue;

    fn make_writer(&'a self) -> Queue {
        self.clone()
    }
}

impl Write for Queue {
    /// The subscriber writes a whole line at a time.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.lines.try_send(Entry::Line(line.to_vec())).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_lines_and_says_so() {
        let (lines, queue) = flume::bounded(1);
        let mut writer = Queue { lines, dropped: Arc::new(AtomicU64::new(0)) };
        for line in ["one\n", "two\n", "three\n"] {
            writer.write_all(line.as_bytes()).expect("never fails");
        }
        let dropped = Arc::clone(&writer.dropped);
        drop(writer);
        let mut out = Vec::new();
        write_lines(&queue, &dropped, &mut out);
        assert_eq!(
            String::from_utf8(out).expect("text"),
            "one\n2 log lines were dropped: standard error is too slow\n"
        );
    }
}
