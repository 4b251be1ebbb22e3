//! Whether a segment's file is in use: by readers, by scrubbing, or by compaction.

use crate::base::io::SegmentId;

use super::super::read::Read;
use super::compact::Compaction;
use super::scrub::Scrub;

/// What in this room reads segments.
#[derive(Clone, Copy)]
pub(super) struct InUse<'a> {
    pub(super) scrub: &'a Scrub,
    pub(super) compaction: &'a Compaction,
}

impl InUse<'_> {
    pub(super) fn is_read(&self, slot: u32, segment: SegmentId, read: &Read) -> bool {
        read.reads(segment) || self.scrub.reads(segment) || self.compaction.works_on(slot)
    }
}
