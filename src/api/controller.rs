//! Asking the controller: one call to shard 0, which answers once the change is durable and every shard serves it.

use crate::base::ShardId;
use crate::controller::ControllerQuestion;
use crate::shard::ShardRequest;

use super::{Ask, Context, Step, Wait};

/// The shard that hosts the controller.
const CONTROLLER: ShardId = ShardId(0);

/// Asks, and goes on with the answer.
pub(super) fn ask<A: 'static>(
    question: ControllerQuestion<A>,
    then: impl FnOnce(&mut Context<'_>, A) -> Step + 'static,
) -> Step {
    let (asked, answer) = (ShardRequest::controller(question.asked), question.answer);
    Step::Ask(Ask {
        calls: vec![(CONTROLLER, asked.asked)],
        wait: Wait::All,
        then: Box::new(move |context, mut replies| {
            let reply = replies.pop().expect("one question, one answer");
            then(context, answer.take(asked.answer.take(reply)))
        }),
    })
}
