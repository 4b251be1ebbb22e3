//! Appends that are not durable yet.

use std::collections::VecDeque;

use crate::base::Offset;

/// The appends between the flushed offset and the log's end, in order. Each has a number, and counts up from the first of a
/// log's life.
#[derive(Debug, Default)]
pub(super) struct Unflushed {
    appends: VecDeque<Append>,
    /// Bytes in all of them.
    bytes: usize,
    next: u64,
}

#[derive(Clone, Copy, Debug)]
struct Append {
    end: Offset,
    bytes: usize,
    /// Writes that must complete before the append is durable.
    parts: u8,
}

impl Unflushed {
    /// The number of the next append.
    pub(super) fn next_number(&self) -> u64 {
        self.next
    }

    pub(super) fn is_empty(&self) -> bool {
        self.appends.is_empty()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// An append up to `end` is on its way in so many parts.
    pub(super) fn begun(&mut self, end: Offset, bytes: usize, parts: u8) {
        assert!(parts > 0, "an append of which nothing is written would never be durable");
        assert!(self.appends.back().is_none_or(|last| last.end < end), "appends ascend");
        self.next += 1;
        self.appends.push_back(Append { end, bytes, parts });
        self.bytes += bytes;
    }

    /// Part of append `number` is durable. Returns up to where all appends are now, if that is further than before.
    pub(super) fn part_durable(&mut self, number: u64) -> Option<Offset> {
        let first = self.next - self.appends.len() as u64;
        let at = number.checked_sub(first).and_then(|at| usize::try_from(at).ok());
        let append = at.and_then(|at| self.appends.get_mut(at));
        let append = append.expect("only what is not durable becomes durable");
        assert!(append.parts > 0, "each part of an append is durable once");
        append.parts -= 1;
        let mut flushed = None;
        while let Some(front) = self.appends.front()
            && front.parts == 0
        {
            flushed = Some(front.end);
            self.bytes = self.bytes.checked_sub(front.bytes).expect("the sum is of all appends");
            self.appends.pop_front();
        }
        assert!(!self.appends.is_empty() || self.bytes == 0, "without appends no bytes are on their way");
        flushed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_durable_is_so_in_order_and_leaves_no_bytes() {
        let mut unflushed = Unflushed::default();
        for (end, parts) in [(10, 1), (20, 2), (30, 1)] {
            unflushed.begun(Offset(end), 100, parts);
        }
        assert_eq!((unflushed.next_number(), unflushed.bytes()), (3, 300));
        assert_eq!(unflushed.part_durable(2), None, "earlier ones are not");
        assert_eq!(unflushed.part_durable(0), Some(Offset(10)));
        assert_eq!(unflushed.part_durable(1), None, "one part of two");
        assert_eq!(unflushed.bytes(), 200);
        assert_eq!(unflushed.part_durable(1), Some(Offset(30)));
        assert_eq!((unflushed.next_number(), unflushed.bytes()), (3, 0));
    }
}
