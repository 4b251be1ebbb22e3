//! What the store owns, and how a log is changed that may want something done: [`Store::with_log`] applies the change and
//! carries out everything the log wants because of it. Every change of a log, this one too, goes through
//! [`Partition::change`](super::partition::Partition::change).

use std::cell::Cell;
use std::collections::{BTreeSet, VecDeque};
use std::rc::Rc;
use std::sync::Arc;

use crate::base::io::IoOp;
use crate::base::metrics::Latency;
use crate::base::{MonoNanos, ShardId, TopicPartition, mark};
use crate::commit::{CommitLog, CutHeader, EntryHeader, Logged, Pending, Receipt, Says};
use crate::log::{Allocate, Cut, CutEntry, LogEffects, LogLimits, LogOp, PartitionLog};

use super::super::config::{ChunkAllocator, ShardConfig};
use super::super::effect::{Effect, IoRequest};
use super::super::event::Operation;
use super::super::metrics::LogCounters;
use super::super::request::Image;
use super::super::turn::{News, Turn};
use super::io::{IoTable, Issued, Tried};
use super::reclaim::Reclaim;
use super::slots::Partitions;
use super::syncs::Syncs;
use super::waits::ProduceWaits;
use super::writeback::Writeback;

/// The shard's data: partitions, the commit log, and all that brings bytes to stable storage.
pub struct Store {
    pub(super) config: ShardConfig,
    pub(super) allocate: ChunkAllocator,
    /// Bytes of chunk memory alive, wherever they are held; kept by the allocator.
    pub(super) memory: Rc<Cell<usize>>,
    pub(super) image: Image,
    pub partitions: Partitions,
    pub(super) commit: CommitLog,
    pub(super) io: IoTable,
    pub(super) produce: ProduceWaits,
    /// Bytes of all logs together that are appended and not durable yet.
    pub(super) unflushed_bytes: usize,
    /// Producers that the logs remember, at most.
    pub(super) producers: usize,
    pub(super) reclaim: Reclaim,
    pub(super) syncs: Syncs,
    pub(super) writeback: Writeback,
    /// The configured limits, narrowed to the number of partitions.
    pub(super) limits: LogLimits,
    /// Partitions that hold memory in chunks. Those that wrote to their segments first are in front: they give some back in
    /// turn.
    pub(super) evictable: VecDeque<u32>,
    /// Empty lists for the next change of a log to fill.
    pub(super) log_effects: LogEffects,
    /// Set by the first failed write or sync: nothing is acknowledged any more.
    pub(super) failed: Option<String>,
    /// Set while the disk is full: appends are refused with a retriable error.
    pub(super) disk_full: bool,
    /// Little is left of the disk: producers are refused, so that all else has room.
    pub(super) disk_low: bool,
    pub(super) stop: Stop,
    /// Partitions on this server that recovery could not give to their shard.
    pub(super) unplaced: Arc<BTreeSet<TopicPartition>>,
    /// Replicas that were moved away since the start. The commit log may still have entries of each: one that comes back begins
    /// with a cut that keeps nothing.
    pub(super) moved_away: BTreeSet<TopicPartition>,
    /// Logs that are followed begin elsewhere than the last checkpoint says: a leader waits to hear that it does.
    pub(super) starts_to_name: bool,
    /// Until then nobody else leads what this server leads.
    pub(super) lease_until: MonoNanos,
    pub counters: LogCounters,
    /// Since when something waits for a commit group.
    pub(super) waiting_since: Option<MonoNanos>,
    /// How long the first append of each commit group has waited for it.
    pub(super) commit_wait: Latency,
}

/// How far the orderly stop has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Running,
    /// Everything goes into segments.
    Draining,
    /// Everything is sealed, and made durable at once.
    Syncing,
    Checkpointing,
    Stopped,
}

impl Store {
    pub(super) fn id(&self) -> ShardId {
        self.config.shard
    }

    /// The newest cluster state this shard has.
    pub fn image(&self) -> &Image {
        &self.image
    }

    /// Neither stopping nor failed: decisions are still taken.
    pub fn is_running(&self) -> bool {
        self.stop == Stop::Running && !self.is_failed()
    }

    /// The orderly stop has begun.
    pub fn is_stopping(&self) -> bool {
        self.stop != Stop::Running
    }

    /// Storage has failed: nothing is acknowledged any more.
    pub fn is_failed(&self) -> bool {
        self.failed.is_some()
    }

    /// The disk has refused something that is still to be written.
    pub fn is_disk_full(&self) -> bool {
        self.disk_full
    }

    /// Producers are refused because little is left of the disk.
    pub fn is_disk_low(&self) -> bool {
        self.disk_low
    }

    /// Changes a partition's log and carries out what it wants. `None` if the partition is gone.
    pub fn with_log<R>(
        &mut self,
        slot: u32,
        turn: &mut Turn<'_>,
        change: impl FnOnce(&mut PartitionLog, &mut LogEffects) -> R,
    ) -> Option<R> {
        self.with_log_and_memory(slot, turn, |log, _, out| change(log, out))
    }

    /// Like [`Store::with_log`], for a change that may need new chunks of memory.
    pub(super) fn with_log_and_memory<R>(
        &mut self,
        slot: u32,
        turn: &mut Turn<'_>,
        change: impl FnOnce(&mut PartitionLog, Allocate<'_>, &mut LogEffects) -> R,
    ) -> Option<R> {
        let partition = self.partitions.get_mut(slot)?;
        let mut out = std::mem::take(&mut self.log_effects);
        let allocate = &mut *self.allocate;
        let (result, flushed_bytes, is_cut) = partition.change(|log, _| {
            let (before, was_cutting) = (log.unflushed_bytes(), log.is_cutting());
            let result = change(log, allocate, &mut out);
            if was_cutting {
                log.go_on_cutting(&mut out);
            }
            // Who stops may have given the cut up, and nobody waits for it any more.
            let is_cut = was_cutting && !log.is_cutting() && !log.is_closing();
            (result, before - log.unflushed_bytes(), is_cut)
        });
        if is_cut {
            mark("a cut is durable, and the log takes appends again");
            turn.tell(News::Cut(slot));
        }
        assert!(
            flushed_bytes <= self.unflushed_bytes,
            "what becomes durable was counted when it was appended"
        );
        self.unflushed_bytes -= flushed_bytes;
        self.carry_out(slot, out, turn);
        self.touch(slot);
        Some(result)
    }

    /// Carries out what a log wants, and keeps the emptied lists.
    pub(super) fn carry_out(&mut self, slot: u32, mut out: LogEffects, turn: &mut Turn<'_>) {
        for op in out.ops.drain(..) {
            if matches!(op.op, IoOp::SyncSegment { .. }) {
                self.partitions.op_issued(slot);
                self.syncs.want(slot, op);
                continue;
            }
            self.count_op(slot, &op.op);
            if Writeback::takes(op.purpose) {
                self.partitions.op_issued(slot);
                self.writeback.push(slot, op);
                self.go_on_writing_back(turn);
            } else {
                self.issue(Operation::Log { slot, purpose: op.purpose }, op.op, turn);
            }
        }
        for entry in out.to_commit_log.drain(..) {
            let Some(partition) = self.partitions.get(slot) else { continue };
            let header = EntryHeader {
                partition: partition.log().id,
                segment_base: entry.segment.base,
                position: entry.position,
                flushed: entry.flushed,
                high_watermark: entry.high_watermark,
            };
            let logged = entry.append.map_or(Logged::Tail, Logged::Append);
            let receipt = Receipt { slot, logged };
            let pending = Pending { says: Says::Append(header), data: entry.data, receipt };
            self.waiting_since.get_or_insert(turn.now.mono);
            if entry.append.is_some() { self.commit.push(pending) } else { self.commit.relog(pending) }
        }
        for cut in out.cuts.drain(..) {
            let Some(partition) = self.partitions.get(slot) else { continue };
            let id = partition.log().id;
            let header = |cut: Cut| CutHeader {
                partition: id,
                below: cut.below,
                begin_at: cut.begin_at,
                epoch: cut.epoch,
            };
            let says = match cut {
                CutEntry::Begin(cut) => Says::Cut(header(cut)),
                CutEntry::End(cut) => Says::CutDone(header(cut)),
            };
            let receipt = Receipt { slot, logged: Logged::Cut };
            self.waiting_since.get_or_insert(turn.now.mono);
            self.commit.relog(Pending { says, data: [None, None], receipt });
        }
        self.log_effects = out;
    }

    /// Has an operation performed; its end comes back as an event.
    pub fn issue(&mut self, operation: Operation, op: IoOp, turn: &mut Turn<'_>) {
        self.issue_as(operation, op, Tried::First, turn);
    }

    /// Like [`Store::issue`]; `tried` says whether a full disk has refused the operation before.
    pub(super) fn issue_as(&mut self, operation: Operation, op: IoOp, tried: Tried, turn: &mut Turn<'_>) {
        if let Some(slot) = operation.holds() {
            self.partitions.op_issued(slot);
            if operation.is_beside_the_log() {
                self.partitions.begun_beside(slot);
            }
        }
        self.writeback.issued(operation);
        let is_kept =
            matches!(op, IoOp::CreateSegment { .. } | IoOp::WriteSegment { .. } | IoOp::SealSegment { .. });
        let again = is_kept.then(|| op.clone());
        let id = self.io.issue(Issued { operation, again, tried });
        turn.effect(Effect::Io(IoRequest { id, op }));
    }

    /// Writes that the commit log covers go on, as many at once as may be.
    pub fn go_on_writing_back(&mut self, turn: &mut Turn<'_>) {
        while let Some((slot, LogOp { purpose, op })) = self.writeback.next() {
            self.partitions.op_done(slot);
            self.issue(Operation::Log { slot, purpose }, op, turn);
        }
    }

    /// Something has happened to a partition that may end its release.
    pub(super) fn touch(&mut self, slot: u32) {
        self.reclaim.touch(slot);
    }

    /// What may be read of a partition has changed.
    pub fn moved(&self, slot: u32, turn: &mut Turn<'_>) {
        turn.tell(News::Moved(slot));
    }

    /// The first failed write or sync: no later success counts.
    pub fn fail(&mut self, reason: String, turn: &mut Turn<'_>) {
        if self.failed.is_none() {
            self.failed = Some(reason.clone());
            turn.effect(Effect::Fatal { reason });
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
}
