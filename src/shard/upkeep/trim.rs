//! DeleteRecords: a log's start moves up, at once for readers and for good once a checkpoint says so.
//!
//! The start lives in the checkpoint; segments below it go with retention's. Requests that come while one is being
//! written share the next. Then every member of the ISR names a start that is as high: whoever leads next begins no lower.

use crate::base::{LeaderEpoch, MonoNanos, Offset, mark};

use super::super::request::{DeleteRecordsPartition, PartitionError, RequestId, ShardReply};
use super::super::store::{Partition, Role, Store};
use super::super::turn::Turn;

/// So long a request waits for other servers.
const AGREE_MS: u64 = 30_000;

/// What became of one partition: its new start.
type Outcome = Result<Start, PartitionError>;

#[derive(Debug, Default)]
pub(super) struct Trims {
    /// Requests that wait for the next checkpoint.
    waiting: Vec<(RequestId, Vec<Outcome>)>,
    /// Requests that wait for the checkpoint under way.
    writing: Vec<(RequestId, Vec<Outcome>)>,
    /// Requests that wait for followers, each no longer than until its time.
    agreeing: Vec<(RequestId, Vec<Outcome>, MonoNanos)>,
}

/// Where a log begins from now on.
#[derive(Clone, Copy, Debug)]
struct Start {
    slot: u32,
    epoch: LeaderEpoch,
    at: Offset,
}

impl Trims {
    pub(super) fn want_checkpoint(&self) -> bool {
        !self.waiting.is_empty()
    }

    pub(super) fn begin(&mut self) {
        self.writing.append(&mut self.waiting);
    }

    /// A full disk refused the checkpoint.
    pub(super) fn refused(&mut self) {
        self.waiting.splice(0..0, self.writing.drain(..));
    }

    pub(super) fn delete_records(
        &mut self,
        id: RequestId,
        partitions: &[DeleteRecordsPartition],
        store: &mut Store,
        turn: &mut Turn<'_>,
    ) {
        let outcomes: Vec<Outcome> = partitions.iter().map(|asked| trim(*asked, store, turn)).collect();
        if outcomes.iter().any(Result::is_ok) {
            self.waiting.push((id, outcomes));
        } else {
            answer(id, outcomes, turn);
        }
    }

    /// A checkpoint with the new starts is on stable storage.
    pub(super) fn written(&mut self, store: &Store, turn: &mut Turn<'_>) {
        let until = turn.now.mono.plus_ms(AGREE_MS);
        let written = std::mem::take(&mut self.writing);
        self.agreeing.extend(written.into_iter().map(|(id, outcomes)| (id, outcomes, until)));
        self.turn(store, turn);
    }

    pub(super) fn next_deadline(&self) -> MonoNanos {
        self.agreeing.first().map_or(MonoNanos::NEVER, |(.., until)| *until)
    }

    /// Answers the requests whose starts no failover takes back.
    pub(super) fn turn(&mut self, store: &Store, turn: &mut Turn<'_>) {
        for (id, mut outcomes, until) in std::mem::take(&mut self.agreeing) {
            let is_late = until <= turn.now.mono;
            let mut is_settled = true;
            for outcome in &mut outcomes {
                let Ok(start) = outcome else { continue };
                match store.partitions.get(start.slot).and_then(|it| it.start_agreed(start.epoch)) {
                    None => *outcome = Err(PartitionError::NotLeader),
                    Some(agreed) if agreed >= start.at => {}
                    Some(_) if is_late => *outcome = Err(PartitionError::TimedOut),
                    Some(_) => is_settled = false,
                }
            }
            if is_settled {
                answer(id, outcomes, turn);
            } else {
                mark("records are deleted, and a follower has not said so yet");
                self.agreeing.push((id, outcomes, until));
            }
        }
    }
}

fn answer(id: RequestId, outcomes: Vec<Outcome>, turn: &mut Turn<'_>) {
    let starts = outcomes.into_iter().map(|outcome| outcome.map(|start| start.at)).collect();
    turn.reply(id, ShardReply::DeleteRecords(starts));
}

impl Partition {
    /// The lowest start that whoever may lead next has named; `None` if this server does not lead in that epoch. With fewer
    /// members than the minimum others are eligible too, of which nothing is known.
    fn start_agreed(&self, epoch: LeaderEpoch) -> Option<Offset> {
        match self.role() {
            Role::Leading(leading) if self.epoch() == epoch && !leading.can_acknowledge() => Some(Offset(-1)),
            Role::Leading(leading) if self.epoch() == epoch => Some(leading.named_start()),
            Role::Presiding { .. } => Some(self.log().log_start()),
            _ => None,
        }
    }
}

fn trim(asked: DeleteRecordsPartition, store: &mut Store, turn: &mut Turn<'_>) -> Outcome {
    if store.is_failed() {
        return Err(PartitionError::StorageFailed);
    }
    if store.is_stopping() {
        return Err(PartitionError::NotHere);
    }
    let slot = store.partitions.find(asked.partition).ok_or(PartitionError::NotHere)?;
    let partition = store.partitions.get_mut(slot).ok_or(PartitionError::NotHere)?;
    if !partition.leads() {
        return Err(PartitionError::NotLeader);
    }
    let marks = *partition.watermarks();
    let target = asked.before.unwrap_or(marks.high);
    if target.0 < 0 || target > marks.high {
        let (log_start, log_end) = (marks.log_start, marks.high);
        return Err(PartitionError::OffsetOutOfRange { requested: target, log_start, log_end });
    }
    let (at, epoch) = (partition.change(|log, _| log.advance_start(target)), partition.epoch());
    store.moved(slot, turn);
    Ok(Start { slot, epoch, at })
}
