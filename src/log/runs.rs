//! Runs for followers: whole batches of one leader epoch, back to back, as the log has them.

use crate::base::{ChunkSlice, LeaderEpoch, Offset};
use crate::record::{BATCH_HEADER_BYTES, BatchHeader};

use super::partition::PartitionLog;
use super::tail::TailBatch;

/// Batches of one epoch.
#[derive(Clone, Debug)]
pub struct Run<P = ChunkSlice> {
    pub pieces: Vec<P>,
    pub bytes: usize,
    /// The first batch's; above the offset asked for where compaction has left a gap.
    pub base: Offset,
    /// After the last record.
    pub end: Offset,
    pub epoch: LeaderEpoch,
    /// Compaction has left a gap somewhere between the offset asked for and the end.
    pub has_gap: bool,
}

/// Where the run that begins with an offset is.
#[derive(Debug)]
pub enum RunPlan {
    /// The log ends here.
    Nothing,
    Memory(Run),
    /// To be read like any old records.
    Cold,
    /// Offsets up to here are damaged; the log goes on behind them.
    Damaged {
        to: Offset,
    },
    OutOfRange,
}

impl PartitionLog {
    /// The run from `next` on, which may lie below the log's start ([`PartitionLog::kept_from`]), without batches from `before`
    /// on, and at most `bytes_max` of it unless its first batch is larger.
    #[must_use]
    pub fn run_from(&self, next: Offset, before: Offset, bytes_max: usize) -> RunPlan {
        if next < self.kept_from() || next > self.log_end {
            return RunPlan::OutOfRange;
        }
        if next == self.log_end {
            return RunPlan::Nothing;
        }
        if let Some(damaged) = self.damaged.iter().find(|range| range.contains(&next)) {
            return RunPlan::Damaged { to: damaged.end };
        }
        let Some((tail, batches)) = self.batches_in_memory(next) else { return RunPlan::Cold };
        match span(batches.take_while(|batch| batch.base < before), bytes_max) {
            Some(Span { first, last, has_gap }) => {
                let pieces = tail.slices(first.position, last.end_position());
                let bytes = pieces.iter().map(|piece| piece.len()).sum();
                let (base, end, epoch) = (first.base, last.last.plus(1), first.epoch);
                let has_gap = has_gap || base > next;
                RunPlan::Memory(Run { pieces, bytes, base, end, epoch, has_gap })
            }
            None => RunPlan::Cold,
        }
    }
}

/// The first and the last batch of a run.
struct Span<'a> {
    first: &'a TailBatch,
    last: &'a TailBatch,
    /// Offsets are missing between two of the batches.
    has_gap: bool,
}

fn span<'a>(batches: impl Iterator<Item = &'a TailBatch>, bytes_max: usize) -> Option<Span<'a>> {
    let mut found: Option<Span<'a>> = None;
    for batch in batches {
        let Some(span) = &mut found else {
            found = Some(Span { first: batch, last: batch, has_gap: false });
            continue;
        };
        if batch.epoch != span.first.epoch || batch.end_position() - span.first.position > bytes_max as u64 {
            break;
        }
        span.has_gap |= batch.base > span.last.last.plus(1);
        span.last = batch;
    }
    found
}

/// The run at the front of batches that were read, without those from `before` on: `None` if no whole batch is
/// there, or one cannot be read.
#[must_use]
pub fn run_in(bytes: &[u8], next: Offset, before: Offset) -> Option<Run<()>> {
    let (mut at, mut run): (usize, Option<Run<()>>) = (0, None);
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= BATCH_HEADER_BYTES) {
        let Ok(header) = BatchHeader::parse(rest) else { break };
        let is_wanted = header.last_offset() >= next && header.base_offset < before;
        if header.total_bytes() > rest.len() || !is_wanted {
            break;
        }
        let epoch = LeaderEpoch(header.leader_epoch.0);
        let run = run.get_or_insert(Run {
            pieces: Vec::new(),
            bytes: 0,
            base: header.base_offset,
            end: header.base_offset,
            epoch,
            has_gap: header.base_offset > next,
        });
        if run.epoch != epoch {
            break;
        }
        at += header.total_bytes();
        run.has_gap |= header.base_offset > run.end;
        run.bytes = at;
        run.end = header.last_offset().plus(1);
    }
    run
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::TimestampMs;
    use crate::record::BatchBuilder;

    fn batch(offset: i64, epoch: i32) -> Vec<u8> {
        let mut builder = BatchBuilder::new(TimestampMs(1)).placed(Offset(offset), LeaderEpoch(epoch));
        (0..2).for_each(|_| builder.append(None, Some(b"value")));
        builder.finish().expect("a batch")
    }

    #[test]
    fn a_run_ends_with_its_epoch_and_before_what_may_not_be_sent() {
        let log = [batch(10, 3), batch(12, 3), batch(14, 3), batch(16, 4)].concat();
        let end = |before: i64| run_in(&log, Offset(10), Offset(before)).map(|run| run.end.0);
        assert_eq!([99, 16, 14, 13, 12].map(end), [Some(16), Some(16), Some(14), Some(14), Some(12)]);
        assert_eq!(end(10), None, "nothing may be sent");
    }
}
