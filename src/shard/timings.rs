//! Durations that a shard measures, each with its name.

use crate::base::metrics::Timing;

use super::Shard;

pub static TIMINGS: [Timing<Shard>; 1] = [
    // How long the first append of each commit group has waited for it.
    Timing::stage("commit_wait", |shard| shard.commit_wait().clone()),
];
