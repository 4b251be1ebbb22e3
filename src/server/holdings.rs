//! What one connection holds of its shard's memory: a request being received, requests in progress, answers that have not
//! been taken. All of it is given back when the connection is gone.

use std::cell::Cell;
use std::rc::Rc;

use crate::base::MonoNanos;

use super::overload::Standing;
use super::pool::Pool;

/// Requests up to this size are received without asking for memory: it is what an idle connection may cost.
pub(super) const SMALL_FRAME_BYTES: usize = 4096;
/// A peer that sends a large request slower than this, after [`RECEIVE_MS_MIN`], holds memory for nothing.
const RECEIVE_BYTES_PER_MS: u64 = 16;
const RECEIVE_MS_MIN: u64 = 1_000;

/// The pools of one shard.
#[derive(Clone, Debug)]
pub(super) struct Pools {
    /// Requests, from the moment their size is known until they are answered.
    pub(super) frames: Rc<Pool>,
    /// Answers, from the moment they are ready until the socket has taken them.
    pub(super) answers: Rc<Pool>,
    /// Requests whose batches are being read slice by slice; counted, not weighed.
    pub(super) readings: Rc<Pool>,
}

pub(super) struct Holdings {
    pools: Pools,
    receiving: Cell<Option<Receiving>>,
    requests: Cell<usize>,
    /// Answers that wait for earlier ones or for the socket.
    ready: Cell<usize>,
    sending: Cell<usize>,
    /// The time that [`Holdings::moved`] gives.
    moved: Cell<MonoNanos>,
}

#[derive(Clone, Copy, Debug)]
struct Receiving {
    bytes: usize,
    /// When the whole of it should be there.
    due: MonoNanos,
    /// When a part of it last came.
    heard: MonoNanos,
}

impl Holdings {
    pub(super) fn of(pools: &Pools) -> Holdings {
        Holdings {
            pools: pools.clone(),
            receiving: Cell::default(),
            requests: Cell::default(),
            ready: Cell::default(),
            sending: Cell::default(),
            moved: Cell::new(MonoNanos(0)),
        }
    }

    pub(super) fn is_receiving(&self) -> bool {
        self.receiving.get().is_some()
    }

    /// The rest of a request of this size is going to be received.
    pub(super) fn receive(&self, now: MonoNanos, bytes: usize) {
        let ms = RECEIVE_MS_MIN + bytes as u64 / RECEIVE_BYTES_PER_MS;
        self.pools.frames.take(bytes);
        self.receiving.set(Some(Receiving { bytes, due: now.plus_ms(ms), heard: now }));
    }

    /// A part of what the peer sends has come.
    pub(super) fn heard(&self, now: impl Fn() -> MonoNanos) {
        let receiving = self.receiving.get();
        self.receiving.set(receiving.map(|it| Receiving { heard: now(), ..it }));
    }

    /// A request of this size is there and in progress.
    pub(super) fn begin(&self, bytes: usize) {
        self.pools.frames.take(bytes);
        self.requests.set(self.requests.get() + bytes);
        if let Some(received) = self.receiving.take() {
            self.pools.frames.give_back(received.bytes);
        }
    }

    /// Requests of this size are answered.
    pub(super) fn end(&self, bytes: usize) {
        self.requests.set(self.requests.get() - bytes);
        self.pools.frames.give_back(bytes);
    }

    pub(super) fn request_bytes(&self) -> usize {
        self.requests.get()
    }

    /// Bytes of answers that have not been taken.
    pub(super) fn answer_bytes(&self) -> usize {
        self.ready.get()
    }

    /// When an answer last went on its way, or the first of them became ready.
    pub(super) fn moved(&self) -> MonoNanos {
        self.moved.get()
    }

    /// An answer is ready.
    pub(super) fn answer(&self, bytes: usize, now: impl Fn() -> MonoNanos) {
        if self.ready.get() == 0 {
            self.moved.set(now());
        }
        self.ready.set(self.ready.get() + bytes);
        self.pools.answers.take(bytes);
    }

    /// So much of the answers is with the socket now.
    pub(super) fn send(&self, now: MonoNanos, bytes: usize) {
        self.moved.set(now);
        self.sending.set(self.sending.get() + bytes);
    }

    /// The socket has taken some.
    pub(super) fn sent(&self, now: MonoNanos, bytes: usize) {
        self.moved.set(now);
        self.ready.set(self.ready.get() - bytes);
        self.sending.set(self.sending.get() - bytes);
        self.pools.answers.give_back(bytes);
    }

    /// Where the connection stands, but for its idleness.
    pub(super) fn standing(&self, now: MonoNanos) -> Standing {
        let since = |from: MonoNanos| now.since(from) / 1_000_000;
        let receiving = self.receiving.get();
        let unheard = receiving.map(|it| since(it.heard).max(since(it.due)));
        let (ready, sending) = (self.ready.get(), self.sending.get() > 0);
        let unmoved = (ready > 0).then(|| since(self.moved.get()));
        Standing {
            idle_ms: None,
            stuck_ms: unheard.max(unmoved.filter(|_| sending)),
            queued_ms: unmoved.filter(|_| !sending),
            held_bytes: ready + receiving.map_or(0, |it| it.bytes),
            answer_bytes: ready,
        }
    }
}

impl Drop for Holdings {
    fn drop(&mut self) {
        let receiving = self.receiving.get().map_or(0, |it| it.bytes);
        self.pools.frames.give_back(self.requests.get() + receiving);
        self.pools.answers.give_back(self.ready.get());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pools() -> Pools {
        let pool = |bytes| Rc::new(Pool::new(bytes));
        Pools { frames: pool(1 << 20), answers: pool(1 << 20), readings: pool(1) }
    }

    fn at(ms: u64) -> MonoNanos {
        MonoNanos(0).plus_ms(ms)
    }

    #[test]
    fn a_request_is_counted_once_and_everything_comes_back() {
        let pools = pools();
        let holdings = Holdings::of(&pools);
        holdings.receive(at(0), 5000);
        assert_eq!(pools.frames.used(), 5000);
        holdings.begin(4996);
        assert_eq!((pools.frames.used(), holdings.request_bytes()), (4996, 4996));
        holdings.answer(300, || at(1));
        holdings.answer(100, || at(2));
        holdings.send(at(3), 300);
        holdings.sent(at(4), 200);
        assert_eq!(pools.answers.used(), 200);
        holdings.receive(at(5), 9000);
        drop(holdings);
        assert_eq!((pools.frames.used(), pools.answers.used()), (0, 0));
    }

    #[test]
    fn slow_is_not_stuck() {
        let holdings = Holdings::of(&pools());
        holdings.receive(at(0), 160_000);
        holdings.heard(|| at(9_900));
        assert_eq!(holdings.standing(at(10_000)).stuck_ms, Some(100), "16 bytes a millisecond are enough");
        holdings.heard(|| at(11_900));
        assert_eq!(holdings.standing(at(12_000)).stuck_ms, Some(1_000), "less is not");
        holdings.begin(160_000);
        holdings.answer(1000, || at(0));
        assert_eq!(holdings.standing(at(700)).queued_ms, Some(700), "an earlier answer is not ready");
        holdings.send(at(1_000), 1000);
        holdings.sent(at(60_000), 1);
        let standing = holdings.standing(at(60_500));
        assert_eq!((standing.stuck_ms, standing.queued_ms, standing.held_bytes), (Some(500), None, 999));
        holdings.sent(at(61_000), 999);
        assert_eq!(holdings.standing(at(99_000)).stuck_ms, None, "nothing waits");
    }
}
