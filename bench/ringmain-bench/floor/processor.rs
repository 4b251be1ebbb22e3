//! How fast one core copies and checksums a batch of 1 MiB.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use ringmain::base::checksum::{copy_crc32c, crc32c};

const BATCH_BYTES: usize = 1024 * 1024;
/// Enough batches that they come from memory, as those of a busy broker do.
const BATCHES: usize = 64;
const TIME: Duration = Duration::from_millis(400);

/// Bytes a second.
#[derive(Clone, Copy, Debug)]
pub struct Processor {
    pub crc32c: f64,
    pub copy: f64,
    pub copy_crc32c: f64,
    /// The sum over all cores when each does `copy_crc32c` at once with the others.
    pub copy_crc32c_all: f64,
}

impl Processor {
    pub fn measure() -> Processor {
        let source = vec![7u8; BATCH_BYTES * BATCHES];
        let mut target = vec![1u8; BATCH_BYTES];
        Processor {
            crc32c: rate(&source, |batch| {
                black_box(crc32c(batch));
            }),
            copy: rate(&source, |batch| black_box(&mut target).copy_from_slice(batch)),
            copy_crc32c: copied(&source, &mut target),
            copy_crc32c_all: on_all_cores(&source),
        }
    }
}

fn copied(source: &[u8], target: &mut [u8]) -> f64 {
    rate(source, |batch| {
        black_box(copy_crc32c(black_box(target), batch));
    })
}

fn on_all_cores(source: &[u8]) -> f64 {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    thread::scope(|scope| {
        let run = |_| scope.spawn(|| copied(source, &mut vec![1u8; BATCH_BYTES]));
        let threads: Vec<_> = (0..cores).map(run).collect();
        threads.into_iter().map(|thread| thread.join().unwrap_or(0.0)).sum()
    })
}

fn rate(source: &[u8], mut work: impl FnMut(&[u8])) -> f64 {
    let begun = Instant::now();
    let mut done = 0;
    while begun.elapsed() < TIME {
        for batch in source.chunks_exact(BATCH_BYTES) {
            work(black_box(batch));
            done += batch.len() as u64;
        }
    }
    crate::distribution::to_f64(done) / begun.elapsed().as_secs_f64()
}
