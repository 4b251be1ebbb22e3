//! Virtual time: events in the order of their time, and of their being queued where that is the same.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// Virtual time since the beginning of a course, in nanoseconds. Nobody but the simulator sees it: servers have clocks of
/// their own.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Instant(pub u64);

impl Instant {
    pub fn plus(self, span: Span) -> Instant {
        Instant(self.0 + span.0)
    }

    pub fn since(self, earlier: Instant) -> Span {
        Span(self.0.saturating_sub(earlier.0))
    }
}

/// A length of virtual time in nanoseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Span(pub u64);

impl Span {
    pub const fn micros(micros: u64) -> Span {
        Span(micros * 1_000)
    }

    pub const fn ms(ms: u64) -> Span {
        Span(ms * 1_000_000)
    }

    pub const fn seconds(seconds: u64) -> Span {
        Span(seconds * 1_000_000_000)
    }
}

#[derive(Debug)]
struct Entry<E> {
    at: Instant,
    number: u64,
    event: E,
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Entry<E>) -> bool {
        (self.at, self.number) == (other.at, other.number)
    }
}

impl<E> Eq for Entry<E> {}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Entry<E>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Entry<E>) -> Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// What is going to happen. At most a few thousand events wait: one for each operation, message and timer.
#[derive(Debug)]
pub struct Queue<E> {
    heap: BinaryHeap<Reverse<Entry<E>>>,
    now: Instant,
    queued: u64,
}

impl<E> Default for Queue<E> {
    fn default() -> Queue<E> {
        Queue { heap: BinaryHeap::new(), now: Instant(0), queued: 0 }
    }
}

impl<E> Queue<E> {
    pub fn now(&self) -> Instant {
        self.now
    }

    /// Queues an event; one for the past happens now.
    pub fn at(&mut self, at: Instant, event: E) {
        let entry = Entry { at: at.max(self.now), number: self.queued, event };
        self.queued += 1;
        self.heap.push(Reverse(entry));
    }

    pub fn after(&mut self, span: Span, event: E) {
        self.at(self.now.plus(span), event);
    }

    /// The next event, at whose time it is now.
    pub fn next(&mut self) -> Option<E> {
        let Reverse(entry) = self.heap.pop()?;
        self.now = entry.at;
        Some(entry.event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_the_order_of_their_times_and_numbers() {
        let mut queue = Queue::default();
        for (at, event) in [(30, 'd'), (10, 'a'), (20, 'b'), (20, 'c')] {
            queue.at(Instant(at), event);
        }
        let mut found = Vec::new();
        while let Some(event) = queue.next() {
            found.push((queue.now().0, event));
            if event == 'b' {
                // For the past, and after what was queued for now.
                queue.at(Instant(5), 'x');
            }
        }
        assert_eq!(found, [(10, 'a'), (20, 'b'), (20, 'c'), (20, 'x'), (30, 'd')]);
    }
}
