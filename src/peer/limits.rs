//! How much a frame may hold. Every message within its limits fits a header.

/// Size, header size and checksum: what is in front of a header.
pub const FRONT_BYTES: usize = 12;
/// Bytes of a header.
pub const HEADER_BYTES_MAX: usize = 64 << 10;
/// Bytes of a payload, but for what goes alone: see [`FrameLimits::Accepted`].
pub const PAYLOAD_BYTES_MAX: usize = 1 << 20;
/// Bytes of a client's request or its answer, which go alone.
pub const FORWARD_BYTES_MAX: usize = 16 << 20;
/// Bytes of a whole frame before a lane is accepted.
pub const GREETING_BYTES_MAX: usize = 4 << 10;

/// Streams in one Open or Opened, parts in one Append, entries in one Ack or Close.
pub const STREAMS_MAX: usize = 1000;
/// Partitions that a registration names as damaged.
pub const DAMAGED_MAX: usize = 1000;
/// Shards of a server: its node ids leave room for so many.
pub const SHARDS_MAX: usize = 999;
/// Partitions whose sizes one heartbeat tells.
pub const SIZES_MAX: usize = 1000;
/// Changes in one AlterIsr, answers in one AlterIsrAnswer.
pub const ISR_CHANGES_MAX: usize = 500;
/// Members of all sets in one AlterIsr together.
pub const ISR_MEMBERS_MAX: usize = 2500;

/// Bytes of a host, a rack, a client's address.
pub const TEXT_BYTES_MAX: usize = 2 << 10;
/// Bytes of a cluster's id.
pub const CLUSTER_BYTES_MAX: usize = 64;
/// Bytes that say why a lane is refused; what is longer is cut.
pub const WHY_BYTES_MAX: usize = 512;
/// Bytes of a proof.
pub const PROOF_BYTES_MAX: usize = 1 << 10;
/// Bytes of a forwarded request's facts.
pub const FACTS_BYTES_MAX: usize = 4 << 10;

/// What FlatBuffers adds to the lists and texts of any message.
const TABLE_BYTES_MAX: usize = 512;

// Lists and texts by the sizes of their structs in schema/peer.fbs.
const _: () = {
    let greeting = GREETING_BYTES_MAX - FRONT_BYTES - TABLE_BYTES_MAX;
    assert!(CLUSTER_BYTES_MAX + PROOF_BYTES_MAX <= greeting);
    assert!(WHY_BYTES_MAX <= greeting);
    let header = HEADER_BYTES_MAX - TABLE_BYTES_MAX;
    assert!(STREAMS_MAX * 64 <= header);
    assert!(DAMAGED_MAX * 24 + 3 * TEXT_BYTES_MAX <= header);
    assert!(SHARDS_MAX * 8 + SIZES_MAX * 32 <= header);
    assert!(ISR_CHANGES_MAX * 48 + ISR_MEMBERS_MAX * 16 <= header);
    assert!(TEXT_BYTES_MAX + FACTS_BYTES_MAX <= header);
};

/// What a lane takes at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameLimits {
    /// Before the lane is accepted: nothing but the handshake, in frames of at most [`GREETING_BYTES_MAX`].
    Greeting,
    /// After it. A run that is alone in its payload may have up to `batch_bytes_max`, more than any other payload: one batch.
    Accepted { batch_bytes_max: u32 },
}
