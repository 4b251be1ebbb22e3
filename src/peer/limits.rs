//! How much of everything a frame may hold. Each message within its limits fits a header.

/// Streams in one Open or Opened, parts in one Append, entries in one Ack or Close.
pub const STREAMS_MAX: usize = 1000;
/// Partitions that a registration names as damaged.
pub const DAMAGED_MAX: usize = 1000;
/// Shards whose rates a heartbeat tells.
pub const SHARDS_MAX: usize = 1000;
/// Partitions whose sizes a heartbeat tells.
pub const SIZES_MAX: usize = 1000;
/// Changes in one AlterIsr, answers in one AlterIsrAnswer.
pub const ISR_CHANGES_MAX: usize = 500;
/// Members of all sets in one AlterIsr together.
pub const ISR_MEMBERS_MAX: usize = 2500;
/// Bytes of a host, a rack, a client's address.
pub const TEXT_BYTES_MAX: usize = 2048;
/// Bytes of a cluster's id.
pub const CLUSTER_BYTES_MAX: usize = 64;
/// Bytes that tell why a lane is refused.
pub const WHY_BYTES_MAX: usize = 512;
/// Bytes of a proof.
pub const PROOF_BYTES_MAX: usize = 1024;
/// Bytes of a forwarded request's facts.
pub const FACTS_BYTES_MAX: usize = 4096;
