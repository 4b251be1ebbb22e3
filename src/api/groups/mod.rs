//! Consumer groups: every API that a group's coordinator answers, and how it is found and asked.

pub mod consumer_group_describe;
pub mod consumer_group_heartbeat;
pub(super) mod coordinator;
pub mod delete_groups;
pub mod describe_groups;
pub mod find_coordinator;
pub mod heartbeat;
pub mod join_group;
pub mod leave_group;
pub mod list_groups;
pub mod offset_commit;
pub mod offset_delete;
pub mod offset_fetch;
pub mod sync_group;
