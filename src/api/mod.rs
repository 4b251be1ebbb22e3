//! One file per API: decode → ask the shards → build the answer. [`dispatch`] finds the API of a request, [`Join`] gathers
//! what the shards reply, [`wants_shard`] says where a connection should live.
//!
//! Runs on the shard the connection lives on. Pure: knows no socket, no file, no clock.

mod alter;
pub mod alter_configs;
pub mod alter_partition_reassignments;
mod answer;
pub mod api_versions;
mod authorized;
pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
mod controller;
mod coordinator;
pub mod create_partitions;
pub mod create_topics;
pub mod delete_groups;
pub mod delete_records;
pub mod delete_topics;
pub mod describe_cluster;
pub mod describe_configs;
pub mod describe_groups;
pub mod describe_log_dirs;
pub mod describe_producers;
pub mod describe_quorum;
pub mod describe_topic_partitions;
pub mod elect_leaders;
mod errors;
pub mod fetch;
pub mod find_coordinator;
pub mod get_telemetry_subscriptions;
pub mod heartbeat;
mod hints;
pub mod incremental_alter_configs;
pub mod init_producer_id;
mod join;
pub mod join_group;
pub mod leave_group;
pub mod list_config_resources;
pub mod list_groups;
pub mod list_offsets;
pub mod list_partition_reassignments;
pub mod metadata;
mod nodes;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod offset_for_leader_epoch;
mod once;
pub mod produce;
pub mod push_telemetry;
mod split;
mod steering;
mod step;
pub mod sync_group;
mod table;
mod telemetry;
#[cfg(test)]
mod testing;
mod view;

pub use answer::ApiError;
pub use fetch::FetchSessions;
pub use hints::Hints;
pub use join::{Join, Progress};
pub use produce::Reading;
pub use steering::{named_shard, wants_shard};
pub use step::{Ask, ConnectionState, Context, Continue, DiskSpace, Step, Wait};
pub use table::{dispatch, is_answered_briefly};
pub use telemetry::Telemetry;
pub use view::{NodeMeant, node_of_port, view_of};
