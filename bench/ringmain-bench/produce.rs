//! Produce load: prepared batches, closed or open loop, each marked so that it is known when it is read back.
//!
//! A closed loop keeps `depth` requests in progress on each connection. An open loop follows a schedule.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ringmain::base::TimestampMs;
use ringmain::base::rng::Rng;
use ringmain::client::partition_of_key;
use ringmain::protocol::messages::{ProduceRequest, produce_request as produce};
use ringmain::protocol::{ApiKey, Records, encode_request};

use crate::batch::{Mark, Template};
use crate::broker::CLIENT_ID;
use crate::engine::{Next, Workload};
use crate::error::BenchError;
use crate::ledger::{Lane, LaneId, Ledger};
use crate::schedule::{Due, Schedule};
use crate::socket::Outgoing;
use crate::stats::{Asked, Meter, Moved};

/// The last version without compact fields: what is read of an answer, and patched in a request, stays at fixed places.
pub const PRODUCE_VERSION_MAX: i16 = 7;
const PRODUCE_TIMEOUT_MS: i32 = 30_000;
const CORRELATION_ID_AT: usize = 8;

/// When requests are made.
#[derive(Clone, Debug)]
pub enum Pace {
    Closed { depth: usize },
    Open(Schedule),
}

/// What all requests of a run have in common.
#[derive(Clone, Debug)]
pub struct Asking {
    pub run: u64,
    pub topic: String,
    pub template: Arc<Template>,
    pub version: i16,
    pub acks: i16,
    /// The wall clock when the load began.
    pub wall_clock: TimestampMs,
}

/// One connection's requests.
pub struct Line {
    connection: u32,
    targets: Vec<Target>,
    turn: usize,
    keys: Rng,
    pace: Pace,
    /// The next batch of an open loop, taken off the schedule and not yet due.
    next_due: Option<Due>,
    /// Requests to make at most.
    remaining: u64,
    asked: VecDeque<(usize, Asked)>,
    correlation_id: i32,
}

struct Target {
    partition: i32,
    /// A request up to its records.
    front: Vec<u8>,
    lane: Lane,
}

impl Line {
    pub fn new(
        asking: &Asking,
        connection: u32,
        partitions: &[i32],
        pace: Pace,
        remaining: u64,
    ) -> Result<Line, BenchError> {
        let target = |partition: &i32| {
            let front = front(asking, *partition)?;
            Ok(Target { partition: *partition, front, lane: Lane::new() })
        };
        let targets = partitions.iter().map(target).collect::<Result<_, BenchError>>()?;
        let keys = Rng::seeded(asking.run ^ u64::from(connection));
        let (turn, correlation_id, asked) = (0, 0, VecDeque::new());
        Ok(Line { connection, targets, turn, keys, pace, next_due: None, remaining, asked, correlation_id })
    }

    /// Which target comes next, and the key: keys choose as Kafka's clients have them choose, else targets take turns.
    fn choose(&mut self, keyed: bool) -> (usize, u64) {
        let count = self.targets.len();
        if keyed {
            let key = self.keys.next_u64();
            let partitions = u32::try_from(count).unwrap_or(u32::MAX);
            let index = partition_of_key(&key.to_be_bytes(), partitions).0;
            return (usize::try_from(index).unwrap_or(0), key);
        }
        let turn = self.turn;
        self.turn = (turn + 1) % count;
        (turn, 0)
    }

    fn request(&mut self, asking: &Asking, due: Due, now_ns: u64) -> Result<Outgoing, BenchError> {
        let (chosen, key) = self.choose(asking.template.keyed);
        let target = self.targets.get_mut(chosen).ok_or(BenchError::Answer)?;
        let mark = Mark {
            run: asking.run,
            connection: self.connection,
            sequence: target.lane.sent,
            first_due_ns: due.first_ns,
            last_due_ns: due.last_ns,
        };
        let mut head = target.front.clone();
        let now = TimestampMs(asking.wall_clock.0 + (now_ns / 1_000_000).cast_signed());
        let body = asking.template.stamp(&mark, key, now, &mut head);
        let records_bytes = head.len() - target.front.len() + body.len();
        finish(&mut head, target.front.len(), records_bytes, self.correlation_id)?;
        target.lane.sent += 1;
        self.remaining -= 1;
        self.asked.push_back((chosen, Asked { due, issued_ns: now_ns }));
        self.correlation_id = (self.correlation_id + 1) & i32::MAX;
        Ok(Outgoing { head: head.into(), body })
    }
}

/// A request to one partition, up to and with the length of its records, which [`finish`] fills in.
fn front(asking: &Asking, partition: i32) -> Result<Vec<u8>, BenchError> {
    let records = Records::Gather(vec![Bytes::from_static(&[0]).into()]);
    let data = produce::PartitionProduceData { index: partition, records };
    let topic = produce::TopicProduceData {
        name: asking.topic.as_str().into(),
        partition_data: vec![data],
        ..Default::default()
    };
    let request = ProduceRequest {
        acks: asking.acks,
        timeout_ms: PRODUCE_TIMEOUT_MS,
        topic_data: vec![topic],
        ..Default::default()
    };
    let frame = encode_request(ApiKey::Produce, asking.version, 0, Some(CLIENT_ID), &request)?;
    let mut front = frame.to_vec();
    front.pop();
    Ok(front)
}

/// Fills in what depends on the batch: the frame's size, the correlation id, the length of the records.
fn finish(head: &mut [u8], front: usize, records: usize, correlation_id: i32) -> Result<(), BenchError> {
    let size = i32::try_from(front - 4 + records).map_err(|_| BenchError::Answer)?;
    let records = i32::try_from(records).map_err(|_| BenchError::Answer)?;
    for (at, value) in [(0, size), (CORRELATION_ID_AT, correlation_id), (front - 4, records)] {
        head.get_mut(at..at + 4).ok_or(BenchError::Answer)?.copy_from_slice(&value.to_be_bytes());
    }
    Ok(())
}

/// The produce load of one thread.
pub struct Produce {
    meter: Meter,
    lines: Vec<Line>,
    asking: Arc<Asking>,
}

impl Produce {
    pub fn new(meter: Meter, lines: Vec<Line>, asking: Arc<Asking>) -> Produce {
        Produce { meter, lines, asking }
    }

    /// Counts what was never answered.
    pub fn give_up(&mut self, now: Instant) {
        let records = self.asking.template.records;
        for (connection, line) in self.lines.iter_mut().enumerate() {
            for (_, asked) in line.asked.drain(..) {
                self.meter.abandoned(connection, asked, now, records);
            }
        }
    }

    /// What was measured; what was sent and acknowledged goes into the ledger.
    pub fn into_parts(self, ledger: &mut Ledger) -> Meter {
        for line in self.lines {
            for target in line.targets.into_iter().filter(|target| target.lane.sent > 0) {
                let id = LaneId { partition: target.partition, connection: line.connection };
                ledger.lanes.insert(id, target.lane);
            }
        }
        self.meter
    }

    fn count(&mut self, connection: usize, asked: Asked, batch_bytes: usize, now: Instant) {
        let records = self.asking.template.records;
        let moved = Moved { records: u64::from(records), bytes: batch_bytes as u64 };
        // In a closed loop a request is one sample; on a schedule each record has its own instant.
        let timed = if asked.due.first_ns == asked.due.last_ns { 1 } else { records };
        self.meter.done(connection, asked, now, moved, timed);
    }
}

impl Workload for Produce {
    fn next(&mut self, connection: usize, now: Instant) -> Result<Next, BenchError> {
        let window = self.meter.window;
        let line = self.lines.get_mut(connection).ok_or(BenchError::Answer)?;
        let now_ns = window.since(now);
        if line.remaining == 0 {
            return Ok(Next::Finished);
        }
        let due = match &mut line.pace {
            Pace::Closed { .. } if now >= window.end => return Ok(Next::Finished),
            Pace::Closed { depth } if line.asked.len() >= *depth => return Ok(Next::Wait(Some(window.end))),
            Pace::Closed { .. } => Due { first_ns: now_ns, last_ns: now_ns },
            Pace::Open(schedule) => {
                let due = *line.next_due.get_or_insert_with(|| schedule.batch(self.asking.template.records));
                let at = window.at(due.last_ns);
                if at >= window.end {
                    return Ok(Next::Finished);
                }
                if at > now {
                    return Ok(Next::Wait(Some(at)));
                }
                due
            }
        };
        line.next_due = None;
        Ok(Next::Send(line.request(&self.asking, due, now_ns)?))
    }

    fn sent(&mut self, connection: usize, count: usize, now: Instant) -> bool {
        if self.asking.acks != 0 {
            return false;
        }
        for _ in 0..count {
            let done = self.lines.get_mut(connection).and_then(|line| line.asked.pop_front());
            if let Some((_, asked)) = done {
                self.count(connection, asked, self.asking.template.batch_bytes(0), now);
            }
        }
        true
    }

    fn answered(&mut self, connection: usize, answer: &[u8], now: Instant) -> Result<(), BenchError> {
        let records = self.asking.template.records;
        let line = self.lines.get_mut(connection).ok_or(BenchError::Answer)?;
        let outstanding = i32::try_from(line.asked.len()).unwrap_or(i32::MAX);
        let (chosen, asked) = line.asked.pop_front().ok_or(BenchError::Answer)?;
        let target = line.targets.get_mut(chosen).ok_or(BenchError::Answer)?;
        let answer = ProduceAnswer::parse(answer).ok_or(BenchError::Answer)?;
        let expected = line.correlation_id.wrapping_sub(outstanding) & i32::MAX;
        if answer.correlation_id != expected || answer.partition != target.partition {
            return Err(BenchError::Answer);
        }
        if answer.error_code != 0 {
            return Err(BenchError::Broker { what: "Produce", code: answer.error_code });
        }
        let (previous, bytes) = (target.lane.end, self.asking.template.batch_bytes(target.lane.acknowledged));
        if !target.lane.acknowledge(answer.base_offset, records) {
            let offset = answer.base_offset;
            return Err(BenchError::Offset { partition: target.partition, offset, previous });
        }
        self.count(connection, asked, bytes, now);
        Ok(())
    }

    fn outstanding(&self, connection: usize) -> usize {
        self.lines.get(connection).map_or(0, |line| line.asked.len())
    }

    fn ended(&mut self) {
        self.meter.close();
    }
}

/// The pace of connection number `index` of `of`.
pub fn pace(load: &crate::scenario::Pace, index: usize, of: usize, seed: u64) -> Pace {
    match *load {
        crate::scenario::Pace::Closed { depth } => Pace::Closed { depth },
        crate::scenario::Pace::Open { records_per_second, arrivals } => {
            let own = records_per_second / crate::distribution::to_f64(of.max(1) as u64);
            Pace::Open(Schedule::new(arrivals, own, index, of, seed))
        }
    }
}

/// Records that arrive within `linger` on one connection's next batch.
pub fn records_within(linger: Duration, records_per_second: f64) -> u32 {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates, and is positive")]
    let records = (linger.as_secs_f64() * records_per_second) as u32;
    records.max(1)
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
