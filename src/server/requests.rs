//! Requests in progress: the machine that continues an answer.
//!
//! An API says what to do next as a [`Step`]. This performs it: it hands an answer to its connection, or asks shards and
//! keeps the continuation. When the last reply has come the continuation says the next step, until there is an answer.
//! Nothing waits here: a reply is an input, and all that follows from it is done before the call returns.
//!
//! Lives on the shard that the connection lives on. Knows no socket, and nothing of what APIs ask or answer. Bounds are the
//! connection's: so many requests in progress, of so many bytes.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use bytes::Bytes;

use crate::api::{self, Gather, Gathered, Step};
use crate::base::hash::IdMap;
use crate::base::{MonoNanos, ShardId};
use crate::protocol::ApiKey;
use crate::shard::{RequestId, ShardReply, ShardRequest};

use super::connection::Connection;
use super::peer;
use super::services::Services;

pub(super) struct Requests {
    services: Rc<Services>,
    /// The requests that wait for shards, by the number under which they ask.
    waiting: RefCell<IdMap<u64, Waiting>>,
    /// How many of them are fetches.
    fetching: Cell<usize>,
    next_number: Cell<u64>,
}

/// A request that waits for the replies of shards.
struct Waiting {
    place: AnswerPlace,
    gather: Gather,
    since: MonoNanos,
}

/// Where the answer to a request goes.
struct AnswerPlace {
    connection: Rc<Connection>,
    /// The request's number, under which the connection keeps a place for the answer.
    number: u64,
    api_key: i16,
}

/// A request whose batches are being read.
pub(super) struct Begun {
    place: AnswerPlace,
    pub(super) reading: Box<dyn api::Slices>,
}

impl AnswerPlace {
    fn is_fetch(&self) -> bool {
        self.api_key == ApiKey::Fetch.code()
    }
}

impl Requests {
    pub(super) fn new(services: &Rc<Services>) -> Rc<Requests> {
        let requests = Rc::new(Requests {
            services: Rc::clone(services),
            waiting: RefCell::default(),
            fetching: Cell::default(),
            next_number: Cell::new(0),
        });
        let replies = Rc::downgrade(&requests);
        services.host.answer_with(Box::new(move |number, from, reply| {
            if let Some(requests) = replies.upgrade() {
                requests.replied(number, from, reply);
            }
        }));
        requests
    }

    /// Starts a request. Everything that can be done at once is done when this returns; what must be done in slices first
    /// is for the connection.
    pub(super) fn begin(&self, connection: &Rc<Connection>, frame: Bytes) -> Option<Begun> {
        let Services { host, counters, .. } = &*self.services;
        let api_key = peer::api_key(&frame);
        counters.request(api_key);
        host.in_progress.set(host.in_progress.get() + 1);
        let number = connection.open_answer(api_key, frame.len());
        let place = AnswerPlace { connection: Rc::clone(connection), number, api_key };
        let begun = host.clock.mono();
        let step = self.in_context(connection, |context| api::dispatch(context, &frame));
        let nanos = host.clock.mono().since(begun);
        counters.dispatched(nanos, &step);
        if let Step::Read(reading) = step {
            return Some(Begun { place, reading });
        }
        self.take(place, step);
        None
    }

    /// Goes on with a request whose batches have been read.
    pub(super) fn go_on(&self, begun: Begun) {
        let Begun { place, reading } = begun;
        let step = self.in_context(&place.connection, |context| reading.finish(context));
        self.take(place, step);
    }

    /// Has all fetches that wait for data answered with what there is.
    pub(super) fn end_fetches(&self) {
        let fetches: Vec<(u64, Vec<ShardId>)> = {
            let waiting = self.waiting.borrow();
            let fetches = waiting.iter().filter(|(_, it)| it.place.is_fetch());
            fetches.map(|(number, it)| (*number, it.gather.shards().collect())).collect()
        };
        for (number, shards) in fetches {
            shards.into_iter().for_each(|shard| self.nudge(shard, number));
        }
    }

    /// Performs a step.
    fn take(&self, place: AnswerPlace, step: Step) {
        let AnswerPlace { connection, number, .. } = &place;
        match step {
            Step::Reply(frame) => connection.send(*number, frame),
            Step::Silent => connection.silent(*number),
            Step::Close { reason } => connection.close_after(*number, &reason),
            Step::Read(_) => unreachable!("batches are read before anything else is done for their request"),
            Step::Ask(ask) => self.ask(place, Gather::new(ask)),
        }
    }

    fn ask(&self, place: AnswerPlace, mut gather: Gather) {
        let Services { host, counters, .. } = &*self.services;
        let calls = gather.take_calls();
        let number = self.next_number.get();
        self.next_number.set(number + 1);
        if gather.shards().any(|shard| shard != host.here) {
            counters.hop(&place.connection.state.borrow(), place.api_key);
        }
        self.fetching.set(self.fetching.get() + usize::from(place.is_fetch()));
        let waiting = Waiting { place, gather, since: host.clock.mono() };
        // Before the first question: a shard that is this one replies within the call.
        self.waiting.borrow_mut().insert(number, waiting);
        for (shard, request) in calls {
            host.ask(shard, number, request);
        }
    }

    /// A shard has replied.
    fn replied(&self, number: u64, from: ShardId, reply: ShardReply) {
        let gathered = match self.waiting.borrow_mut().get_mut(&number) {
            Some(waiting) => waiting.gather.on_reply(from, reply),
            None => return,
        };
        match gathered {
            Gathered::Part => {}
            Gathered::Nudge(shards) => shards.into_iter().for_each(|shard| self.nudge(shard, number)),
            Gathered::All => {
                let waiting = self.waiting.borrow_mut().remove(&number);
                self.go_on_with_replies(waiting.expect("it was there for its last reply"));
            }
        }
    }

    fn go_on_with_replies(&self, waiting: Waiting) {
        let Waiting { place, gather, since } = waiting;
        self.fetching.set(self.fetching.get() - usize::from(place.is_fetch()));
        let host = &self.services.host;
        let has_crossed = gather.shards().any(|shard| shard != host.here);
        self.services.counters.replied(place.api_key, host.clock.mono().since(since), has_crossed);
        let (then, replies) = gather.into_parts();
        let step = self.in_context(&place.connection, |context| then(context, replies));
        self.take(place, step);
    }

    fn nudge(&self, shard: ShardId, number: u64) {
        let host = &self.services.host;
        let id = RequestId { origin: host.here, number };
        // The nudge itself gets no answer: its number is nobody's.
        host.ask(shard, u64::MAX, ShardRequest::FetchNow(id));
    }

    fn in_context<R>(&self, connection: &Connection, act: impl FnOnce(&mut api::Context<'_>) -> R) -> R {
        self.services.in_context(&connection.state, self.fetching.get(), act)
    }
}
