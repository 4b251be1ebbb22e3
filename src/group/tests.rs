use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use crate::base::rng::Rng;
use crate::base::{MonoNanos, Now, TimestampMs, TopicId};
use crate::controller::MetadataImage;
use crate::protocol::messages::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, consumer_protocol_assignment,
    consumer_protocol_subscription,
};

use super::consumer::{Assignment, DescribedConsumerGroup, Heartbeat, HeartbeatRequest};
use super::*;

const SESSION_MS: i32 = 10_000;
const REBALANCE_MS: i32 = 60_000;

/// A coordinator whose log is a list and whose clock is ours.
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
            coordinator: Coordinator::new(Arc::clone(&limits), 7, now(0)),
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

    /// The answer, which must be there.
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

    /// The coordinator that the log makes.
    fn restarted(&self) -> Bench {
        let mut coordinator = Coordinator::new(Arc::clone(&self.limits), 8, now(self.now_ms));
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
    let partition = crate::controller::PartitionImage {
        leader_epoch: crate::base::LeaderEpoch(0),
        leader: crate::base::ServerId(1),
    };
    let topic = Arc::new(crate::controller::TopicImage {
        id: TopicId([byte; 16]),
        name: "t".into(),
        ordinal: 0,
        partitions: vec![partition; partitions],
        overrides: BTreeMap::new(),
        settings: crate::config::topic::TopicSettings::default(),
        internal: false,
    });
    image.topics_by_id.insert(topic.id, Arc::clone(&topic));
    image.topics.insert("t".into(), topic);
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

#[test]
fn groups_are_where_kafka_has_them() {
    // Math.abs("…".hashCode()) % 50 in Java.
    for (group, partition) in [("", 0), ("a", 47), ("abc", 4), ("polygenelubricants", 0)] {
        assert_eq!(partition_of(group, 50), partition, "{group}");
    }
}

#[test]
fn members_join_sync_and_leave() {
    let mut bench = Bench::new();
    let first = bench.stable_member();
    assert_eq!((first.generation, &first.leader, first.members.len()), (1, &first.member_id, 1));
    let second = bench.ask(join("", None));
    assert!(bench.waits(second), "the first has to join again");
    assert_eq!(bench.heartbeat(&first), Err(GroupError::RebalanceInProgress));
    let again = bench.ask(join(&first.member_id, None));
    let (first, second) = (bench.joined(again), bench.joined(second));
    assert_eq!((first.generation, second.generation), (2, 2));
    assert_eq!((first.members.len(), second.members.len()), (2, 0), "only the leader is told of all");
    let waiting = bench.ask(sync(&second, &[]));
    assert!(bench.waits(waiting));
    let both = [(&*first.member_id, "one"), (&*second.member_id, "two")];
    assert_eq!(synced(bench.answer(sync(&first, &both))), "one");
    assert_eq!(synced(bench.reply(waiting)), "two");
    assert_eq!(bench.heartbeat(&second), Ok(()));
    assert_eq!(bench.describe().state, "Stable");
    assert_eq!(bench.answer(leave(&second.member_id, None)), GroupReply::Leave(Ok(vec![Ok(())])));
    assert_eq!(bench.heartbeat(&second), Err(GroupError::UnknownMemberId));
    let again = bench.ask(join(&first.member_id, None));
    assert_eq!(bench.joined(again).generation, 3);
    bench.answer(leave(&first.member_id, None));
    assert_eq!(bench.describe().state, "Empty");
}

#[test]
fn an_id_given_away_holds_up_the_others_for_a_session_at_most() {
    let mut bench = Bench::new();
    let first = bench.stable_member();
    let refused = bench.answer(GroupRequest::Join(join_as("", None, true)));
    let GroupReply::Join(Err(refused)) = refused else { panic!("{refused:?}") };
    assert_eq!(refused.error, GroupError::MemberIdRequired);
    assert!(refused.member_id.starts_with("client-"));
    assert_eq!(bench.heartbeat(&first), Ok(()), "nothing has happened yet");
    let second = bench.ask(join(&refused.member_id, None));
    let again = bench.ask(join(&first.member_id, None));
    assert_eq!(bench.joined(second).generation, 2);
    bench.joined(again);
    // Another one never comes back.
    bench.answer(GroupRequest::Join(join_as("", None, true)));
    bench.answer(leave(&refused.member_id, None));
    let again = bench.ask(join(&first.member_id, None));
    assert!(bench.waits(again), "the id may still be used");
    bench.pass(SESSION_MS as u64);
    assert_eq!(bench.joined(again).generation, 3);
}

#[test]
fn a_member_that_vanishes_is_not_waited_for_beyond_its_timeouts() {
    let mut bench = Bench::new();
    let first = bench.stable_member();
    let second = bench.ask(join("", None));
    bench.pass(u64::from(SESSION_MS.unsigned_abs()) + 1);
    let joined = bench.joined(second);
    assert_eq!((joined.generation, &joined.leader), (2, &joined.member_id), "the first has died");
    assert_eq!(bench.heartbeat(&first), Err(GroupError::UnknownMemberId));
    // A leader that never assigns is left behind after the rebalance timeout, although it is alive.
    let third = bench.ask(join("", None));
    let again = bench.ask(join(&joined.member_id, None));
    let (leader, third) = (bench.joined(again), bench.joined(third));
    let waiting = bench.ask(sync(&third, &[]));
    for _ in 0..13 {
        bench.pass(5000);
        let _ = bench.heartbeat(&leader);
    }
    assert_eq!(bench.reply(waiting), GroupReply::Sync(Err(GroupError::RebalanceInProgress)));
    let again = bench.ask(join(&third.member_id, None));
    let alone = bench.joined(again);
    assert_eq!((alone.members.len(), &alone.leader), (1, &third.member_id));
}

#[test]
fn the_first_generation_can_wait_for_more_members() {
    let mut bench = Bench::with(|limits| limits.initial_rebalance_delay_ms = 3000);
    let first = bench.ask(join("", None));
    bench.pass(2000);
    let second = bench.ask(join("", None));
    bench.pass(1500);
    assert!(bench.waits(first), "somebody came: wait once more");
    bench.pass(2500);
    assert_eq!((bench.joined(first).generation, bench.joined(second).generation), (1, 1));
}

#[test]
fn a_static_member_starts_again_without_a_rebalance() {
    let mut bench = Bench::new();
    let ticket = bench.ask(join("", Some("i")));
    let first = bench.joined(ticket);
    bench.answer(sync(&first, &[(&first.member_id, "mine")]));
    let records = bench.log.len();
    let ticket = bench.ask(join("", Some("i")));
    let second = bench.joined(ticket);
    assert_ne!(first.member_id, second.member_id);
    assert_eq!((second.generation, second.skip_assignment), (1, true));
    assert_eq!(bench.log.len(), records + 1, "the new id must survive a restart");
    assert_eq!(synced(bench.answer(sync(&second, &[]))), "mine");
    let fenced =
        GroupRequest::Heartbeat { group: "g".into(), member: member(1, &first.member_id, Some("i")) };
    assert_eq!(bench.answer(fenced), GroupReply::Heartbeat(Err(GroupError::FencedInstanceId)));
    assert_eq!(join_error(&bench.answer(join(&first.member_id, Some("i")))), GroupError::FencedInstanceId);
    assert_eq!(
        bench.answer(leave("", Some("j"))),
        GroupReply::Leave(Ok(vec![Err(GroupError::UnknownMemberId)]))
    );
    assert_eq!(bench.answer(leave("", Some("i"))), GroupReply::Leave(Ok(vec![Ok(())])));
    assert_eq!(bench.describe().state, "Empty");
}

#[test]
fn what_makes_no_sense_gets_kafkas_error_and_changes_nothing() {
    let mut bench = Bench::with(|limits| limits.size_max = 1);
    let joined = bench.stable_member();
    let before = (bench.describe(), bench.log.len());
    let check = |bench: &mut Bench, request: GroupRequest, error: GroupError| {
        assert_eq!(join_error(&bench.answer(request)), error);
    };
    let changed = |change: fn(&mut JoinRequest)| {
        let mut request = join_as("", None, false);
        change(&mut request);
        GroupRequest::Join(request)
    };
    check(&mut bench, changed(|it| it.group = "".into()), GroupError::InvalidGroupId);
    check(&mut bench, changed(|it| it.session_timeout_ms = 5999), GroupError::InvalidSessionTimeout);
    check(&mut bench, changed(|it| it.session_timeout_ms = i32::MAX), GroupError::InvalidSessionTimeout);
    check(&mut bench, changed(|it| it.protocols.clear()), GroupError::InconsistentGroupProtocol);
    let too_long = changed(|it| it.protocols[0].1 = vec![0; 1 << 20].into());
    assert!(matches!(join_error(&bench.answer(too_long)), GroupError::InvalidRequest(_)));
    check(&mut bench, changed(|it| it.protocol_type = "".into()), GroupError::InconsistentGroupProtocol);
    check(&mut bench, changed(|_| {}), GroupError::GroupMaxSizeReached);
    check(&mut bench, changed(|it| it.member_id = "nobody".into()), GroupError::GroupMaxSizeReached);
    check(
        &mut bench,
        changed(|it| {
            it.group = "other".into();
            it.member_id = "nobody".into();
        }),
        GroupError::UnknownMemberId,
    );
    let older = Joined { generation: 0, ..joined.clone() };
    assert_eq!(bench.heartbeat(&older), Err(GroupError::IllegalGeneration));
    assert_eq!(bench.answer(sync(&older, &[])), GroupReply::Sync(Err(GroupError::IllegalGeneration)));
    let other_protocol = GroupRequest::Sync(SyncRequest {
        group: "g".into(),
        member: member(1, &joined.member_id, None),
        protocol_type: Some("connect".into()),
        protocol: None,
        assignments: Vec::new(),
    });
    assert_eq!(bench.answer(other_protocol), GroupReply::Sync(Err(GroupError::InconsistentGroupProtocol)));
    assert_eq!((bench.describe(), bench.log.len()), before);
    let mut bench = Bench::new();
    bench.stable_member();
    check(
        &mut bench,
        changed(|it| it.protocol_type = "connect".into()),
        GroupError::InconsistentGroupProtocol,
    );
    check(
        &mut bench,
        changed(|it| it.protocols[0].0 = "sticky".into()),
        GroupError::InconsistentGroupProtocol,
    );
}

#[test]
fn the_protocol_most_members_prefer_of_those_all_have_is_chosen() {
    let mut bench = Bench::new();
    let mut tickets = Vec::new();
    for names in [["a", "b", "c"], ["b", "a", "d"], ["b", "d", "a"]] {
        let mut request = join_as("", None, false);
        request.protocols = names.iter().map(|name| ((*name).into(), Bytes::from_static(b"x"))).collect();
        tickets.push(bench.ask(GroupRequest::Join(request)));
    }
    let first = bench.joined(tickets[0]);
    let mut request = join_as(&first.member_id, None, false);
    request.protocols =
        ["a", "b", "c"].iter().map(|name| ((*name).into(), Bytes::from_static(b"x"))).collect();
    let again = bench.ask(GroupRequest::Join(request));
    assert_eq!(bench.joined(again).protocol.as_deref(), Some("b"));
}

#[test]
fn only_members_of_the_generation_commit_and_strangers_only_while_it_is_empty() {
    let mut bench = Bench::new();
    let outside = member(-1, "", None);
    assert_eq!(bench.commit(member(5, "nobody", None), "t", 1), Err(GroupError::IllegalGeneration));
    assert_eq!(bench.commit(outside.clone(), "t", 1), Ok(()));
    let joined = bench.stable_member();
    assert_eq!(bench.commit(outside.clone(), "t", 2), Err(GroupError::UnknownMemberId));
    assert_eq!(bench.commit(member(9, &joined.member_id, None), "t", 2), Err(GroupError::IllegalGeneration));
    assert_eq!(bench.commit(member(1, "nobody", None), "t", 2), Err(GroupError::UnknownMemberId));
    assert_eq!(bench.commit(member(1, &joined.member_id, None), "t", 7), Ok(()));
    assert_eq!(bench.committed("t"), 7);
    assert_eq!(bench.committed("nothing"), -1);
    let request = CommitRequest {
        group: "g".into(),
        member: member(1, &joined.member_id, None),
        retention_ms: None,
        knows_group_id_not_found: false,
        partitions: vec![commit("t", 8, &"x".repeat(65)), commit("u", 9, "")],
    };
    let results = vec![Err(GroupError::OffsetMetadataTooLarge), Ok(())];
    assert_eq!(bench.answer(GroupRequest::CommitOffsets(request)), GroupReply::CommitOffsets(Ok(results)));
    assert_eq!((bench.committed("t"), bench.committed("u")), (7, 9));
    // A rebalance that waits for assignments would lose what is committed now.
    let second = bench.ask(join("", None));
    let again = bench.ask(join(&joined.member_id, None));
    let (leader, _) = (bench.joined(again), bench.joined(second));
    assert_eq!(
        bench.commit(member(2, &leader.member_id, None), "t", 9),
        Err(GroupError::RebalanceInProgress)
    );
}

#[test]
fn a_commits_text_is_as_long_as_java_counts_it_and_fits_a_record() {
    let check = |metadata_max: usize, text: String, result: Result<(), GroupError>| {
        let mut bench = Bench::with(|limits| limits.metadata_max = metadata_max);
        let request = CommitRequest {
            group: "g".into(),
            member: member(-1, "", None),
            retention_ms: None,
            knows_group_id_not_found: false,
            partitions: vec![commit("t", 8, &text)],
        };
        let reply = bench.answer(GroupRequest::CommitOffsets(request));
        assert_eq!(reply, GroupReply::CommitOffsets(Ok(vec![result])), "{} of {metadata_max}", text.len());
    };
    let too_large = Err(GroupError::OffsetMetadataTooLarge);
    check(4, "é".repeat(4), Ok(()));
    check(4, "é".repeat(5), too_large);
    check(4, "🚌🚌".to_owned(), Ok(()));
    check(4, "🚌🚌🚌".to_owned(), too_large);
    check(1 << 20, "x".repeat(32_767), Ok(()));
    check(1 << 20, "x".repeat(32_768), too_large);
}

#[test]
fn groups_and_offsets_are_deleted_only_when_nobody_uses_them() {
    let mut bench = Bench::new();
    let delete = || GroupRequest::Delete { group: "g".into() };
    let delete_offsets =
        |topic: &str| GroupRequest::DeleteOffsets { group: "g".into(), partitions: vec![(topic.into(), 0)] };
    assert_eq!(bench.answer(delete()), GroupReply::Delete(Err(GroupError::GroupIdNotFound)));
    assert_eq!(
        bench.answer(delete_offsets("t")),
        GroupReply::DeleteOffsets(Err(GroupError::GroupIdNotFound))
    );
    let joined = bench.stable_member();
    bench.commit(member(1, &joined.member_id, None), "t", 7).unwrap();
    bench.commit(member(1, &joined.member_id, None), "old", 3).unwrap();
    assert_eq!(bench.answer(delete()), GroupReply::Delete(Err(GroupError::NonEmptyGroup)));
    let subscribed = GroupReply::DeleteOffsets(Ok(vec![Err(GroupError::GroupSubscribedToTopic)]));
    assert_eq!(bench.answer(delete_offsets("t")), subscribed);
    assert_eq!(bench.answer(delete_offsets("old")), GroupReply::DeleteOffsets(Ok(vec![Ok(())])));
    assert_eq!((bench.committed("t"), bench.committed("old")), (7, -1));
    bench.answer(leave(&joined.member_id, None));
    assert_eq!(bench.answer(delete()), GroupReply::Delete(Ok(())));
    assert_eq!(bench.committed("t"), -1);
    assert_eq!(bench.restarted().coordinator.list().count(), 0);
}

#[test]
fn offsets_expire_when_the_group_has_been_empty_for_long() {
    let mut bench = Bench::new();
    let joined = bench.stable_member();
    let ours = member(1, &joined.member_id, None);
    bench.commit(ours, "t", 7).unwrap();
    for _ in 0..400 {
        bench.pass(5000);
        bench.heartbeat(&joined).unwrap();
    }
    assert_eq!(bench.committed("t"), 7, "the group is in use");
    bench.answer(leave(&joined.member_id, None));
    bench.pass(900_000);
    assert_eq!(bench.committed("t"), 7);
    bench.pass(200_000);
    assert_eq!(bench.committed("t"), -1);
    assert_eq!(bench.coordinator.list().count(), 0);
    assert_eq!(bench.restarted().coordinator.list().count(), 0);
}

#[test]
fn a_topic_that_goes_takes_its_offsets_along() {
    let mut bench = Bench::new();
    bench.image = image_with(1, 0);
    bench.commit(member(-1, "", None), "t", 7).unwrap();
    let change = |bench: &mut Bench| {
        let mut out = Outcome::default();
        bench.coordinator.topics_changed(&bench.image, &mut out);
        bench.take(out);
    };
    change(&mut bench);
    assert_eq!(bench.committed("t"), 7);
    // Deleted and created again before anybody looked.
    bench.image = image_with(2, 0);
    change(&mut bench);
    assert_eq!(bench.committed("t"), -1);
    bench.commit(member(-1, "", None), "t", 1).unwrap();
    bench.image = MetadataImage::default();
    assert_eq!(bench.restarted().committed("t"), -1, "gone while the coordinator was down");
}

#[test]
fn the_log_makes_the_same_groups() {
    let mut bench = Bench::new();
    bench.image.topics.clear();
    let ticket = bench.ask(join("", Some("i")));
    let joined = bench.joined(ticket);
    bench.answer(sync(&joined, &[(&joined.member_id, "mine")]));
    bench.limits = Arc::new(GroupLimits { retention_check_ms: 1_000_000, ..(*bench.limits).clone() });
    let mut again = bench.restarted();
    assert_eq!(again.describe(), bench.describe());
    let heartbeat =
        GroupRequest::Heartbeat { group: "g".into(), member: member(1, &joined.member_id, Some("i")) };
    assert_eq!(again.answer(heartbeat), GroupReply::Heartbeat(Ok(())));
    again.pass(u64::from(SESSION_MS.unsigned_abs()) + 1);
    assert_eq!(again.describe().state, "Empty", "nobody has been heard of since the start");
}

/// Members come, go and die at random; whoever is left always ends up in a stable group.
#[test]
fn no_course_of_events_leaves_a_group_stuck() {
    for seed in 0..200 {
        let mut bench = Bench::new();
        let mut rng = Rng::seeded(seed);
        let mut members: Vec<Option<Client>> = Vec::new();
        for _ in 0..60 {
            match rng.below(6) {
                0 | 1 => {
                    let instance = (rng.below(4) == 0).then(|| format!("i{}", rng.below(3)));
                    members.push(Some(Client::new(&mut bench, instance)));
                }
                2 => kill_one(&mut rng, &mut members),
                3 => leave_one(&mut bench, &mut rng, &mut members),
                _ => bench.pass(rng.below(4000)),
            }
            members.iter_mut().flatten().for_each(|client| client.run(&mut bench));
        }
        settle(&mut bench, &mut members, 200, &format!("seed {seed}"));
    }
}

/// One group of a thousand, of whom a tenth dies, leaves or joins between heartbeats.
#[test]
fn the_deaths_of_a_thousand_members_leave_no_group_stuck() {
    let mut bench = Bench::with(|limits| limits.size_max = 2000);
    let mut rng = Rng::seeded(11);
    let mut members: Vec<Option<Client>> = (0..1000).map(|_| Some(Client::new(&mut bench, None))).collect();
    for _ in 0..12 {
        for _ in 0..100 {
            match rng.below(3) {
                0 => members.push(Some(Client::new(&mut bench, None))),
                1 => kill_one(&mut rng, &mut members),
                _ => leave_one(&mut bench, &mut rng, &mut members),
            }
        }
        bench.pass(rng.below(4000));
        members.iter_mut().flatten().for_each(|client| client.run(&mut bench));
    }
    settle(&mut bench, &mut members, 100, "some die");
    members.iter_mut().flatten().for_each(|client| client.gone = true);
    settle(&mut bench, &mut members, 100, "all die");
}

/// Time passes without further events: whoever is alive is in a stable group with nobody else.
fn settle(bench: &mut Bench, members: &mut [Option<Client>], seconds: usize, what: &str) {
    for _ in 0..seconds {
        bench.pass(1000);
        members.iter_mut().flatten().for_each(|client| client.run(bench));
    }
    let alive: Vec<_> = members.iter().flatten().filter(|client| !client.gone).collect();
    let described = bench.describe_or_none();
    let expected = if alive.is_empty() { "Empty" } else { "Stable" };
    assert_eq!(described.as_ref().map_or("Empty", |it| it.state), expected, "{what}");
    let ids: BTreeSet<_> =
        described.iter().flat_map(|it| &it.members).map(|it| it.member_id.clone()).collect();
    let expected: BTreeSet<_> = alive.iter().filter_map(|client| client.id.clone()).collect();
    assert_eq!(ids, expected, "{what}");
    let mut restarted = bench.restarted();
    assert_eq!(restarted.describe_or_none().map(|it| it.members.len()).unwrap_or_default(), ids.len());
}

impl Bench {
    fn describe_or_none(&mut self) -> Option<DescribedGroup> {
        match self.answer(GroupRequest::Describe { group: "g".into() }) {
            GroupReply::Describe(result) => result.ok(),
            other => panic!("{other:?}"),
        }
    }
}

fn leave_one(bench: &mut Bench, rng: &mut Rng, members: &mut [Option<Client>]) {
    if let Some(client) = pick(rng, members) {
        if let Some(id) = &client.id {
            let request = leave(id, client.instance.as_deref());
            bench.ask(request);
        }
        client.gone = true;
    }
}

fn kill_one(rng: &mut Rng, members: &mut [Option<Client>]) {
    if let Some(client) = pick(rng, members) {
        client.gone = true;
    }
}

fn pick<'a>(rng: &mut Rng, members: &'a mut [Option<Client>]) -> Option<&'a mut Client> {
    let count = members.len() as u64;
    if count == 0 {
        return None;
    }
    members[usize::try_from(rng.below(count)).unwrap()].as_mut()
}

/// A client as they all behave: joins, syncs, heartbeats, joins again when told to.
struct Client {
    id: Option<Arc<str>>,
    instance: Option<String>,
    joining: Option<Ticket>,
    syncing: Option<Ticket>,
    joined: Option<Joined>,
    gone: bool,
}

impl Client {
    fn new(bench: &mut Bench, instance: Option<String>) -> Client {
        let mut client =
            Client { id: None, instance, joining: None, syncing: None, joined: None, gone: false };
        client.join(bench);
        client
    }

    fn join(&mut self, bench: &mut Bench) {
        let id = self.id.as_deref().unwrap_or_default();
        let request = join_as(id, self.instance.as_deref(), true);
        self.joined = None;
        self.syncing = None;
        self.joining = Some(bench.ask(GroupRequest::Join(request)));
    }

    fn run(&mut self, bench: &mut Bench) {
        if self.gone {
            return;
        }
        if let Some(ticket) = self.joining {
            match bench.replies.remove(&ticket) {
                None => return,
                Some(GroupReply::Join(Ok(joined))) => {
                    self.joining = None;
                    self.id = Some(Arc::clone(&joined.member_id));
                    let assignments: Vec<_> =
                        joined.members.iter().map(|it| (&*it.member_id, "part")).collect();
                    let mut request = sync(&joined, &assignments);
                    if let GroupRequest::Sync(request) = &mut request {
                        request.member.instance_id = self.instance.as_deref().map(Into::into);
                    }
                    self.syncing = Some(bench.ask(request));
                    self.joined = Some(joined);
                }
                Some(GroupReply::Join(Err(refused))) => match refused.error {
                    GroupError::MemberIdRequired => {
                        self.id = Some(refused.member_id);
                        self.join(bench);
                    }
                    // Replaced by a namesake: a real client ends here.
                    GroupError::FencedInstanceId => self.gone = true,
                    _ => {
                        self.id = None;
                        self.join(bench);
                    }
                },
                other => panic!("{other:?}"),
            }
        }
        if let Some(ticket) = self.syncing {
            match bench.replies.remove(&ticket) {
                None => return,
                Some(GroupReply::Sync(Ok(_))) => self.syncing = None,
                Some(GroupReply::Sync(Err(error))) => return self.lost(bench, error),
                other => panic!("{other:?}"),
            }
        }
        let Some(joined) = self.joined.clone() else { return };
        let member = member(joined.generation, &joined.member_id, self.instance.as_deref());
        match bench.answer(GroupRequest::Heartbeat { group: "g".into(), member }) {
            GroupReply::Heartbeat(Ok(())) => {}
            GroupReply::Heartbeat(Err(error)) => self.lost(bench, error),
            other => panic!("{other:?}"),
        }
    }

    fn lost(&mut self, bench: &mut Bench, error: GroupError) {
        match error {
            GroupError::FencedInstanceId => self.gone = true,
            GroupError::RebalanceInProgress | GroupError::IllegalGeneration => self.join(bench),
            _ => {
                self.id = None;
                self.join(bench);
            }
        }
    }
}

fn consumer_joining(member_id: &str) -> GroupRequest {
    GroupRequest::ConsumerHeartbeat(HeartbeatRequest {
        group: "g".into(),
        member_id: member_id.into(),
        rebalance_timeout_ms: Some(60_000),
        topics: Some(vec!["t".into()]),
        owned: Some(Assignment::default()),
        brings_id: true,
        ..HeartbeatRequest::default()
    })
}

fn consumer_leaving(member_id: &str) -> GroupRequest {
    let (group, member_id) = ("g".into(), member_id.into());
    let epochs = HeartbeatRequest { member_epoch: -1, brings_id: true, ..HeartbeatRequest::default() };
    GroupRequest::ConsumerHeartbeat(HeartbeatRequest { group, member_id, ..epochs })
}

impl Bench {
    fn beat(&mut self, request: GroupRequest) -> Result<Heartbeat, GroupError> {
        match self.answer(request) {
            GroupReply::ConsumerHeartbeat(result) => result,
            other => panic!("{other:?}"),
        }
    }

    fn described(&mut self) -> Result<DescribedConsumerGroup, GroupError> {
        match self.answer(GroupRequest::DescribeConsumers { group: "g".into() }) {
            GroupReply::DescribeConsumers(result) => result,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_consumer_group_outlives_its_coordinator_and_keeps_its_offsets() {
    let mut bench = Bench::new();
    bench.image = image_with(1, 2);
    let outside = member(-1, "", None);
    bench.commit(outside.clone(), "t", 7).unwrap();
    assert_eq!(bench.beat(consumer_joining("a")).unwrap().member_epoch, 1);
    bench.commit_as(true, member(1, "a", None), "t", 8).unwrap();
    assert_eq!(bench.commit_as(true, outside, "t", 9), Err(GroupError::UnknownMemberId));
    let described = bench.described();
    let mut bench = bench.restarted();
    assert_eq!(bench.described(), described);
    assert_eq!(bench.committed("t"), 8);
    bench.pass(45_000);
    assert_eq!(bench.described().unwrap().state, "Empty", "silent since the restart");
    let mut bench = bench.restarted();
    assert_eq!(bench.described().unwrap().epoch, 2);
    assert!(matches!(bench.answer(GroupRequest::Delete { group: "g".into() }), GroupReply::Delete(Ok(()))));
    assert_eq!(bench.described(), Err(GroupError::GroupIdNotFound));
    let mut bench = bench.restarted();
    assert_eq!((bench.described(), bench.committed("t")), (Err(GroupError::GroupIdNotFound), -1));
}

#[test]
fn an_empty_group_takes_the_protocol_of_who_comes() {
    let mut bench = Bench::new();
    bench.image = image_with(1, 2);
    let classic = bench.stable_member();
    bench.commit(member(classic.generation, &classic.member_id, None), "t", 7).unwrap();
    bench.answer(leave(&classic.member_id, None));
    assert_eq!(bench.beat(consumer_joining("a")).unwrap().member_epoch, 1);
    let mut bench = bench.restarted();
    assert_eq!((bench.described().unwrap().members.len(), bench.committed("t")), (1, 7));
    bench.beat(consumer_leaving("a")).unwrap();
    bench.stable_member();
    let mut bench = bench.restarted();
    assert_eq!((bench.describe().members.len(), bench.committed("t")), (1, 7));
    assert_eq!(bench.described(), Err(GroupError::GroupIdNotFound));
}

/// What a cooperative consumer says of itself.
fn subscription(owned: &[i32]) -> Bytes {
    let owned =
        consumer_protocol_subscription::TopicPartition { topic: "t".into(), partitions: owned.to_vec() };
    let message = ConsumerProtocolSubscription {
        topics: vec!["t".into()],
        user_data: None,
        owned_partitions: vec![owned],
        generation_id: -1,
        rack_id: None,
    };
    record::versioned(&message, 3).into()
}

fn assignment(partitions: &[i32]) -> Bytes {
    let partitions = partitions.to_vec();
    let topic = consumer_protocol_assignment::TopicPartition { topic: "t".into(), partitions };
    record::versioned(&ConsumerProtocolAssignment { assigned_partitions: vec![topic], user_data: None }, 3)
        .into()
}

impl Bench {
    fn join_owning(&mut self, member_id: &str, owned: &[i32]) -> Joined {
        let protocols = vec![("cooperative-sticky".into(), subscription(owned))];
        let request = JoinRequest { protocols, ..join_as(member_id, None, false) };
        let ticket = self.ask(GroupRequest::Join(request));
        self.joined(ticket)
    }

    fn sync_assigning(&mut self, joined: &Joined, partitions: &[i32]) -> Result<Vec<i32>, GroupError> {
        let request = GroupRequest::Sync(SyncRequest {
            group: "g".into(),
            member: member(joined.generation, &joined.member_id, None),
            protocol_type: Some("consumer".into()),
            protocol: Some("cooperative-sticky".into()),
            assignments: vec![(joined.member_id.clone(), assignment(partitions))],
        });
        match self.answer(request) {
            GroupReply::Sync(result) => result.map(|synced| {
                let read = consumer::read_assignment(&synced.assignment, &self.image).unwrap();
                read.iter().map(|(_, partition)| partition).collect()
            }),
            other => panic!("{other:?}"),
        }
    }

    fn beat_at(&mut self, member_id: &str, member_epoch: i32) -> Heartbeat {
        let (group, member_id) = ("g".into(), member_id.into());
        let rest = HeartbeatRequest { brings_id: true, ..HeartbeatRequest::default() };
        self.beat(GroupRequest::ConsumerHeartbeat(HeartbeatRequest {
            group,
            member_id,
            member_epoch,
            ..rest
        }))
        .unwrap()
    }

    /// A classic member has everything, then a new-style one joins.
    fn migrating() -> (Bench, Joined) {
        let mut bench = Bench::new();
        bench.image = image_with(1, 4);
        let classic = bench.join_owning("", &[]);
        assert_eq!(bench.sync_assigning(&classic, &[0, 1, 2, 3]), Ok(vec![0, 1, 2, 3]));
        bench.commit(member(classic.generation, &classic.member_id, None), "t", 7).unwrap();
        let told = bench.beat(consumer_joining("new")).unwrap();
        assert_eq!(
            (told.member_epoch, told.assignment),
            (classic.generation + 1, Some(Assignment::default()))
        );
        (bench, classic)
    }
}

#[test]
fn a_live_classic_group_goes_over_to_the_new_protocol_and_back() {
    let (bench, classic) = Bench::migrating();
    let mut bench = bench.restarted();
    assert_eq!(bench.committed("t"), 7);
    assert_eq!(bench.described().unwrap().members.len(), 2);
    // The classic member steps by joining and syncing: give up, then move.
    assert_eq!(bench.heartbeat(&classic), Err(GroupError::RebalanceInProgress));
    let again = bench.join_owning(&classic.member_id, &[0, 1, 2, 3]);
    assert_eq!((again.generation, &*again.leader, again.members.len()), (classic.generation, "", 0));
    let kept = bench.sync_assigning(&again, &[]).unwrap();
    assert_eq!(kept.len(), 2);
    assert_eq!(bench.heartbeat(&again), Err(GroupError::RebalanceInProgress), "to say what it has given up");
    assert_eq!(bench.beat_at("new", classic.generation + 1).assignment, None);
    let moved = bench.join_owning(&classic.member_id, &kept);
    assert_eq!(moved.generation, classic.generation + 1);
    assert_eq!(bench.heartbeat(&classic), Err(GroupError::IllegalGeneration));
    assert_eq!(bench.sync_assigning(&moved, &[]), Ok(kept));
    assert_eq!(bench.heartbeat(&moved), Ok(()));
    assert_eq!(bench.beat_at("new", moved.generation).assignment.unwrap().len(), 2);
    bench.commit(member(moved.generation, &moved.member_id, None), "t", 8).unwrap();
    // Its last new-style member leaves: the group is classic again, with a member to join anew.
    let mut bench = bench.restarted();
    assert_eq!(bench.described().unwrap().state, "Stable");
    bench.beat(consumer_leaving("new")).unwrap();
    assert_eq!(bench.described(), Err(GroupError::GroupIdNotFound));
    let mut restarted = bench.restarted();
    assert_eq!((restarted.describe().members.len(), restarted.committed("t")), (1, 8));
    let downgraded = Joined { generation: moved.generation + 1, ..moved };
    assert_eq!(bench.heartbeat(&downgraded), Err(GroupError::RebalanceInProgress));
    let leader = bench.join_owning(&downgraded.member_id, &[]);
    assert_eq!((leader.generation, &leader.leader), (downgraded.generation + 1, &downgraded.member_id));
    assert_eq!(bench.sync_assigning(&leader, &[0, 1, 2, 3]), Ok(vec![0, 1, 2, 3]));
}

#[test]
fn classic_members_that_do_not_follow_are_fenced() {
    let (mut bench, classic) = Bench::migrating();
    for _ in 0..6 {
        assert_eq!(bench.heartbeat(&classic), Err(GroupError::RebalanceInProgress), "told to join");
        bench.beat_at("new", classic.generation + 1);
        bench.pass(9_000);
    }
    assert_eq!(bench.described().unwrap().members.len(), 2);
    bench.heartbeat(&classic).unwrap_err();
    bench.pass(6_000);
    assert_eq!(bench.heartbeat(&classic), Err(GroupError::UnknownMemberId), "a rebalance timeout later");
    assert_eq!(bench.beat_at("new", classic.generation + 1).assignment.unwrap().len(), 4);
    // Silence is another matter: the member's own session counts.
    let (mut bench, classic) = Bench::migrating();
    bench.pass(u64::from(SESSION_MS.unsigned_abs()));
    assert_eq!(bench.heartbeat(&classic), Err(GroupError::UnknownMemberId));
}

#[test]
fn classic_members_leave_a_consumer_group_by_their_own_request() {
    let (mut bench, classic) = Bench::migrating();
    let leaves = |bench: &mut Bench, id: &str| match bench.answer(leave(id, None)) {
        GroupReply::Leave(Ok(results)) => results[0],
        other => panic!("{other:?}"),
    };
    assert_eq!(leaves(&mut bench, "new"), Err(GroupError::UnknownMemberId), "it speaks the new protocol");
    assert_eq!(leaves(&mut bench, &classic.member_id), Ok(()));
    assert_eq!(bench.beat_at("new", classic.generation + 1).assignment.unwrap().len(), 4);
    let joined = JoinRequest { protocol_type: "connect".into(), ..join_as("", None, false) };
    assert!(matches!(
        bench.answer(GroupRequest::Join(joined)),
        GroupReply::Join(Err(JoinRefused { error: GroupError::InconsistentGroupProtocol, .. }))
    ));
    let required = bench.answer(GroupRequest::Join(join_as("", None, true)));
    let GroupReply::Join(Err(JoinRefused { error: GroupError::MemberIdRequired, member_id })) = required
    else {
        panic!("{required:?}")
    };
    assert_eq!(bench.join_owning(&member_id, &[]).member_id, member_id);
}

#[test]
fn a_group_that_cannot_be_understood_stays_classic() {
    let mut bench = Bench::new();
    bench.image = image_with(1, 4);
    let classic = bench.stable_member();
    assert_eq!(
        bench.beat(consumer_joining("new")),
        Err(GroupError::GroupIdNotFound),
        "its assignment is not Kafka's"
    );
    assert_eq!(bench.heartbeat(&classic), Ok(()));
    let mut bench = Bench::with(|limits| limits.consumer.upgrade = false);
    bench.image = image_with(1, 4);
    let classic = bench.join_owning("", &[]);
    bench.sync_assigning(&classic, &[0]).unwrap();
    assert_eq!(bench.beat(consumer_joining("new")), Err(GroupError::GroupIdNotFound));
}
