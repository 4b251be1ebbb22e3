//! Reads the records of batches: for clients, tools, compacted topics and lookups by timestamp.

use std::borrow::Cow;

use crate::base::{Offset, TimestampMs, varint};

use super::batch::{BATCH_HEADER_BYTES, BatchHeader};
use super::codec::{CODEC_MASK, Codec};
use super::compression::decompress;
use super::error::{BatchError, RecordProblem};

/// One record, borrowed from the (inflated) records of its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    pub offset_delta: i32,
    pub timestamp_delta: i64,
    pub key: Option<&'a [u8]>,
    pub value: Option<&'a [u8]>,
    headers: &'a [u8],
    headers_count: usize,
}

impl<'a> Record<'a> {
    #[must_use]
    pub fn offset(&self, batch: &BatchHeader) -> Offset {
        batch.base_offset.plus(i64::from(self.offset_delta))
    }

    /// The record's own time, or the batch's time of append.
    #[must_use]
    pub fn timestamp(&self, batch: &BatchHeader) -> TimestampMs {
        if batch.is_log_append_time() {
            batch.max_timestamp
        } else {
            TimestampMs(batch.base_timestamp.0.saturating_add(self.timestamp_delta))
        }
    }

    /// Key and value of each header, in order; keys may repeat.
    pub fn headers(&self) -> impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)> + use<'a> {
        let mut cursor = Cursor { rest: self.headers };
        (0..self.headers_count).map_while(move |_| Some((cursor.optional().ok()??, cursor.optional().ok()?)))
    }
}

/// The records of a whole batch, inflated if need be.
pub(super) fn records_of<'a>(bytes: &'a [u8], header: &BatchHeader) -> Result<Cow<'a, [u8]>, BatchError> {
    let stored = bytes.get(BATCH_HEADER_BYTES..header.total_bytes());
    let stored = stored.ok_or(BatchError::Short { bytes: bytes.len() })?;
    match header.codec() {
        None => Err(BatchError::Codec { codec: header.attributes & CODEC_MASK }),
        Some(Codec::None) => Ok(Cow::Borrowed(stored)),
        Some(codec) => Ok(Cow::Owned(decompress(codec, stored)?)),
    }
}

/// Calls `each` with every record of a batch until it returns false.
pub fn records(
    bytes: &[u8],
    mut each: impl FnMut(&BatchHeader, &Record<'_>) -> bool,
) -> Result<(), BatchError> {
    let header = BatchHeader::parse(bytes)?;
    let records = records_of(bytes, &header)?;
    let mut cursor = Cursor { rest: &records };
    for index in 0..usize::try_from(header.records_count).unwrap_or(0) {
        let record = cursor.record().map_err(|problem| BatchError::Record { index, problem })?;
        if !each(&header, &record) {
            break;
        }
    }
    Ok(())
}

/// The first record of a batch that is at or after `timestamp`, of those from the offset `from` on.
pub fn first_at_or_after(
    bytes: &[u8],
    timestamp: TimestampMs,
    from: Offset,
) -> Result<Option<(Offset, TimestampMs)>, BatchError> {
    let mut found = None;
    records(bytes, |batch, record| {
        let (offset, at) = (record.offset(batch), record.timestamp(batch));
        if at >= timestamp && offset >= from {
            found = Some((offset, at));
        }
        found.is_none()
    })?;
    Ok(found)
}

/// The first record that has a batch's largest timestamp.
pub fn with_max_timestamp(bytes: &[u8]) -> Result<Option<(Offset, TimestampMs)>, BatchError> {
    let mut found: Option<(Offset, TimestampMs)> = None;
    records(bytes, |batch, record| {
        let at = record.timestamp(batch);
        if found.is_none_or(|(_, max)| at > max) {
            found = Some((record.offset(batch), at));
        }
        true
    })?;
    Ok(found)
}

/// A record's encoded form.
pub(super) struct RecordBytes<'a> {
    /// The whole record, its length prefix included.
    pub whole: &'a [u8],
    pub attributes: u8,
    pub after_timestamp: &'a [u8],
}

/// Calls `each` with every one of `count` records and its bytes.
pub(super) fn with_bytes<'a>(
    records: &'a [u8],
    count: i32,
    mut each: impl FnMut(&Record<'a>, &RecordBytes<'a>),
) -> Result<(), BatchError> {
    let mut cursor = Cursor { rest: records };
    for index in 0..usize::try_from(count).unwrap_or(0) {
        let before = cursor.rest;
        let record = cursor.record().map_err(|problem| BatchError::Record { index, problem })?;
        let whole = before.get(..before.len() - cursor.rest.len()).unwrap_or_default();
        let bytes = RecordBytes::of(whole).map_err(|problem| BatchError::Record { index, problem })?;
        each(&record, &bytes);
    }
    Ok(())
}

impl<'a> RecordBytes<'a> {
    fn of(whole: &'a [u8]) -> Result<RecordBytes<'a>, RecordProblem> {
        let mut body = Cursor { rest: whole };
        body.varint()?;
        let attributes = body.take(1)?.first().copied().unwrap_or(0);
        let (_, used) = varint::read_i64(body.rest).ok_or(RecordProblem::Number)?;
        body.take(used)?;
        Ok(RecordBytes { whole, attributes, after_timestamp: body.rest })
    }
}

/// Reads the fields of records one after the other.
pub(super) struct Cursor<'a> {
    pub(super) rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn record(&mut self) -> Result<Record<'a>, RecordProblem> {
        let length = usize::try_from(self.varint()?).map_err(|_| RecordProblem::Number)?;
        Cursor { rest: self.take(length)? }.body()
    }

    /// Reads all that is left as one record without its length.
    pub(super) fn body(mut self) -> Result<Record<'a>, RecordProblem> {
        self.take(1)?;
        let (timestamp_delta, used) = varint::read_i64(self.rest).ok_or(RecordProblem::Number)?;
        self.take(used)?;
        let offset_delta = self.varint()?;
        let key = self.optional()?;
        let value = self.optional()?;
        let headers_count = usize::try_from(self.varint()?).map_err(|_| RecordProblem::Headers)?;
        let headers = self.rest;
        // A header takes two bytes at least, so a number of headers that cannot fit is refused before they are read.
        if headers_count > headers.len() / 2 {
            return Err(RecordProblem::Headers);
        }
        for _ in 0..headers_count {
            self.optional()?.ok_or(RecordProblem::Headers)?;
            self.optional()?;
        }
        if !self.rest.is_empty() {
            return Err(RecordProblem::Trailing);
        }
        Ok(Record { offset_delta, timestamp_delta, key, value, headers, headers_count })
    }

    fn varint(&mut self) -> Result<i32, RecordProblem> {
        let (value, used) = varint::read_i32(self.rest).ok_or(RecordProblem::Number)?;
        self.take(used)?;
        Ok(value)
    }

    fn optional(&mut self) -> Result<Option<&'a [u8]>, RecordProblem> {
        match self.varint()? {
            -1 => Ok(None),
            length => self.take(usize::try_from(length).map_err(|_| RecordProblem::Number)?).map(Some),
        }
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], RecordProblem> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(RecordProblem::Short)?;
        self.rest = rest;
        Ok(taken)
    }
}
