//! Requests with several questions to coordinators: each question is answered by itself, and the answer leaves with the last.

use crate::base::hash::IdMap;
use crate::group::{GroupReply, Ticket};

use super::super::request::{RequestId, ShardReply};
use super::super::turn::Turn;

#[derive(Debug, Default)]
pub(super) struct Answers {
    requests: IdMap<u64, Unanswered>,
    next_request: u64,
    /// Where each question's answer goes: a request, and which of its questions.
    places: IdMap<u64, (u64, usize)>,
    next_ticket: u64,
}

#[derive(Debug)]
struct Unanswered {
    id: RequestId,
    replies: Vec<Option<GroupReply>>,
    missing: usize,
}

impl Answers {
    /// A request with so many questions: a ticket for each. Without any, it is answered at once.
    pub(super) fn open(&mut self, id: RequestId, questions: usize, turn: &mut Turn<'_>) -> Vec<Ticket> {
        if questions == 0 {
            turn.reply(id, ShardReply::Groups(Vec::new()));
            return Vec::new();
        }
        self.next_request += 1;
        let replies = (0..questions).map(|_| None).collect();
        self.requests.insert(self.next_request, Unanswered { id, replies, missing: questions });
        (0..questions).map(|index| self.ticket(self.next_request, index)).collect()
    }

    fn ticket(&mut self, request: u64, index: usize) -> Ticket {
        self.next_ticket += 1;
        self.places.insert(self.next_ticket, (request, index));
        Ticket(self.next_ticket)
    }

    /// Gives answers their place in the requests that wait for them. Each question takes one answer.
    pub(super) fn release(&mut self, replies: Vec<(Ticket, GroupReply)>, turn: &mut Turn<'_>) {
        for (ticket, reply) in replies {
            let Some((request, index)) = self.places.remove(&ticket.0) else { continue };
            let waiting = self.requests.get_mut(&request).expect("a ticket belongs to a request");
            let place = waiting.replies.get_mut(index).expect("a ticket has a place");
            assert!(place.replace(reply).is_none(), "a question is answered once");
            waiting.missing -= 1;
            if waiting.missing == 0
                && let Some(done) = self.requests.remove(&request)
            {
                turn.reply(done.id, ShardReply::Groups(done.replies.into_iter().flatten().collect()));
            }
        }
    }
}
