//! Fetch load: every connection reads its partitions from start to end, again and again, one request at a time as
//! consumers do, and checks what it gets.

use std::time::Instant;

use ringmain::protocol::messages::{FetchRequest, FetchResponse, fetch_request as fetch};
use ringmain::protocol::{ApiKey, Records, decode_body, encode_request, response_header_version};
use ringmain::record::{BATCH_HEADER_BYTES, BatchError, BatchHeader, batch_crc};

use crate::broker::CLIENT_ID;
use crate::engine::{Next, Workload};
use crate::error::BenchError;
use crate::socket::Outgoing;
use crate::stats::{Stats, Window};

/// The last version that names topics.
pub const FETCH_VERSION_MAX: i16 = 12;
const WAIT_MS: i32 = 500;
/// Answers in a row that bring nothing although there is something.
const EMPTY_MAX: u32 = 20;

/// What a request asks for and how closely the answer is looked at.
#[derive(Clone, Debug)]
pub struct FetchSettings {
    pub topic: String,
    pub version: i16,
    pub bytes_max: i32,
    pub partition_bytes_max: i32,
    /// Verify checksums as well as structure.
    pub verify: bool,
}

/// A partition and how far it has been read.
#[derive(Clone, Copy, Debug)]
pub struct Cursor {
    pub partition: i32,
    pub start: i64,
    pub end: i64,
    pub position: i64,
}

/// One connection's reading.
pub struct Reading {
    cursors: Vec<Cursor>,
    /// Since when the present request is out.
    asked: Option<Instant>,
    empty: u32,
}

impl Reading {
    pub fn new(cursors: Vec<Cursor>) -> Reading {
        Reading { cursors, asked: None, empty: 0 }
    }
}

/// The fetch load of one thread.
pub struct Fetch {
    pub stats: Stats,
    window: Window,
    settings: FetchSettings,
    readings: Vec<Reading>,
}

impl Fetch {
    pub fn new(window: Window, settings: FetchSettings, readings: Vec<Reading>) -> Fetch {
        Fetch { stats: Stats::new(window), window, settings, readings }
    }

    fn request(&self, cursors: &[Cursor]) -> Result<Outgoing, BenchError> {
        let wanted = cursors.iter().map(|cursor| fetch::FetchPartition {
            partition: cursor.partition,
            fetch_offset: cursor.position,
            partition_max_bytes: self.settings.partition_bytes_max,
            ..Default::default()
        });
        let topic = fetch::FetchTopic {
            topic: self.settings.topic.as_str().into(),
            partitions: wanted.collect(),
            ..Default::default()
        };
        let request = FetchRequest {
            replica_id: -1,
            max_wait_ms: WAIT_MS,
            min_bytes: 1,
            max_bytes: self.settings.bytes_max,
            session_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        let frame = encode_request(ApiKey::Fetch, self.settings.version, 0, Some(CLIENT_ID), &request)?;
        Ok(Outgoing { head: frame.to_vec().into(), body: Default::default() })
    }
}

impl Workload for Fetch {
    fn next(&mut self, connection: usize, now: Instant) -> Result<Next, BenchError> {
        let reading = self.readings.get(connection).ok_or(BenchError::Answer)?;
        if reading.asked.is_some() {
            return Ok(Next::Wait(Some(self.window.end).filter(|end| *end > now)));
        }
        if now >= self.window.end {
            return Ok(Next::Finished);
        }
        let request = self.request(&reading.cursors)?;
        if let Some(reading) = self.readings.get_mut(connection) {
            reading.asked = Some(now);
        }
        Ok(Next::Send(request))
    }

    fn sent(&mut self, _connection: usize, _count: usize, _now: Instant) -> bool {
        false
    }

    fn answered(&mut self, connection: usize, answer: &[u8], now: Instant) -> Result<(), BenchError> {
        let reading = self.readings.get_mut(connection).ok_or(BenchError::Answer)?;
        let asked = reading.asked.take().ok_or(BenchError::Answer)?;
        let version = self.settings.version;
        let skip = if response_header_version(ApiKey::Fetch.code(), version) >= 1 { 5 } else { 4 };
        let body = answer.get(skip..).ok_or(BenchError::Answer)?;
        let answer: FetchResponse<'_> = decode_body(body, version)?;
        if answer.error_code != 0 {
            return Err(BenchError::Broker { what: "Fetch", code: answer.error_code });
        }
        let (mut records, mut bytes) = (0, 0);
        for partition in answer.responses.iter().flat_map(|topic| &topic.partitions) {
            if partition.error_code != 0 {
                return Err(BenchError::Broker { what: "Fetch", code: partition.error_code });
            }
            let cursor = reading.cursors.iter_mut().find(|c| c.partition == partition.partition_index);
            let cursor = cursor.ok_or(BenchError::Answer)?;
            let stored = match &partition.records {
                Records::Borrowed(stored) => stored,
                Records::Null | Records::Gather(_) => continue,
            };
            let (r, b) = cursor.advance(stored, self.settings.verify)?;
            records += r;
            bytes += b;
        }
        reading.empty = if bytes == 0 { reading.empty + 1 } else { 0 };
        if let Some(cursor) = reading.cursors.first().filter(|_| reading.empty > EMPTY_MAX) {
            let Cursor { partition, position: offset, end, .. } = *cursor;
            return Err(BenchError::NothingFetched { partition, offset, end });
        }
        self.stats.done(asked, asked, now, records, bytes);
        Ok(())
    }

    fn outstanding(&self, connection: usize) -> usize {
        self.readings.get(connection).map_or(0, |reading| usize::from(reading.asked.is_some()))
    }
}

impl Cursor {
    /// Walks over whole batches, checks that each continues where the last ended, and counts records and bytes. The last
    /// batch may be cut off. At the end, reading begins again.
    fn advance(&mut self, mut stored: &[u8], verify: bool) -> Result<(u64, u64), BenchError> {
        let (mut records, mut bytes) = (0, 0);
        while stored.len() >= BATCH_HEADER_BYTES {
            let header = BatchHeader::parse(stored)?;
            let Some((batch, rest)) = stored.split_at_checked(header.total_bytes()) else { break };
            if verify && batch_crc(batch) != header.crc {
                let computed = batch_crc(batch);
                return Err(BatchError::Crc { claimed: header.crc, computed }.into());
            }
            self.follow(&header)?;
            records += u64::from(header.records_count.unsigned_abs());
            bytes += batch.len() as u64;
            stored = rest;
        }
        if self.position >= self.end {
            self.position = self.start;
        }
        Ok((records, bytes))
    }

    fn follow(&mut self, header: &BatchHeader) -> Result<(), BenchError> {
        // A fetch may begin inside a batch; never behind it, and batches never leave gaps.
        if header.base_offset.0 > self.position || header.last_offset().0 < self.position {
            let (partition, previous) = (self.partition, self.position);
            return Err(BenchError::Offset { partition, offset: header.base_offset.0, previous });
        }
        self.position = header.last_offset().0 + 1;
        Ok(())
    }
}
