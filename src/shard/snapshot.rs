//! Snapshots of the metadata as bytes: what stands in a file, and what travels to other servers.
//!
//! ```text
//! snapshot = record batches, back to back, uncompressed; their records are those of the controller's snapshot, in its order.
//!            The last one counts and sums up all others.
//! ```
//!
//! The offsets in the batches mean nothing: what a snapshot stands for is said beside it, by the file's name or by the piece that
//! brings it. Nothing here knows where bytes come from: all of them may be anybody's. A start reads the same bytes all at once
//! (`runtime/recovery/snapshots.rs`).
//!
//! Limits: [`SNAPSHOT_BYTES_MAX`] in all, [`PIECE_BYTES`] written or read in one turn, or one record more.

use bytes::Bytes;
use thiserror::Error;

use crate::base::{LogEnd, TimestampMs};
use crate::controller::{MetadataRecordError, SnapshotReader};
use crate::record::{BatchBuilder, BatchError, BatchHeader, Codec, records};

/// Bytes of a snapshot: that of ten times the partitions that a cluster is meant for.
pub const SNAPSHOT_BYTES_MAX: u64 = 64 << 20;
/// Bytes of a snapshot that a turn writes or reads.
pub const PIECE_BYTES: usize = 256 << 10;

/// Why bytes are no snapshot.
#[derive(Debug, Error)]
pub enum SnapshotError {
    #[error("a batch of the snapshot: {0}")]
    Batch(#[from] BatchError),
    #[error("a batch of the snapshot is compressed, which none is")]
    Compressed,
    #[error("the snapshot ends within a batch")]
    Cut,
    #[error("a record of the snapshot: {0}")]
    Record(#[from] MetadataRecordError),
    #[error("the snapshot lacks its last record")]
    Unfinished,
}

/// A snapshot in memory, to be sent to others.
#[derive(Debug)]
pub struct Snapshot {
    /// Stands for all records before.
    pub end: LogEnd,
    pub pieces: Vec<Bytes>,
    /// All pieces together.
    pub bytes: u64,
}

impl Snapshot {
    pub fn new(end: LogEnd, pieces: &[Vec<u8>]) -> Snapshot {
        let pieces: Vec<Bytes> = pieces.iter().map(|piece| Bytes::copy_from_slice(piece)).collect();
        let bytes = pieces.iter().map(|piece| piece.len() as u64).sum();
        Snapshot { end, pieces, bytes }
    }
}

/// A snapshot that a leader has sent, all of it: what its bytes say is not known yet.
#[derive(Debug)]
pub struct Gathered {
    pub slot: u32,
    pub end: LogEnd,
    pub bytes: Vec<u8>,
}

/// The bytes of some of a snapshot's records.
pub fn encode(records: &[Vec<u8>], wall: TimestampMs) -> Result<Vec<u8>, BatchError> {
    let mut batch = BatchBuilder::new(wall);
    for record in records {
        batch.append(None, Some(record));
    }
    batch.finish()
}

/// A snapshot that is read, some of it at a time.
#[derive(Debug)]
pub struct Unfolding {
    reader: SnapshotReader,
    /// What is read of the bytes.
    at: usize,
}

impl Unfolding {
    pub fn new(reader: SnapshotReader) -> Unfolding {
        Unfolding { reader, at: 0 }
    }

    /// Reads on, so many bytes or one batch more. Tells whether all of them are read, and a whole snapshot.
    pub fn go_on(&mut self, bytes: &[u8], most: usize) -> Result<bool, SnapshotError> {
        let until = self.at.saturating_add(most).min(bytes.len());
        while self.at < until {
            let rest = bytes.get(self.at..).ok_or(SnapshotError::Cut)?;
            let header = BatchHeader::parse(rest)?;
            if header.codec() != Some(Codec::None) {
                return Err(SnapshotError::Compressed);
            }
            let batch = rest.get(..header.total_bytes()).ok_or(SnapshotError::Cut)?;
            let reader = &mut self.reader;
            let mut outcome = Ok(());
            records(batch, |_, record| {
                outcome = reader.push(record.value.unwrap_or_default());
                outcome.is_ok()
            })?;
            outcome?;
            self.at += batch.len();
        }
        match (self.at == bytes.len(), self.reader.is_whole()) {
            (true, false) => Err(SnapshotError::Unfinished),
            (is_read, _) => Ok(is_read),
        }
    }

    /// What was read: whole, if [`Unfolding::go_on`] has said so.
    pub fn into_reader(self) -> SnapshotReader {
        self.reader
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::config::Config;
    use crate::controller::{Controller, ControllerConfig, ControllerRequest, NewTopic};

    /// A controller of a log of so many topics, with its cluster's state as text.
    fn controller(topics: u32) -> (Controller, String) {
        let config = Config::default();
        let mut controller = Controller::new(ControllerConfig::new("0123456789abcdefghijkl".into(), &config));
        let mut rng = Rng::seeded(1);
        for number in 0..topics {
            let topic = NewTopic {
                name: format!("topic-{number}"),
                partitions: 3,
                replication_factor: 1,
                assignments: Vec::new(),
                configs: [].into(),
                internal: false,
            };
            let request = ControllerRequest::CreateTopics { topics: vec![topic], validate_only: false };
            for record in controller.decide(&request, &mut rng).records {
                let at = controller.version();
                controller.replay(&record, at).expect("its own record");
            }
        }
        let state = format!("{:?}", controller.image().cluster);
        (controller, state)
    }

    fn pieces_of(controller: &Controller, bytes: usize) -> Vec<Vec<u8>> {
        let mut writer = controller.snapshot();
        let mut pieces = Vec::new();
        while let Some(piece) = writer.next_piece(bytes) {
            pieces.push(encode(&piece, TimestampMs(7)).expect("small"));
        }
        pieces
    }

    /// Reads so many bytes at a time, all at once at the end of it.
    fn unfold(bytes: &[u8], most: usize) -> Result<Unfolding, SnapshotError> {
        let (fresh, _) = controller(0);
        let mut unfolding = Unfolding::new(fresh.snapshot_reader());
        while !unfolding.go_on(bytes, most)? {}
        Ok(unfolding)
    }

    /// What a follower makes of a snapshot is what the log before it comes to.
    #[test]
    fn a_snapshot_stands_for_the_log_before_it() {
        for topics in [0, 1, 40] {
            let (written, state) = controller(topics);
            for piece_bytes in [1, 500, 1 << 20] {
                let bytes = pieces_of(&written, piece_bytes).concat();
                for most in [1, 700, usize::MAX] {
                    let unfolding = unfold(&bytes, most).expect("a whole snapshot");
                    let (mut fresh, _) = controller(0);
                    fresh.install(unfolding.into_reader(), written.version()).expect("whole");
                    assert_eq!(format!("{:?}", fresh.image().cluster), state);
                }
            }
        }
    }

    #[test]
    fn whatever_else_comes_is_refused() {
        let (written, _) = controller(3);
        let pieces = pieces_of(&written, 1);
        let whole = pieces.concat();
        for end in 0..whole.len() {
            assert!(unfold(&whole[..end], usize::MAX).is_err(), "cut at {end}");
        }
        let twice = [&whole[..], &whole].concat();
        assert!(unfold(&twice, usize::MAX).is_err(), "something behind the last record");
        let other_order = [&pieces[1..2], &pieces[..1], &pieces[2..]].concat().concat();
        assert!(unfold(&other_order, usize::MAX).is_err(), "in another order");
        let mut rng = Rng::seeded(5);
        for _ in 0..2000 {
            let mut bytes = whole.clone();
            let at = usize::try_from(rng.below(bytes.len() as u64)).expect("small");
            bytes[at] ^= 1 << rng.below(8);
            // A bit of a batch's header may mean nothing; none may end the process.
            _ = unfold(&bytes, 1);
        }
    }
}
