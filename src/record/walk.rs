//! Checks the records of one batch as their bytes stream by, and finds their greatest timestamp.
//!
//! A batch may inflate to many times its size, so the walk keeps no records. A record can be cut by the end of a piece: of
//! that one the walk keeps which field comes next and how many bytes of the record are left. Records that lie whole in a
//! piece, which are nearly all, are read by the same cursor that readers use. Both ways refuse the same records.

use crate::base::TimestampMs;
use crate::base::varint::{self, VARINT32_BYTES_MAX, VARINT64_BYTES_MAX};

use super::batch::BatchHeader;
use super::error::{BatchError, RecordProblem, Refusal, RefusedRecord};
use super::reader::Cursor;

/// Most refused records of one batch that an answer names, so that the answer does not become larger than the request.
pub const REFUSED_RECORDS_NAMED_MAX: usize = 1000;

/// What a topic demands of each record.
#[derive(Clone, Copy, Debug)]
pub struct RecordRules {
    pub now: TimestampMs,
    /// Which timestamps are allowed; `None` for topics that stamp at append.
    pub timestamps: Option<TimestampRange>,
    /// Every record must have a key, as in compacted topics.
    pub keys_required: bool,
    /// Most bytes of one record, without the length before it.
    pub record_bytes_max: usize,
}

/// How far behind and ahead of now a timestamp may be, in milliseconds; `i64::MAX` is no limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimestampRange {
    pub before_ms_max: u64,
    pub after_ms_max: u64,
}

impl TimestampRange {
    /// Whether a record may carry this timestamp. "No timestamp" (-1) is always allowed, and so are times before 1970.
    #[must_use]
    pub fn allows(self, timestamp: TimestampMs, now: TimestampMs) -> bool {
        if timestamp == TimestampMs::NONE {
            return true;
        }
        let age = now.0.saturating_sub(timestamp.0);
        let too_old = u64::try_from(age).is_ok_and(|age| age > self.before_ms_max);
        let too_new = u64::try_from(age.saturating_neg()).is_ok_and(|ahead| ahead > self.after_ms_max);
        !too_old && !too_new
    }
}

/// A walk over the records of one batch.
#[derive(Debug)]
pub(super) struct RecordWalk {
    rules: RecordRules,
    base_timestamp: TimestampMs,
    count: usize,
    /// Index of the record being read; at the end, the number of records.
    index: usize,
    max_timestamp: TimestampMs,
    refused: Vec<RefusedRecord>,
    /// The field that comes next in a record that is cut by the end of a piece.
    field: Field,
    /// Bytes of that record that are still to come.
    left: usize,
    /// The beginning of a number that is cut by the end of a piece.
    number: Number,
    /// The timestamp of the record being read, as far as it is known.
    timestamp: TimestampMs,
    has_key: bool,
}

/// The fields of a record in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    Length,
    Attributes,
    Timestamp,
    Offset,
    KeyLength,
    /// So many bytes that are skipped, and what follows them.
    Skip(usize, After),
    ValueLength,
    HeaderCount,
    /// So many headers are still to come, this one included.
    HeaderKeyLength(usize),
    HeaderValueLength(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    Key,
    Value,
    HeaderKey(usize),
    HeaderValue(usize),
}

#[derive(Clone, Copy, Debug, Default)]
struct Number {
    bytes: [u8; VARINT64_BYTES_MAX],
    len: usize,
}

impl RecordWalk {
    /// A walk over the records that follow `header`.
    pub fn new(header: &BatchHeader, rules: RecordRules) -> RecordWalk {
        RecordWalk {
            rules,
            base_timestamp: header.base_timestamp,
            count: usize::try_from(header.records_count).unwrap_or(0),
            index: 0,
            max_timestamp: TimestampMs::NONE,
            refused: Vec::new(),
            field: Field::Length,
            left: 0,
            number: Number::default(),
            timestamp: TimestampMs::NONE,
            has_key: false,
        }
    }

    /// Goes on with the next piece of the batch's records.
    pub fn feed(&mut self, mut bytes: &[u8]) -> Result<(), BatchError> {
        while !bytes.is_empty() {
            let is_between = self.field == Field::Length && self.number.len == 0;
            bytes = match whole_record(bytes).filter(|_| is_between) {
                Some((body, rest)) => self.whole(body).map(|()| rest),
                None => self.part(bytes),
            }
            .map_err(|problem| BatchError::Record { index: self.index, problem })?;
        }
        Ok(())
    }

    /// Ends the walk and returns the greatest timestamp of the records, or -1 when none has a later one.
    pub fn finish(&mut self) -> Result<TimestampMs, BatchError> {
        let is_between = self.field == Field::Length && self.number.len == 0;
        if !is_between || self.index < self.count {
            return Err(BatchError::Record { index: self.index, problem: RecordProblem::Short });
        }
        let refused = std::mem::take(&mut self.refused);
        if refused.is_empty() { Ok(self.max_timestamp) } else { Err(BatchError::Refused(refused)) }
    }

    fn whole(&mut self, body: &[u8]) -> Result<(), RecordProblem> {
        self.begin(body.len())?;
        let record = Cursor { rest: body }.body()?;
        self.at_offset(record.offset_delta)?;
        self.timestamp = TimestampMs(self.base_timestamp.0.saturating_add(record.timestamp_delta));
        self.has_key = record.key.is_some();
        self.end();
        Ok(())
    }

    /// Reads one field, or as much of it as is there.
    fn part<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], RecordProblem> {
        match self.field {
            Field::Length => {
                let (number, rest) = self.i32(bytes)?;
                if let Some(length) = number {
                    let length = usize::try_from(length).map_err(|_| RecordProblem::Number)?;
                    self.begin(length)?;
                    self.left = length;
                    self.go_on(Field::Attributes)?;
                }
                Ok(rest)
            }
            Field::Attributes => {
                let rest = bytes.get(1..).unwrap_or_default();
                self.used(1)?;
                self.go_on(Field::Timestamp)?;
                Ok(rest)
            }
            Field::Skip(skip, after) => {
                let now = skip.min(bytes.len());
                self.used(now)?;
                let rest = bytes.get(now..).unwrap_or_default();
                self.field = Field::Skip(skip - now, after);
                if now == skip {
                    self.skipped(after)?;
                }
                Ok(rest)
            }
            Field::Timestamp => {
                let Some((number, rest)) = self.number.take(bytes, VARINT64_BYTES_MAX)? else {
                    return self.all_used(bytes);
                };
                self.used(bytes.len() - rest.len())?;
                let (delta, _) = varint::read_i64(number.bytes()).ok_or(RecordProblem::Number)?;
                self.timestamp = TimestampMs(self.base_timestamp.0.saturating_add(delta));
                self.go_on(Field::Offset)?;
                Ok(rest)
            }
            Field::Offset
            | Field::KeyLength
            | Field::ValueLength
            | Field::HeaderCount
            | Field::HeaderKeyLength(_)
            | Field::HeaderValueLength(_) => {
                let (number, rest) = self.i32(bytes)?;
                self.used(bytes.len() - rest.len())?;
                if let Some(number) = number {
                    self.numbered(number)?;
                }
                Ok(rest)
            }
        }
    }

    /// Uses a number of a record, when all its bytes are there.
    fn numbered(&mut self, number: i32) -> Result<(), RecordProblem> {
        match self.field {
            Field::Offset => {
                self.at_offset(number)?;
                self.go_on(Field::KeyLength)
            }
            Field::KeyLength => {
                self.has_key = number != -1;
                self.skip(number, After::Key)
            }
            Field::ValueLength => self.skip(number, After::Value),
            Field::HeaderCount => {
                let count = usize::try_from(number).map_err(|_| RecordProblem::Headers)?;
                // A header takes two bytes at least.
                if count > self.left / 2 {
                    return Err(RecordProblem::Headers);
                }
                self.headers(count)
            }
            Field::HeaderKeyLength(_) if number < 0 => Err(RecordProblem::Headers),
            Field::HeaderKeyLength(count) => self.skip(number, After::HeaderKey(count)),
            Field::HeaderValueLength(count) => self.skip(number, After::HeaderValue(count)),
            Field::Length | Field::Attributes | Field::Timestamp | Field::Skip(..) => {
                unreachable!("these fields are no numbers of 32 bits within a record")
            }
        }
    }

    fn skip(&mut self, length: i32, after: After) -> Result<(), RecordProblem> {
        match length {
            -1 | 0 => self.skipped(after),
            _ => {
                let length = usize::try_from(length).map_err(|_| RecordProblem::Number)?;
                if length > self.left {
                    return Err(RecordProblem::Short);
                }
                self.field = Field::Skip(length, after);
                Ok(())
            }
        }
    }

    fn skipped(&mut self, after: After) -> Result<(), RecordProblem> {
        match after {
            After::Key => self.go_on(Field::ValueLength),
            After::Value => self.go_on(Field::HeaderCount),
            After::HeaderKey(count) => self.go_on(Field::HeaderValueLength(count)),
            After::HeaderValue(count) => self.headers(count - 1),
        }
    }

    fn headers(&mut self, count: usize) -> Result<(), RecordProblem> {
        match count {
            0 if self.left > 0 => Err(RecordProblem::Trailing),
            0 => {
                self.end();
                Ok(())
            }
            _ => self.go_on(Field::HeaderKeyLength(count)),
        }
    }

    /// Goes on to `field`, which must follow in the record.
    fn go_on(&mut self, field: Field) -> Result<(), RecordProblem> {
        if self.left == 0 {
            return Err(RecordProblem::Short);
        }
        self.field = field;
        Ok(())
    }

    fn used(&mut self, bytes: usize) -> Result<(), RecordProblem> {
        self.left = self.left.checked_sub(bytes).ok_or(RecordProblem::Short)?;
        Ok(())
    }

    fn all_used<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], RecordProblem> {
        self.used(bytes.len())?;
        Ok(&bytes[bytes.len()..])
    }

    /// A number of 32 bits, if it is complete, and what follows it.
    fn i32<'a>(&mut self, bytes: &'a [u8]) -> Result<(Option<i32>, &'a [u8]), RecordProblem> {
        match self.number.take(bytes, VARINT32_BYTES_MAX)? {
            None => Ok((None, &[])),
            Some((number, rest)) => {
                let (value, _) = varint::read_i32(number.bytes()).ok_or(RecordProblem::Number)?;
                Ok((Some(value), rest))
            }
        }
    }

    fn begin(&self, length: usize) -> Result<(), RecordProblem> {
        if self.index >= self.count {
            return Err(RecordProblem::Trailing);
        }
        let bytes_max = self.rules.record_bytes_max;
        if length > bytes_max { Err(RecordProblem::TooLong { bytes: length, bytes_max }) } else { Ok(()) }
    }

    fn at_offset(&self, delta: i32) -> Result<(), RecordProblem> {
        if usize::try_from(delta) == Ok(self.index) { Ok(()) } else { Err(RecordProblem::OffsetDelta) }
    }

    /// Ends a record, when all its bytes are there.
    fn end(&mut self) {
        let RecordRules { now, timestamps, keys_required, .. } = self.rules;
        let reason = if keys_required && !self.has_key {
            Some(Refusal::NoKey)
        } else if timestamps.is_some_and(|range| !range.allows(self.timestamp, now)) {
            Some(Refusal::Timestamp { timestamp: self.timestamp.0, now: now.0 })
        } else {
            None
        };
        if let Some(reason) = reason
            && self.refused.len() < REFUSED_RECORDS_NAMED_MAX
        {
            self.refused.push(RefusedRecord { index: self.index, reason });
        }
        self.max_timestamp = self.max_timestamp.max(self.timestamp);
        self.index += 1;
        self.field = Field::Length;
    }
}

impl Number {
    /// Takes bytes up to the number's last; `None` if that is not there yet.
    fn take<'a>(
        &mut self,
        bytes: &'a [u8],
        bytes_max: usize,
    ) -> Result<Option<(Number, &'a [u8])>, RecordProblem> {
        for (at, byte) in bytes.iter().enumerate() {
            let place = self.bytes.get_mut(self.len).filter(|_| self.len < bytes_max);
            *place.ok_or(RecordProblem::Number)? = *byte;
            self.len += 1;
            if byte & 0x80 == 0 {
                return Ok(Some((std::mem::take(self), bytes.get(at + 1..).unwrap_or_default())));
            }
        }
        Ok(None)
    }

    fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// The first record's bytes after its length, if all of them are here, and what follows.
fn whole_record(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, used) = varint::read_i32(bytes)?;
    bytes.get(used..)?.split_at_checked(usize::try_from(length).ok()?)
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::record::{BATCH_HEADER_BYTES, BatchBuilder, Header, RecordToWrite};

    const RULES: RecordRules = RecordRules {
        now: TimestampMs(10_000),
        timestamps: None,
        keys_required: false,
        record_bytes_max: usize::MAX,
    };

    fn batch(values: &[Vec<u8>]) -> (BatchHeader, Vec<u8>) {
        let mut builder = BatchBuilder::new(TimestampMs(9_000));
        for (value, at) in values.iter().zip(0..) {
            builder.append_record(&RecordToWrite {
                timestamp: TimestampMs(9_000 + at * 1_000),
                key: (at % 2 == 0).then_some(value),
                value: (at % 3 != 0).then_some(value),
                headers: &[Header { key: "h", value: Some(value) }, Header { key: "", value: None }],
            });
        }
        let mut bytes = builder.finish().expect("not empty");
        (BatchHeader::parse(&bytes).expect("sound"), bytes.split_off(BATCH_HEADER_BYTES))
    }

    /// Feeds the records in pieces of these sizes, over and over.
    fn walk(header: &BatchHeader, records: &[u8], pieces: &[usize]) -> Result<TimestampMs, BatchError> {
        let mut walk = RecordWalk::new(header, RULES);
        let (mut rest, mut at) = (records, 0);
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(pieces[at % pieces.len()].min(rest.len()));
            walk.feed(piece)?;
            (rest, at) = (after, at + 1);
        }
        walk.finish()
    }

    proptest! {
        /// Records that are cut into pieces are accepted or refused as whole ones are, also when they are damaged: the
        /// same record is named.
        #[test]
        fn pieces_make_no_difference(
            values in vec(vec(any::<u8>(), 0..200), 1..20),
            pieces in vec(1usize..400, 1..6),
            damage in proptest::option::of((any::<prop::sample::Index>(), any::<u8>())),
            cut in proptest::option::of(any::<prop::sample::Index>()),
        ) {
            let (header, mut records) = batch(&values);
            if let Some((at, byte)) = damage {
                let at = at.index(records.len());
                records[at] = byte;
            }
            if let Some(cut) = cut {
                records.truncate(cut.index(records.len()));
            }
            let whole = walk(&header, &records, &[records.len().max(1)]);
            let parts = walk(&header, &records, &pieces);
            let index = |result: &Result<TimestampMs, BatchError>| match result {
                Err(BatchError::Record { index, .. }) => Some(*index),
                _ => None,
            };
            prop_assert_eq!(whole.is_ok(), parts.is_ok(), "{:?} {:?}", whole, parts);
            prop_assert_eq!(index(&whole), index(&parts));
            prop_assert_eq!(whole.ok(), parts.ok());
        }
    }

    #[test]
    fn times_before_1970_are_times_and_minus_one_is_none() {
        let range = TimestampRange { before_ms_max: i64::MAX as u64, after_ms_max: 1_000 };
        for (timestamp, allowed) in [
            (-5_000, true),
            (-1, true),
            (0, true),
            (11_000, true),
            (11_001, false),
            (i64::MIN, true),
            (i64::MAX, false),
        ] {
            assert_eq!(range.allows(TimestampMs(timestamp), TimestampMs(10_000)), allowed, "{timestamp}");
        }
        let narrow = TimestampRange { before_ms_max: 500, ..range };
        assert!(narrow.allows(TimestampMs(-1), TimestampMs(10_000)));
        assert!(!narrow.allows(TimestampMs(-2), TimestampMs(10_000)));
        assert!(!narrow.allows(TimestampMs(i64::MIN), TimestampMs(10_000)));
    }
}
