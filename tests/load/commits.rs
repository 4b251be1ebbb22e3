//! A group that commits until the server goes away.

use std::borrow::Cow;
use std::collections::VecDeque;

use ringmain::client::Connection;
use ringmain::protocol::ErrorCode;
use ringmain::protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use ringmain::protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use ringmain::protocol::messages::{
    FindCoordinatorRequest, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest,
    OffsetFetchResponse,
};

use super::writers::{End, IN_FLIGHT, unless_lost};
use super::{Moment, TOPIC};
use crate::process::eventually;

/// The newest version that names topics rather than gives their ids.
const COMMIT_VERSION: i16 = 8;
const GROUP: &str = "load";

/// A group that commits ever larger offsets, without members: what was acknowledged is never forgotten.
#[derive(Clone, Debug, Default)]
pub struct Commits {
    /// The last offset sent.
    sent: i64,
    /// The offsets that were acknowledged, in order, each with the moment of its answer.
    acked: Vec<(i64, u64)>,
}

impl Commits {
    /// As it was known at a moment; what had been sent by then nobody knows.
    pub fn until(&self, moment: u64) -> Commits {
        let acked = self.acked.iter().copied().take_while(|(_, at)| *at <= moment).collect();
        Commits { sent: self.sent, acked }
    }

    /// After a crash: what is committed lies between what was acknowledged and what was sent.
    pub fn check(&self, connection: &mut Connection) {
        let committed = committed(connection);
        let acked = self.acked.last().map_or(0, |(offset, _)| *offset);
        assert!(
            (acked..=self.sent).contains(&committed),
            "committed {committed}, acknowledged {acked}, sent {}",
            self.sent
        );
    }

    pub fn run(mut self, mut connection: Connection, moment: &Moment) -> (Commits, End) {
        let mut asked = VecDeque::new();
        loop {
            while asked.len() < IN_FLIGHT {
                self.sent += 1;
                asked.push_back(self.sent);
                if !send_commit(&mut connection, self.sent) {
                    break;
                }
            }
            if connection.in_flight() == 0 {
                return (self, End::Lost);
            }
            let Some(answer) = unless_lost(connection.receive()) else { return (self, End::Lost) };
            let at = moment();
            let answer: OffsetCommitResponse<'_> = answer.decode().unwrap();
            match ErrorCode::from_code(answer.topics[0].partitions[0].error_code) {
                Some(ErrorCode::None) => self.acked.push((asked.pop_front().unwrap(), at)),
                Some(ErrorCode::NotCoordinator | ErrorCode::CoordinatorNotAvailable) => {
                    return (self, End::Refused);
                }
                code => panic!("commit: {code:?}"),
            }
        }
    }
}

fn send_commit(connection: &mut Connection, offset: i64) -> bool {
    let partition = OffsetCommitRequestPartition {
        partition_index: 0,
        committed_offset: offset,
        committed_metadata: Some(Cow::Owned(format!("note {offset}"))),
        ..OffsetCommitRequestPartition::default()
    };
    let topic = OffsetCommitRequestTopic {
        name: Cow::Borrowed(TOPIC),
        partitions: vec![partition],
        ..OffsetCommitRequestTopic::default()
    };
    let request = OffsetCommitRequest {
        group_id: Cow::Borrowed(GROUP),
        generation_id_or_member_epoch: -1,
        group_instance_id: None,
        topics: vec![topic],
        ..OffsetCommitRequest::default()
    };
    unless_lost(connection.send_version(&request, COMMIT_VERSION)).is_some()
}

/// What the group has committed, 0 if nothing. Waits for the coordinator to have read its log.
fn committed(connection: &mut Connection) -> i64 {
    let find = FindCoordinatorRequest { coordinator_keys: vec![Cow::Borrowed(GROUP)], ..Default::default() };
    connection.call(&find).unwrap();
    eventually("the coordinator has read its log", || {
        let topic = OffsetFetchRequestTopics {
            name: Cow::Borrowed(TOPIC),
            partition_indexes: vec![0],
            ..OffsetFetchRequestTopics::default()
        };
        let group = OffsetFetchRequestGroup {
            group_id: Cow::Borrowed(GROUP),
            member_id: None,
            topics: Some(vec![topic]),
            ..OffsetFetchRequestGroup::default()
        };
        let request =
            OffsetFetchRequest { topics: Some(Vec::new()), groups: vec![group], ..Default::default() };
        connection.send_version(&request, COMMIT_VERSION).unwrap();
        let answer = connection.receive().unwrap();
        let answer: OffsetFetchResponse<'_> = answer.decode().unwrap();
        let group = &answer.groups[0];
        match ErrorCode::from_code(group.error_code) {
            Some(ErrorCode::CoordinatorLoadInProgress) => return None,
            code => assert_eq!(code, Some(ErrorCode::None)),
        }
        let partition = &group.topics[0].partitions[0];
        let offset = partition.committed_offset;
        if offset >= 0 {
            assert_eq!(partition.metadata.as_deref(), Some(&*format!("note {offset}")));
        }
        Some(offset.max(0))
    })
}
