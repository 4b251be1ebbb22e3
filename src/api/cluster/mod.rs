//! The server as clients see it: versions, nodes, quorum, disks, and which node a connection means.

pub mod api_versions;
pub mod describe_cluster;
pub mod describe_log_dirs;
pub mod describe_quorum;
pub(super) mod hints;
pub(super) mod nodes;
pub(super) mod steering;
pub(super) mod view;
