//! A fold written out as records: folding them makes the same fold.
//!
//! The metadata log grows with every change; what it has come to is small. Records state epochs and counters outright, so
//! that nothing depends on the records that were there before.
//!
//! A [`SnapshotWriter`] holds the state as it was and gives its records in pieces, so that no turn takes long; a
//! [`SnapshotReader`] takes records in that order and gives the state, once it has seen the last one, which counts all others
//! and has their checksum. How records become a file and how a file travels is somebody else's.

mod check;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use check::SnapshotCheck;
pub use read::SnapshotReader;
pub use write::SnapshotWriter;

/// Goes over a record's bytes, behind their length, so that no other cutting of the same bytes looks alike.
fn checksum(hasher: &mut crc32fast::Hasher, record: &[u8]) {
    let length = u32::try_from(record.len()).expect("a record is far smaller than 4 GiB");
    hasher.update(&length.to_le_bytes());
    hasher.update(record);
}
