//! What a leader sends in a turn: runs that its followers lack, from memory by reference or as they were read.

use std::sync::Arc;

use bytes::Bytes;

use crate::base::{LaneId, LeaderEpoch, Offset, Payload, StreamNumber, mark};
use crate::log::{self, RunPlan, rest_of_empty};
use crate::peer::{CloseReason, Gap, Message, Part, SnapshotPart};
use crate::replication::{self, Left, Offer, Run};

use super::super::read::Read;
use super::super::request::{FetchPartition, FetchRequest, FetchedBy, Known};
use super::super::store::Store;
use super::super::turn::{Asker, Turn};
use super::lanes::send;
use super::leading::{Leadings, run_of};

/// Frames of one lane in one turn, at most: others get the processor in between.
const FRAMES_MAX: usize = 8;
/// Read for a stream at a time.
const COLD_READ_BYTES: u32 = 1024 * 1024;

/// A run on its way into a frame.
struct Found {
    part: Part,
    pieces: Vec<Payload>,
    left: Left,
}

/// What goes out together.
#[derive(Default)]
struct Filled {
    parts: Vec<Part>,
    payload: Vec<Payload>,
    /// Pieces of snapshots, each a frame of its own.
    pieces: Vec<(SnapshotPart, Bytes)>,
}

/// What a stream has at its turn.
enum Next {
    Found(Found),
    Nothing,
    /// To be read first.
    Cold,
    /// The stream cannot go on.
    Over(CloseReason),
}

impl Leadings {
    /// Sends what the followers on a lane lack, as far as its credit goes.
    pub(super) fn send(&mut self, lane: LaneId, read: &mut Read, store: &mut Store, turn: &mut Turn<'_>) {
        for _ in 0..FRAMES_MAX {
            let Some(end) = self.lanes.get(&lane) else { return };
            if !end.out.wants_frame(turn.now.mono) {
                break;
            }
            let Filled { parts, payload, pieces } = self.fill(lane, store, turn);
            let Some(end) = self.lanes.get_mut(&lane) else { return };
            let Some(_) = end.out.end_frame(turn.now.mono) else { break };
            // Also without parts: whoever is handed a snapshot hears by this that the leader leads.
            send(lane, &Message::Append(parts), payload, turn);
            for (part, piece) in pieces {
                send(lane, &Message::SnapshotPart(part), vec![Payload::Bytes(piece)], turn);
            }
        }
        self.begin_reads(lane, read, store, turn);
    }

    fn fill(&mut self, lane: LaneId, store: &Store, turn: &Turn<'_>) -> Filled {
        let Filled { mut parts, mut payload, mut pieces } = Filled::default();
        let now = turn.now.mono;
        while let Some(next) = self.lanes.get_mut(&lane).and_then(|end| end.out.next_turn(now)) {
            match next {
                replication::Turn::Watermark { stream, next } => {
                    parts.extend(self.watermark(lane, stream, next, store));
                }
                replication::Turn::Run { stream, next, bytes_max } => {
                    if let Some((piece, run)) = self.next_piece(lane, stream, bytes_max as usize) {
                        let Some(end) = self.lanes.get_mut(&lane) else { break };
                        assert_eq!(
                            end.out.offer(stream, run),
                            Offer::Placed,
                            "a piece has the size asked for"
                        );
                        pieces.extend(piece);
                        continue;
                    }
                    let found = self.next_run(lane, stream, next, bytes_max as usize, store);
                    let Some(end) = self.lanes.get_mut(&lane) else { break };
                    match found {
                        Next::Found(found) => {
                            let run = Run { end: found.part.end, bytes: found.part.bytes, left: found.left };
                            if end.out.offer(stream, run) == Offer::NotNow {
                                break;
                            }
                            if let Some(stream) = end.streams.get_mut(&stream) {
                                stream.window.clear();
                            }
                            parts.push(found.part);
                            payload.extend(found.pieces);
                        }
                        Next::Nothing => {
                            end.out.offer(stream, Run { end: next, bytes: 0, left: Left::Nothing });
                        }
                        Next::Cold => {
                            end.out.offer(stream, Run { end: next, bytes: 0, left: Left::InSegments });
                        }
                        Next::Over(reason) => {
                            let slot = end.streams.get(&stream).map_or(0, |it| it.slot);
                            end.out.offer(stream, Run { end: next, bytes: 0, left: Left::Nothing });
                            self.end(lane, stream, slot, reason);
                        }
                    }
                }
            }
        }
        Filled { parts, payload, pieces }
    }

    fn watermark(&self, lane: LaneId, stream: StreamNumber, next: Offset, store: &Store) -> Option<Part> {
        let it = self.lanes.get(&lane)?.streams.get(&stream).filter(|it| it.handing.is_none())?;
        let partition = store.partitions.get(it.slot)?;
        let marks = partition.watermarks();
        Some(Part {
            stream,
            bytes: 0,
            base: next,
            end: next,
            epoch: partition.epoch(),
            gap: Gap::None,
            high_watermark: marks.high,
            log_start: marks.log_start,
        })
    }

    /// The run that a stream goes on with.
    fn next_run(
        &self,
        lane: LaneId,
        number: StreamNumber,
        next: Offset,
        bytes_max: usize,
        store: &Store,
    ) -> Next {
        let stream = self.lanes.get(&lane).and_then(|end| end.streams.get(&number));
        let Some(stream) = stream else { return Next::Nothing };
        let Some(partition) = store.partitions.get(stream.slot) else { return Next::Nothing };
        let (log, marks) = (partition.log(), *partition.watermarks());
        if next < log.kept_from() {
            mark("the leader's log start has passed what a follower lacks");
            return Next::Over(CloseReason::Epoch);
        }
        let before = store.sendable_end(stream.slot);
        if next >= marks.log_end || next >= before {
            return Next::Nothing;
        }
        let (bytes, end, epoch, has_gap, pieces) = if stream.window.is_empty() {
            match log.run_from(next, before, bytes_max) {
                // Whether that batch has records is known when it is read.
                RunPlan::Memory(run) if run.base < next => return Next::Cold,
                RunPlan::Memory(run) => {
                    let pieces = run.pieces.into_iter().map(Payload::Chunk).collect();
                    (run.bytes, run.end, run.epoch, run.has_gap, pieces)
                }
                RunPlan::Nothing => return Next::Nothing,
                RunPlan::Cold => return Next::Cold,
                RunPlan::OutOfRange => return Next::Over(CloseReason::Epoch),
                RunPlan::Damaged { .. } => return Next::Over(CloseReason::NotLeader),
            }
        } else {
            match in_window(&stream.window, next, before) {
                Some((run, bytes)) => {
                    (bytes.len(), run.end, run.epoch, run.has_gap, vec![Payload::Bytes(bytes)])
                }
                None => return Next::Over(CloseReason::Mismatch),
            }
        };
        let left = match () {
            () if end >= marks.log_end => Left::Nothing,
            () if matches!(log.run_from(end, Offset(i64::MAX), 1), RunPlan::Cold) => Left::InSegments,
            () => Left::InTail,
        };
        let part = Part {
            stream: number,
            bytes: u32::try_from(bytes).expect("a batch is below 2 GiB"),
            base: next,
            end,
            epoch,
            gap: if has_gap { Gap::Compacted } else { Gap::None },
            high_watermark: marks.high,
            log_start: marks.log_start,
        };
        Next::Found(Found { part, pieces, left })
    }

    /// Has records read that lie in segments.
    fn begin_reads(&mut self, lane: LaneId, read: &mut Read, store: &mut Store, turn: &mut Turn<'_>) {
        while let Some((number, next)) = self.lanes.get_mut(&lane).and_then(|end| end.out.next_read()) {
            let stream = self.lanes.get(&lane).and_then(|end| end.streams.get(&number));
            let partition = stream.and_then(|stream| store.partitions.get(stream.slot));
            let Some(partition) = partition.map(|it| it.log().id) else { continue };
            self.next_read += 1;
            self.reads.insert(self.next_read, (lane, number));
            mark("records for a follower are read from segments");
            let part = FetchPartition {
                partition,
                offset: next,
                current_leader_epoch: LeaderEpoch(-1),
                last_fetched_epoch: LeaderEpoch(-1),
                bytes_max: COLD_READ_BYTES,
                known: Known::NOTHING,
            };
            let request = FetchRequest {
                partitions: Arc::new(vec![part]),
                first: 0,
                wait_ms_max: 0,
                bytes_min: 0,
                bytes_max: COLD_READ_BYTES,
                read_committed: false,
                by: FetchedBy::Follower,
            };
            read.fetch(Asker::Stream(self.next_read), request, store, turn);
        }
    }
}

/// The run that begins with an offset among what was read, and its bytes. A follower may have the beginning of an empty batch,
/// and gets the rest of it.
fn in_window(window: &[Payload], next: Offset, before: Offset) -> Option<(log::Run<()>, Bytes)> {
    let (mut run, bytes) = run_of(window, next, before)?;
    if run.base < next {
        let (rest, end) = rest_of_empty(&bytes, next)?;
        mark("a follower has the beginning of an empty batch");
        (run.end, run.has_gap) = (end, false);
        return Some((run, Bytes::copy_from_slice(&rest)));
    }
    let bytes = bytes.slice(..run.bytes);
    Some((run, bytes))
}
