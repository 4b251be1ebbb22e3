//! The replies to one set of calls, until all are there. Pure: the server sends the calls and brings the replies.

use crate::base::ShardId;
use crate::shard::{ShardReply, ShardRequest};

use super::{Ask, Continue, Wait};

/// An [`Ask`] in progress: gathers the replies that its continuation is called with.
pub struct Gather {
    calls: Vec<(ShardId, ShardRequest)>,
    /// One reply per call, in the order of the calls.
    replies: Vec<(ShardId, Option<ShardReply>)>,
    missing: usize,
    wait: Wait,
    nudged: bool,
    then: Continue,
}

/// What is to be done after a reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Gathered {
    /// More replies are to come; there is nothing to do until then.
    Part,
    /// More replies are to come, and these shards should be told [`ShardRequest::FetchNow`].
    Nudge(Vec<ShardId>),
    /// All replies are here: [`Gather::into_parts`].
    All,
}

impl Gather {
    #[must_use]
    pub fn new(ask: Ask) -> Gather {
        Gather {
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

    /// The shards that are asked, in the order of the calls.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> + '_ {
        self.replies.iter().map(|(shard, _)| *shard)
    }

    /// Takes a shard's reply; one that was not asked for, or is there already, changes nothing.
    pub fn on_reply(&mut self, shard: ShardId, reply: ShardReply) -> Gathered {
        let slot = self.replies.iter_mut().find(|(from, held)| *from == shard && held.is_none());
        let Some((_, slot)) = slot else { return Gathered::Part };
        *slot = Some(reply);
        self.missing -= 1;
        if self.missing == 0 {
            return Gathered::All;
        }
        if self.wait == Wait::All || std::mem::replace(&mut self.nudged, true) {
            return Gathered::Part;
        }
        let waiting = self.replies.iter().filter(|(_, held)| held.is_none());
        Gathered::Nudge(waiting.map(|(shard, _)| *shard).collect())
    }

    /// The continuation, and its replies in the order of the calls. Only after [`Gathered::All`].
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

    fn gather(wait: Wait) -> Gather {
        let calls = [0, 2, 5].map(|shard| (ShardId(shard), ShardRequest::ListOffsets(Vec::new())));
        let mut gather = Gather::new(Ask { calls: calls.into(), wait, then: Box::new(|_, _| Step::Silent) });
        assert_eq!(gather.take_calls().len(), 3);
        assert!(gather.take_calls().is_empty());
        gather
    }

    fn reply() -> ShardReply {
        ShardReply::ListOffsets(Vec::new())
    }

    #[test]
    fn all_replies_are_waited_for() {
        let mut gather = gather(Wait::All);
        assert_eq!(gather.on_reply(ShardId(5), reply()), Gathered::Part);
        assert_eq!(gather.on_reply(ShardId(5), reply()), Gathered::Part);
        assert_eq!(gather.on_reply(ShardId(1), reply()), Gathered::Part);
        assert_eq!(gather.on_reply(ShardId(0), ShardReply::Fetch(Vec::new())), Gathered::Part);
        assert_eq!(gather.on_reply(ShardId(2), reply()), Gathered::All);
        let (_, replies) = gather.into_parts();
        assert!(matches!(
            replies.as_slice(),
            [ShardReply::Fetch(_), ShardReply::ListOffsets(_), ShardReply::ListOffsets(_)]
        ));
    }

    #[test]
    fn the_first_reply_nudges_the_others_once() {
        let mut gather = gather(Wait::FirstThenNudge);
        assert_eq!(gather.on_reply(ShardId(2), reply()), Gathered::Nudge(vec![ShardId(0), ShardId(5)]));
        assert_eq!(gather.on_reply(ShardId(0), reply()), Gathered::Part);
        assert_eq!(gather.on_reply(ShardId(5), reply()), Gathered::All);
    }
}
