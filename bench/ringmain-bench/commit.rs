//! Load of offset commits: each connection commits for a group of its own, many at a time.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;
use hdrhistogram::Histogram;
use ringmain::protocol::messages::OffsetCommitRequest;
use ringmain::protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ringmain::protocol::{ApiKey, encode_request};

use crate::broker::CLIENT_ID;
use crate::engine::{Next, Workload};
use crate::error::BenchError;
use crate::socket::Outgoing;
use crate::stats::{Window, histogram, nanos, record};

/// In this version an answer ends with the error of its last partition, here the only one.
pub const COMMIT_VERSION: i16 = 7;
/// After the size, the API key and the version.
const CORRELATION_AT: usize = 8;
/// Stands where each commit's offset goes.
const OFFSET: i64 = 0x0123_4567_89AB_CDEF;

/// One connection's group.
pub struct Line {
    request: Vec<u8>,
    offset_at: usize,
    made: i32,
    in_flight: VecDeque<(i32, Instant)>,
}

pub struct Commits {
    lines: Vec<Line>,
    depth: usize,
    window: Window,
    /// Nanoseconds from request to answer, of the commits that were asked for within the window.
    pub latency: Histogram<u64>,
    /// Answered within the window.
    pub answered: u64,
}

impl Line {
    pub fn new(group: &str, topic: &str) -> Result<Line, BenchError> {
        let partition = OffsetCommitRequestPartition {
            partition_index: 0,
            committed_offset: OFFSET,
            committed_metadata: Some("".into()),
            ..OffsetCommitRequestPartition::default()
        };
        let topic = OffsetCommitRequestTopic {
            name: topic.into(),
            partitions: vec![partition],
            ..OffsetCommitRequestTopic::default()
        };
        let request = OffsetCommitRequest {
            group_id: group.into(),
            generation_id_or_member_epoch: -1,
            group_instance_id: None,
            topics: vec![topic],
            ..OffsetCommitRequest::default()
        };
        let request =
            encode_request(ApiKey::OffsetCommit, COMMIT_VERSION, 0, Some(CLIENT_ID), &request)?.to_vec();
        let mark = OFFSET.to_be_bytes();
        let offset_at = request.windows(mark.len()).rposition(|bytes| *bytes == mark);
        let offset_at = offset_at.expect("the offset was written");
        Ok(Line { request, offset_at, made: 0, in_flight: VecDeque::new() })
    }

    fn next(&mut self, now: Instant) -> Outgoing {
        self.made = self.made.wrapping_add(1);
        self.in_flight.push_back((self.made, now));
        let mut request = self.request.clone();
        let mut put = |at: usize, bytes: &[u8]| request[at..at + bytes.len()].copy_from_slice(bytes);
        put(CORRELATION_AT, &self.made.to_be_bytes());
        put(self.offset_at, &i64::from(self.made).to_be_bytes());
        Outgoing { head: request.into(), body: Bytes::new() }
    }
}

impl Commits {
    pub fn new(lines: Vec<Line>, depth: usize, window: Window) -> Commits {
        Commits { lines, depth, window, latency: histogram(), answered: 0 }
    }
}

impl Workload for Commits {
    fn next(&mut self, connection: usize, now: Instant) -> Result<Next, BenchError> {
        let line = self.lines.get_mut(connection).ok_or(BenchError::Answer)?;
        Ok(match line.in_flight.len() {
            _ if now >= self.window.end => Next::Finished,
            busy if busy < self.depth => Next::Send(line.next(now)),
            _ => Next::Wait(Some(self.window.end)),
        })
    }

    fn sent(&mut self, _connection: usize, _count: usize, _now: Instant) -> bool {
        false
    }

    fn answered(&mut self, connection: usize, answer: &[u8], now: Instant) -> Result<(), BenchError> {
        let line = self.lines.get_mut(connection).ok_or(BenchError::Answer)?;
        let (correlation, asked) = line.in_flight.pop_front().ok_or(BenchError::Answer)?;
        if answer.first_chunk() != Some(&correlation.to_be_bytes()) {
            return Err(BenchError::Answer);
        }
        let code = i16::from_be_bytes(*answer.last_chunk().ok_or(BenchError::Answer)?);
        if code != 0 {
            return Err(BenchError::Broker { what: "OffsetCommit", code });
        }
        self.answered += u64::from(now >= self.window.start && now < self.window.end);
        if asked >= self.window.start {
            record(&mut self.latency, nanos(now.saturating_duration_since(asked)), 1);
        }
        Ok(())
    }

    fn outstanding(&self, connection: usize) -> usize {
        self.lines.get(connection).map_or(0, |line| line.in_flight.len())
    }

    fn ended(&mut self) {}
}
