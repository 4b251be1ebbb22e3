//! What a client is asked to push, and who it is: from what its connection and its request say.

use crate::base::{TopicId, uuid_text};
use crate::protocol::RequestHeader;

use crate::api::Context;

use super::*;

/// Who pushes: client id and software.
pub(super) fn identity(context: &Context<'_>, header: &RequestHeader<'_>) -> ClientIdentity {
    let connection = &context.connection;
    let software = format!("{} {}", connection.software_name, connection.software_version);
    ClientIdentity {
        client_id: header.client_id.unwrap_or_default().into(),
        software: software.trim().into(),
    }
}

/// What the subscriptions in force ask of a client.
pub(super) fn asked(context: &mut Context<'_>, header: &RequestHeader<'_>, instance: TopicId) -> PushTerms {
    let telemetry = &mut *context.telemetry;
    if telemetry.version != context.image.version {
        telemetry.subscriptions = subscriptions(context.image);
        telemetry.version = context.image.version;
    }
    let connection = &context.connection;
    let (instance_text, port) = (uuid_text(&instance.0), connection.client_port.to_string());
    let of = |asked| match asked {
        ClientTrait::InstanceId => &*instance_text,
        ClientTrait::Id => header.client_id.unwrap_or_default(),
        ClientTrait::SoftwareName => &*connection.software_name,
        ClientTrait::SoftwareVersion => &*connection.software_version,
        ClientTrait::SourceAddress => connection.client_host.trim_start_matches('/'),
        ClientTrait::SourcePort => &*port,
    };
    let mut interval_ms = None;
    let mut metrics = BTreeSet::new();
    for subscription in telemetry.subscriptions.iter().filter(|it| it.matches(of)) {
        metrics.extend(subscription.metrics.iter().cloned());
        let shortest = interval_ms.unwrap_or(i32::MAX).min(subscription.interval_ms);
        interval_ms = Some(shortest);
    }
    if metrics.contains(ALL) {
        metrics = BTreeSet::from([ALL.to_owned()]);
    }
    let interval_ms = interval_ms.unwrap_or(INTERVAL_MS_DEFAULT);
    PushTerms { id: subscription_id(instance, interval_ms, &metrics), interval_ms, metrics }
}
