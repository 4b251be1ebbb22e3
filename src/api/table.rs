//! Which APIs are served in which versions, and how a request finds its own. Gathers the rows that the APIs' files declare.

use bytes::Bytes;

use crate::protocol::{ApiKey, Reader, RequestHeader};

use super::cluster::{api_versions, describe_cluster, describe_log_dirs, describe_quorum};
use super::configs::{alter_configs, describe_configs, incremental_alter_configs, list_config_resources};
use super::data::{
    delete_records, describe_producers, fetch, init_producer_id, list_offsets, offset_for_leader_epoch,
    produce,
};
use super::groups::{
    consumer_group_describe, consumer_group_heartbeat, delete_groups, describe_groups, find_coordinator,
    heartbeat, join_group, leave_group, list_groups, offset_commit, offset_delete, offset_fetch, sync_group,
};
use super::row::Api;
use super::served::Served;
use super::telemetry::{get_telemetry_subscriptions, push_telemetry};
use super::topics::{
    alter_partition_reassignments, create_partitions, create_topics, delete_topics,
    describe_topic_partitions, elect_leaders, list_partition_reassignments, metadata,
};
use super::{Context, Step};

/// Every API that is served, ascending by key.
pub static APIS: [Api; API_COUNT] = ROWS;

/// What clients are told of them.
pub static SERVED: [Served; API_COUNT] = {
    let mut served = [ROWS[0].served(); API_COUNT];
    let mut at = 1;
    while at < API_COUNT {
        served[at] = ROWS[at].served();
        at += 1;
    }
    served
};

const API_COUNT: usize = 38;
const ROWS: [Api; API_COUNT] = [
    produce::API,
    fetch::API,
    list_offsets::API,
    metadata::API,
    offset_commit::API,
    offset_fetch::API,
    find_coordinator::API,
    join_group::API,
    heartbeat::API,
    leave_group::API,
    sync_group::API,
    describe_groups::API,
    list_groups::API,
    api_versions::API,
    create_topics::API,
    delete_topics::API,
    delete_records::API,
    init_producer_id::API,
    offset_for_leader_epoch::API,
    describe_configs::API,
    alter_configs::API,
    describe_log_dirs::API,
    create_partitions::API,
    delete_groups::API,
    elect_leaders::API,
    incremental_alter_configs::API,
    alter_partition_reassignments::API,
    list_partition_reassignments::API,
    offset_delete::API,
    describe_quorum::API,
    describe_cluster::API,
    describe_producers::API,
    consumer_group_heartbeat::API,
    consumer_group_describe::API,
    get_telemetry_subscriptions::API,
    push_telemetry::API,
    list_config_resources::API,
    describe_topic_partitions::API,
];

/// Whether requests of this API begin even when there is no room for answers. One that is not served may begin as well: it
/// has no answer, its connection closes.
#[must_use]
pub fn is_answered_briefly(api_key: i16) -> bool {
    find(api_key).is_none_or(Api::is_answered_briefly)
}

fn find(api_key: i16) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key.code() == api_key)
}

/// The API a header names, when its version is served.
pub(super) fn served(header: &RequestHeader<'_>) -> Option<&'static Api> {
    let api = find(header.api_key)?;
    (api.min..=api.max).contains(&header.api_version).then_some(api)
}

/// Begins to answer one request. `frame` is the request without its size prefix. What cannot be answered in a form the
/// client understands closes the connection, as in Kafka; the reason names API, version and client.
pub fn dispatch(context: &mut Context<'_>, frame: &Bytes) -> Step {
    let mut reader = Reader::new(frame);
    let header = match RequestHeader::decode(&mut reader) {
        Ok(header) => header,
        Err(error) => return Step::Close { reason: format!("the request header cannot be read: {error}") },
    };
    let outcome = match served(&header) {
        Some(api) => (api.handler)(context, &header, &frame.slice_ref(reader.rest())),
        None if header.api_key == ApiKey::ApiVersions.code() => api_versions::unsupported(&header),
        None => return Step::Close { reason: format!("{} is not served", described(context, &header)) },
    };
    outcome
        .unwrap_or_else(|error| Step::Close { reason: format!("{}: {error}", described(context, &header)) })
}

fn described(context: &Context<'_>, header: &RequestHeader<'_>) -> String {
    let api = match ApiKey::from_code(header.api_key) {
        Some(key) => format!("{key:?}"),
        None => format!("API {}", header.api_key),
    };
    let connection = &context.connection;
    format!(
        "{api} version {} of client {:?} ({} {})",
        header.api_version,
        header.client_id.unwrap_or_default(),
        if connection.software_name.is_empty() { "unnamed" } else { &connection.software_name },
        connection.software_version,
    )
}

#[cfg(test)]
mod tests {
    use crate::api::testing::Server;

    use super::*;

    #[test]
    fn rows_ascend_and_no_api_has_two() {
        assert!(APIS.is_sorted_by(|one, next| one.key.code() < next.key.code()));
        assert!(APIS.iter().all(|api| api.advertised_min <= api.min && api.min <= api.max));
    }

    #[test]
    fn what_is_not_served_closes_the_connection_and_says_why() {
        let check =
            |frame: &'static [u8], want: &str| match Server::new().dispatch(&Bytes::from_static(frame)) {
                Step::Close { reason } => assert!(reason.contains(want), "{reason}"),
                other => panic!("{other:?}"),
            };
        check(b"\0\0\0\x02\0\0\0\x01\0\x01x", "Produce version 2 of client \"x\"");
        check(b"\0\x03\0\x63\0\0\0\x01\0\x01x\0", "Metadata version 99");
        check(b"\x7f\0\0\0\0\0\0\x01\0\x01x", "API 32512 version 0");
        check(b"\0\x03\0\x01\0\0\0\x01\0\x01x\0", "cannot be read");
        check(b"\0\x03", "header");
        check(b"", "header");
    }
}
