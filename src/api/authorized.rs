//! Authorized operations as bit fields: bit n is Kafka's AclOperation n. Without authorization everybody may do all that
//! a kind of resource knows.

const CREATE: i32 = 1 << 5;
const ALTER: i32 = 1 << 7;
const DESCRIBE: i32 = 1 << 8;
const DESCRIBE_CONFIGS: i32 = 1 << 10;
const ALTER_CONFIGS: i32 = 1 << 11;
const READ: i32 = 1 << 3;
const WRITE: i32 = 1 << 4;
const DELETE: i32 = 1 << 6;
const CLUSTER_ACTION: i32 = 1 << 9;
const IDEMPOTENT_WRITE: i32 = 1 << 12;

const BOTH: i32 = CREATE | ALTER | DESCRIBE | DESCRIBE_CONFIGS | ALTER_CONFIGS;

/// What can be done with a topic.
pub(super) const TOPIC_OPERATIONS: i32 = BOTH | READ | WRITE | DELETE;
/// What can be done with a group.
pub(super) const GROUP_OPERATIONS: i32 = READ | DELETE | DESCRIBE | DESCRIBE_CONFIGS | ALTER_CONFIGS;
/// What can be done with the cluster.
pub(super) const CLUSTER_OPERATIONS: i32 = BOTH | CLUSTER_ACTION | IDEMPOTENT_WRITE;
