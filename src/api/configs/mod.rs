//! Settings of topics, nodes, groups and client metrics: shown and changed.

pub(super) mod alter;
pub mod alter_configs;
pub mod describe_configs;
pub mod incremental_alter_configs;
pub mod list_config_resources;
