//! The shards of other servers that are dialled.

use crate::base::{ServerId, ShardId};
use crate::peer::LaneKind;

/// Whom a shard dials.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Target {
    pub server: ServerId,
    pub shard: ShardId,
    pub kind: LaneKind,
}

impl Target {
    /// Whom a follower dials for a partition that is led there.
    pub(super) fn of_leader(server: ServerId, shard: ShardId, is_metadata: bool) -> Target {
        let kind = if is_metadata { LaneKind::Control } else { LaneKind::Data };
        Target { server, shard, kind }
    }
}
