//! Runs that a leader sends go into the logs that follow.

use bytes::Bytes;

use crate::base::{LaneId, mark};
use crate::peer::{CloseReason, LaneKind, Part};
use crate::replication::{self, Refusal, Take};

use super::super::store::Store;
use super::super::turn::{News, Turn};
use super::following::{Followings, follow_start, told_if_moved};
use super::words::{gap, run_header};

impl Followings {
    /// Runs, and what the leader tells with them.
    pub(super) fn append(
        &mut self,
        lane: LaneId,
        parts: &[Part],
        payload: &Bytes,
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let Some(end) = self.lanes.get_mut(&lane) else { return };
        if let Err(error) = end.intake.received(payload.len() as u64, turn.now.mono) {
            turn.notice(format!("server {} misuses a lane: {error}", end.target.server));
            return self.faulty.push(lane);
        }
        let mut at = 0;
        for part in parts {
            let bytes = usize::try_from(part.bytes).expect("a u32 fits");
            // The codec has checked that the parts are the payload.
            let run = payload.slice(at..at + bytes);
            at += bytes;
            self.take(lane, part, run, store, turn);
        }
    }

    fn take(&mut self, lane: LaneId, part: &Part, run: Bytes, store: &mut Store, turn: &mut Turn<'_>) {
        let Some(end) = self.lanes.get_mut(&lane) else { return };
        let Some(slot) = end.streams.get(&part.stream).copied() else {
            mark("bytes for a stream that is over give their credit back");
            return end.intake.dropped(part.bytes);
        };
        let is_metadata = end.target.kind == LaneKind::Control;
        let before = store.partitions.get(slot).map(|it| it.watermarks().high);
        let said = replication::Part {
            base: part.base,
            end: part.end,
            bytes: part.bytes,
            gap: gap(part.gap),
            high_watermark: part.high_watermark,
            log_start: part.log_start,
        };
        let now = turn.now.mono;
        let taken = store.with_following(slot, |following, _| following.appended(part.stream, &said, now));
        match taken {
            Some(Ok(Take::Run | Take::Gap(_))) => {
                let header = run_header(part, &run);
                match store.replicate(slot, &run, header, turn) {
                    Ok(()) => {
                        end.intake.taken(part.stream, part.end, part.bytes);
                        if is_metadata {
                            turn.tell(News::Replicated(run));
                        }
                    }
                    Err(error) => {
                        mark("a run was refused by the log");
                        turn.notice(format!("a run from server {} was refused: {error}", end.target.server));
                        end.intake.dropped(part.bytes);
                        _ = store.with_following(slot, |following, _| following.close(now));
                        end.forget(slot, now, CloseReason::Mismatch);
                        self.ask_later(slot, store);
                    }
                }
            }
            // A part without a run has no bytes.
            Some(Ok(Take::Nothing)) => {}
            Some(Err(Refusal::OldStream)) | None => end.intake.dropped(part.bytes),
            Some(Err(refusal)) => {
                end.intake.dropped(part.bytes);
                self.refused(lane, slot, &refusal, store, turn);
            }
        }
        follow_start(slot, store, turn);
        told_if_moved(slot, before, store, turn);
    }
}
