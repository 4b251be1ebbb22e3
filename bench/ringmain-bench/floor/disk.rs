//! Direct I/O on one file: bandwidth by depth, and the price of a synced block before and after its space has been
//! written once.

use std::fs::{self, File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{io, thread};

use crate::error::BenchError;
use crate::floor::Latency;
use crate::stats::{histogram, nanos, record};

const FILE_BYTES: u64 = 512 * 1024 * 1024;
const RUN_BYTES: usize = 1024 * 1024;
const SMALL_RUN_BYTES: usize = 128 * 1024;
pub(super) const BLOCK_BYTES: usize = 4096;
const BLOCKS: u64 = 4000;
/// As scenario f1/64-partitions: 8 connections with 4 requests each.
const BATCH_BYTES: usize = 16 * 1024;
const PARTITIONS: u64 = 64;
const EACH_DEPTH: usize = 32;
const EACH_BYTES: u64 = 8 * 1024 * 1024;
const TIME: Duration = Duration::from_millis(1500);

#[derive(Clone, Copy, Debug)]
pub struct Disk {
    /// Bytes a second, direct, in runs of 1 MiB.
    pub written_4: f64,
    pub written_16: f64,
    pub read_4: f64,
    pub read_16: f64,
    /// O_DSYNC at depth 4, into space written before and into space only allocated; and at depth 1 and 16.
    pub synced_written: f64,
    pub synced_fresh: f64,
    pub synced_1: f64,
    pub synced_16: f64,
    /// O_DSYNC at depth 8, in runs of 128 KiB, into space written before.
    pub synced_small: f64,
    /// What a log without a shared commit log would get: batches of 16 KiB, each made durable in its own partition's file.
    pub synced_each: f64,
    /// One O_DSYNC block at a time.
    pub block_written: Latency,
    pub block_fresh: Latency,
}

impl Disk {
    pub fn measure(dir: &Path) -> Result<Disk, BenchError> {
        let scratch = Scratch::create(dir, PARTITIONS, FILE_BYTES)?;
        let (direct, synced) = (scratch.open(0)?, scratch.open(libc::O_DSYNC)?);
        let block_fresh = blocks(&synced)?;
        // The rest of the file is still unwritten; one pass over it, then it never is again.
        let synced_fresh = once(&synced, 4, Way::Write, BLOCKS * BLOCK_BYTES as u64)?;
        Ok(Disk {
            block_fresh,
            synced_fresh,
            synced_1: repeated(&synced, 1, Way::Write)?,
            synced_16: repeated(&synced, 16, Way::Write)?,
            synced_small: transfer(
                &synced,
                8,
                Way::Write,
                &Pass { run_bytes: SMALL_RUN_BYTES, ..Pass::ROUND },
            )?,
            synced_each: each(dir)?,
            block_written: blocks(&synced)?,
            synced_written: repeated(&synced, 4, Way::Write)?,
            written_4: repeated(&direct, 4, Way::Write)?,
            written_16: repeated(&direct, 16, Way::Write)?,
            read_4: repeated(&direct, 4, Way::Read)?,
            read_16: repeated(&direct, 16, Way::Read)?,
        })
    }
}

#[derive(Clone, Copy)]
enum Way {
    Read,
    Write,
}

/// A file that goes when the measurement does.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    pub(super) fn create(dir: &Path, number: u64, bytes: u64) -> Result<Scratch, BenchError> {
        let path = dir.join(format!("ringmain-bench-floor-{}-{number}", std::process::id()));
        let file = File::create_new(&path).map_err(BenchError::io("create a file in --dir"))?;
        let scratch = Scratch(path);
        let length = bytes.cast_signed();
        // SAFETY: the descriptor is open and no pointers are passed.
        let code = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) };
        if code != 0 {
            let source = io::Error::from_raw_os_error(code);
            return Err(BenchError::Io { what: "allocate space in --dir", source });
        }
        file.sync_all().map_err(BenchError::io("sync"))?;
        Ok(scratch)
    }

    pub(super) fn open(&self, flags: i32) -> Result<File, BenchError> {
        let flags = flags | libc::O_DIRECT;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&self.0);
        file.map_err(|source| match source.raw_os_error() {
            Some(libc::EINVAL) => BenchError::NoDirectIo,
            _ => BenchError::Io { what: "open for direct I/O", source },
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Memory aligned for direct I/O.
pub(super) struct Aligned {
    bytes: Vec<u8>,
    from: usize,
    length: usize,
}

impl Aligned {
    pub(super) fn new(length: usize) -> Aligned {
        let bytes = vec![7; length + BLOCK_BYTES];
        let from = bytes.as_ptr().align_offset(BLOCK_BYTES);
        Aligned { bytes, from, length }
    }

    pub(super) fn slice(&mut self) -> &mut [u8] {
        self.bytes.get_mut(self.from..self.from + self.length).unwrap_or(&mut [])
    }
}

/// Blocks one after another, each waited for.
fn blocks(file: &File) -> Result<Latency, BenchError> {
    let mut block = Aligned::new(BLOCK_BYTES);
    let mut times = histogram();
    for index in 0..BLOCKS {
        let begun = Instant::now();
        file.write_all_at(block.slice(), index * BLOCK_BYTES as u64)
            .map_err(BenchError::io("write a block"))?;
        record(&mut times, nanos(begun.elapsed()), 1);
    }
    Ok(Latency::of(&times))
}

/// Bytes a second of one pass from `start` to the end of the file.
fn once(file: &File, depth: usize, way: Way, start: u64) -> Result<f64, BenchError> {
    let first = start.next_multiple_of(RUN_BYTES as u64);
    transfer(file, depth, way, &Pass { first, end: Some(FILE_BYTES), ..Pass::ROUND })
}

/// Bytes a second over the whole file, round and round.
fn repeated(file: &File, depth: usize, way: Way) -> Result<f64, BenchError> {
    transfer(file, depth, way, &Pass::ROUND)
}

/// Bytes a second into many files, each batch synced for itself.
fn each(dir: &Path) -> Result<f64, BenchError> {
    let files: Vec<_> =
        (0..PARTITIONS).map(|number| Scratch::create(dir, number, EACH_BYTES)).collect::<Result<_, _>>()?;
    let files: Vec<_> =
        files.iter().map(|it| Ok((it.open(libc::O_DSYNC)?, it))).collect::<Result<_, BenchError>>()?;
    let next = AtomicU64::new(0);
    let begun = Instant::now();
    let run = || -> Result<(), BenchError> {
        let mut batch = Aligned::new(BATCH_BYTES);
        while begun.elapsed() < TIME {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some((file, _)) = files.get((number % PARTITIONS) as usize) else { break };
            let place = number / PARTITIONS * BATCH_BYTES as u64 % EACH_BYTES;
            file.write_all_at(batch.slice(), place).map_err(BenchError::io("write a batch"))?;
        }
        Ok(())
    };
    at_once(EACH_DEPTH, &run)?;
    Ok(crate::distribution::to_f64(next.load(Ordering::Relaxed) * BATCH_BYTES as u64)
        / begun.elapsed().as_secs_f64())
}

fn at_once(depth: usize, run: &(impl Fn() -> Result<(), BenchError> + Sync)) -> Result<(), BenchError> {
    thread::scope(|scope| {
        let threads: Vec<_> = (0..depth).map(|_| scope.spawn(run)).collect();
        threads.into_iter().try_for_each(|thread| thread.join().map_err(|_| BenchError::Thread)?)
    })
}

/// What of the file is moved.
struct Pass {
    run_bytes: usize,
    first: u64,
    /// Round and round for a while, without.
    end: Option<u64>,
}

impl Pass {
    const ROUND: Pass = Pass { run_bytes: RUN_BYTES, first: 0, end: None };
}

fn transfer(file: &File, depth: usize, way: Way, pass: &Pass) -> Result<f64, BenchError> {
    let Pass { run_bytes, first, end } = *pass;
    let next = AtomicU64::new(first);
    let begun = Instant::now();
    let until = begun + TIME;
    let run = || -> Result<(), BenchError> {
        let mut memory = Aligned::new(run_bytes);
        loop {
            let at = next.fetch_add(run_bytes as u64, Ordering::Relaxed);
            let done = end.map_or_else(|| Instant::now() >= until, |end| at >= end);
            if done {
                return Ok(());
            }
            let place = at % FILE_BYTES;
            match way {
                Way::Read => file.read_exact_at(memory.slice(), place),
                Way::Write => file.write_all_at(memory.slice(), place),
            }
            .map_err(BenchError::io("transfer a run"))?;
        }
    };
    at_once(depth, &run)?;
    let elapsed = begun.elapsed().as_secs_f64();
    let skipped = first + depth as u64 * run_bytes as u64;
    let bytes = next.load(Ordering::Relaxed).saturating_sub(skipped);
    Ok(crate::distribution::to_f64(bytes) / elapsed)
}
