//! One lane from a leader: its streams, and what is to be said on it.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{LaneId, MonoNanos, Offset, StreamNumber};
use crate::peer::limits::STREAMS_MAX;
use crate::peer::{Ack, Acked, CloseReason, ClosedStream, Message, OpenStream};
use crate::replication::InLane;

use super::super::store::Store;
use super::super::turn::Turn;
use super::gathering::Gathering;
use super::lanes::send;
use super::target::Target;

/// One lane, from this end.
#[derive(Debug)]
pub(super) struct FollowerEnd {
    pub(super) target: Target,
    pub(super) intake: InLane,
    pub(super) streams: BTreeMap<StreamNumber, u32>,
    pub(super) opens: Vec<OpenStream>,
    pub(super) closes: Vec<ClosedStream>,
    /// Partitions that have something to acknowledge.
    pub(super) dirty: BTreeSet<u32>,
    /// The snapshot of the metadata that comes in pieces.
    pub(super) gathering: Option<Gathering>,
}

impl FollowerEnd {
    /// Ends the stream of a partition.
    pub(super) fn forget(&mut self, slot: u32, now: MonoNanos, reason: CloseReason) {
        let numbers: Vec<StreamNumber> =
            self.streams.iter().filter(|(_, it)| **it == slot).map(|(stream, _)| *stream).collect();
        for stream in numbers {
            self.streams.remove(&stream);
            self.intake.close(stream, now);
            self.opens.retain(|open| open.stream != stream);
            self.closes.push(ClosedStream { stream, reason });
        }
        self.dirty.remove(&slot);
        self.gathering.take_if(|gathering| gathering.slot == slot);
    }

    /// What the streams of a partition have brought is durable up to here: its credit goes back.
    pub(super) fn flushed(&mut self, slot: u32, flushed: Offset) {
        let streams = self.streams.iter().filter(|(_, it)| **it == slot).map(|(stream, _)| *stream);
        for stream in streams {
            self.intake.flushed(stream, flushed);
        }
    }

    /// Says what there is to say.
    pub(super) fn speak(&mut self, lane: LaneId, store: &mut Store, turn: &mut Turn<'_>) {
        while !self.closes.is_empty() {
            let few = self.closes.drain(..self.closes.len().min(STREAMS_MAX)).collect();
            send(lane, &Message::Close(few), Vec::new(), turn);
        }
        while !self.opens.is_empty() {
            let few = self.opens.drain(..self.opens.len().min(STREAMS_MAX)).collect();
            send(lane, &Message::Open(few), Vec::new(), turn);
        }
        let mut acked = Vec::new();
        while let Some(slot) = self.dirty.pop_first() {
            let Some(stream) = self.streams.iter().find(|(_, it)| **it == slot).map(|it| *it.0) else {
                continue;
            };
            let named = store.named_start(slot);
            let ends = store.with_following(slot, |following, _| following.ack(named)).flatten();
            if let Some(ends) = ends {
                acked.push(Acked {
                    stream,
                    log_end: ends.log_end,
                    flushed: ends.flushed,
                    log_start: ends.log_start,
                    wants_high_watermark: false,
                    damaged: false,
                });
            }
            if acked.len() == STREAMS_MAX {
                break;
            }
        }
        if !acked.is_empty() || self.intake.wants_ack(turn.now.mono) {
            let credit = u32::try_from(self.intake.ack()).expect("a window is below 4 GiB");
            send(lane, &Message::Ack(Ack { acked, credit }), Vec::new(), turn);
        }
    }
}
