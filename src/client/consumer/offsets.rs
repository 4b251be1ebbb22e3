//! Where to begin reading: what a position means as an offset, asked of the partition's leader (ListOffsets).

use std::time::Instant;

use crate::base::{NodeId, Offset, PartitionIndex, TimestampMs};
use crate::client::cluster::Missing;
use crate::client::connection::Response;
use crate::client::error::{ClientError, check_code};
use crate::protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use crate::protocol::messages::{ListOffsetsRequest, ListOffsetsResponse};
use crate::protocol::{ApiKey, ErrorCode};

use super::batch::partition_subject;
use super::{Consumer, Position, RETRY_PAUSE};

/// First ListOffsets version that knows the record with the largest timestamp (KIP-734).
const MAX_TIMESTAMP_FROM: i16 = 7;

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;

impl Consumer {
    /// The offset a position stands for now.
    pub fn find(
        &mut self,
        topic: &str,
        partition: PartitionIndex,
        position: Position,
    ) -> Result<Offset, ClientError> {
        let mut lookup = |timestamp| self.list_offset(topic, partition, timestamp);
        match position {
            Position::Offset(offset) => Ok(offset),
            Position::Earliest => lookup(EARLIEST)?.ok_or_else(|| no_offset(topic, partition)),
            Position::Latest => lookup(LATEST)?.ok_or_else(|| no_offset(topic, partition)),
            Position::BeforeEnd(count) => {
                let end = lookup(LATEST)?.ok_or_else(|| no_offset(topic, partition))?;
                let start = lookup(EARLIEST)?.ok_or_else(|| no_offset(topic, partition))?;
                let wanted = end.0.saturating_sub(i64::try_from(count).unwrap_or(i64::MAX));
                Ok(start.max(Offset(wanted)))
            }
            Position::Timestamp(TimestampMs(at)) => match lookup(at)? {
                Some(offset) => Ok(offset),
                None => lookup(LATEST)?.ok_or_else(|| no_offset(topic, partition)),
            },
            Position::MaxTimestamp => match lookup(MAX_TIMESTAMP)? {
                Some(offset) => Ok(offset),
                None => lookup(LATEST)?.ok_or_else(|| no_offset(topic, partition)),
            },
        }
    }

    fn list_offset(
        &mut self,
        topic: &str,
        partition: PartitionIndex,
        timestamp: i64,
    ) -> Result<Option<Offset>, ClientError> {
        let deadline = Instant::now() + self.options.recovery_timeout;
        loop {
            match self.list_offset_once(topic, partition, timestamp) {
                Err(error) if error.is_retriable() && Instant::now() < deadline => {
                    std::thread::sleep(RETRY_PAUSE);
                    // An error here is ignored: the next attempt reports what is wrong.
                    let _ = self.cluster.refresh(Some(&[topic]), Missing::Fail);
                }
                result => return result,
            }
        }
    }

    fn list_offset_once(
        &mut self,
        topic: &str,
        partition: PartitionIndex,
        timestamp: i64,
    ) -> Result<Option<Offset>, ClientError> {
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![ListOffsetsTopic {
                name: topic.into(),
                partitions: vec![ListOffsetsPartition {
                    partition_index: partition.0,
                    current_leader_epoch: -1,
                    timestamp,
                }],
            }],
            timeout_ms: 30_000,
            ..Default::default()
        };
        let leader = self.cluster.leader(topic, partition).ok_or_else(|| ClientError::Kafka {
            code: ErrorCode::LeaderNotAvailable,
            subject: partition_subject(topic, partition),
            message: None,
        })?;
        if timestamp == MAX_TIMESTAMP {
            let connection = self.cluster.connection(leader)?;
            if connection.version_up_to::<ListOffsetsRequest<'_>>(i16::MAX)? < MAX_TIMESTAMP_FROM {
                let (address, api) = (connection.address().to_owned(), ApiKey::ListOffsets);
                return Err(ClientError::Version { address, api });
            }
        }
        let answer = self.offsets_answer(leader, &request)?;
        let response: ListOffsetsResponse<'_> = answer.decode()?;
        let found = response.topics.first().and_then(|topic| topic.partitions.first());
        let found = found.ok_or_else(|| no_offset(topic, partition))?;
        check_code(found.error_code, None, || partition_subject(topic, partition))?;
        Ok((found.offset >= 0).then_some(Offset(found.offset)))
    }

    /// Sends the request and returns its answer. Answers come in the order of requests, so this first waits for a fetch in
    /// flight to that node, as long as its long poll takes.
    fn offsets_answer(
        &mut self,
        leader: NodeId,
        request: &ListOffsetsRequest<'_>,
    ) -> Result<Response, ClientError> {
        if self.asked.contains(&leader) {
            let owed = self.cluster.connected(leader).map_or(0, |connection| connection.in_flight());
            for _ in 0..owed {
                // The answer may be dropped, because the next fetch begins at the same position.
                let connection = self.cluster.connected(leader).expect("it owes an answer");
                connection.receive()?;
            }
            self.asked.remove(&leader);
        }
        self.cluster.ask(leader, request)
    }
}

fn no_offset(topic: &str, partition: PartitionIndex) -> ClientError {
    let what = format!("an offset for {}", partition_subject(topic, partition));
    ClientError::Incomplete { api: ApiKey::ListOffsets, what }
}
