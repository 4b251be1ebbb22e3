//! What a leader says on a stream, as frames have it and as the roles and logs do.

use crate::log::{self, RunHeader};
use crate::peer::{Gap, OpenOutcome, Part};
use crate::record::BatchHeader;
use crate::replication::{self, Outcome};

pub(super) fn outcome(said: OpenOutcome) -> Outcome {
    match said {
        OpenOutcome::Fenced { current } => Outcome::Fenced { current },
        OpenOutcome::NotYet => Outcome::NotYet,
        OpenOutcome::Refused => Outcome::Refused,
        OpenOutcome::Begin { at, epoch_before } => Outcome::Begin { at, epoch_before },
        OpenOutcome::Diverging { epoch, end } => Outcome::Diverging { epoch, end },
        OpenOutcome::From { next } => Outcome::From { next },
        OpenOutcome::Snapshot { offset, epoch } => Outcome::Snapshot { offset, epoch },
    }
}

pub(super) fn gap(said: Gap) -> replication::Gap {
    match said {
        Gap::None => replication::Gap::None,
        Gap::Compacted => replication::Gap::Compacted,
        Gap::Damaged => replication::Gap::Damaged,
    }
}

/// A run as its log takes it: the part says where the log ends, and the first batch where the run begins.
pub(super) fn run_header(part: &Part, run: &[u8]) -> RunHeader {
    let first = BatchHeader::parse(run).map_or(part.base, |header| header.base_offset);
    let gap = match part.gap {
        Gap::None => log::Gap::None,
        Gap::Compacted => log::Gap::Compacted,
        Gap::Damaged => log::Gap::Damaged,
    };
    RunHeader { base: first, end: part.end, epoch: part.epoch, gap }
}
