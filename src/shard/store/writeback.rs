//! Segment writes that the commit log covers, and the files they need. Hardly anybody waits for one, so few of them are under
//! way at once: what a commit group needs waits behind what the disk, the kernel's workers and the blocking thread have
//! been given before it, and partitions come to write by the thousand at the same time.
//!
//! Making a file costs the processor more than the disk: up to half a millisecond where the file system has just deleted
//! thousands. So those that nobody waits for are made with a pause after each. Made without, 10,000 take both processors of
//! a small machine for two seconds, and the kernel's workers, which end every durable write, have been seen to get none of
//! it for a quarter of a second.

use std::collections::VecDeque;

use crate::base::io::IoOp;
use crate::log::{LogOp, Purpose};

use super::super::event::Operation;

/// Under way at once. A write that makes its file longer, and now and then one that does not, is done by one of the
/// kernel's workers, of which there are at least eight: so many leave one to a commit group that needs it.
const UNDER_WAY_MAX: usize = 4;
/// Under way at once while somebody waits for such writes all the same.
const UNDER_WAY_IN_A_HURRY_MAX: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Writeback {
    /// In the order in which they were handed out. Something is under way as long as there are any.
    waiting: VecDeque<(u32, LogOp)>,
    under_way: usize,
    /// Somebody does wait: the commit log is full but for what is held back, or the shard is to stop.
    pub(super) is_hurried: bool,
}

impl Writeback {
    /// Whether an operation is a write that the commit log covers, or what such a write needs.
    pub(super) fn takes(purpose: Purpose) -> bool {
        match purpose {
            Purpose::Write { .. } => true,
            Purpose::Create { names, .. } => !names,
            Purpose::Allocate { is_covered, .. } => is_covered,
            _ => false,
        }
    }

    fn counts(operation: Operation) -> bool {
        matches!(operation, Operation::Log { purpose, .. } if Writeback::takes(purpose))
    }

    /// Any operation has been issued: those of this kind are counted.
    pub(super) fn issued(&mut self, operation: Operation) {
        self.under_way += usize::from(Writeback::counts(operation));
    }

    /// Any operation has ended.
    pub(super) fn ended(&mut self, operation: Operation) {
        if Writeback::counts(operation) {
            assert!(self.under_way > 0, "a write ends once");
            self.under_way -= 1;
        }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.under_way
    }

    /// The file that a partition waits for is made before everything else.
    pub(super) fn create_first(&mut self, partition: u32) {
        let is_meant =
            |(slot, op): &(u32, LogOp)| *slot == partition && matches!(op.purpose, Purpose::Create { .. });
        if let Some(at) = self.waiting.iter().position(is_meant)
            && let Some((slot, mut create)) = self.waiting.remove(at)
        {
            set_pace(&mut create, Pace::AtOnce);
            self.waiting.push_front((slot, create));
        }
    }

    pub(super) fn push(&mut self, slot: u32, mut op: LogOp) {
        set_pace(&mut op, Pace::Leisurely);
        self.waiting.push_back((slot, op));
    }

    pub(super) fn next(&mut self) -> Option<(u32, LogOp)> {
        let max = if self.is_hurried { UNDER_WAY_IN_A_HURRY_MAX } else { UNDER_WAY_MAX };
        if self.under_way >= max {
            return None;
        }
        let (slot, mut op) = self.waiting.pop_front()?;
        if self.is_hurried {
            set_pace(&mut op, Pace::AtOnce);
        }
        Some((slot, op))
    }
}

/// How a file is made.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pace {
    AtOnce,
    /// With a pause afterwards, for the sake of everybody else.
    Leisurely,
}

fn set_pace(create: &mut LogOp, pace: Pace) {
    if let IoOp::CreateSegment { leisurely, .. } = &mut create.op {
        *leisurely = pace == Pace::Leisurely;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::io::SegmentId;
    use crate::base::{Offset, TopicPartition};

    #[test]
    fn few_are_under_way_unless_somebody_waits() {
        let segment = SegmentId { partition: TopicPartition::METADATA, base: Offset(0) };
        let op = |number| {
            let purpose = Purpose::Create { base: segment.base, names: false };
            assert!(Writeback::takes(purpose));
            let op = IoOp::CreateSegment {
                segment,
                allocate_bytes: 0,
                names: false,
                spare: None,
                leisurely: false,
            };
            (number, LogOp { purpose, op })
        };
        let mut writeback = Writeback::default();
        (0..40).map(op).for_each(|(number, op)| writeback.push(number, op));
        let go = |writeback: &mut Writeback| {
            let mut gone = Vec::new();
            while let Some((number, LogOp { op, .. })) = writeback.next() {
                writeback.under_way += 1;
                gone.push((number, matches!(op, IoOp::CreateSegment { leisurely: true, .. })));
            }
            gone
        };
        assert_eq!(go(&mut writeback), [(0, true), (1, true), (2, true), (3, true)]);
        writeback.create_first(7);
        writeback.under_way -= 2;
        assert_eq!(go(&mut writeback), [(7, false), (4, true)], "in order, but for what somebody waits for");
        writeback.is_hurried = true;
        let hurried = go(&mut writeback);
        assert_eq!(hurried.len(), UNDER_WAY_IN_A_HURRY_MAX - UNDER_WAY_MAX);
        assert!(hurried.iter().all(|(_, leisurely)| !leisurely));
        assert!(!Writeback::takes(Purpose::Create { base: segment.base, names: true }), "a direct run waits");
        writeback.create_first(33);
        writeback.under_way = 0;
        assert_eq!(go(&mut writeback).first(), Some(&(33, false)), "and goes before the others");
    }
}
