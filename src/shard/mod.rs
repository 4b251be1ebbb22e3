//! The shard: one core's share of the data, as a pure state machine.
//!
//! Owns its partitions, their logs, the commit log, whoever waits on them and, on shard 0, the metadata controller.
//! Inputs and the time go in ([`Shard::request`], [`Shard::io_done`], [`Shard::image`], [`Shard::turn`]); effects come out.
//! The law: perform all effects of an input before giving the next. No I/O, no clock, no entropy in here: the same shard
//! runs in the simulator.
//!
//! Inputs only queue what wants the disk; [`Shard::turn`], called once after a batch of inputs, gathers the commit group:
//! that is where batching comes from.
//!
//! Limits: what is not durable yet is bounded by the bytes the server admits, for answers that do not wait for it by
//! `unflushed_bytes_max`; memory for tails by `cache_bytes` beyond that; what is read from segments by `read_cache_bytes`, and
//! by `read_bytes_max` with what answers still hold of it; indexes of finished segments by `index_bytes`; waiting fetches by
//! the requests the server lets a connection have in progress.

mod background;
mod cache;
mod compact;
mod control;
mod effect;
mod fetch;
mod groups;
mod indexes;
mod io;
mod lookup;
mod partitions;
mod produce;
mod producers;
mod reclaim;
mod request;
mod retain;
mod scrub;
mod spare;
mod sweep;
mod trim;
mod writeback;

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use crate::base::io::IoOp;
use crate::base::metrics::{CommittedMetric, EndMetric, Latency, LogCounters};
use crate::base::{Chunk, MonoNanos, Now, ShardId, TopicPartition};
use crate::commit::{CommitLog, EntryHeader, Pending, Start, Ticket};
use crate::controller::Controller;
use crate::group::{Coordinator, GroupLimits};
use crate::log::{Allocate, LogEffects, LogLimits, PartitionLog, RecoveredLog};

pub use crate::base::io::{IoDone, SegmentId, WriteData};
pub use crate::log::record_rules;
use cache::ReadCache;
use compact::Compaction;
pub use compact::CompactionConfig;
use control::ControllerSeat;
pub use effect::{Effect, IoId, IoRequest};
use fetch::FetchWaits;
use groups::GroupSeats;
use indexes::Indexes;
use io::{IoContext, IoTable};
use lookup::Lookups;
use partitions::Partitions;
use produce::ProduceWaits;
pub use producers::PRODUCER_BYTES;
use reclaim::Reclaim;
pub use request::*;
use retain::Retention;
pub use retain::RetentionConfig;
use scrub::Scrub;
pub use scrub::ScrubConfig;
pub use spare::SpareConfig;
use spare::Spares;
use trim::Trims;
use writeback::Writeback;

/// Settings of one shard.
#[derive(Clone, Debug)]
pub struct ShardConfig {
    pub shard: ShardId,
    pub shards: u16,
    pub limits: LogLimits,
    /// Memory for tails that are already in segments; beyond, the oldest are let go.
    pub cache_bytes: usize,
    /// Memory for what was read from segments, and for what is being read.
    pub read_cache_bytes: usize,
    /// Memory for the indexes of finished segments.
    pub index_bytes: usize,
    /// With more than this of it alive, in answers that no socket has taken, nothing further is read.
    pub read_bytes_max: usize,
    /// Idempotent producers that the logs remember, all together.
    pub producers_max: usize,
    /// With more than this on its way to the disk, nobody is answered before it is there.
    pub unflushed_bytes_max: usize,
    pub groups: GroupLimits,
    pub retention: RetentionConfig,
    pub compaction: CompactionConfig,
    pub scrub: ScrubConfig,
    /// From the kernel's entropy, or the simulator's seed.
    pub seed: u64,
}

/// What recovery hands a shard: plain data that may cross threads.
#[derive(Clone, Debug)]
pub struct ShardRecovery {
    pub commit: Start,
    pub partitions: Vec<(TopicPartition, RecoveredLog)>,
    pub image: Image,
    /// Shard 0 only.
    pub controller: Option<Controller>,
}

/// Memory of a given length, a multiple of 4096, initialised.
pub type ChunkAllocator = Box<dyn FnMut(usize) -> Chunk>;

pub struct Shard {
    config: ShardConfig,
    allocate: ChunkAllocator,
    /// Bytes of chunk memory alive, wherever they are held; kept by the allocator.
    memory: Rc<Cell<usize>>,
    image: Image,
    partitions: Partitions,
    commit: CommitLog,
    io: IoTable,
    produce: ProduceWaits,
    /// Of all logs together: appended and not durable yet.
    unflushed_bytes: usize,
    /// Remembered by the logs, at most.
    producers: usize,
    fetch: FetchWaits,
    cache: ReadCache,
    lookups: Lookups,
    indexes: Indexes,
    reclaim: Reclaim,
    writeback: Writeback,
    trims: Trims,
    retention: Retention,
    spares: Spares,
    compaction: Compaction,
    scrub: Scrub,
    controller: Option<ControllerSeat>,
    groups: GroupSeats,
    /// The configured ones, narrowed to the number of partitions.
    limits: LogLimits,
    /// Partitions that hold memory in chunks, those that wrote to their segments first in front: they give some back in
    /// turn.
    evictable: VecDeque<u32>,
    /// Empty: for the next change of a log to fill.
    log_effects: LogEffects,
    /// Set by the first failed write or sync: nothing is acknowledged any more.
    failed: Option<String>,
    /// Set while the disk is full: appends are refused with a retriable error.
    disk_full: bool,
    /// Little is left of the disk: producers are refused, so that all else has room.
    disk_low: bool,
    stop: Stop,
    counters: LogCounters,
    /// Since when something waits for a commit group, and how long others have waited.
    waiting_since: Option<MonoNanos>,
    commit_wait: Latency,
    /// Of the input being worked on.
    mono: MonoNanos,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Running,
    Draining,
    /// Everything is sealed, and made durable at once.
    Syncing,
    Checkpointing,
    Stopped,
}

impl Shard {
    #[must_use]
    pub fn new(
        config: ShardConfig,
        recovered: ShardRecovery,
        mut allocate: ChunkAllocator,
        memory: Rc<Cell<usize>>,
    ) -> Shard {
        let partitions = Partitions::recovered(recovered.partitions, &mut *allocate);
        let controller = recovered.controller.map(|controller| ControllerSeat::new(controller, config.seed));
        let mut shard = Shard {
            commit: CommitLog::new(recovered.commit),
            partitions,
            allocate,
            memory,
            image: recovered.image,
            io: IoTable::default(),
            produce: ProduceWaits::default(),
            unflushed_bytes: 0,
            producers: 0,
            fetch: FetchWaits::default(),
            cache: ReadCache::new(config.read_cache_bytes, config.read_bytes_max),
            lookups: Lookups::default(),
            indexes: Indexes::new(config.index_bytes),
            reclaim: Reclaim::default(),
            writeback: Writeback::default(),
            trims: Trims::default(),
            retention: Retention::new(config.retention),
            spares: Spares::default(),
            compaction: Compaction::new(config.compaction, config.seed),
            scrub: Scrub::new(config.scrub),
            controller,
            groups: GroupSeats::new(config.groups.clone(), config.seed),
            limits: config.limits,
            evictable: VecDeque::new(),
            log_effects: LogEffects::default(),
            failed: None,
            disk_full: false,
            disk_low: false,
            stop: Stop::Running,
            counters: LogCounters::default(),
            waiting_since: None,
            commit_wait: Latency::default(),
            mono: MonoNanos(0),
            config,
        };
        shard.place_partitions(&mut Vec::new());
        shard.count_producers();
        shard
    }

    /// Settings that were changed while the server runs.
    pub fn reconfigure(&mut self, retention: RetentionConfig, compaction: CompactionConfig) {
        self.retention.config = retention;
        self.spares.review();
        self.compaction.config = compaction;
    }

    /// A question from a connection, here or elsewhere. Answered by [`Effect::Reply`] with the same id, once.
    pub fn request(&mut self, now: Now, id: RequestId, request: ShardRequest, effects: &mut Vec<Effect>) {
        self.mono = now.mono;
        match request {
            ShardRequest::Produce(request) => self.produce(now, id, request, effects),
            ShardRequest::Fetch(request) => self.fetch(now, id, request, effects),
            ShardRequest::FetchNow(fetch) => self.fetch_now(fetch, effects),
            ShardRequest::ListOffsets(partitions) => self.list_offsets(id, &partitions, effects),
            ShardRequest::OffsetForLeaderEpoch(partitions) => {
                self.offset_for_leader_epoch(id, &partitions, effects)
            }
            ShardRequest::DeleteRecords(partitions) => self.delete_records(id, &partitions, effects),
            ShardRequest::DescribePartitions(partitions) => {
                self.describe_partitions(id, &partitions, effects)
            }
            ShardRequest::Groups(calls) => self.ask_groups(now, id, calls, effects),
            ShardRequest::ListGroups => self.list_groups(id, effects),
            ShardRequest::Controller(request) => self.control(now, id, &request, effects),
        }
    }

    /// A new cluster state. Partitions that are this shard's and new exist from now on; those that are gone are dropped.
    pub fn image(&mut self, now: Now, image: Image, effects: &mut Vec<Effect>) {
        if image.version >= self.image.version {
            self.image = image;
            self.place_partitions(effects);
            self.spares.review();
            self.tell_coordinators(now, effects);
        }
    }

    /// What is free of the disk, and what producing must leave of it. What has been refused comes at once when there is
    /// space again, so it takes a little more to go on than to stop.
    pub fn disk_space(&mut self, free_bytes: u64, reserve_bytes: u64, effects: &mut Vec<Effect>) {
        let wanted = if self.disk_low { reserve_bytes + reserve_bytes / 8 } else { reserve_bytes };
        let is_low = free_bytes < wanted;
        if is_low != self.disk_low && self.config.shard == ShardId(0) {
            let free = free_bytes >> 20;
            effects.push(Effect::Notice(if is_low {
                format!("{free} MiB are left of the disk: producing is refused until there is more")
            } else {
                format!("{free} MiB of the disk are free again: producing goes on")
            }));
        }
        if is_low {
            self.spares.review();
        }
        self.disk_low = is_low;
    }

    /// The newest cluster state this shard has.
    #[must_use]
    pub fn current_image(&self) -> &Image {
        &self.image
    }

    /// Call once after a batch of inputs: gathers the next commit group, answers fetches whose time has come, frees
    /// memory and commit files.
    pub fn turn(&mut self, now: Now, effects: &mut Vec<Effect>) {
        self.mono = now.mono;
        self.expire_fetches(now, effects);
        self.turn_reads(effects);
        self.turn_groups(now, effects);
        self.turn_retention(now, effects);
        self.turn_scrub(now, effects);
        self.write_commit_group(effects);
        self.reclaim_commit_files(effects);
        self.sync_segments(effects);
        self.create_commit_file(effects);
        self.free_memory();
        self.retry_full_disk(now, effects);
        self.advance_stop(effects);
        // Last: it may put a segment in another's place, and nothing may plan to read the old one after that.
        self.turn_compaction(now, effects);
    }

    /// When [`Shard::turn`] must be called even if nothing comes in.
    #[must_use]
    pub fn next_deadline(&self) -> MonoNanos {
        // Neither coordinators nor retention decide anything once the shard stops or has failed.
        let decides = self.stop == Stop::Running && self.failed.is_none();
        let own = self.groups.next_deadline();
        let own = own.min(self.retention.next_deadline()).min(self.compaction.next_deadline());
        let own = own.min(self.scrub.next_deadline()).min(self.spares.next_deadline());
        let own = own.min(self.reclaim.next_deadline(self.mono));
        let own = if decides { own } else { MonoNanos::NEVER };
        let reads = self.cache.next_deadline(self.mono);
        self.fetch.next_deadline().min(reads).min(self.io.next_retry()).min(own)
    }

    /// Begins the orderly stop: everything into segments, then a clean checkpoint. New appends must not come any more.
    pub fn stop(&mut self, _now: Now, effects: &mut Vec<Effect>) {
        if self.stop != Stop::Running {
            return;
        }
        self.stop = Stop::Draining;
        self.writeback.is_hurried = true;
        for slot in self.partitions.slots() {
            self.with_log(slot, effects, |log, out| log.finish(out));
        }
        self.advance_stop(effects);
    }

    /// Everything is in sealed segments and the clean checkpoint is written; or storage has failed.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.stop == Stop::Stopped || self.failed.is_some()
    }

    /// Appends, syncs or cold reads are under way.
    #[must_use]
    pub fn is_busy(&self) -> bool {
        !self.io.is_empty() || !self.commit.is_idle()
    }

    /// Answers that no socket takes hold so much of what was read from segments that nothing further is.
    #[must_use]
    pub fn reads_wait_for_memory(&self) -> bool {
        self.cache.is_short()
    }

    #[must_use]
    pub fn counters(&self) -> &LogCounters {
        &self.counters
    }

    /// How long the first append of each commit group has waited for it.
    #[must_use]
    pub fn commit_wait(&self) -> &Latency {
        &self.commit_wait
    }

    /// What the shard holds, as of now.
    #[must_use]
    pub fn gauges(&self) -> ShardGauges {
        let (commit_files, commit_files_free) = self.commit.file_counts();
        let (groups, group_members) = self.groups.counts();
        let (spares, spare_bytes) = self.spares();
        ShardGauges {
            partitions: self.partitions.len(),
            producers: self.producers,
            fetches_waiting: self.fetch.len(),
            commit_pending_bytes: self.commit.pending_bytes(),
            commit_files,
            commit_files_free,
            writeback_waiting: self.writeback.len(),
            chunk_bytes: self.memory.get(),
            read_cache_bytes: self.cache.alive_bytes(),
            index_bytes: self.indexes.bytes(),
            scrub_left: self.scrub_left(),
            quarantined: self.partitions.quarantined(),
            spares,
            spare_bytes,
            groups,
            group_members,
        }
    }

    /// Offsets committed to the coordinators here.
    pub fn committed(&self) -> impl Iterator<Item = CommittedMetric> + '_ {
        self.groups.coordinators().flat_map(Coordinator::committed).map(|it| CommittedMetric {
            group: it.group,
            topic: it.topic,
            partition: it.partition,
            offset: it.committed,
        })
    }

    /// Log starts and high watermarks of the topics' partitions here.
    pub fn ends(&self) -> impl Iterator<Item = EndMetric> + '_ {
        self.image.topics.values().flat_map(|topic| {
            topic.partition_ids().filter_map(|id| {
                let partition = self.partitions.get(self.partitions.find(id)?)?;
                let (start, end) = (partition.log.log_start().0, partition.high_watermark().0);
                Some(EndMetric { topic: Arc::clone(&topic.name), partition: id.partition.0, start, end })
            })
        })
    }

    /// Changes a partition's log and carries out what it wants.
    fn with_log<R>(
        &mut self,
        slot: u32,
        effects: &mut Vec<Effect>,
        change: impl FnOnce(&mut PartitionLog, &mut LogEffects) -> R,
    ) -> Option<R> {
        self.with_log_and_memory(slot, effects, |log, _, out| change(log, out))
    }

    /// The same with what gives out memory.
    fn with_log_and_memory<R>(
        &mut self,
        slot: u32,
        effects: &mut Vec<Effect>,
        change: impl FnOnce(&mut PartitionLog, Allocate<'_>, &mut LogEffects) -> R,
    ) -> Option<R> {
        let partition = self.partitions.get_mut(slot)?;
        let mut out = std::mem::take(&mut self.log_effects);
        let before = partition.log.unflushed_bytes();
        let result = change(&mut partition.log, &mut *self.allocate, &mut out);
        self.unflushed_bytes -= before - partition.log.unflushed_bytes();
        self.absorb(slot, out, effects);
        self.touch(slot);
        Some(result)
    }

    /// Carries out what a log wants, and keeps the emptied lists.
    fn absorb(&mut self, slot: u32, mut out: LogEffects, effects: &mut Vec<Effect>) {
        for op in out.ops.drain(..) {
            if matches!(op.op, IoOp::SyncSegment { .. }) {
                self.want_sync(slot, op);
                continue;
            }
            self.count_op(slot, &op.op);
            if Writeback::takes(op.purpose) {
                self.write_back(slot, op, effects);
            } else {
                self.issue(IoContext::Log { slot, purpose: op.purpose }, op.op, effects);
            }
        }
        for entry in out.log.drain(..) {
            let Some(partition) = self.partitions.get_mut(slot) else { continue };
            let header = EntryHeader {
                partition: partition.log.id,
                segment_base: entry.segment.base,
                position: entry.position,
                flushed: entry.flushed,
            };
            let number = entry.append.unwrap_or(RELOGGED);
            let pending = Pending { header, data: entry.data, ticket: Ticket { slot, number } };
            self.waiting_since.get_or_insert(self.mono);
            if entry.append.is_some() { self.commit.push(pending) } else { self.commit.relog(pending) }
        }
        self.log_effects = out;
    }

    fn write_commit_group(&mut self, effects: &mut Vec<Effect>) {
        if self.failed.is_some() {
            return;
        }
        let Some(write) = self.commit.gather(&mut *self.allocate) else { return };
        for ticket in self.commit.issued() {
            if let Some(partition) = self.partitions.get_mut(ticket.slot) {
                partition.log.logged(write.age.0);
            }
        }
        if let Some(since) = self.waiting_since.take() {
            self.commit_wait.record(self.mono.since(since));
        }
        self.waiting_since = (self.commit.pending_bytes() > 0).then_some(self.mono);
        self.counters.commit_groups += 1;
        self.counters.commit_bytes += write.data.len() as u64;
        let op = IoOp::WriteCommit { file: write.file, position: write.position, data: write.data };
        self.issue(IoContext::Commit, op, effects);
    }

    fn commit_written(&mut self, effects: &mut Vec<Effect>) {
        let tickets = self.commit.written();
        self.are_durable(tickets, effects);
    }

    fn are_durable(&mut self, tickets: Vec<Ticket>, effects: &mut Vec<Effect>) {
        for Ticket { slot, number } in tickets {
            if number == RELOGGED {
                self.with_log(slot, effects, |log, _| log.relogged());
            } else if self.with_log(slot, effects, |log, _| log.durable(number)).unwrap_or(false) {
                self.flushed(slot, effects);
            }
        }
    }

    fn create_commit_file(&mut self, effects: &mut Vec<Effect>) {
        if let Some((file, bytes)) = self.commit.create() {
            self.issue(IoContext::CommitFile { file }, IoOp::CreateCommitFile { file, bytes }, effects);
        }
    }

    fn free_memory(&mut self) {
        // What is not in segments yet cannot go, and may be all there is: the rest is tried at the next turn.
        let mut in_vain = 0;
        while self.memory.get() > self.config.cache_bytes
            && in_vain < EVICTIONS_IN_VAIN_MAX.min(self.evictable.len())
            && let Some(slot) = self.evictable.pop_front()
        {
            let Some(partition) = self.partitions.get_mut(slot) else { continue };
            let freed = partition.log.evict(&mut *self.allocate);
            in_vain = if freed == 0 { in_vain + 1 } else { 0 };
            self.counters.evicted_bytes += freed as u64;
            partition.is_evictable = partition.log.is_evictable();
            if partition.is_evictable {
                self.evictable.push_back(slot);
            }
        }
    }

    fn advance_stop(&mut self, effects: &mut Vec<Effect>) {
        let is_quiet = self.io.is_empty() && self.failed.is_none();
        match self.stop {
            // What still waits for the commit log, which may have no room left, is in the segments too.
            Stop::Draining if is_quiet && self.reclaim.syncs.is_empty() && self.partitions.all_finished() => {
                self.stop = Stop::Syncing;
                // Segments were sealed without a sync each.
                self.issue(IoContext::SyncAll, IoOp::SyncAll, effects);
            }
            Stop::Syncing if is_quiet => {
                assert!(self.partitions.all_finished(), "nothing is appended after the stop");
                let waited = self.commit.give_up();
                self.are_durable(waited, effects);
                self.stop = Stop::Checkpointing;
                let bytes = self.checkpoint(self.commit.next_sequence(), true);
                self.issue(IoContext::Checkpoint { age: None }, IoOp::WriteCheckpoint { bytes }, effects);
            }
            _ => {}
        }
    }

    fn count_op(&mut self, slot: u32, op: &IoOp) {
        if let IoOp::CreateSegment { spare: Some(_), .. } = op {
            self.counters.segments_recycled += 1;
        }
        let IoOp::WriteSegment { data, durable, .. } = op else { return };
        self.counters.segment_writes += 1;
        if *durable {
            self.counters.direct_runs += 1;
            self.counters.direct_bytes += data.len() as u64;
            self.reclaim.direct_bytes += data.len() as u64;
        }
        if let Some(partition) = self.partitions.get_mut(slot)
            && !std::mem::replace(&mut partition.is_evictable, true)
        {
            self.evictable.push_back(slot);
        }
    }

    /// The first failed write or sync: no later success counts.
    fn fail(&mut self, reason: String, effects: &mut Vec<Effect>) {
        if self.failed.is_none() {
            self.failed = Some(reason.clone());
            effects.push(Effect::Fatal { reason });
        }
    }
}

/// Levels, not counts.
#[derive(Clone, Copy, Debug, Default)]
pub struct ShardGauges {
    pub partitions: usize,
    /// Idempotent producers remembered, at most.
    pub producers: usize,
    pub fetches_waiting: usize,
    pub commit_pending_bytes: usize,
    pub commit_files: usize,
    pub commit_files_free: usize,
    /// Segment writes that the commit log covers, and what they need, handed out and not done.
    pub writeback_waiting: usize,
    pub chunk_bytes: usize,
    /// Of what was read from segments, in the cache or in answers.
    pub read_cache_bytes: usize,
    /// Of finished segments.
    pub index_bytes: usize,
    /// Segments that the scrubbing pass under way has yet to verify.
    pub scrub_left: usize,
    /// Offsets refused to readers because they are damaged or gone.
    pub quarantined: u64,
    /// Old segments' files kept to be used again.
    pub spares: usize,
    pub spare_bytes: u64,
    pub groups: usize,
    pub group_members: usize,
}

/// Partitions without memory to free that one turn looks at in a row.
const EVICTIONS_IN_VAIN_MAX: usize = 256;

/// The ticket number of a tail that was logged again; appends count from 0 and never get here.
const RELOGGED: u64 = u64::MAX;
