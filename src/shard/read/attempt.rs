//! A look at what a fetch asks for: whole batches by reference where they are in memory, and where to read the others.

use crate::base::io::SegmentId;
use crate::base::{Offset, Payload};
use crate::log::{Agreement, DiskRead, PartitionLog, ReadLimits, ReadPlan};

use super::super::offsets::EpochEnd;
use super::super::request::{
    FetchPartition, FetchRequest, FetchResult, Fetched, FetchedBy, Known, PartitionError,
};
use super::super::store::Store;

/// One cold read brings at most this much for one partition; a fetch that wants more gets less, and asks again.
const COLD_READ_BYTES_MAX: usize = 1024 * 1024;

/// What a look at a fetch gives.
pub(super) struct Attempt {
    pub(super) results: Vec<FetchResult>,
    pub(super) bytes: usize,
    /// An error or a divergence: the answer does not wait for more bytes.
    pub(super) is_urgent: bool,
    pub(super) cold: Vec<ColdPart>,
}

/// A partition whose records are on disk.
pub(super) struct ColdPart {
    /// Which of the attempt's results waits for it.
    pub(super) result: usize,
    pub(super) slot: u32,
    pub(super) offset: Offset,
    pub(super) limits: ReadLimits,
    pub(super) cold: Cold,
}

/// What must be read first.
pub(super) enum Cold {
    Bytes(DiskRead),
    Index(SegmentId),
}

enum Look {
    /// The asker knows all about the partition already.
    Nothing,
    Ready(Fetched),
    Cold(Fetched, u32, ReadLimits, Cold),
}

impl Attempt {
    /// Looks at all of a request's partitions, in their turn.
    pub(super) fn at_all(request: &FetchRequest, store: &Store) -> Attempt {
        let all = 0..request.partitions.len();
        Attempt::at(request, (request.first..all.end).chain(0..request.first.min(all.end)), store)
    }

    /// Looks at some of a request's partitions.
    pub(super) fn at(request: &FetchRequest, indexes: impl Iterator<Item = usize>, store: &Store) -> Attempt {
        let mut attempt = Attempt { results: Vec::new(), bytes: 0, is_urgent: false, cold: Vec::new() };
        let mut left = request.bytes_max as usize;
        for (index, part) in indexes.filter_map(|index| Some((index, request.partitions.get(index)?))) {
            let limits = |visible_end| ReadLimits {
                visible_end,
                bytes_max: left.min(part.bytes_max as usize),
                first_whole: attempt.bytes == 0 && attempt.cold.is_empty(),
                for_follower: request.by == FetchedBy::Follower,
            };
            let outcome = match look(part, request.by, &limits, store) {
                Ok(Look::Nothing) => continue,
                Ok(Look::Ready(fetched)) => {
                    let bytes = fetched.records_bytes();
                    attempt.bytes += bytes;
                    left = left.saturating_sub(bytes);
                    attempt.is_urgent |= fetched.diverging.is_some();
                    Ok(fetched)
                }
                Ok(Look::Cold(fetched, slot, limits, cold)) => {
                    let result = attempt.results.len();
                    attempt.cold.push(ColdPart { result, slot, offset: part.offset, limits, cold });
                    left = left.saturating_sub(part.bytes_max as usize);
                    Ok(fetched)
                }
                Err(error) => {
                    attempt.is_urgent = true;
                    Err(error)
                }
            };
            let index = u32::try_from(index).expect("a request has fewer partitions");
            attempt.results.push(FetchResult { index, outcome });
        }
        attempt
    }

    /// Whether the asker is answered without a wait for more.
    pub(super) fn is_enough(&self, bytes_min: u32) -> bool {
        self.is_urgent || self.bytes >= bytes_min as usize
    }
}

fn look(
    part: &FetchPartition,
    by: FetchedBy,
    limits: &dyn Fn(Offset) -> ReadLimits,
    store: &Store,
) -> Result<Look, PartitionError> {
    let slot = store.partitions.find(part.partition).ok_or(PartitionError::NotHere)?;
    let partition = store.partitions.get(slot).ok_or(PartitionError::NotHere)?;
    if by == FetchedBy::Client && !partition.leads() {
        return Err(PartitionError::NotLeader);
    }
    partition.check_epoch(part.current_leader_epoch)?;
    let (log, marks) = (partition.log(), partition.watermarks());
    let mut fetched = Fetched {
        high_watermark: marks.high,
        last_stable_offset: marks.last_stable,
        log_start: marks.log_start,
        diverging: None,
        records: Vec::new(),
    };
    if part.last_fetched_epoch.0 >= 0 {
        match log.agreement(part.last_fetched_epoch, part.offset) {
            Agreement::Agreed => {}
            Agreement::Diverged { epoch, end } => {
                fetched.diverging = Some(EpochEnd { epoch, end });
                return Ok(Look::Ready(fetched));
            }
            Agreement::OutOfRange => return Err(out_of_range(log, part.offset)),
        }
    }
    let limits = limits(match by {
        FetchedBy::Client => marks.high,
        FetchedBy::Seat => marks.settled(),
        FetchedBy::Follower => marks.log_end,
    });
    match log.read(part.offset, &limits) {
        ReadPlan::Empty => {
            let now = Known { high_watermark: marks.high, log_start: marks.log_start };
            if part.known == now {
                return Ok(Look::Nothing);
            }
        }
        ReadPlan::Memory(pieces) => fetched.records = pieces.into_iter().map(Payload::Chunk).collect(),
        ReadPlan::Disk(read) => return Ok(Look::Cold(fetched, slot, limits, Cold::Bytes(read))),
        ReadPlan::Index(segment) => return Ok(Look::Cold(fetched, slot, limits, Cold::Index(segment))),
        ReadPlan::OutOfRange => return Err(out_of_range(log, part.offset)),
        ReadPlan::Damaged => return Err(PartitionError::Corrupt { offset: part.offset }),
    }
    Ok(Look::Ready(fetched))
}

/// The read, no larger than one may be.
pub(super) fn capped(at: DiskRead) -> DiskRead {
    DiskRead { bytes: at.bytes.min(COLD_READ_BYTES_MAX), ..at }
}

pub(super) fn out_of_range(log: &PartitionLog, requested: Offset) -> PartitionError {
    PartitionError::OffsetOutOfRange { requested, log_start: log.log_start(), log_end: log.log_end() }
}
