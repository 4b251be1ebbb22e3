//! Micro benches of the pure core: what one record, batch or request costs a shard, without sockets and disk.
//!
//! `cargo bench --bench micro` measures; `cargo test` runs each once, so that none rots. Every bench first does its work
//! once and compares a hash of what came out with the one written beside it: a bench that has begun to do something else
//! is no longer the same measurement.

mod append;
mod batches;
mod check;
mod commit;
mod decode;
mod fetch;
mod image;
mod index;

use criterion::{criterion_group, criterion_main};

/// Compares the hash of a bench's result with the one it had when the bench was written.
fn verify(bench: &str, result: &[u8], expected: u32) {
    let found = ringmain::base::checksum::crc32c(result);
    assert_eq!(
        found, expected,
        "{bench} now does other work: its result's hash is {found:#010x}. If that is meant, write it into the bench"
    );
}

criterion_group!(
    micro,
    decode::bench,
    check::bench,
    append::bench,
    index::bench,
    commit::bench,
    fetch::bench,
    image::bench
);
criterion_main!(micro);
