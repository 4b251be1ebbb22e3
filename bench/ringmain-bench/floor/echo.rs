//! One small request in progress on each of many connections, answered by threads that do nothing else: what a broker
//! could reach under scenario f6 if it took no time to think. As many threads answer and as many ask as there are cores.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::disk::{Aligned, BLOCK_BYTES, Scratch};
use super::net::{ANSWER_BYTES, SMALL_BYTES, pair};
use crate::distribution::to_f64;
use crate::epoll::Epoll;
use crate::error::BenchError;

/// As scenario f6.
pub const CONNECTIONS: usize = 50;
const LOG_BLOCKS: u64 = 4096;
const TIME: Duration = Duration::from_millis(1500);
const PAUSE: Duration = Duration::from_millis(100);

/// Requests answered a second.
#[derive(Clone, Copy, Debug)]
pub struct Echo {
    /// At once.
    pub plain: f64,
    /// After a synced write of a block, which all requests share that are there when it begins.
    pub committed: f64,
}

impl Echo {
    pub fn measure(dir: &Path) -> Result<Echo, BenchError> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let plain = echo((0..cores).map(|_| None).collect(), TIME)?;
        let logs: Vec<Log> =
            (0..).take(cores).map(|number| Log::create(dir, number)).collect::<Result<_, _>>()?;
        Ok(Echo { plain, committed: echo(logs.into_iter().map(Some).collect(), TIME)? })
    }
}

/// Space written before, block by block.
struct Log {
    file: File,
    block: Aligned,
    next: u64,
    _scratch: Scratch,
}

impl Log {
    fn create(dir: &Path, number: u64) -> Result<Log, BenchError> {
        let scratch = Scratch::create(dir, number, LOG_BLOCKS * BLOCK_BYTES as u64)?;
        let mut whole = Aligned::new(usize::try_from(LOG_BLOCKS).unwrap_or(0) * BLOCK_BYTES);
        let file = scratch.open(libc::O_DSYNC)?;
        file.write_all_at(whole.slice(), 0).map_err(BenchError::io("write a log"))?;
        Ok(Log { file, block: Aligned::new(BLOCK_BYTES), next: 0, _scratch: scratch })
    }

    fn write(&mut self) -> Result<(), BenchError> {
        let place = self.next % LOG_BLOCKS * BLOCK_BYTES as u64;
        self.next += 1;
        self.file.write_all_at(self.block.slice(), place).map_err(BenchError::io("write a block"))
    }
}

/// A thread that answers for each of the logs, and one that asks; each has its share of the connections.
fn echo(logs: Vec<Option<Log>>, time: Duration) -> Result<f64, BenchError> {
    let begun = Instant::now();
    let until = begun + time;
    let share = CONNECTIONS.div_ceil(logs.len());
    let mut pairs = (0..CONNECTIONS).map(|_| pair()).collect::<Result<Vec<_>, _>>()?;
    let answered = thread::scope(|scope| {
        let (mut answering, mut asking) = (Vec::new(), Vec::new());
        for log in logs {
            let (near, far) = pairs.split_off(pairs.len().saturating_sub(share)).into_iter().unzip();
            answering.push(scope.spawn(move || answer(far, log)));
            asking.push(scope.spawn(move || ask(near, until)));
        }
        let joined =
            |thread: thread::ScopedJoinHandle<'_, _>| thread.join().map_err(|_| BenchError::Thread)?;
        let answered = asking.into_iter().map(joined).sum::<Result<f64, _>>();
        answering.into_iter().try_for_each(|it| it.join().map_err(|_| BenchError::Thread)?)?;
        answered
    })?;
    Ok(answered / begun.elapsed().as_secs_f64())
}

/// Takes what is there, makes it durable if that is asked for, and answers it; until every connection is closed.
fn answer(streams: Vec<TcpStream>, mut log: Option<Log>) -> Result<(), BenchError> {
    let epoll = Epoll::of(streams.iter().map(AsRawFd::as_raw_fd), libc::EPOLLIN)?;
    let mut streams: Vec<Option<TcpStream>> = streams.into_iter().map(Some).collect();
    let mut request = [0; SMALL_BYTES];
    let mut taken = Vec::with_capacity(CONNECTIONS);
    while streams.iter().any(Option::is_some) {
        for index in epoll.wait(PAUSE)? {
            let Some(slot) = streams.get_mut(index) else { continue };
            match slot.as_mut().map(|stream| stream.read_exact(&mut request)) {
                Some(Ok(())) => taken.push(index),
                // The asker has gone.
                _ => *slot = None,
            }
        }
        if let Some(log) = log.as_mut().filter(|_| !taken.is_empty()) {
            log.write()?;
        }
        for index in taken.drain(..) {
            if let Some(Some(stream)) = streams.get_mut(index) {
                // If the asker has gone, reading says so.
                let _ = stream.write_all(&[1; ANSWER_BYTES]);
            }
        }
    }
    Ok(())
}

/// Asks on every connection, and again as soon as it is answered; says how often.
fn ask(mut streams: Vec<TcpStream>, until: Instant) -> Result<f64, BenchError> {
    let failed = BenchError::io;
    let epoll = Epoll::of(streams.iter().map(AsRawFd::as_raw_fd), libc::EPOLLIN)?;
    for stream in &mut streams {
        stream.write_all(&[7; SMALL_BYTES]).map_err(failed("ask over loopback"))?;
    }
    let mut answer = [0; ANSWER_BYTES];
    let mut count = 0;
    while Instant::now() < until {
        for index in epoll.wait(PAUSE)? {
            let Some(stream) = streams.get_mut(index) else { continue };
            stream
                .read_exact(&mut answer)
                .and_then(|()| stream.write_all(&[7; SMALL_BYTES]))
                .map_err(failed("ask over loopback"))?;
            count += 1;
        }
    }
    Ok(to_f64(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_is_answered_again_and_again() {
        let time = Duration::from_millis(50);
        for threads in [1, 3] {
            let found = echo((0..threads).map(|_| None).collect(), time).expect("loopback");
            assert!(found * time.as_secs_f64() >= CONNECTIONS as f64, "{threads} threads: {found}");
        }
    }
}
