//! The settings of consumer groups that a decision looks at.

use crate::config::{ConsumerGroups, GroupTimeLimits};

use super::assign::Assignor;

/// Bounds and delays, from the broker's settings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConsumerGroupLimits {
    pub session_timeout_ms: u64,
    pub heartbeat_interval_ms: i32,
    /// Which times a single group's configs may set instead.
    pub told: GroupTimeLimits,
    pub size_max: usize,
    /// The assignors that members can ask for. The first one is for members that ask for none. Never empty.
    pub assignors: Vec<Assignor>,
    /// Classic groups become consumer groups when a member of the new protocol joins.
    pub upgrade: bool,
    /// Consumer groups become classic groups when the last member of the new protocol leaves.
    pub downgrade: bool,
    /// Most members of a classic group; a consumer group with more of them does not become classic.
    pub classic_size_max: usize,
}

impl ConsumerGroupLimits {
    #[must_use]
    pub fn from_config(config: &ConsumerGroups, classic_size_max: usize) -> ConsumerGroupLimits {
        let named: Vec<Assignor> = config.assignors.iter().filter_map(|name| Assignor::named(name)).collect();
        ConsumerGroupLimits {
            session_timeout_ms: config.session_timeout_ms,
            heartbeat_interval_ms: config.heartbeat_interval_ms,
            told: config.told.clone(),
            size_max: config.size_max,
            assignors: if named.is_empty() { vec![Assignor::Uniform] } else { named },
            upgrade: config.upgrade,
            downgrade: config.downgrade,
            classic_size_max,
        }
    }
}
