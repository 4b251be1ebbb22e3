//! In-sync sets that leaders on this shard ask the controller for.
//!
//! A leader looks at its followers now and then. What it wants goes to shard 0, which asks the controller; the answer comes back
//! as a note. The set itself acts by the image alone.

use crate::base::{MonoNanos, ShardId, TopicPartition, mark};
use crate::peer::IsrOutcome;
use crate::replication::{IsrAnswer, Verdict};

use super::super::effect::Effect;
use super::super::note::{IsrWanted, Note, ShardStatus};
use super::super::store::Store;
use super::super::turn::Turn;

/// How often leaders look at their followers.
const LOOK_MS: u64 = 100;
/// How often shard 0 is told how far the commit log is.
const STATUS_MS: u64 = 1000;
/// A shard whose turns are further apart than this was not running: its own clock is no evidence against anybody.
const GAP_MS: u64 = 500;

#[derive(Debug)]
pub(super) struct InSync {
    lag_ms: u64,
    looked_at: MonoNanos,
    /// When the shard had its last turn.
    turned_at: MonoNanos,
    leads: bool,
    /// What shard 0 was told last for its heartbeats, and when.
    told: Option<(MonoNanos, ShardStatus)>,
}

impl InSync {
    pub(super) fn new(lag_ms: u64) -> InSync {
        InSync { lag_ms, looked_at: MonoNanos(0), turned_at: MonoNanos(0), leads: false, told: None }
    }

    /// Looks at the followers of every partition that is led here. To be called after the inputs of a turn.
    pub(super) fn turn(&mut self, store: &mut Store, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        let gap = now.since(self.turned_at);
        if self.turned_at > MonoNanos(0) && gap > GAP_MS * 1_000_000 {
            mark("a pause of the shard counts against nobody");
            for slot in store.partitions.slots() {
                _ = store.with_leading_quietly(slot, |leading| leading.paused(gap));
            }
        }
        self.turned_at = now;
        if now < self.looked_at.plus_ms(LOOK_MS) {
            return;
        }
        self.looked_at = now;
        let own_lag_ms = store.own_lag_ms(now);
        let (mut wanted, mut leads, mut slow_sync) = (Vec::new(), false, false);
        for slot in store.partitions.slots() {
            let Some(partition) = store.partitions.get(slot).filter(|it| it.has_followers()) else {
                continue;
            };
            leads = true;
            slow_sync |= partition.lags_itself();
            let id = partition.log().id;
            let asked = store
                .with_leading_quietly(slot, |leading| leading.wanted_isr(now, self.lag_ms, own_lag_ms))
                .flatten();
            wanted.extend(asked.map(|ask| IsrWanted {
                partition: id,
                leader_epoch: ask.leader_epoch,
                partition_epoch: ask.partition_epoch,
                isr: ask.isr,
                number: ask.number,
            }));
        }
        self.leads = leads;
        self.tell_status(ShardStatus { commit_sequence: store.newest_durable_sequence(), slow_sync }, turn);
        if !wanted.is_empty() {
            turn.effect(Effect::Tell { to: ShardId(0), note: Note::IsrWanted(wanted) });
        }
    }

    /// Shard 0 is told what its heartbeats need: at once what matters, the rest now and then.
    fn tell_status(&mut self, status: ShardStatus, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        let is_due = self.told.is_none_or(|(at, told)| {
            told.slow_sync != status.slow_sync || (told != status && now >= at.plus_ms(STATUS_MS))
        });
        if is_due {
            self.told = Some((now, status));
            turn.effect(Effect::Tell { to: ShardId(0), note: Note::Status(status) });
        }
    }

    /// The controller's word.
    pub(super) fn answered(
        &self,
        partition: TopicPartition,
        number: u64,
        outcome: IsrOutcome,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let verdict = match outcome {
            IsrOutcome::Decided { partition_epoch } => Verdict::Decided { partition_epoch },
            IsrOutcome::SameAlready => Verdict::SameAlready,
            IsrOutcome::Ineligible => Verdict::Ineligible,
            IsrOutcome::StaleEpoch => Verdict::StaleEpoch,
            IsrOutcome::NotLeader | IsrOutcome::UnknownPartition => Verdict::NotLeader,
        };
        let Some(slot) = store.partitions.find(partition) else { return };
        let moved = store.with_leading(slot, |leading| leading.isr_answered(IsrAnswer { number, verdict }));
        if moved.is_some_and(|moved| moved.high_watermark) {
            store.high_watermark_moved(slot, turn);
        }
    }

    pub(super) fn next_deadline(&self) -> MonoNanos {
        if self.leads { self.looked_at.plus_ms(LOOK_MS) } else { self.looked_at.plus_ms(STATUS_MS) }
    }
}
