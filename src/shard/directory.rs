//! What recovery has found out about the data directory as a whole: what the quorum and the controller are told of it.

use crate::base::{LogEnd, Offset, TopicPartition};
use crate::controller::Voter;
use crate::quorum::Ballot;

/// The directory as its last life has left it; plain data that may cross threads.
#[derive(Clone, Debug)]
pub struct DirectoryRecovery {
    /// The directory's vote. `None` if it is gone though the directory has a metadata log on which others vote: such a
    /// server neither votes nor stands.
    pub ballot: Option<Ballot>,
    pub voters: KnownVoters,
    /// The end of the snapshot that the metadata's fold begins with.
    pub snapshot: Option<LogEnd>,
    /// Where the metadata log ended, before anything was fetched or appended.
    pub metadata_end: LogEnd,
    /// The sequence of the newest commit group of all shards: it grows with every write, over all lives of the directory.
    pub newest_sequence: u64,
    pub last_stop: LastStop,
    pub damaged: DamagedPartitions,
    /// Partitions that are here, in this shard's keeping, and that the metadata as far as it is known here does not give to this
    /// server: neither served nor deleted before the quorum was heard.
    pub unknown: Vec<TopicPartition>,
}

/// Who votes on the metadata log, as far as the log here says.
#[derive(Clone, Debug, Default)]
pub struct KnownVoters {
    /// As of what is known to be committed.
    pub committed: Vec<Voter>,
    /// Records behind that, with their offsets: the last one counts, and may yet be cut off.
    pub later: Vec<(Offset, Vec<Voter>)>,
    /// This server decides alone, whether its log says so or says nothing.
    pub founded: bool,
}

/// How the last life ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LastStop {
    /// All shards wrote their last checkpoint, or there was no life before.
    Orderly,
    Crash,
}

/// Partitions that lack records which were durable here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DamagedPartitions {
    None,
    These(Vec<TopicPartition>),
    /// Any of them may, or there are too many to name.
    All,
}

impl DamagedPartitions {
    /// So many are named.
    pub const NAMED_MAX: usize = 1000;

    #[must_use]
    pub fn these(partitions: Vec<TopicPartition>) -> DamagedPartitions {
        match partitions.len() {
            0 => DamagedPartitions::None,
            1..=Self::NAMED_MAX => DamagedPartitions::These(partitions),
            _ => DamagedPartitions::All,
        }
    }
}
