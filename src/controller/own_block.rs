//! The block of producer ids that the controller hands out itself.

use crate::base::ProducerId;

/// What is left of the block: from `next` on, below `end`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct ProducerIds {
    pub next: ProducerId,
    pub end: ProducerId,
}

impl ProducerIds {
    /// What an earlier controller handed out of its last block is unknown: the next id is past all that was reserved.
    pub fn forget(&mut self, reserved: ProducerId) {
        *self = ProducerIds { next: reserved, end: reserved };
    }
}
