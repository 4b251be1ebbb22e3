//! Wakes tasks of the same shard: set once, seen once by everyone who waits.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

#[derive(Debug, Default)]
pub struct Event {
    set: Cell<bool>,
    wakers: RefCell<Vec<Waker>>,
}

impl Event {
    /// Lets whoever waits go on; if nobody does, the next to wait goes on at once.
    pub fn set(&self) {
        self.set.set(true);
        for waker in self.wakers.take() {
            waker.wake();
        }
    }

    /// Waits for [`Event::set`] and clears it.
    pub async fn wait(&self) {
        poll_fn(|context| {
            if self.set.replace(false) {
                return Poll::Ready(());
            }
            let mut wakers = self.wakers.borrow_mut();
            if !wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                wakers.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

/// Wakes every task that waits at that moment; whoever waits checks its own condition again.
#[derive(Debug, Default)]
pub struct Broadcast {
    generation: Cell<u64>,
    wakers: RefCell<Vec<Waker>>,
}

impl Broadcast {
    pub fn send(&self) {
        self.generation.set(self.generation.get().wrapping_add(1));
        for waker in self.wakers.take() {
            waker.wake();
        }
    }

    /// Waits for the next [`Broadcast::send`].
    pub async fn wait(&self) {
        let seen = self.generation.get();
        poll_fn(|context| {
            if self.generation.get() != seen {
                return Poll::Ready(());
            }
            self.wakers.borrow_mut().push(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}
