//! The part of a segment that was whole and synced when the last life ended: only its end is looked at, by way of its index.
//! An index that does not lead there is built anew from all of the part.

use std::fs;
use std::path::Path;

use crate::base::Offset;
use crate::log::{IndexEvidence, IndexedBatch, Lead, Reach, SparseIndex, Verdict};
use crate::record::BatchHeader;
use crate::runtime::layout::segment_file;

use super::error::RecoveryError;
use super::scan::{Checksums, Follows, READ_BYTES, Rules, Scan};

/// A part that was there before, as it is now.
pub(super) struct KnownPart {
    pub(super) reach: Reach,
    pub(super) index: SparseIndex,
    /// The index says more than its files do.
    pub(super) index_changed: bool,
    /// Bytes between the last entry known before and the part's end.
    pub(super) walked: u64,
    /// What is said of damage in it.
    pub(super) passed_over: Vec<Verdict>,
}

/// Where a part lies, and how far it should reach.
#[derive(Clone, Copy)]
pub(super) struct Part<'a> {
    pub(super) path: &'a Path,
    pub(super) base: Offset,
    pub(super) expected: Reach,
    pub(super) log_start: Offset,
}

/// What is known of the largest timestamp that an index names: retention goes by it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Times {
    /// The timestamp comes from a file without checksums.
    Unknown,
    /// A checksum stood beside it, or the segment is not finished: larger ones will follow.
    Checked,
}

/// Looks from the last entry of `index` on whether batches follow each other to the end of the part; if not, from the
/// beginning on, and builds the index anew.
pub(super) fn look(part: &Part<'_>, index: SparseIndex, times: Times) -> Result<KnownPart, RecoveryError> {
    let (evidence, known) = match index.max_timestamp(part.base) {
        None => (IndexEvidence::Bare, None),
        Some(_) => follow_index(part, index, times)?,
    };
    match known.filter(|_| evidence.verdict() == Verdict::IndexLeads) {
        Some(known) => Ok(known),
        None => rebuild(part),
    }
}

fn rebuild(part: &Part<'_>) -> Result<KnownPart, RecoveryError> {
    let Part { path, base, expected: Reach { position: to, ends }, .. } = *part;
    let mut index = SparseIndex::default();
    let mut scan = Scan::open(path, 0, to)?;
    let walked = scan.walk(base, &part.rules(ends), &mut |header, position, _| {
        note(&mut index, base, header, position);
    })?;
    let (reach, passed_over) = (walked.reach, walked.passed_over);
    Ok(KnownPart { reach, index, index_changed: true, walked: to, passed_over })
}

fn follow_index(
    part: &Part<'_>,
    mut index: SparseIndex,
    times: Times,
) -> Result<(IndexEvidence, Option<KnownPart>), RecoveryError> {
    let Part { path, base, expected, .. } = *part;
    let to = expected.position;
    let Lead { position, mut landmarks } = index.lead_to(base, Offset(i64::MAX));
    if let Some((timestamp, offset)) = index.max_timestamp(base).filter(|_| times == Times::Unknown) {
        let lead = index.lead_to_largest(base, timestamp, offset);
        if lead.position == position {
            landmarks = lead.landmarks;
        } else if !leads(path, lead, to)? {
            return Ok((IndexEvidence::Misled, None));
        }
    }
    let entries = index.len();
    let is_little = to.saturating_sub(position) <= READ_BYTES as u64;
    let open = if is_little { Scan::open_for_little } else { Scan::open };
    let mut scan = open(path, position, to)?;
    let mut leads = true;
    let from = if position == 0 { base } else { Offset(0) };
    let walked = scan.walk(from, &part.rules(Offset(0)), &mut |header, at_position, _| {
        leads &= landmarks.pass(header.last_offset(), header.max_timestamp);
        note(&mut index, base, header, at_position);
    })?;
    if !leads || !landmarks.are_passed() {
        return Ok((IndexEvidence::Misled, None));
    }
    let (reach, passed_over) = (walked.reach, walked.passed_over);
    let index_changed = index.len() > entries;
    let known = KnownPart { reach, index, index_changed, walked: to - position, passed_over };
    Ok((IndexEvidence::Followed { found: reach, expected }, Some(known)))
}

impl Part<'_> {
    /// Records below `durable` are looked for behind damage.
    fn rules(&self, durable: Offset) -> Rules {
        Rules {
            follows: Follows::Gaps,
            checksums: Checksums::BeyondLimit,
            segment: self.base,
            durable,
            limit: self.expected.ends,
            log_start: self.log_start,
        }
    }
}

/// Whether the batches are there that an index names.
fn leads(path: &Path, Lead { position, mut landmarks }: Lead, to: u64) -> Result<bool, RecoveryError> {
    let mut scan = Scan::open_for_little(path, position, to)?;
    while !landmarks.are_passed() {
        let Some((header, _)) = scan.next(|_| true)? else { return Ok(false) };
        if !landmarks.pass(header.last_offset(), header.max_timestamp) {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(super) fn read_index(folder: &Path, base: Offset, to: u64) -> SparseIndex {
    let offsets = fs::read(segment_file(folder, base, "index")).unwrap_or_default();
    let times = fs::read(segment_file(folder, base, "timeindex")).unwrap_or_default();
    SparseIndex::decode(&offsets, &times, to)
}

pub(super) fn note(index: &mut SparseIndex, base: Offset, header: &BatchHeader, position: u64) {
    index.note(base, IndexedBatch::of(header, position), 0);
}
