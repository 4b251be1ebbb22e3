//! Asking the controller: one call to shard 0, which answers once the change is durable and every shard serves it.

use crate::base::ShardId;
use crate::controller::{ControllerReply, ControllerRequest};
use crate::shard::{ShardReply, ShardRequest};

use super::{Ask, Context, Step, Wait};

/// The shard that hosts the controller.
const CONTROLLER: ShardId = ShardId(0);

/// Asks, and goes on with the reply.
pub(super) fn ask(
    request: ControllerRequest,
    then: impl FnOnce(&mut Context<'_>, ControllerReply) -> Step + 'static,
) -> Step {
    Step::Ask(Ask {
        calls: vec![(CONTROLLER, ShardRequest::Controller(request))],
        wait: Wait::All,
        then: Box::new(move |context, replies| match <[ShardReply; 1]>::try_from(replies) {
            Ok([ShardReply::Controller(reply)]) => then(context, reply),
            other => panic!("one question to the controller has one answer of its kind, not {other:?}"),
        }),
    })
}
