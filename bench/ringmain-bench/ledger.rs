//! What a run sent and what was acknowledged of it: the truth that the checker holds logs to. Pure.
//!
//! A lane is what one connection sends to one partition: its batches are numbered, and the broker answers a connection in
//! order, so what is acknowledged is always the first so many. Memory is bounded: of the offsets, each lane keeps at most
//! [`PLACES_MAX`], further apart the longer it runs.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::batch::Template;
use crate::check::CheckError;

const PLACES_MAX: usize = 256;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LaneId {
    pub partition: i32,
    pub connection: u32,
}

/// Base offsets of some batches of a lane: those whose sequence is a multiple of the stride.
#[derive(Clone, Debug)]
pub struct Places {
    stride: u64,
    kept: Vec<(u64, i64)>,
}

impl Places {
    pub fn new() -> Places {
        Places { stride: 1, kept: Vec::new() }
    }

    pub fn note(&mut self, sequence: u64, base_offset: i64) {
        if sequence.is_multiple_of(self.stride) {
            self.kept.push((sequence, base_offset));
        }
        if self.kept.len() > PLACES_MAX {
            self.stride *= 2;
            let stride = self.stride;
            self.kept.retain(|(sequence, _)| sequence.is_multiple_of(stride));
        }
    }

    /// The first sequence that both know at different offsets: (sequence, our offset, theirs).
    pub fn difference(&self, other: &Places) -> Option<(u64, i64, i64)> {
        self.kept.iter().find_map(|(sequence, ours)| {
            let at = other.kept.binary_search_by_key(sequence, |(sequence, _)| *sequence).ok()?;
            let (_, theirs) = other.kept.get(at)?;
            (ours != theirs).then_some((*sequence, *ours, *theirs))
        })
    }
}

/// A lane as its sender sees it.
#[derive(Clone, Debug)]
pub struct Lane {
    pub sent: u64,
    pub acknowledged: u64,
    /// Offset after the last acknowledged record.
    pub end: i64,
    pub places: Places,
}

impl Lane {
    pub fn new() -> Lane {
        Lane { sent: 0, acknowledged: 0, end: 0, places: Places::new() }
    }

    /// The broker has acknowledged the lane's next batch at this offset; false if the offset is not beyond the last.
    pub fn acknowledge(&mut self, base_offset: i64, records: u32) -> bool {
        let ascends = base_offset >= self.end;
        self.places.note(self.acknowledged, base_offset);
        self.acknowledged += 1;
        self.end = base_offset + i64::from(records);
        ascends
    }
}

/// Everything a run sent.
#[derive(Clone, Debug)]
pub struct Ledger {
    pub run: u64,
    pub template: Arc<Template>,
    pub lanes: BTreeMap<LaneId, Lane>,
}

impl Ledger {
    pub fn new(run: u64, template: Arc<Template>) -> Ledger {
        Ledger { run, template, lanes: BTreeMap::new() }
    }

    pub fn acknowledged_records(&self) -> u64 {
        let batches: u64 = self.lanes.values().map(|lane| lane.acknowledged).sum();
        batches * u64::from(self.template.records)
    }

    /// How far each log that began at `before` may and must have grown: less is loss, more is duplicates.
    pub fn check_growth(
        &self,
        before: &BTreeMap<i32, i64>,
        after: &BTreeMap<i32, i64>,
    ) -> Result<(), CheckError> {
        let mut expected: BTreeMap<i32, (u64, u64, i64)> = BTreeMap::new();
        for (id, lane) in &self.lanes {
            let row = expected.entry(id.partition).or_default();
            *row = (row.0 + lane.acknowledged, row.1 + lane.sent, row.2.max(lane.end));
        }
        let records = u64::from(self.template.records);
        for (partition, (acknowledged, sent, end)) in expected {
            let at = |offsets: &BTreeMap<i32, i64>| offsets.get(&partition).copied().unwrap_or(0);
            let grown = at(after).saturating_sub(at(before)).max(0).unsigned_abs();
            if grown < acknowledged * records || at(after) < end {
                let acknowledged = end.max(at(before) + (acknowledged * records).cast_signed());
                return Err(CheckError::Shrunk { partition, end: at(after), acknowledged });
            }
            if grown > sent * records {
                return Err(CheckError::Grown { partition, grown, sent: sent * records });
            }
        }
        Ok(())
    }
}
