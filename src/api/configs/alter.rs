//! What AlterConfigs and IncrementalAlterConfigs have in common: resources are judged one by one, by the
//! controller, and answered in the order of the request.

use std::collections::BTreeSet;

use crate::base::NodeId;
use crate::controller::{
    ConfigChange, ConfigResource, ControllerRequest, Resource, ResourceConfigs, check_topic_name,
};
use crate::protocol::ErrorCode;

use crate::api::controller::ask;
use crate::api::errors::controller_error;
use crate::api::{Context, Step};

/// Kafka's numbers for kinds of resources.
pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const BROKER_LOGGER: i8 = 8;
pub(super) const CLIENT_METRICS: i8 = 16;
pub(super) const GROUP: i8 = 32;

/// Why a resource is not described or altered.
pub(super) struct ConfigRefusal {
    pub code: ErrorCode,
    pub message: String,
}

pub(super) struct Alteration {
    pub kind: i8,
    pub name: String,
    /// Or what is wrong with it before anybody looks at the resource.
    pub change: Result<ConfigChange, String>,
}

/// How a resource is answered.
pub(super) struct Altered {
    pub kind: i8,
    pub name: String,
    pub code: ErrorCode,
    pub message: Option<String>,
}

pub(super) fn alter(
    context: &mut Context<'_>,
    asked: Vec<Alteration>,
    validate_only: bool,
    then: impl FnOnce(Vec<Altered>) -> Step + 'static,
) -> Step {
    let repeated = repeated(&asked);
    let mut resources = Vec::new();
    let mut outcomes: Vec<(Altered, bool)> = Vec::with_capacity(asked.len());
    for Alteration { kind, name, change } in asked {
        let resource = match repeated.contains(&(kind, name.clone())) {
            true => refuse("Each resource must appear at most once.".to_owned()),
            false => resource(context, kind, &name),
        };
        let (code, message, is_asked) = match (resource, change) {
            (Err(refusal), _) => (refusal.code, Some(refusal.message), false),
            (Ok(_), Err(message)) => (ErrorCode::InvalidRequest, Some(message), false),
            (Ok(resource), Ok(change)) => {
                resources.push(ResourceConfigs { resource, change });
                (ErrorCode::None, None, true)
            }
        };
        outcomes.push((Altered { kind, name, code, message }, is_asked));
    }
    if resources.is_empty() {
        return then(outcomes.into_iter().map(|(outcome, _)| outcome).collect());
    }
    ask(ControllerRequest::alter_configs(resources, validate_only), move |_, results| {
        let mut results = results.into_iter();
        let judged =
            outcomes.into_iter().map(|(outcome, asked)| match asked.then(|| results.next()).flatten() {
                Some(Err(error)) => {
                    Altered { code: controller_error(&error), message: Some(error.to_string()), ..outcome }
                }
                _ => outcome,
            });
        then(judged.collect())
    })
}

fn repeated(resources: &[Alteration]) -> BTreeSet<(i8, String)> {
    let mut seen = BTreeSet::new();
    let names = resources.iter().map(|resource| (resource.kind, resource.name.clone()));
    names.filter(|resource| !seen.insert(resource.clone())).collect()
}

/// What a request names, for altering.
fn resource(context: &Context<'_>, kind: i8, name: &str) -> Result<ConfigResource, ConfigRefusal> {
    match kind {
        TOPIC if name.is_empty() => refuse("Default topic resources are not allowed.".to_owned()),
        TOPIC if context.image.topic(name).is_none() => Err(no_topic(name)),
        TOPIC => Ok(ConfigResource::Topic(name.to_owned())),
        BROKER_LOGGER => refuse("Log levels are set at start, with RINGMAIN_LOG.".to_owned()),
        _ => other_resource(context, kind, name).map(ConfigResource::Other),
    }
}

/// Why there is no topic of this name.
pub(super) fn no_topic(name: &str) -> ConfigRefusal {
    match check_topic_name(name) {
        Ok(()) => ConfigRefusal {
            code: ErrorCode::UnknownTopicOrPartition,
            message: format!("The topic '{name}' does not exist."),
        },
        Err(message) => ConfigRefusal { code: ErrorCode::InvalidTopicException, message },
    }
}

/// What a request names besides topics and loggers. Any node id of the server names its one broker; the empty name means
/// all brokers.
pub(super) fn other_resource(context: &Context<'_>, kind: i8, name: &str) -> Result<Resource, ConfigRefusal> {
    match kind {
        BROKER if name.is_empty() => Ok(Resource::AllBrokers),
        BROKER => check_node(context, name).map(|()| Resource::Broker(context.image.here.server)),
        CLIENT_METRICS if name.is_empty() => {
            refuse("Client metrics subscription name must not be empty".into())
        }
        CLIENT_METRICS => Ok(Resource::ClientMetrics(name.to_owned())),
        GROUP if name.is_empty() => refuse("Group name must not be empty".into()),
        GROUP => Ok(Resource::Group(name.to_owned())),
        unknown => refuse(format!("Unsupported resource type: {unknown}")),
    }
}

/// Whether `name` is a node id of this server.
pub(super) fn check_node(context: &Context<'_>, name: &str) -> Result<(), ConfigRefusal> {
    let Ok(node) = name.parse() else {
        return refuse(format!("Broker id must be an integer, but it is: {name}"));
    };
    let server = context.image.here.server;
    if NodeId(node).server() != server {
        let own = NodeId::of_server(server);
        return refuse(format!("Unexpected broker id, expected {own} or empty string, but received {name}"));
    }
    Ok(())
}

pub(super) fn refuse<T>(message: String) -> Result<T, ConfigRefusal> {
    Err(ConfigRefusal { code: ErrorCode::InvalidRequest, message })
}
