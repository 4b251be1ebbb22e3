//! Consumer groups: who is a member, who reads what; pure.
//!
//! State is the fold of records in Kafka's own formats; deadlines and who was heard of when are soft state. Knows no shard,
//! no log and no clock.

pub mod consumer;

use std::sync::Arc;

/// For lookups by name without owning one.
pub(crate) type Name = Arc<str>;
