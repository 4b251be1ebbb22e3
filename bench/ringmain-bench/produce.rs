//! Produce load: prepared batches, closed or open loop.
//!
//! A closed loop keeps `depth` requests in progress on each connection. An open loop follows a schedule that does not
//! wait for answers: a request's latency counts from the instant it was due, so that a stall is seen by every request
//! that should have been sent meanwhile (no coordinated omission).

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use ringmain::base::TimestampMs;
use ringmain::protocol::messages::{ProduceRequest, produce_request as produce};
use ringmain::protocol::{ApiKey, Records, encode_request};
use ringmain::record::BatchBuilder;

use crate::broker::CLIENT_ID;
use crate::engine::{Next, Workload};
use crate::error::BenchError;
use crate::socket::Outgoing;
use crate::stats::{Stats, Window};

/// The last version without compact fields: what is read of an answer stays at fixed places.
pub const PRODUCE_VERSION_MAX: i16 = 7;
const PRODUCE_TIMEOUT_MS: i32 = 30_000;

/// A batch that every request of a run carries.
#[derive(Clone, Debug)]
pub struct Batch {
    pub bytes: Bytes,
    pub records: u32,
}

/// What a record takes beside its value, at most.
const RECORD_OVERHEAD_BYTES: usize = 24;

/// As many records of `record_bytes` as fit into `batch_bytes`, at least one.
pub fn batch(batch_bytes: usize, record_bytes: usize, now: TimestampMs) -> Result<Batch, BenchError> {
    let value = noise(record_bytes);
    let mut builder = BatchBuilder::new(now);
    builder.append(None, Some(&value));
    while builder.bytes() + record_bytes + RECORD_OVERHEAD_BYTES <= batch_bytes {
        builder.append(None, Some(&value));
    }
    let records = u32::try_from(builder.len()).unwrap_or(u32::MAX);
    Ok(Batch { bytes: builder.finish()?.into(), records })
}

/// Bytes that no codec makes smaller.
fn noise(count: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    let step = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    };
    (0..count).map(step).collect()
}

/// When requests are made.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    Closed {
        depth: usize,
    },
    /// One request an interval on each connection, the first at `first`.
    Open {
        first: Instant,
        interval: Duration,
    },
}

/// One connection's requests.
pub struct Line {
    requests: Vec<Prepared>,
    turn: usize,
    pace: Pace,
    /// Requests to make at most.
    remaining: u64,
    in_flight: VecDeque<InFlight>,
}

struct Prepared {
    outgoing: Outgoing,
    partition: i32,
    acknowledged: i64,
    /// Offset after the last acknowledged record.
    end: Option<i64>,
}

struct InFlight {
    request: usize,
    due: Instant,
    issued: Instant,
}

impl Line {
    /// Prepares a request per partition; they take turns.
    pub fn new(
        topic: &str,
        partitions: &[i32],
        batch: &Batch,
        version: i16,
        acks: i16,
        pace: Pace,
        remaining: u64,
    ) -> Result<Line, BenchError> {
        let prepare =
            |(turn, partition): (usize, &i32)| prepared(topic, turn, *partition, batch, version, acks);
        let requests = partitions.iter().enumerate().map(prepare).collect::<Result<_, _>>()?;
        Ok(Line { requests, turn: 0, pace, remaining, in_flight: VecDeque::new() })
    }
}

fn prepared(
    topic: &str,
    turn: usize,
    partition: i32,
    batch: &Batch,
    version: i16,
    acks: i16,
) -> Result<Prepared, BenchError> {
    let data = produce::PartitionProduceData {
        index: partition,
        records: Records::Gather(vec![batch.bytes.clone().into()]),
    };
    let topic =
        produce::TopicProduceData { name: topic.into(), partition_data: vec![data], ..Default::default() };
    let request = ProduceRequest {
        acks,
        timeout_ms: PRODUCE_TIMEOUT_MS,
        topic_data: vec![topic],
        ..Default::default()
    };
    let id = i32::try_from(turn).unwrap_or(i32::MAX);
    let frame = encode_request(ApiKey::Produce, version, id, Some(CLIENT_ID), &request)?;
    let mut pieces = frame.into_pieces().into_iter().map(|piece| piece.detach());
    let (head, body) = pieces.next().zip(pieces.next()).ok_or(BenchError::Answer)?;
    Ok(Prepared { outgoing: Outgoing { head, body }, partition, acknowledged: 0, end: None })
}

/// The produce load of one thread.
pub struct Produce {
    pub stats: Stats,
    window: Window,
    lines: Vec<Line>,
    batch: Batch,
    acks: i16,
}

impl Produce {
    pub fn new(window: Window, lines: Vec<Line>, batch: Batch, acks: i16) -> Produce {
        Produce { stats: Stats::new(window), window, lines, batch, acks }
    }

    /// Records acknowledged, and the offset after the last, for each partition that got any.
    pub fn acknowledged(&self) -> BTreeMap<i32, (i64, i64)> {
        let mut found: BTreeMap<i32, (i64, i64)> = BTreeMap::new();
        for request in self.lines.iter().flat_map(|line| &line.requests) {
            if let Some(end) = request.end {
                let entry = found.entry(request.partition).or_default();
                *entry = (entry.0 + request.acknowledged, entry.1.max(end));
            }
        }
        found
    }

    /// Counts what was never answered as having waited until now, which is the least it would have.
    pub fn give_up(&mut self, now: Instant) {
        for waiting in self.lines.iter_mut().flat_map(|line| line.in_flight.drain(..)) {
            self.stats.abandoned(waiting.due, waiting.issued, now);
        }
    }

    fn line(&mut self, connection: usize) -> Result<&mut Line, BenchError> {
        self.lines.get_mut(connection).ok_or(BenchError::Answer)
    }

    fn count(&mut self, done: &InFlight, now: Instant) {
        let bytes = self.batch.bytes.len() as u64;
        self.stats.done(done.due, done.issued, now, u64::from(self.batch.records), bytes);
    }
}

impl Workload for Produce {
    fn next(&mut self, connection: usize, now: Instant) -> Result<Next, BenchError> {
        let end = self.window.end;
        let line = self.line(connection)?;
        let due = match &mut line.pace {
            _ if line.remaining == 0 => return Ok(Next::Finished),
            Pace::Closed { .. } if now >= end => return Ok(Next::Finished),
            Pace::Closed { depth } if line.in_flight.len() >= *depth => return Ok(Next::Wait(Some(end))),
            Pace::Closed { .. } => now,
            Pace::Open { first, .. } if *first >= end => return Ok(Next::Finished),
            Pace::Open { first, .. } if *first > now => return Ok(Next::Wait(Some(*first))),
            Pace::Open { first, interval } => {
                let due = *first;
                *first += *interval;
                due
            }
        };
        let request = line.turn;
        line.turn = (request + 1) % line.requests.len();
        line.remaining -= 1;
        line.in_flight.push_back(InFlight { request, due, issued: now });
        let prepared = line.requests.get(request).ok_or(BenchError::Answer)?;
        Ok(Next::Send(prepared.outgoing.clone()))
    }

    fn sent(&mut self, connection: usize, count: usize, now: Instant) -> bool {
        if self.acks != 0 {
            return false;
        }
        for _ in 0..count {
            let done = self.lines.get_mut(connection).and_then(|line| line.in_flight.pop_front());
            if let Some(done) = done {
                self.count(&done, now);
            }
        }
        true
    }

    fn answered(&mut self, connection: usize, answer: &[u8], now: Instant) -> Result<(), BenchError> {
        let records = i64::from(self.batch.records);
        let line = self.line(connection)?;
        let done = line.in_flight.pop_front().ok_or(BenchError::Answer)?;
        let request = line.requests.get_mut(done.request).ok_or(BenchError::Answer)?;
        let answer = ProduceAnswer::parse(answer).ok_or(BenchError::Answer)?;
        if usize::try_from(answer.correlation_id) != Ok(done.request) || answer.partition != request.partition
        {
            return Err(BenchError::Answer);
        }
        if answer.error_code != 0 {
            return Err(BenchError::Broker { what: "Produce", code: answer.error_code });
        }
        let previous = request.end.unwrap_or(0);
        if answer.base_offset < previous {
            let offset = answer.base_offset;
            return Err(BenchError::Offset { partition: request.partition, offset, previous });
        }
        request.acknowledged += records;
        request.end = Some(answer.base_offset + records);
        self.count(&done, now);
        Ok(())
    }

    fn outstanding(&self, connection: usize) -> usize {
        self.lines.get(connection).map_or(0, |line| line.in_flight.len())
    }
}

/// What an answer for one partition says, read at its place instead of decoded: this runs once per request beside the
/// broker on the same cores.
struct ProduceAnswer {
    correlation_id: i32,
    partition: i32,
    error_code: i16,
    base_offset: i64,
}

impl ProduceAnswer {
    fn parse(answer: &[u8]) -> Option<ProduceAnswer> {
        let (correlation_id, rest) = answer.split_first_chunk::<4>()?;
        let (_topics, rest) = rest.split_first_chunk::<4>()?;
        let (name_bytes, rest) = rest.split_first_chunk::<2>()?;
        let rest = rest.get(usize::from(u16::from_be_bytes(*name_bytes))..)?;
        let (_partitions, rest) = rest.split_first_chunk::<4>()?;
        let (partition, rest) = rest.split_first_chunk::<4>()?;
        let (error_code, rest) = rest.split_first_chunk::<2>()?;
        let (base_offset, _) = rest.split_first_chunk::<8>()?;
        Some(ProduceAnswer {
            correlation_id: i32::from_be_bytes(*correlation_id),
            partition: i32::from_be_bytes(*partition),
            error_code: i16::from_be_bytes(*error_code),
            base_offset: i64::from_be_bytes(*base_offset),
        })
    }
}
