//! What AlterConfigs and IncrementalAlterConfigs have in common: resources are judged one by one, topics by the
//! controller, and answered in the order of the request.

use std::collections::BTreeSet;

use crate::controller::{ConfigChange, ControllerReply, ControllerRequest, TopicConfigs};
use crate::protocol::ErrorCode;

use super::controller::ask;
use super::errors::controller_error;
use super::{Context, Step};

/// Kafka's numbers for kinds of resources.
pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;

pub(super) struct Resource {
    pub kind: i8,
    pub name: String,
    /// Or what is wrong with it before anybody looks at the resource.
    pub change: Result<ConfigChange, String>,
}

/// How a resource is answered.
pub(super) struct Outcome {
    pub kind: i8,
    pub name: String,
    pub code: ErrorCode,
    pub message: Option<String>,
}

pub(super) fn alter(
    context: &mut Context<'_>,
    resources: Vec<Resource>,
    validate_only: bool,
    then: impl FnOnce(Vec<Outcome>) -> Step + 'static,
) -> Step {
    let repeated = repeated(&resources);
    let mut topics = Vec::new();
    let mut outcomes: Vec<(Outcome, bool)> = Vec::with_capacity(resources.len());
    for Resource { kind, name, change } in resources {
        let refusal = refuse(context, kind, &name, &repeated);
        let (code, message, asked) = match (refusal, change) {
            (Some((code, message)), _) => (code, Some(message), false),
            (None, Err(message)) => (ErrorCode::InvalidRequest, Some(message), false),
            (None, Ok(change)) => {
                topics.push(TopicConfigs { name: name.clone(), change });
                (ErrorCode::None, None, true)
            }
        };
        outcomes.push((Outcome { kind, name, code, message }, asked));
    }
    if topics.is_empty() {
        return then(outcomes.into_iter().map(|(outcome, _)| outcome).collect());
    }
    ask(ControllerRequest::AlterConfigs { topics, validate_only }, move |_, reply| {
        let ControllerReply::AlterConfigs(results) = reply else {
            panic!("asked to alter configs, got {reply:?}")
        };
        let mut results = results.into_iter();
        let judged =
            outcomes.into_iter().map(|(outcome, asked)| match asked.then(|| results.next()).flatten() {
                Some(Err(error)) => {
                    Outcome { code: controller_error(&error), message: Some(error.to_string()), ..outcome }
                }
                _ => outcome,
            });
        then(judged.collect())
    })
}

fn repeated(resources: &[Resource]) -> BTreeSet<(i8, String)> {
    let mut seen = BTreeSet::new();
    let names = resources.iter().map(|resource| (resource.kind, resource.name.clone()));
    names.filter(|resource| !seen.insert(resource.clone())).collect()
}

/// What is wrong with a resource, whatever should become of it.
fn refuse(
    context: &Context<'_>,
    kind: i8,
    name: &str,
    repeated: &BTreeSet<(i8, String)>,
) -> Option<(ErrorCode, String)> {
    if repeated.contains(&(kind, name.to_owned())) {
        return Some((ErrorCode::InvalidRequest, "Each resource must appear at most once.".to_owned()));
    }
    match kind {
        TOPIC if context.image.topic(name).is_none() => {
            Some((ErrorCode::UnknownTopicOrPartition, "The topic does not exist.".to_owned()))
        }
        TOPIC => None,
        BROKER => {
            let message =
                "Cannot update broker configs dynamically: set them at start, with --set or --config.";
            Some((ErrorCode::InvalidRequest, message.to_owned()))
        }
        other => {
            let message = format!("Configs of resource type {other} cannot be altered.");
            Some((ErrorCode::InvalidRequest, message))
        }
    }
}
