//! The ways between clients and servers: messages, not bytes, for a shard knows no frames of clients.

use crate::event::{Event, Stage};
use crate::net::At;
use crate::queue::{Instant, Span};

use super::{Answered, Asked, ClientId};

const DELAY_LEAST: Span = Span::micros(60);
const DELAY_VARIES: Span = Span::micros(400);
/// What a slow way adds at most.
const SLOW: Span = Span::ms(80);

/// The way of all clients to one server.
#[derive(Clone, Debug, Default)]
struct Link {
    is_blocked_there: bool,
    is_blocked_back: bool,
    is_slow: bool,
    /// When the last message of each client arrives, there and back: a connection keeps their order.
    arrives: Vec<[Instant; 2]>,
}

#[derive(Debug)]
pub struct ClientLinks {
    of: Vec<Link>,
}

impl ClientLinks {
    pub fn new(servers: usize) -> ClientLinks {
        ClientLinks { of: vec![Link::default(); servers] }
    }

    pub fn block(&mut self, server: At, there: bool, back: bool) {
        let link = &mut self.of[server];
        link.is_blocked_there |= there;
        link.is_blocked_back |= back;
    }

    pub fn slow_down(&mut self, server: At) {
        self.of[server].is_slow = true;
    }

    pub fn heal(&mut self, server: At) {
        let arrives = std::mem::take(&mut self.of[server].arrives);
        self.of[server] = Link { arrives, ..Link::default() };
    }

    pub fn send(&mut self, asked: Asked, stage: &mut Stage<'_>) {
        if self.of[asked.server].is_blocked_there {
            return;
        }
        let at = self.arrival(asked.server, asked.client, 0, stage);
        stage.queue.at(at, Event::Asked(Box::new(asked)));
    }

    pub fn answer(&mut self, from: At, answered: Answered, stage: &mut Stage<'_>) {
        if self.of[from].is_blocked_back {
            return;
        }
        let at = self.arrival(from, answered.client, 1, stage);
        stage.queue.at(at, Event::Answered(Box::new(answered)));
    }

    fn arrival(&mut self, server: At, client: ClientId, way: usize, stage: &mut Stage<'_>) -> Instant {
        let link = &mut self.of[server];
        let slow = if link.is_slow { stage.rng.below(SLOW.0) } else { 0 };
        let delay = Span(DELAY_LEAST.0 + stage.rng.below(DELAY_VARIES.0) + slow);
        let client = usize::from(client.0);
        if link.arrives.len() <= client {
            link.arrives.resize(client + 1, [Instant(0); 2]);
        }
        let last = &mut link.arrives[client][way];
        *last = stage.queue.now().plus(delay).max(*last);
        *last
    }
}
