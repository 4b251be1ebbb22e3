//! Reads logs back and holds them to the ledger: nothing lost, nothing twice, in order, every byte as it was sent, at the
//! offset that was acknowledged. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ringmain::record::BatchHeader;
use serde::{Deserialize, Serialize};

use crate::batch::{Mark, Mismatch, Template};
use crate::ledger::{LaneId, Ledger, Places};

/// While a run is measured, one large batch in so many is compared byte by byte; the rest are known by their marks.
const GLANCE: u64 = 16;
/// Comparing fewer bytes costs nothing that could be measured.
const SMALL_BYTES: usize = 16 * 1024;

/// What was read back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    pub acknowledged_records: u64,
    pub read_records: u64,
    /// Records in batches that were compared byte by byte; the others were known by their mark.
    pub compared_records: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CheckError {
    #[error("partition {partition} ends at {end}, acknowledged were offsets to {acknowledged}")]
    Shrunk { partition: i32, end: i64, acknowledged: i64 },
    #[error("partition {partition} grew by {grown} records, sent were {sent}: some are there twice")]
    Grown { partition: i32, grown: u64, sent: u64 },
    #[error("partition {partition}, offset {offset}: {what}")]
    Content { partition: i32, offset: i64, what: &'static str },
    #[error(
        "partition {partition}, offset {offset}: batch {found} of connection {connection}, expected {expected}: lost or out of order"
    )]
    Gap { partition: i32, offset: i64, connection: u32, found: u64, expected: u64 },
    #[error(
        "partition {partition}, offset {offset}: batch {found} of connection {connection}, expected {expected}: twice or out of order"
    )]
    Again { partition: i32, offset: i64, connection: u32, found: u64, expected: u64 },
    #[error(
        "partition {partition}: {missing} batches of connection {connection} are acknowledged and not in the log"
    )]
    Lost { partition: i32, connection: u32, missing: u64 },
    #[error(
        "partition {partition}: batch {sequence} of connection {connection} was acknowledged at offset {acknowledged} and is at {found}"
    )]
    Moved { partition: i32, connection: u32, sequence: u64, acknowledged: i64, found: i64 },
}

/// How closely batches are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Care {
    /// While a run is measured: small batches whole, of large ones a few.
    Glance,
    Every,
}

/// Takes in logs batch by batch.
#[derive(Debug)]
pub struct Checker {
    run: u64,
    template: Arc<Template>,
    care: Care,
    /// Partitions that are read from somewhere in the middle of the run.
    partial: BTreeSet<i32>,
    lanes: BTreeMap<LaneId, Seen>,
    batches: u64,
    compared: u64,
}

#[derive(Debug)]
struct Seen {
    next: u64,
    places: Places,
}

impl Checker {
    pub fn new(run: u64, template: Arc<Template>, care: Care, partial: BTreeSet<i32>) -> Checker {
        Checker { run, template, care, partial, lanes: BTreeMap::new(), batches: 0, compared: 0 }
    }

    /// Takes in the next batch of a partition and returns its mark.
    pub fn batch(&mut self, partition: i32, header: &BatchHeader, stored: &[u8]) -> Result<Mark, CheckError> {
        let offset = header.base_offset.0;
        let content = |what| CheckError::Content { partition, offset, what };
        self.batches += 1;
        let whole = self.care == Care::Every
            || stored.len() <= SMALL_BYTES
            || self.template.cycle().is_some()
            || self.batches.is_multiple_of(GLANCE);
        let mark = match whole {
            true => self.template.read(header, stored),
            false => self.template.glance(header, stored),
        };
        let mark = mark.map_err(|mismatch| match mismatch {
            Mismatch::Length => content("a batch of another size than was sent"),
            Mismatch::Content => content("a batch whose bytes differ from what was sent"),
            Mismatch::Checksum => content("a batch whose checksum differs from what was sent"),
        })?;
        if self.template.cycle().is_none() && mark.run != self.run {
            return Err(content("a batch of another run"));
        }
        self.compared += u64::from(whole);
        self.follow(partition, offset, &mark)?;
        Ok(mark)
    }

    fn follow(&mut self, partition: i32, offset: i64, mark: &Mark) -> Result<(), CheckError> {
        let connection = mark.connection;
        let first = if self.partial.contains(&partition) { mark.sequence } else { 0 };
        let new = || Seen { next: first, places: Places::new() };
        let seen = self.lanes.entry(LaneId { partition, connection }).or_insert_with(new);
        let (expected, found) = match self.template.cycle() {
            Some(cycle) => (seen.next % cycle, mark.sequence),
            None => (seen.next, mark.sequence),
        };
        if found > expected {
            return Err(CheckError::Gap { partition, offset, connection, found, expected });
        }
        if found < expected {
            return Err(CheckError::Again { partition, offset, connection, found, expected });
        }
        seen.places.note(seen.next, offset);
        seen.next += 1;
        Ok(())
    }

    /// The partition will be read again from where it began.
    pub fn forget(&mut self, partition: i32) {
        self.lanes.retain(|id, _| id.partition != partition);
    }

    /// Takes over what a checker of other partitions has seen.
    pub fn absorb(&mut self, other: Checker) {
        self.lanes.extend(other.lanes);
        self.partial.extend(other.partial);
        self.batches += other.batches;
        self.compared += other.compared;
    }

    /// After everything has been read: all that was acknowledged has been seen, where it was said to be.
    pub fn finish(&self, ledger: &Ledger) -> Result<Checked, CheckError> {
        for (id, lane) in ledger.lanes.iter().filter(|(_, lane)| lane.acknowledged > 0) {
            let LaneId { partition, connection } = *id;
            let is_partial = self.partial.contains(&partition);
            let seen = self.lanes.get(&self.known_as(*id));
            // Of a log read from the middle, a lane may have nothing in the part that is read, and a cycle no number.
            if is_partial && (seen.is_none() || self.template.cycle().is_some()) {
                continue;
            }
            let next = seen.map_or(0, |seen| seen.next);
            if next < lane.acknowledged {
                let missing = lane.acknowledged - next;
                return Err(CheckError::Lost { partition, connection, missing });
            }
            if let Some((sequence, acknowledged, found)) =
                seen.and_then(|seen| lane.places.difference(&seen.places))
            {
                return Err(CheckError::Moved { partition, connection, sequence, acknowledged, found });
            }
        }
        let records = u64::from(self.template.records);
        Ok(Checked {
            acknowledged_records: ledger.acknowledged_records(),
            read_records: self.batches * records,
            compared_records: self.compared * records,
        })
    }

    /// Compressed batches do not say who sent them: such loads have one connection on each partition.
    fn known_as(&self, id: LaneId) -> LaneId {
        if self.template.cycle().is_none() { id } else { LaneId { connection: 0, ..id } }
    }
}

#[cfg(test)]
mod tests {
    use ringmain::base::{LeaderEpoch, Offset, TimestampMs};
    use ringmain::record::{BATCH_HEADER_BYTES, Codec, stamp_header};

    use super::*;
    use crate::batch::Recipe;
    use crate::ledger::Lane;

    const RUN: u64 = 42;

    fn template(batch_bytes: usize, codec: Codec) -> Arc<Template> {
        let recipe = Recipe { batch_bytes, record_bytes: 100, records_max: 4, keyed: false, codec };
        Arc::new(Template::new(&recipe, TimestampMs(1)).expect("large enough"))
    }

    /// A log of one partition with these batches, (connection, sequence) each.
    fn log(template: &Template, batches: &[(u32, u64)]) -> Vec<(BatchHeader, Vec<u8>)> {
        let place = |(number, (connection, sequence)): (usize, &(u32, u64))| {
            let mark = Mark { run: RUN, connection: *connection, sequence: *sequence, ..Mark::default() };
            let mut bytes = Vec::new();
            let rest = template.stamp(&mark, 0, TimestampMs(1), &mut bytes);
            bytes.extend_from_slice(&rest);
            let offset = Offset(number as i64 * i64::from(template.records));
            let header: &mut [u8; BATCH_HEADER_BYTES] = bytes.first_chunk_mut().expect("whole");
            stamp_header(header, offset, LeaderEpoch(0));
            (BatchHeader::parse(&bytes).expect("whole"), bytes)
        };
        batches.iter().enumerate().map(place).collect()
    }

    /// A ledger in which these were acknowledged, (connection, sequences, offset of the first, distance).
    fn ledger(template: &Arc<Template>, lanes: &[(u32, u64, i64, i64)]) -> Ledger {
        let mut ledger = Ledger::new(RUN, Arc::clone(template));
        for (connection, count, first, distance) in lanes {
            let mut lane = Lane::new();
            for number in 0..*count {
                lane.sent += 1;
                let offset = (first + distance * number as i64) * i64::from(template.records);
                lane.acknowledge(offset, template.records);
            }
            ledger.lanes.insert(LaneId { partition: 0, connection: *connection }, lane);
        }
        ledger
    }

    fn check(
        template: &Arc<Template>,
        partial: bool,
        batches: &[(u32, u64)],
        lanes: &[(u32, u64, i64, i64)],
    ) -> Result<Checked, CheckError> {
        let partial = partial.then_some(0).into_iter().collect();
        let mut checker = Checker::new(RUN, Arc::clone(template), Care::Glance, partial);
        for (header, bytes) in log(template, batches) {
            checker.batch(0, &header, &bytes)?;
        }
        checker.finish(&ledger(template, lanes))
    }

    #[test]
    fn a_faithful_log_passes() {
        let template = template(1, Codec::None);
        let checked =
            check(&template, false, &[(0, 0), (1, 0), (0, 1), (1, 1)], &[(0, 2, 0, 2), (1, 2, 1, 2)]);
        let expected = Checked { acknowledged_records: 4, read_records: 4, compared_records: 4 };
        assert_eq!(checked, Ok(expected));
        // Sent but never acknowledged: may be there.
        assert!(check(&template, false, &[(0, 0), (0, 1)], &[(0, 1, 0, 1)]).is_ok());
    }

    #[test]
    fn loss_duplicates_order_and_place_are_found() {
        let template = template(1, Codec::None);
        let of = |batches: &[(u32, u64)], acknowledged: u64| {
            check(&template, false, batches, &[(0, acknowledged, 0, 1)]).expect_err("must be found")
        };
        assert!(matches!(of(&[(0, 0), (0, 2)], 3), CheckError::Gap { found: 2, expected: 1, .. }));
        assert!(matches!(of(&[(0, 1), (0, 2)], 3), CheckError::Gap { found: 1, expected: 0, .. }));
        assert!(matches!(of(&[(0, 0), (0, 0)], 1), CheckError::Again { found: 0, expected: 1, .. }));
        assert!(matches!(of(&[(0, 0)], 2), CheckError::Lost { missing: 1, .. }));
        assert!(matches!(of(&[], 2), CheckError::Lost { missing: 2, .. }));
        let moved = check(&template, false, &[(0, 0), (0, 1)], &[(0, 2, 0, 3)]);
        assert!(matches!(moved, Err(CheckError::Moved { sequence: 1, acknowledged: 3, found: 1, .. })));
    }

    #[test]
    fn a_log_read_from_the_middle_is_checked_from_there() {
        let template = template(1, Codec::None);
        assert!(check(&template, true, &[(0, 7), (0, 8)], &[(0, 9, -7, 1), (1, 3, 0, 1)]).is_ok());
        let lost = check(&template, true, &[(0, 7)], &[(0, 9, -7, 1)]);
        assert!(matches!(lost, Err(CheckError::Lost { missing: 1, .. })));
        assert!(check(&template, true, &[(0, 7), (0, 9)], &[]).is_err());
    }

    #[test]
    fn compressed_batches_are_followed_round_their_ring() {
        let template = template(400, Codec::Lz4);
        let all: Vec<(u32, u64)> = (0..600).map(|sequence| (9, sequence)).collect();
        assert!(check(&template, false, &all, &[(9, 600, 0, 1)]).is_ok());
        assert!(check(&template, false, &all[..599], &[(9, 600, 0, 1)]).is_err());
        let gap: Vec<_> = all.iter().copied().filter(|(_, sequence)| *sequence != 300).collect();
        assert!(check(&template, false, &gap, &[]).is_err());
    }

    #[test]
    fn another_run_and_changed_bytes_are_found() {
        let template = template(1, Codec::None);
        let (header, bytes) = log(&template, &[(0, 0)]).remove(0);
        let mut other = Checker::new(RUN + 1, Arc::clone(&template), Care::Every, BTreeSet::new());
        assert!(matches!(other.batch(0, &header, &bytes), Err(CheckError::Content { .. })));
        let mut changed = bytes;
        *changed.last_mut().expect("not empty") ^= 1;
        let mut ours = Checker::new(RUN, Arc::clone(&template), Care::Every, BTreeSet::new());
        assert!(matches!(ours.batch(0, &header, &changed), Err(CheckError::Content { .. })));
    }

    #[test]
    fn growth_tells_loss_and_duplicates_without_reading() {
        let template = template(1, Codec::None);
        let mut ledger = ledger(&template, &[(0, 5, 10, 1)]);
        ledger.lanes.values_mut().for_each(|lane| lane.sent = 6);
        let grown = |end: i64| ledger.check_growth(&BTreeMap::from([(0, 10)]), &BTreeMap::from([(0, end)]));
        assert!(matches!(grown(14), Err(CheckError::Shrunk { end: 14, acknowledged: 15, .. })));
        assert_eq!((grown(15), grown(16)), (Ok(()), Ok(())));
        assert!(matches!(grown(17), Err(CheckError::Grown { grown: 7, sent: 6, .. })));
    }
}
