//! Answers of one connection, kept in request order whatever order they become ready in.

use std::collections::VecDeque;

use crate::base::Payload;
use crate::protocol::Frame;

#[derive(Debug, Default)]
pub(super) struct Replies {
    slots: VecDeque<Slot>,
    /// Number of the slot at the front.
    first: u64,
    /// Long polls among what is in progress.
    fetches: usize,
}

#[derive(Debug)]
struct Slot {
    request_bytes: usize,
    is_fetch: bool,
    state: SlotState,
}

#[derive(Debug)]
enum SlotState {
    Waiting,
    Ready(Vec<Payload>),
    /// Nothing is to be sent (acks=0).
    Silent,
    /// Everything before goes out, then the connection ends.
    Close,
}

/// What may be sent now.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    pub(super) pieces: Vec<Payload>,
    /// Bytes of the answers.
    pub(super) bytes: usize,
    /// Bytes of requests that are done with these answers.
    pub(super) request_bytes: usize,
    pub(super) requests: usize,
    pub(super) close: bool,
}

impl Replies {
    /// A place for the next request's answer.
    pub(super) fn open(&mut self, request_bytes: usize, is_fetch: bool) -> u64 {
        self.fetches += usize::from(is_fetch);
        self.slots.push_back(Slot { request_bytes, is_fetch, state: SlotState::Waiting });
        self.first + self.slots.len() as u64 - 1
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Fetches whose answers have not been taken.
    pub(super) fn fetches(&self) -> usize {
        self.fetches
    }

    pub(super) fn send(&mut self, number: u64, frame: Frame) {
        self.settle(number, SlotState::Ready(frame.into_pieces()));
    }

    pub(super) fn silent(&mut self, number: u64) {
        self.settle(number, SlotState::Silent);
    }

    pub(super) fn close(&mut self, number: u64) {
        self.settle(number, SlotState::Close);
    }

    /// Something can be taken.
    pub(super) fn has_ready(&self) -> bool {
        self.slots.front().is_some_and(|slot| !matches!(slot.state, SlotState::Waiting))
    }

    /// Takes the answers at the front that are ready, about `bytes_max` of them.
    pub(super) fn take(&mut self, bytes_max: usize) -> Outgoing {
        let mut outgoing = Outgoing::default();
        while outgoing.bytes < bytes_max && self.has_ready() && !outgoing.close {
            let Some(slot) = self.slots.pop_front() else { break };
            self.first += 1;
            self.fetches -= usize::from(slot.is_fetch);
            outgoing.requests += 1;
            outgoing.request_bytes += slot.request_bytes;
            match slot.state {
                SlotState::Ready(pieces) => {
                    outgoing.bytes += pieces.iter().map(|piece| piece.len()).sum::<usize>();
                    outgoing.pieces.extend(pieces);
                }
                SlotState::Silent => {}
                SlotState::Close => outgoing.close = true,
                SlotState::Waiting => unreachable!("only what is ready is taken"),
            }
        }
        outgoing
    }

    fn settle(&mut self, number: u64, state: SlotState) {
        let at = usize::try_from(number - self.first).expect("requests in progress are few");
        let place = self.slots.get_mut(at).expect("an answer belongs to a request in progress");
        assert!(matches!(place.state, SlotState::Waiting), "a request is answered once");
        place.state = state;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::messages::HeartbeatResponse;
    use crate::protocol::{ApiKey, encode_response};

    fn frame(correlation: i32) -> Frame {
        encode_response(correlation, ApiKey::Heartbeat, 0, &HeartbeatResponse::default()).expect("encodes")
    }

    #[test]
    fn answers_leave_in_request_order() {
        let mut replies = Replies::default();
        let numbers: Vec<u64> = (0..4).map(|bytes| replies.open(bytes, bytes == 2)).collect();
        replies.send(numbers[2], frame(2));
        assert!(!replies.has_ready());
        replies.send(numbers[0], frame(0));
        let first = replies.take(usize::MAX);
        assert_eq!((first.requests, first.request_bytes, first.pieces.len()), (1, 0, 1));
        assert_eq!(replies.fetches(), 1);
        replies.silent(numbers[1]);
        replies.close(numbers[3]);
        let rest = replies.take(usize::MAX);
        assert_eq!((rest.requests, rest.request_bytes, rest.pieces.len(), rest.close), (3, 6, 1, true));
        assert!(replies.is_empty() && replies.fetches() == 0);
    }
}
