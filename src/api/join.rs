//! The replies to one set of calls, until all are there. Pure: the server sends the calls and brings the replies.

use crate::base::ShardId;
use crate::shard::{ShardReply, ShardRequest};

use super::{Ask, Continue, Wait};

/// An [`Ask`] in progress.
pub struct Join {
    calls: Vec<(ShardId, ShardRequest)>,
    /// One per call, in their order.
    replies: Vec<(ShardId, Option<ShardReply>)>,
    missing: usize,
    wait: Wait,
    nudged: bool,
    then: Continue,
}

/// What a reply changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Progress {
    /// More replies are to come.
    Wait,
    /// More are to come; these shards should be told [`ShardRequest::FetchNow`].
    Nudge(Vec<ShardId>),
    /// All replies are here: [`Join::into_parts`].
    Complete,
}

impl Join {
    #[must_use]
    pub fn new(ask: Ask) -> Join {
        Join {
            missing: ask.calls.len(),
            replies: ask.calls.iter().map(|(shard, _)| (*shard, None)).collect(),
            calls: ask.calls,
            wait: ask.wait,
            nudged: false,
            then: ask.then,
        }
    }

    /// What to send, once: empty the next time.
    pub fn take_calls(&mut self) -> Vec<(ShardId, ShardRequest)> {
        std::mem::take(&mut self.calls)
    }

    /// Takes a shard's reply; one that was not asked for, or is there already, changes nothing.
    pub fn on_reply(&mut self, shard: ShardId, reply: ShardReply) -> Progress {
        let slot = self.replies.iter_mut().find(|(from, held)| *from == shard && held.is_none());
        let Some((_, slot)) = slot else { return Progress::Wait };
        *slot = Some(reply);
        self.missing -= 1;
        if self.missing == 0 {
            return Progress::Complete;
        }
        if self.wait == Wait::All || std::mem::replace(&mut self.nudged, true) {
            return Progress::Wait;
        }
        let waiting = self.replies.iter().filter(|(_, held)| held.is_none());
        Progress::Nudge(waiting.map(|(shard, _)| *shard).collect())
    }

    /// The continuation, and its replies in the order of the calls. Only after [`Progress::Complete`].
    #[must_use]
    pub fn into_parts(self) -> (Continue, Vec<ShardReply>) {
        let replies =
            self.replies.into_iter().map(|(_, reply)| reply.expect("complete: every shard replied"));
        (self.then, replies.collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::api::Step;

    use super::*;

    fn join(wait: Wait) -> Join {
        let calls = [0, 2, 5].map(|shard| (ShardId(shard), ShardRequest::ListOffsets(Vec::new())));
        let mut join = Join::new(Ask { calls: calls.into(), wait, then: Box::new(|_, _| Step::Silent) });
        assert_eq!(join.take_calls().len(), 3);
        assert!(join.take_calls().is_empty());
        join
    }

    fn reply() -> ShardReply {
        ShardReply::ListOffsets(Vec::new())
    }

    #[test]
    fn all_replies_are_waited_for() {
        let mut join = join(Wait::All);
        assert_eq!(join.on_reply(ShardId(5), reply()), Progress::Wait);
        assert_eq!(join.on_reply(ShardId(5), reply()), Progress::Wait);
        assert_eq!(join.on_reply(ShardId(1), reply()), Progress::Wait);
        assert_eq!(join.on_reply(ShardId(0), ShardReply::Fetch(Vec::new())), Progress::Wait);
        assert_eq!(join.on_reply(ShardId(2), reply()), Progress::Complete);
        let (_, replies) = join.into_parts();
        assert!(matches!(
            replies.as_slice(),
            [ShardReply::Fetch(_), ShardReply::ListOffsets(_), ShardReply::ListOffsets(_)]
        ));
    }

    #[test]
    fn the_first_reply_nudges_the_others_once() {
        let mut join = join(Wait::FirstThenNudge);
        assert_eq!(join.on_reply(ShardId(2), reply()), Progress::Nudge(vec![ShardId(0), ShardId(5)]));
        assert_eq!(join.on_reply(ShardId(0), reply()), Progress::Wait);
        assert_eq!(join.on_reply(ShardId(5), reply()), Progress::Complete);
    }
}
