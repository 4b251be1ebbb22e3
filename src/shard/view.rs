//! What can be seen of a shard from outside.

use crate::base::metrics::{CommittedMetric, EndMetric, Latency};
use crate::base::{LeaderEpoch, Offset, ServerId, TopicPartition};

use super::Shard;
use super::metrics::{LogCounters, ShardGauges};
use super::request::Image;

/// What a server has of one partition, and what it is to it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReplicaView {
    pub id: TopicPartition,
    /// The leader epoch of the role; -1 before the first.
    pub epoch: LeaderEpoch,
    pub leads: bool,
    /// Neither leads nor follows: the partition is kept, and not served.
    pub is_idle: bool,
    /// A leader's, itself among them: all whose acknowledgements it waits for. Empty for whoever does not lead.
    pub maximal_isr: Vec<ServerId>,
    pub log_start: Offset,
    pub high_watermark: Offset,
    /// The end of what is durable here.
    pub flushed: Offset,
    pub log_end: Offset,
}

impl Shard {
    /// Whether this life of the server takes part in its cluster, as far as this shard knows: it is registered and not fenced.
    #[must_use]
    pub fn takes_part(&self) -> bool {
        self.store.takes_part()
    }

    /// Whether nothing is left that another server could take over.
    #[must_use]
    pub fn has_handed_over(&self) -> bool {
        self.seats.has_handed_over()
    }

    /// Everything is in sealed segments and the clean checkpoint is written; or storage has failed.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.store.is_stopped()
    }

    /// Appends, syncs or cold reads are under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        self.store.is_busy()
    }

    /// Answers that no socket takes hold so much of what was read from segments that nothing further is.
    #[must_use]
    pub fn reads_wait_for_memory(&self) -> bool {
        self.read.waits_for_memory()
    }

    /// The newest cluster state this shard has.
    #[must_use]
    pub fn current_image(&self) -> &Image {
        self.store.image()
    }

    #[must_use]
    pub fn counters(&self) -> &LogCounters {
        &self.store.counters
    }

    /// How long the first append of each commit group has waited for it.
    #[must_use]
    pub fn commit_wait(&self) -> &Latency {
        self.store.commit_wait()
    }

    /// What the shard holds, as of now.
    #[must_use]
    pub fn gauges(&self) -> ShardGauges {
        let mut gauges = self.store.gauges();
        self.read.gauges(&mut gauges);
        self.upkeep.gauges(&self.store, &mut gauges);
        self.seats.gauges(&mut gauges);
        gauges
    }

    /// Offsets committed to the coordinators here.
    pub fn committed(&self) -> impl Iterator<Item = CommittedMetric> + '_ {
        self.seats.committed()
    }

    /// Every partition that is served here, be it led or followed.
    pub fn replicas(&self) -> impl Iterator<Item = ReplicaView> + '_ {
        self.store.replicas()
    }

    /// Log starts and high watermarks of the topics' partitions that this server leads.
    pub fn ends(&self) -> impl Iterator<Item = EndMetric> + '_ {
        self.store.ends()
    }
}
