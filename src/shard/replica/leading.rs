//! The leader's end of lanes: streams to followers of partitions that this shard leads.

use std::collections::BTreeMap;

use crate::base::{
    BrokerEpoch, LaneId, LeaderEpoch, MonoNanos, Offset, Payload, StreamNumber, Voter, joined, mark,
};
use crate::log::{Run, RunPlan, run_in};
use crate::peer::limits::STREAMS_MAX;
use crate::peer::{Ack, Acked, CloseReason, ClosedStream, Message, OpenStream, OpenedStream};
use crate::replication::{Ends, Lies, OutLane, Outcome, Sender};

use super::super::request::FetchResult;
use super::super::store::{Role, Store};
use super::super::turn::{News, Turn};
use super::answers::{answer, broker_epoch, said};
use super::handing::{Handing, Offer};
use super::lanes::{Dialler, Lanes, send};

/// How often the partitions on a lane hear that their follower lives.
const ALIVE_MS: u64 = 400;

#[derive(Debug, Default)]
pub(super) struct Leadings {
    pub(super) lanes: BTreeMap<LaneId, LeaderEnd>,
    /// Streams of each partition that has some.
    by_slot: BTreeMap<u32, Vec<(LaneId, StreamNumber)>>,
    /// Streams for which records are being read.
    pub(super) reads: BTreeMap<u64, (LaneId, StreamNumber)>,
    pub(super) next_read: u64,
    faulty: Vec<LaneId>,
    /// A snapshot for followers of the metadata log that lack more than the log has.
    pub(super) offer: Offer,
}

/// One lane, from this end.
#[derive(Debug)]
pub(super) struct LeaderEnd {
    pub(super) from: Dialler,
    pub(super) out: OutLane,
    pub(super) streams: BTreeMap<StreamNumber, OutStream>,
    /// When its partitions heard last that the follower lives.
    told_at: MonoNanos,
    opened: Vec<OpenedStream>,
    closes: Vec<ClosedStream>,
}

#[derive(Debug)]
pub(super) struct OutStream {
    pub(super) slot: u32,
    pub(super) epoch: LeaderEpoch,
    /// The follower's incarnation as the image had it when the stream was opened.
    pub(super) broker_epoch: BrokerEpoch,
    /// What was read for the stream and is not sent yet.
    pub(super) window: Vec<Payload>,
    /// The stream brings a snapshot, and no runs.
    pub(super) handing: Option<Handing>,
}

impl Leadings {
    pub(super) fn lane_open(&mut self, lane: LaneId, from: Dialler, now: MonoNanos) {
        match OutLane::new(u64::from(from.window), now) {
            Ok(out) => {
                let (streams, opened, closes) = (BTreeMap::new(), Vec::new(), Vec::new());
                self.lanes.insert(lane, LeaderEnd { from, out, streams, told_at: now, opened, closes });
            }
            Err(_) => self.faulty.push(lane),
        }
    }

    pub(super) fn lane_left(&mut self, lane: LaneId) {
        if let Some(end) = self.lanes.remove(&lane) {
            end.streams.values().for_each(|stream| self.unlist(stream.slot, |at, _| at == lane));
        }
    }

    fn unlist(&mut self, slot: u32, is_gone: impl Fn(LaneId, StreamNumber) -> bool) {
        if let Some(streams) = self.by_slot.get_mut(&slot) {
            streams.retain(|(lane, stream)| !is_gone(*lane, *stream));
            if streams.is_empty() {
                self.by_slot.remove(&slot);
            }
        }
    }

    pub(super) fn list(&mut self, slot: u32, lane: LaneId, stream: StreamNumber) {
        self.by_slot.entry(slot).or_default().push((lane, stream));
    }

    /// A lane's peer does what it must not.
    pub(super) fn fault(&mut self, lane: LaneId) {
        self.faulty.push(lane);
    }

    /// Lanes whose peers do what they must not, or have fallen silent.
    pub(super) fn take_faulty(&mut self) -> Vec<LaneId> {
        std::mem::take(&mut self.faulty)
    }

    /// A follower asks for streams.
    pub(super) fn open(
        &mut self,
        lane: LaneId,
        streams: &[OpenStream],
        lanes: &Lanes,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let Some(from) = lanes.dialler_of(lane) else { return };
        for asked in streams {
            let Some(end) = self.lanes.get_mut(&lane) else { return };
            end.out.heard(turn.now.mono);
            let (mut outcome, slot) = answer(asked, &from, store);
            if let (Outcome::Snapshot { .. }, Some(slot)) = (outcome, slot) {
                outcome = self.hand(lane, (slot, asked), &from, store, turn);
            }
            let marks = slot.and_then(|slot| store.partitions.get(slot)).map(|it| *it.watermarks());
            if let (Outcome::From { next }, Some(slot)) = (outcome, slot) {
                let Some(end) = self.lanes.get_mut(&lane) else { return };
                let opened = end.out.open(asked.stream, next, turn.now.mono);
                if let Err(error) = opened {
                    turn.notice(format!("server {} misuses a lane: {error}", from.server));
                    return self.faulty.push(lane);
                }
                let broker_epoch = broker_epoch(&from, store);
                let (epoch, window, handing) = (asked.leader_epoch, Vec::new(), None);
                let stream = OutStream { slot, epoch, broker_epoch, window, handing };
                end.streams.insert(asked.stream, stream);
                self.list(slot, lane, asked.stream);
                self.agreed(lane, slot, asked, store, turn);
            }
            let Some(end) = self.lanes.get_mut(&lane) else { return };
            end.opened.push(OpenedStream {
                stream: asked.stream,
                outcome: said(outcome),
                high_watermark: marks.map_or(Offset(0), |marks| marks.high),
                log_start: marks.map_or(Offset(0), |marks| marks.log_start),
            });
        }
    }

    /// The follower's log is the beginning of this one: that counts as its first ack in this epoch.
    fn agreed(
        &mut self,
        lane: LaneId,
        slot: u32,
        asked: &OpenStream,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let Some(end) = self.lanes.get_mut(&lane) else { return };
        let Some(stream) = end.streams.get(&asked.stream) else { return };
        let ends = Ends { log_start: asked.log_start, flushed: asked.flushed, log_end: asked.log_end.end };
        let sender = sender(&end.from, stream);
        if store.partitions.get(slot).is_some_and(|it| matches!(it.role(), Role::Presiding { .. })) {
            let voter = Voter { server: end.from.server, id: end.from.voter };
            turn.tell(News::Acked { voter, flushed: Some(ends.flushed) });
        }
        let now = turn.now.mono;
        let moved = store.with_leading(slot, |leading| leading.opened(sender, ends, now));
        if let Some(Ok(moved)) = moved
            && moved.high_watermark
        {
            store.high_watermark_moved(slot, turn);
        }
        let behind = store.partitions.get(slot).is_some_and(|it| asked.log_end.end < it.log().log_end());
        if behind {
            let lies = lies(slot, asked.log_end.end, store);
            end.out.has_news(asked.stream, lies);
        }
        end.out.watermark_moved(asked.stream);
    }

    /// A follower acknowledges.
    pub(super) fn acked(
        &mut self,
        lane: LaneId,
        ack: &Ack,
        lanes: &Lanes,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let now = turn.now.mono;
        let Some(end) = self.lanes.get_mut(&lane) else { return };
        let Some(from) = lanes.dialler_of(lane) else { return };
        end.out.heard(now);
        if let Err(error) = end.out.credited(u64::from(ack.credit)) {
            turn.notice(format!("server {} misuses a lane: {error}", from.server));
            return self.faulty.push(lane);
        }
        for it in &ack.acked {
            self.acked_one(lane, it, store, turn);
        }
        // Idle partitions have no acks: a follower that has everything stays caught up by being heard.
        let Some(end) = self.lanes.get_mut(&lane) else { return };
        if now < end.told_at.plus_ms(ALIVE_MS) {
            return;
        }
        end.told_at = now;
        for stream in end.streams.values() {
            if store.presides(stream.slot) {
                let voter = Voter { server: from.server, id: from.voter };
                turn.tell(News::Acked { voter, flushed: None });
            }
            _ = store.with_leading_quietly(stream.slot, |leading| leading.heard(from.server, now));
        }
    }

    fn acked_one(&mut self, lane: LaneId, acked: &Acked, store: &mut Store, turn: &mut Turn<'_>) {
        let Some(end) = self.lanes.get_mut(&lane) else { return };
        let Some(stream) = end.streams.get(&acked.stream) else { return };
        let ends = Ends { log_start: acked.log_start, flushed: acked.flushed, log_end: acked.log_end };
        let (slot, sender) = (stream.slot, sender(&end.from, stream));
        end.out.awaited(acked.stream, acked.wants_high_watermark);
        let Dialler { server, voter, .. } = end.from;
        let Some(partition) = store.partitions.get(slot) else { return };
        if matches!(partition.role(), Role::Presiding { .. }) {
            if acked.log_end > partition.log().log_end() {
                return;
            }
            let voter = Voter { server, id: voter };
            return turn.tell(News::Acked { voter, flushed: Some(acked.flushed) });
        }
        let now = turn.now.mono;
        match store.with_leading(slot, |leading| leading.acked(sender, ends, now)) {
            Some(Ok(moved)) if moved.high_watermark => store.high_watermark_moved(slot, turn),
            Some(Ok(_)) | None => {}
            Some(Err(error)) => {
                mark("an ack that does not count");
                turn.notice(format!("an ack of server {server} does not count: {error}"));
            }
        }
    }

    /// A follower ends streams.
    pub(super) fn close(&mut self, lane: LaneId, streams: &[ClosedStream]) {
        for closed in streams {
            let Some(end) = self.lanes.get_mut(&lane) else { return };
            end.out.close(closed.stream);
            if let Some(stream) = end.streams.remove(&closed.stream) {
                self.unlist(stream.slot, |at, number| (at, number) == (lane, closed.stream));
            }
        }
    }

    /// The role of a partition has changed: streams of another epoch are over.
    pub(super) fn role_changed(&mut self, slot: u32, store: &Store, _turn: &mut Turn<'_>) {
        let epoch = store.partitions.get(slot).filter(|it| it.leads()).map(|it| it.epoch());
        let streams = self.by_slot.get(&slot).cloned().unwrap_or_default();
        for (lane, number) in streams {
            let Some(end) = self.lanes.get_mut(&lane) else { continue };
            let is_over = end.streams.get(&number).is_none_or(|it| Some(it.epoch) != epoch);
            if is_over {
                let reason = if epoch.is_some() { CloseReason::Epoch } else { CloseReason::NotLeader };
                self.end(lane, number, slot, reason);
            }
        }
    }

    pub(super) fn dropped(&mut self, slot: u32, _turn: &mut Turn<'_>) {
        for (lane, number) in self.by_slot.get(&slot).cloned().unwrap_or_default() {
            self.end(lane, number, slot, CloseReason::Gone);
        }
    }

    /// Ends a stream from this side.
    pub(super) fn end(&mut self, lane: LaneId, stream: StreamNumber, slot: u32, reason: CloseReason) {
        if let Some(end) = self.lanes.get_mut(&lane) {
            end.out.close(stream);
            end.streams.remove(&stream);
            end.closes.push(ClosedStream { stream, reason });
        }
        self.unlist(slot, |at, number| (at, number) == (lane, stream));
    }

    /// A partition has something that its followers lack, or its watermarks have moved.
    pub(super) fn moved(&mut self, slot: u32) {
        let Some(streams) = self.by_slot.get(&slot) else { return };
        for (lane, number) in streams {
            if let Some(end) = self.lanes.get_mut(lane) {
                end.out.has_news(*number, Lies::InTail);
                end.out.watermark_moved(*number);
            }
        }
    }

    /// Records were read for a stream.
    pub(super) fn run_read(&mut self, read: u64, results: Vec<FetchResult>, store: &Store) {
        let Some((lane, number)) = self.reads.remove(&read) else { return };
        let Some(end) = self.lanes.get_mut(&lane) else { return };
        let Some(stream) = end.streams.get_mut(&number) else { return };
        let slot = stream.slot;
        let fetched = results.into_iter().next().and_then(|result| result.outcome.ok());
        match fetched {
            Some(fetched) if !fetched.records.is_empty() => {
                stream.window = fetched.records;
                end.out.read_done(number);
            }
            _ => {
                // What cannot be read here is asked for again when the follower opens the stream anew.
                mark("records for a follower cannot be read");
                _ = store;
                self.end(lane, number, slot, CloseReason::NotLeader);
            }
        }
    }

    /// Says what there is to say, and sends what followers lack.
    pub(super) fn turn(
        &mut self,
        lanes: &Lanes,
        read: &mut super::Read,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        _ = lanes;
        let all: Vec<LaneId> = self.lanes.keys().copied().collect();
        for lane in all {
            if let Some(end) = self.lanes.get_mut(&lane) {
                end.answer(lane, turn);
                if end.out.is_silent(turn.now.mono) {
                    self.faulty.push(lane);
                    continue;
                }
            }
            self.send(lane, read, store, turn);
        }
    }

    pub(super) fn next_deadline(&self, now: MonoNanos) -> MonoNanos {
        let busy = |end: &LeaderEnd| !end.opened.is_empty() || !end.closes.is_empty();
        let of = |end: &LeaderEnd| if busy(end) { MonoNanos(0) } else { end.out.due(now) };
        self.lanes.values().map(of).min().unwrap_or(MonoNanos::NEVER)
    }
}

impl LeaderEnd {
    fn answer(&mut self, lane: LaneId, turn: &mut Turn<'_>) {
        while !self.opened.is_empty() {
            let few = self.opened.drain(..self.opened.len().min(STREAMS_MAX)).collect();
            send(lane, &Message::Opened(few), Vec::new(), turn);
        }
        while !self.closes.is_empty() {
            let few = self.closes.drain(..self.closes.len().min(STREAMS_MAX)).collect();
            send(lane, &Message::Close(few), Vec::new(), turn);
        }
    }
}

/// Where the record at an offset is.
pub(super) fn lies(slot: u32, next: Offset, store: &Store) -> Lies {
    let plan = store.partitions.get(slot).map(|it| it.log().run_from(next, Offset(i64::MAX), 1));
    if matches!(plan, Some(RunPlan::Cold)) { Lies::InSegments } else { Lies::InTail }
}

/// The run at the front of what was read.
pub(super) fn run_of(window: &[Payload], next: Offset, before: Offset) -> Option<(Run<()>, bytes::Bytes)> {
    let bytes = match window {
        [Payload::Bytes(bytes)] => bytes.clone(),
        pieces => bytes::Bytes::from(joined(pieces)),
    };
    Some((run_in(&bytes, next, before)?, bytes))
}

fn sender(from: &Dialler, stream: &OutStream) -> Sender {
    Sender { server: from.server, broker_epoch: stream.broker_epoch, leader_epoch: stream.epoch }
}
