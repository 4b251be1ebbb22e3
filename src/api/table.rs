//! Which APIs are served in which versions, and how a request finds its own.

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
use super::telemetry::{get_telemetry_subscriptions, push_telemetry};
use super::topics::{
    alter_partition_reassignments, create_partitions, create_topics, delete_topics,
    describe_topic_partitions, elect_leaders, list_partition_reassignments, metadata,
};
use super::{ApiError, Context, Step};

/// Whether answers of this API need no memory to speak of. Members must be heard, and what was written acknowledged, however
/// many readers are slow; everything else waits for room.
#[must_use]
pub fn is_answered_briefly(api_key: i16) -> bool {
    matches!(
        ApiKey::from_code(api_key),
        None | Some(
            ApiKey::Produce
                | ApiKey::ApiVersions
                | ApiKey::FindCoordinator
                | ApiKey::JoinGroup
                | ApiKey::SyncGroup
                | ApiKey::Heartbeat
                | ApiKey::LeaveGroup
                | ApiKey::OffsetCommit
                | ApiKey::InitProducerId
                | ApiKey::ConsumerGroupHeartbeat
        )
    )
}

/// Begins to answer a request: header, then body without it.
pub(super) type Start = fn(&mut Context<'_>, &RequestHeader<'_>, &Bytes) -> Result<Step, ApiError>;

pub(super) struct Api {
    pub key: ApiKey,
    /// Shown in ApiVersions; below [`Api::min`] only for Produce, because librdkafka takes a Produce that does not start
    /// at 0 for a broker without compression (KAFKA-18659).
    pub advertised_min: i16,
    pub min: i16,
    pub max: i16,
    start: Start,
}

/// Ascending by key.
pub(super) static APIS: [Api; 38] = [
    Api { key: ApiKey::Produce, advertised_min: 0, min: 3, max: 13, start: produce::start },
    Api { key: ApiKey::Fetch, advertised_min: 4, min: 4, max: 18, start: fetch::start },
    Api { key: ApiKey::ListOffsets, advertised_min: 1, min: 1, max: 11, start: list_offsets::start },
    Api { key: ApiKey::Metadata, advertised_min: 0, min: 0, max: 13, start: metadata::start },
    Api { key: ApiKey::OffsetCommit, advertised_min: 2, min: 2, max: 10, start: offset_commit::start },
    Api { key: ApiKey::OffsetFetch, advertised_min: 1, min: 1, max: 10, start: offset_fetch::start },
    Api { key: ApiKey::FindCoordinator, advertised_min: 0, min: 0, max: 6, start: find_coordinator::start },
    Api { key: ApiKey::JoinGroup, advertised_min: 0, min: 0, max: 9, start: join_group::start },
    Api { key: ApiKey::Heartbeat, advertised_min: 0, min: 0, max: 4, start: heartbeat::start },
    Api { key: ApiKey::LeaveGroup, advertised_min: 0, min: 0, max: 5, start: leave_group::start },
    Api { key: ApiKey::SyncGroup, advertised_min: 0, min: 0, max: 5, start: sync_group::start },
    Api { key: ApiKey::DescribeGroups, advertised_min: 0, min: 0, max: 6, start: describe_groups::start },
    Api { key: ApiKey::ListGroups, advertised_min: 0, min: 0, max: 5, start: list_groups::start },
    Api { key: ApiKey::ApiVersions, advertised_min: 0, min: 0, max: 5, start: api_versions::start },
    Api { key: ApiKey::CreateTopics, advertised_min: 2, min: 2, max: 7, start: create_topics::start },
    Api { key: ApiKey::DeleteTopics, advertised_min: 1, min: 1, max: 6, start: delete_topics::start },
    Api { key: ApiKey::DeleteRecords, advertised_min: 0, min: 0, max: 2, start: delete_records::start },
    Api { key: ApiKey::InitProducerId, advertised_min: 0, min: 0, max: 5, start: init_producer_id::start },
    Api {
        key: ApiKey::OffsetForLeaderEpoch,
        advertised_min: 2,
        min: 2,
        max: 4,
        start: offset_for_leader_epoch::start,
    },
    Api { key: ApiKey::DescribeConfigs, advertised_min: 1, min: 1, max: 4, start: describe_configs::start },
    Api { key: ApiKey::AlterConfigs, advertised_min: 0, min: 0, max: 2, start: alter_configs::start },
    Api { key: ApiKey::DescribeLogDirs, advertised_min: 1, min: 1, max: 5, start: describe_log_dirs::start },
    Api { key: ApiKey::CreatePartitions, advertised_min: 0, min: 0, max: 3, start: create_partitions::start },
    Api { key: ApiKey::DeleteGroups, advertised_min: 0, min: 0, max: 3, start: delete_groups::start },
    Api { key: ApiKey::ElectLeaders, advertised_min: 0, min: 0, max: 2, start: elect_leaders::start },
    Api {
        key: ApiKey::IncrementalAlterConfigs,
        advertised_min: 0,
        min: 0,
        max: 1,
        start: incremental_alter_configs::start,
    },
    Api {
        key: ApiKey::AlterPartitionReassignments,
        advertised_min: 0,
        min: 0,
        max: 1,
        start: alter_partition_reassignments::start,
    },
    Api {
        key: ApiKey::ListPartitionReassignments,
        advertised_min: 0,
        min: 0,
        max: 0,
        start: list_partition_reassignments::start,
    },
    Api { key: ApiKey::OffsetDelete, advertised_min: 0, min: 0, max: 0, start: offset_delete::start },
    Api { key: ApiKey::DescribeQuorum, advertised_min: 0, min: 0, max: 2, start: describe_quorum::start },
    Api { key: ApiKey::DescribeCluster, advertised_min: 0, min: 0, max: 2, start: describe_cluster::start },
    Api {
        key: ApiKey::DescribeProducers,
        advertised_min: 0,
        min: 0,
        max: 0,
        start: describe_producers::start,
    },
    Api {
        key: ApiKey::ConsumerGroupHeartbeat,
        advertised_min: 0,
        min: 0,
        max: 1,
        start: consumer_group_heartbeat::start,
    },
    Api {
        key: ApiKey::ConsumerGroupDescribe,
        advertised_min: 0,
        min: 0,
        max: 1,
        start: consumer_group_describe::start,
    },
    Api {
        key: ApiKey::GetTelemetrySubscriptions,
        advertised_min: 0,
        min: 0,
        max: 0,
        start: get_telemetry_subscriptions::start,
    },
    Api { key: ApiKey::PushTelemetry, advertised_min: 0, min: 0, max: 0, start: push_telemetry::start },
    Api {
        key: ApiKey::ListConfigResources,
        advertised_min: 0,
        min: 0,
        max: 1,
        start: list_config_resources::start,
    },
    Api {
        key: ApiKey::DescribeTopicPartitions,
        advertised_min: 0,
        min: 0,
        max: 0,
        start: describe_topic_partitions::start,
    },
];

/// The API a header names, when its version is served.
pub(super) fn served(header: &RequestHeader<'_>) -> Option<&'static Api> {
    let api = APIS.iter().find(|api| api.key.code() == header.api_key)?;
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
        Some(api) => (api.start)(context, &header, &frame.slice_ref(reader.rest())),
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
