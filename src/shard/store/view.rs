//! How a store begins, and what can be seen of it from outside.

use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use crate::base::MonoNanos;
use crate::base::TopicPartition;
use crate::base::metrics::{EndMetric, Latency};
use crate::commit::{CommitLog, CommitStart};
use crate::log::{LogEffects, RecoveredLog};

use super::super::config::{ChunkAllocator, ShardConfig};
use super::super::metrics::{LogCounters, ShardGauges};
use super::super::request::{Image, PartitionError};
use super::super::turn::Turn;
use super::super::view::ReplicaView;
use super::io::IoTable;
use super::partition::Partition;
use super::reclaim::Reclaim;
use super::slots::Partitions;
use super::standing::Role;
use super::state::{Stop, Store};
use super::syncs::Syncs;
use super::waits::ProduceWaits;
use super::writeback::Writeback;

impl Store {
    pub fn new(
        config: ShardConfig,
        commit: CommitStart,
        recovered: Vec<(TopicPartition, RecoveredLog)>,
        image: Image,
        mut allocate: ChunkAllocator,
        memory: Rc<Cell<usize>>,
    ) -> Store {
        Store {
            partitions: Partitions::recovered(recovered, &mut *allocate),
            commit: CommitLog::new(commit),
            allocate,
            memory,
            image,
            io: IoTable::default(),
            produce: ProduceWaits::default(),
            unflushed_bytes: 0,
            producers: 0,
            reclaim: Reclaim::default(),
            syncs: Syncs::default(),
            writeback: Writeback::default(),
            limits: config.limits,
            evictable: VecDeque::new(),
            log_effects: LogEffects::default(),
            failed: None,
            disk_full: false,
            disk_low: false,
            stop: Stop::Running,
            moved_away: BTreeSet::new(),
            unplaced: Arc::default(),
            starts_to_name: false,
            lease_until: MonoNanos(0),
            counters: LogCounters::default(),
            waiting_since: None,
            commit_wait: Latency::default(),
            config,
        }
    }

    /// Partitions that recovery could not give to their shard.
    pub fn leave_unplaced(&mut self, unplaced: Arc<BTreeSet<TopicPartition>>) {
        self.unplaced = unplaced;
    }

    /// Begins to serve what recovery has found.
    pub fn begin(&mut self, turn: &mut Turn<'_>) {
        self.place_partitions(turn);
        self.count_producers();
    }

    /// A partition that this shard serves.
    pub fn serving(&self, id: TopicPartition) -> Result<&Partition, PartitionError> {
        self.partitions.find(id).and_then(|slot| self.partitions.get(slot)).ok_or(PartitionError::NotHere)
    }

    /// When something is to be looked at though nothing comes in.
    pub fn next_deadline(&self, now: MonoNanos) -> MonoNanos {
        let reclaim = if self.is_running() { self.reclaim.next_deadline(now) } else { MonoNanos::NEVER };
        reclaim.min(self.io.next_retry()).min(self.produce.next_deadline())
    }

    /// Appends, syncs or cold reads are under way.
    pub fn is_busy(&self) -> bool {
        !self.io.is_quiet() || !self.commit.is_idle()
    }

    /// Whether bytes wait for the commit log though nothing is under way that would bring it on.
    pub fn waits_in_vain(&self) -> bool {
        self.commit.pending_bytes() > 0 && self.io.is_empty() && !self.is_failed()
    }

    /// How long the first append of each commit group has waited for it.
    pub fn commit_wait(&self) -> &Latency {
        &self.commit_wait
    }

    /// The store's part of what the shard holds.
    pub fn gauges(&self) -> ShardGauges {
        let (commit_files, commit_files_free) = self.commit.file_counts();
        ShardGauges {
            partitions: self.partitions.len(),
            producers: self.producers,
            commit_pending_bytes: self.commit.pending_bytes(),
            commit_files,
            commit_files_free,
            writeback_waiting: self.writeback.len(),
            chunk_bytes: self.memory.get(),
            quarantined: self.partitions.quarantined(),
            ..ShardGauges::default()
        }
    }

    /// Every partition that is served here.
    pub fn replicas(&self) -> impl Iterator<Item = ReplicaView> + '_ {
        self.partitions.slots().into_iter().filter_map(|slot| {
            let partition = self.partitions.get(slot)?;
            let marks = partition.watermarks();
            Some(ReplicaView {
                id: partition.log().id,
                epoch: partition.epoch(),
                leads: partition.leads(),
                is_idle: matches!(partition.role(), Role::Idle),
                maximal_isr: match partition.role() {
                    Role::Leading(leading) => leading.maximal_isr().collect(),
                    Role::Idle | Role::Following(_) | Role::Presiding { .. } => Vec::new(),
                },
                log_start: marks.log_start,
                high_watermark: marks.high,
                flushed: marks.flushed,
                log_end: marks.log_end,
            })
        })
    }

    /// Log starts and high watermarks of the topics' partitions that this server leads. A follower learns both later.
    pub fn ends(&self) -> impl Iterator<Item = EndMetric> + '_ {
        self.image.topics.values().flat_map(|topic| {
            topic.partition_ids().filter_map(|id| {
                let marks = self.serving(id).ok().filter(|it| it.leads())?.watermarks();
                let (start, end) = (marks.log_start.0, marks.high.0);
                Some(EndMetric { topic: Arc::clone(&topic.name), partition: id.partition.0, start, end })
            })
        })
    }
}
