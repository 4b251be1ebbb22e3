//! What a client knows of leaders.

use std::collections::BTreeMap;

use ringmain::base::{LeaderEpoch, ServerId, TopicPartition};

use super::waiting::PATIENCE;
use super::{Hand, Led, Request};
use crate::net::At;
use crate::queue::{Instant, Span};

/// Leaders as some servers' metadata had them: of two answers the one with the higher leader epoch counts, as with Kafka's
/// clients.
#[derive(Debug, Default)]
pub struct Known {
    leaders: BTreeMap<TopicPartition, (Option<At>, LeaderEpoch)>,
    controller: Option<At>,
    /// A question that is on its way, and when to ask again.
    asked: Option<(u64, Instant)>,
    /// Asked within this before.
    next_ask: Instant,
}

/// Not more often than this.
const PAUSE: Span = Span::ms(100);

impl Known {
    /// The leader, if one is known.
    pub fn leader(&self, partition: TopicPartition) -> Option<(At, LeaderEpoch)> {
        let (leader, epoch) = self.leaders.get(&partition)?;
        Some(((*leader)?, *epoch))
    }

    /// Who decides, or any server while nobody is known to.
    pub fn controller(&self, hand: &mut Hand<'_>) -> At {
        self.controller.unwrap_or_else(|| hand.any_server())
    }

    /// Somebody else decides.
    pub fn forget_controller(&mut self) {
        self.controller = None;
    }

    /// What is known may be wrong.
    pub fn forget(&mut self, partition: TopicPartition) {
        if let Some((leader, _)) = self.leaders.get_mut(&partition) {
            *leader = None;
        }
    }

    /// Asks some server, unless it was asked just now.
    pub fn refresh(&mut self, hand: &mut Hand<'_>) {
        if self.asked.is_some_and(|(_, until)| until > hand.now) || self.next_ask > hand.now {
            return;
        }
        let server = hand.any_server();
        let number = hand.ask(server, Request::Metadata);
        self.asked = Some((number, hand.now.plus(PATIENCE)));
        self.next_ask = hand.now.plus(PAUSE);
    }

    /// Whether a number is that of a question for metadata.
    pub fn is_asked(&self, number: u64) -> bool {
        self.asked.is_some_and(|(asked, _)| asked == number)
    }

    /// No answer comes.
    pub fn unanswered(&mut self) {
        self.asked = None;
    }

    pub fn told(&mut self, answer: Vec<Led>, controller: Option<ServerId>) {
        self.asked = None;
        self.controller = controller.map(at_of);
        for Led { partition, leader, epoch } in answer {
            let known = self.leaders.entry(partition).or_insert((None, LeaderEpoch(-1)));
            if epoch >= known.1 {
                *known = (leader.map(at_of), epoch);
            }
        }
    }
}

fn at_of(server: ServerId) -> At {
    usize::try_from(server.0 - 1).expect("ids begin with 1")
}
