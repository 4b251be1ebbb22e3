//! A share of a shard's memory that connections draw on, first come first served.
//!
//! Whoever finds room takes what it needs, so a pool overshoots by what its takers took in one turn at most: bounds are
//! stated as the share plus one request. Nothing is taken by waiting, so a waiter that goes away holds up nobody.
//!
//! Lives on one shard; counts, and owns no memory itself.

use std::cell::Cell;

use event_listener::Event;

#[derive(Debug)]
pub(super) struct Pool {
    bytes_max: usize,
    used: Cell<usize>,
    freed: Event,
}

impl Pool {
    pub(super) fn new(bytes_max: usize) -> Pool {
        Pool { bytes_max, used: Cell::new(0), freed: Event::new() }
    }

    pub(super) fn used(&self) -> usize {
        self.used.get()
    }

    /// Bytes left; 0 when others must give back first.
    pub(super) fn left(&self) -> usize {
        self.bytes_max.saturating_sub(self.used.get())
    }

    /// What one taker may take of the bytes that are left, so that `others` more can take as much.
    pub(super) fn share_beside(&self, others: usize) -> usize {
        self.left() / (1 + others)
    }

    pub(super) fn has_room(&self) -> bool {
        self.left() > 0
    }

    /// Counts bytes that are held now. Never waits: whoever may wait asks [`Pool::has_room`] before.
    pub(super) fn take(&self, bytes: usize) {
        self.used.set(self.used.get() + bytes);
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.used.set(self.used.get() - bytes);
        self.wake_one();
    }

    /// Ends when there is room; the caller takes its part before it waits for anything else.
    pub(super) async fn room(&self) {
        while !self.has_room() {
            let freed = self.freed.listen();
            if self.has_room() {
                break;
            }
            freed.await;
        }
        // One at a time: who follows runs after this one has taken its part, and looks again.
        self.wake_one();
    }

    fn wake_one(&self) {
        if self.has_room() {
            self.freed.notify(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::{self, poll_once};

    #[test]
    fn waiters_get_room_in_order_and_a_lost_one_holds_up_nobody() {
        future::block_on(async {
            let pool = Pool::new(100);
            pool.take(100);
            let (mut first, mut lost, mut last) =
                (Box::pin(pool.room()), Box::pin(pool.room()), Box::pin(pool.room()));
            for waiting in [&mut first, &mut lost, &mut last] {
                assert!(poll_once(waiting).await.is_none());
            }
            pool.give_back(30);
            assert!(poll_once(&mut first).await.is_some(), "the first has waited longest");
            pool.take(40);
            assert_eq!(
                (pool.used(), pool.left(), pool.share_beside(0)),
                (110, 0, 0),
                "a taker may overshoot"
            );
            assert!(poll_once(&mut lost).await.is_none() && poll_once(&mut last).await.is_none());
            pool.give_back(20);
            drop(lost);
            assert!(poll_once(&mut last).await.is_some(), "its turn has come");
            assert_eq!((pool.share_beside(0), pool.share_beside(1)), (10, 5));
        });
    }
}
