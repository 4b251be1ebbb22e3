//! The follower's end of lanes: streams of partitions that other servers lead.
//!
//! Every partition that is followed has one target, and one stream on the lane to it when that is open. What the leader sends goes
//! into the log at once; the credit for it goes back when it is durable, or dropped.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{LaneId, MonoNanos, Offset, TopicPartition, mark};
use crate::peer::{CloseReason, ClosedStream, LaneKind, OpenStream, OpenedStream};
use crate::replication::{AfterCut, EpochEnd, InLane, Opened, Phase, Refusal};

use super::super::store::{Role, Store};
use super::super::turn::Turn;
use super::gathering::Gathering;
use super::incoming::FollowerEnd;
use super::lanes::Lanes;
use super::me::WINDOW_BYTES;
use super::target::Target;
use super::words::outcome;

#[derive(Debug, Default)]
pub(super) struct Followings {
    /// Whom each partition that is followed here is streamed from.
    targets: BTreeMap<u32, Target>,
    pub(super) lanes: BTreeMap<LaneId, FollowerEnd>,
    /// Partitions whose stream is to be asked for: now, or at a time.
    asking: BTreeSet<(MonoNanos, u32)>,
    /// Lanes whose peers do what they must not.
    pub(super) faulty: Vec<LaneId>,
}

impl Followings {
    /// Whether a stream from this target is wanted.
    pub(super) fn needs(&self, target: Target) -> bool {
        self.targets.values().any(|it| *it == target)
    }

    /// A partition's role has changed; tells whom to dial, if it is followed.
    pub(super) fn role_changed(
        &mut self,
        slot: u32,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) -> Option<Target> {
        let partition = store.partitions.get(slot)?;
        let Role::Following(follows) = partition.role() else {
            self.forget(slot, turn.now.mono, CloseReason::NotLeader);
            self.targets.remove(&slot);
            return None;
        };
        let is_metadata = partition.log().id == TopicPartition::METADATA;
        let to = Target::of_leader(follows.led_by.server, follows.led_by.shard, is_metadata);
        let stream = follows.following.stream();
        let is_streaming = self.targets.get(&slot) == Some(&to)
            && stream.is_some_and(|stream| {
                self.lanes.values().any(|lane| lane.streams.get(&stream) == Some(&slot))
            });
        if !is_streaming {
            self.forget(slot, turn.now.mono, CloseReason::Epoch);
            self.targets.insert(slot, to);
            self.asking.insert((MonoNanos(0), slot));
        }
        if let Phase::Truncating(cut) = follows.following.phase() {
            store.begin_cut(slot, cut, turn);
        }
        Some(to)
    }

    /// A partition is gone.
    pub(super) fn dropped(&mut self, slot: u32, turn: &mut Turn<'_>) {
        self.forget(slot, turn.now.mono, CloseReason::Gone);
        self.targets.remove(&slot);
    }

    /// Ends the stream of a partition at this end: what was received of it and is not durable yet is given back as it is.
    pub(super) fn forget(&mut self, slot: u32, now: MonoNanos, reason: CloseReason) {
        self.asking.retain(|(_, it)| *it != slot);
        for lane in self.lanes.values_mut() {
            lane.forget(slot, now, reason);
        }
    }

    pub(super) fn lane_open(
        &mut self,
        lane: LaneId,
        target: Target,
        _store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let end = FollowerEnd {
            target,
            intake: InLane::new(u64::from(WINDOW_BYTES), turn.now.mono),
            streams: BTreeMap::new(),
            opens: Vec::new(),
            closes: Vec::new(),
            dirty: BTreeSet::new(),
            gathering: None,
        };
        self.lanes.insert(lane, end);
        let here = self.targets.iter().filter(|(_, it)| **it == target).map(|(slot, _)| *slot);
        self.asking.extend(here.map(|slot| (MonoNanos(0), slot)));
    }

    pub(super) fn lane_lost(&mut self, lane: LaneId, store: &mut Store) {
        let Some(end) = self.lanes.remove(&lane) else { return };
        for slot in end.streams.into_values() {
            _ = store.with_following(slot, |following, _| following.lane_lost());
        }
    }

    /// The leader's answers to streams that were asked for.
    pub(super) fn opened(
        &mut self,
        lane: LaneId,
        streams: &[OpenedStream],
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now.mono;
        for it in streams {
            let Some(end) = self.lanes.get_mut(&lane) else { return };
            end.intake.heard(now);
            let Some(slot) = end.streams.get(&it.stream).copied() else { continue };
            let answer = Opened {
                outcome: outcome(it.outcome),
                high_watermark: it.high_watermark,
                log_start: it.log_start,
            };
            let before = store.partitions.get(slot).map(|it| it.watermarks().high);
            let phase = store.with_following(slot, |following, log| {
                let own_end_of = |epoch| log.end_within(epoch).map(|(epoch, end)| EpochEnd { epoch, end });
                following.opened(it.stream, answer, own_end_of, now)
            });
            match phase {
                Some(Ok(Phase::Streaming { .. })) => {
                    end.dirty.insert(slot);
                    told_if_moved(slot, before, store, turn);
                }
                Some(Ok(Phase::Truncating(cut))) => {
                    end.forget(slot, now, CloseReason::Epoch);
                    store.begin_cut(slot, cut, turn);
                }
                Some(Ok(Phase::Waiting { until })) => {
                    end.forget(slot, now, CloseReason::Epoch);
                    self.asking.insert((until, slot));
                }
                Some(Ok(Phase::Diverged)) => {
                    end.forget(slot, now, CloseReason::Mismatch);
                    let id = store.partitions.get(slot).map(|it| it.log().id);
                    turn.notice(format!(
                        "the leader of {id:?} lacks records that were committed here: this replica keeps all it has and waits"
                    ));
                }
                Some(Ok(Phase::Installing(cut))) => end.gathering = Gathering::new(it.stream, slot, cut),
                Some(Err(refusal)) => self.refused(lane, slot, &refusal, store, turn),
                Some(Ok(Phase::Opening | Phase::Paused)) | None => end.forget(slot, now, CloseReason::Epoch),
            }
        }
    }

    /// What a leader has sent does not fit: the stream is asked for again later.
    pub(super) fn refused(
        &mut self,
        lane: LaneId,
        slot: u32,
        refusal: &Refusal,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let Some(end) = self.lanes.get_mut(&lane) else { return };
        if *refusal == Refusal::OldStream {
            return;
        }
        turn.notice(format!("a stream from server {} is closed: {refusal}", end.target.server));
        end.forget(slot, turn.now.mono, CloseReason::Mismatch);
        self.ask_later(slot, store);
    }

    /// The follower says itself when to ask again.
    pub(super) fn ask_later(&mut self, slot: u32, store: &Store) {
        if let Some(Role::Following(follows)) = store.partitions.get(slot).map(|it| it.role())
            && follows.following.due() < MonoNanos::NEVER
        {
            self.asking.insert((follows.following.due(), slot));
        }
    }

    /// The leader has ended streams.
    pub(super) fn closed(
        &mut self,
        lane: LaneId,
        streams: &[ClosedStream],
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        for it in streams {
            let Some(end) = self.lanes.get_mut(&lane) else { return };
            let Some(slot) = end.streams.remove(&it.stream) else { continue };
            end.intake.close(it.stream, turn.now.mono);
            end.gathering.take_if(|gathering| gathering.stream == it.stream);
            _ = store.with_following(slot, |following, _| following.close(turn.now.mono));
            self.ask_later(slot, store);
        }
    }

    /// What is durable of a partition has changed.
    pub(super) fn moved(&mut self, slot: u32, store: &mut Store, turn: &mut Turn<'_>) {
        if !self.targets.contains_key(&slot) {
            return;
        }
        let Some(flushed) = store.partitions.get(slot).map(|it| it.watermarks().flushed) else { return };
        for end in self.lanes.values_mut() {
            end.flushed(slot, flushed);
            if end.streams.values().any(|it| *it == slot) {
                end.dirty.insert(slot);
            }
        }
        // What has become durable may be what the log's start waited for.
        follow_start(slot, store, turn);
    }

    /// A cut is done: the log goes on behind it.
    pub(super) fn cut_done(&mut self, slot: u32, store: &mut Store, turn: &mut Turn<'_>) {
        let after = store.with_following(slot, |following, log| {
            let ends = super::super::store::ends(log);
            following.is_cutting().then(|| following.cut_done(ends))
        });
        match after.flatten() {
            Some(AfterCut::Open) => drop(self.asking.insert((MonoNanos(0), slot))),
            Some(AfterCut::Lead(_)) => {
                mark("a cut is finished before the partition is led");
                store.assign_again(slot, turn);
            }
            None => store.assign_again(slot, turn),
        }
    }

    /// How much the disk has left has changed.
    pub(super) fn room_changed(&mut self, store: &mut Store, turn: &mut Turn<'_>) {
        let room = store.room();
        let slots: Vec<u32> = self.targets.keys().copied().collect();
        for slot in slots {
            let closed = store.with_following(slot, |following, _| following.has_room(room)).flatten();
            if closed.is_some() {
                self.forget(slot, turn.now.mono, CloseReason::NoRoom);
            } else {
                self.asking.insert((MonoNanos(0), slot));
            }
        }
    }

    /// Asks for streams, acknowledges, gives credit back.
    pub(super) fn turn(&mut self, lanes: &Lanes, store: &mut Store, turn: &mut Turn<'_>) {
        let now = turn.now.mono;
        while let Some((_, slot)) = self.asking.first().copied().filter(|(at, _)| *at <= now) {
            self.asking.pop_first();
            self.ask(slot, lanes, store, now);
        }
        for (lane, end) in &mut self.lanes {
            end.speak(*lane, store, turn);
        }
    }

    /// Asks for a partition's stream, if its lane is open. When it opens, all of them are asked for.
    fn ask(&mut self, slot: u32, lanes: &Lanes, store: &mut Store, now: MonoNanos) {
        let Some(lane) = self.targets.get(&slot).and_then(|target| lanes.open_to(*target)) else { return };
        let Some(end) = self.lanes.get_mut(&lane) else { return };
        let Some(partition) = store.partitions.get(slot) else { return };
        let id = partition.log().id;
        let last_epoch = partition.log().last_epoch();
        let wants = store.with_following(slot, |following, _| following.wants_stream(now));
        if wants != Some(true) {
            return;
        }
        let Some(stream) = end.intake.open(now) else { return self.faulty.push(lane) };
        let ask = store.with_following(slot, |following, _| following.open(stream, last_epoch));
        let Some(ask) = ask else { return };
        end.streams.insert(stream, slot);
        end.opens.push(OpenStream {
            stream,
            partition: id,
            leader_epoch: ask.epoch,
            log_end: ask.log,
            flushed: ask.flushed,
            log_start: ask.log_start,
        });
    }

    /// Lanes from which nothing was heard for too long.
    pub(super) fn take_silent(&mut self, now: MonoNanos) -> Vec<LaneId> {
        let silent = self.lanes.iter().filter(|(_, end)| end.intake.is_silent(now)).map(|(lane, _)| *lane);
        let mut lanes: Vec<LaneId> = silent.collect();
        let is_idle = |end: &FollowerEnd| end.target.kind == LaneKind::Data && end.intake.is_idle(now);
        lanes.extend(self.lanes.iter().filter(|(_, end)| is_idle(end)).map(|(lane, _)| *lane));
        lanes.append(&mut self.faulty);
        lanes
    }

    pub(super) fn next_deadline(&self, now: MonoNanos) -> MonoNanos {
        let asks = self.asking.first().map_or(MonoNanos::NEVER, |(at, _)| *at);
        let busy =
            |end: &FollowerEnd| !(end.opens.is_empty() && end.closes.is_empty() && end.dirty.is_empty());
        let lanes = self.lanes.values().map(|end| if busy(end) { MonoNanos(0) } else { end.intake.due(now) });
        lanes.min().unwrap_or(MonoNanos::NEVER).min(asks)
    }
}

/// A followed log begins where its leader's does.
pub(super) fn follow_start(slot: u32, store: &mut Store, turn: &mut Turn<'_>) {
    let start = store.with_following(slot, |following, _| following.wanted_start()).flatten();
    // Where the metadata log begins is for each server to say: what is before is in a snapshot of its own.
    let is_metadata = store.partitions.get(slot).is_some_and(|it| it.log().id == TopicPartition::METADATA);
    if let Some(start) = start.filter(|_| !is_metadata) {
        store.advance_start(slot, start, turn);
    }
}

/// If the high watermark has moved, whoever waits for it hears it.
pub(super) fn told_if_moved(slot: u32, before: Option<Offset>, store: &mut Store, turn: &mut Turn<'_>) {
    let now = store.partitions.get(slot).map(|it| it.watermarks().high);
    if now != before {
        store.moved(slot, turn);
    }
}
