//! Tests of a coordinator whose log is a list and whose clock the test sets.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::base::rng::Rng;
use crate::base::{Home, LeaderEpoch, MonoNanos, Now, ServerId, TimestampMs, TopicId};
use crate::controller::{MetadataImage, PartitionImage, TopicImage};
use crate::protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, consumer_protocol_assignment,
    consumer_protocol_subscription,
};

use super::consumer::{Assignment, DescribedConsumerGroup, Heartbeat, HeartbeatRequest};
use super::*;

mod classic;
mod consumer;
mod course;
mod offsets;

const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;
/// Seed of the first coordinator of a bench.
const SEED: u64 = 7;

/// A coordinator whose log is a list and whose clock the test sets.
struct Bench {
    coordinator: Coordinator,
    limits: Arc<GroupLimits>,
    image: MetadataImage,
    now_ms: u64,
    log: Vec<GroupRecord>,
    replies: BTreeMap<Ticket, GroupReply>,
    next: u64,
}

impl Bench {
    fn new() -> Bench {
        Bench::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut GroupLimits)) -> Bench {
        let mut limits = GroupLimits {
            consumer: crate::config::Config::default().groups.consumer,
            session_timeout_ms: 6000..=1_800_000,
            initial_rebalance_delay_ms: 0,
            count_max: 1000,
            size_max: 100,
            metadata_max: 64,
            retention_ms: 1_000_000,
            retention_check_ms: 10_000,
        };
        change(&mut limits);
        let limits = Arc::new(limits);
        Bench {
            coordinator: Coordinator::new(Arc::clone(&limits), SEED, now(0)),
            limits,
            image: MetadataImage::default(),
            now_ms: 0,
            log: Vec::new(),
            replies: BTreeMap::new(),
            next: 0,
        }
    }

    fn take(&mut self, out: Outcome) {
        self.log.extend(out.records);
        for (ticket, reply) in out.replies {
            assert!(self.replies.insert(ticket, reply).is_none(), "{ticket:?} answered twice");
        }
    }

    fn ask(&mut self, request: GroupRequest) -> Ticket {
        self.next += 1;
        let ticket = Ticket(self.next);
        let mut out = Outcome::default();
        self.coordinator.handle(now(self.now_ms), &self.image, ticket, request, &mut out);
        self.take(out);
        ticket
    }

    /// Sends a request and returns its answer, which must be there at once.
    fn answer(&mut self, request: GroupRequest) -> GroupReply {
        let ticket = self.ask(request);
        self.reply(ticket)
    }

    fn reply(&mut self, ticket: Ticket) -> GroupReply {
        self.replies.remove(&ticket).expect("answered")
    }

    fn joined(&mut self, ticket: Ticket) -> Joined {
        match self.reply(ticket) {
            GroupReply::Join(Ok(joined)) => joined,
            other => panic!("{other:?}"),
        }
    }

    fn waits(&self, ticket: Ticket) -> bool {
        !self.replies.contains_key(&ticket)
    }

    /// Lets time pass, deadline by deadline.
    fn pass(&mut self, ms: u64) {
        let end = self.now_ms + ms;
        loop {
            let deadline = self.coordinator.next_deadline().0.div_ceil(1_000_000);
            if deadline > end {
                break;
            }
            self.now_ms = self.now_ms.max(deadline);
            let mut out = Outcome::default();
            self.coordinator.tick(now(self.now_ms), &mut out);
            self.take(out);
        }
        self.now_ms = end;
    }

    /// A member with an id of its own, in a stable group.
    fn stable_member(&mut self) -> Joined {
        let ticket = self.ask(join("", None));
        let joined = self.joined(ticket);
        let synced = self.answer(sync(&joined, &[(&joined.member_id, "all")]));
        assert!(matches!(synced, GroupReply::Sync(Ok(_))), "{synced:?}");
        joined
    }

    fn heartbeat(&mut self, joined: &Joined) -> Result<(), GroupError> {
        let member = member(joined.generation, &joined.member_id, None);
        match self.answer(GroupRequest::Heartbeat { group: "g".into(), member }) {
            GroupReply::Heartbeat(result) => result,
            other => panic!("{other:?}"),
        }
    }

    fn describe(&mut self) -> DescribedGroup {
        match self.answer(GroupRequest::Describe { group: "g".into() }) {
            GroupReply::Describe(Ok(described)) => described,
            other => panic!("{other:?}"),
        }
    }

    fn commit(&mut self, member: MemberRef, topic: &str, offset: i64) -> Result<(), GroupError> {
        self.commit_as(false, member, topic, offset)
    }

    fn commit_as(
        &mut self,
        knows_epochs: bool,
        member: MemberRef,
        topic: &str,
        offset: i64,
    ) -> Result<(), GroupError> {
        let request = CommitRequest {
            group: "g".into(),
            member,
            retention_ms: None,
            knows_group_id_not_found: knows_epochs,
            partitions: vec![commit(topic, offset, "m")],
        };
        match self.answer(GroupRequest::CommitOffsets(request)) {
            GroupReply::CommitOffsets(result) => result.and_then(|mut each| each.remove(0)),
            other => panic!("{other:?}"),
        }
    }

    fn committed(&mut self, topic: &str) -> i64 {
        let partitions = Some(vec![(topic.into(), 0)]);
        let request = FetchOffsetsRequest { group: "g".into(), member: None, partitions };
        match self.answer(GroupRequest::FetchOffsets(request)) {
            GroupReply::FetchOffsets(Ok(offsets)) => offsets[0].offset,
            other => panic!("{other:?}"),
        }
    }

    /// A coordinator that has read the log.
    fn restarted(&self) -> Bench {
        self.restarted_with_seed(8)
    }

    fn restarted_with_seed(&self, seed: u64) -> Bench {
        let mut coordinator = Coordinator::new(Arc::clone(&self.limits), seed, now(self.now_ms));
        for record in &self.log {
            coordinator.replay(now(self.now_ms), &record.key, record.value.as_deref()).unwrap();
        }
        let mut bench = Bench { coordinator, ..Bench::with(|limits| *limits = (*self.limits).clone()) };
        bench.image = self.image.clone();
        bench.now_ms = self.now_ms;
        bench.log = self.log.clone();
        let mut out = Outcome::default();
        bench.coordinator.loaded(now(self.now_ms), &bench.image, &mut out);
        bench.take(out);
        bench
    }
}

fn now(ms: u64) -> Now {
    Now { mono: MonoNanos(ms * 1_000_000), wall: TimestampMs(ms.cast_signed()) }
}

/// Topic `t` under an id of this byte.
fn image_with(byte: u8, partitions: usize) -> MetadataImage {
    let mut image = MetadataImage::default();
    let partition = PartitionImage::single(ServerId(1), LeaderEpoch(0), Home(0));
    image.put(TopicImage {
        id: TopicId([byte; 16]),
        name: "t".into(),
        ordinal: 0,
        partitions: vec![partition; partitions],
        overrides: BTreeMap::new(),
        internal: false,
    });
    image
}

fn join_as(member_id: &str, instance: Option<&str>, id_required: bool) -> JoinRequest {
    JoinRequest {
        group: "g".into(),
        member_id: member_id.into(),
        instance_id: instance.map(Into::into),
        client_id: "client".into(),
        client_host: "/127.0.0.1".into(),
        session_timeout_ms: SESSION_MS,
        rebalance_timeout_ms: REBALANCE_MS,
        protocol_type: "consumer".into(),
        protocols: vec![("range".into(), Bytes::from_static(b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff"))],
        id_required,
        can_skip_assignment: true,
    }
}

fn join(member_id: &str, instance: Option<&str>) -> GroupRequest {
    GroupRequest::Join(join_as(member_id, instance, false))
}

fn member(generation: i32, id: &str, instance: Option<&str>) -> MemberRef {
    MemberRef { generation, member_id: id.into(), instance_id: instance.map(Into::into) }
}

fn sync(joined: &Joined, assignments: &[(&str, &'static str)]) -> GroupRequest {
    GroupRequest::Sync(SyncRequest {
        group: "g".into(),
        member: member(joined.generation, &joined.member_id, None),
        protocol_type: Some("consumer".into()),
        protocol: Some("range".into()),
        assignments: assignments
            .iter()
            .map(|(id, text)| ((*id).into(), Bytes::from_static(text.as_bytes())))
            .collect(),
    })
}

fn leave(id: &str, instance: Option<&str>) -> GroupRequest {
    let leaving = LeavingMember { member_id: id.into(), instance_id: instance.map(Into::into) };
    GroupRequest::Leave { group: "g".into(), members: vec![leaving] }
}

fn commit(topic: &str, offset: i64, metadata: &str) -> CommitPartition {
    CommitPartition {
        topic: topic.into(),
        topic_id: TopicId::ZERO,
        partition: 0,
        offset,
        leader_epoch: 3,
        metadata: metadata.into(),
    }
}

fn synced(reply: GroupReply) -> Bytes {
    match reply {
        GroupReply::Sync(Ok(synced)) => synced.assignment,
        other => panic!("{other:?}"),
    }
}

fn join_error(reply: &GroupReply) -> GroupError {
    match reply {
        GroupReply::Join(Err(refused)) => refused.error,
        other => panic!("{other:?}"),
    }
}
