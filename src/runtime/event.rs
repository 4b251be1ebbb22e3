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
    /// Wakes whoever waits; if nobody does, the next to wait goes on at once.
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
