//! What one request names twice, or claims about itself: groups' APIs as Kafka 4.4 answers them.

use super::*;

fn asked(topic: &'static str, partitions: &[i32]) -> OffsetFetchRequestTopics<'static> {
    OffsetFetchRequestTopics {
        name: topic.into(),
        partition_indexes: partitions.to_vec(),
        ..Default::default()
    }
}

/// Topics as they are answered, each with its partitions and their offsets.
type Answered = Vec<(String, Vec<(i32, i64)>)>;

impl Groups {
    fn fetch_twice(&mut self, version: i16, topics: Vec<OffsetFetchRequestTopics<'static>>) -> Vec<Answered> {
        let by_id = version >= 10;
        let t = self.peer.topic("t").id;
        let topics: Vec<_> = topics
            .into_iter()
            .map(|it| OffsetFetchRequestTopics {
                topic_id: if by_id { t } else { TopicId::ZERO },
                name: if by_id { "".into() } else { it.name },
                ..it
            })
            .collect();
        let request = if version >= 8 {
            let group =
                OffsetFetchRequestGroup { group_id: "g".into(), topics: Some(topics), ..Default::default() };
            let groups = vec![group.clone(), group];
            OffsetFetchRequest { topics: Some(Vec::new()), groups, ..Default::default() }
        } else {
            let old = topics
                .into_iter()
                .map(|it| OffsetFetchRequestTopic { name: it.name, partition_indexes: it.partition_indexes });
            OffsetFetchRequest { group_id: "g".into(), topics: Some(old.collect()), ..Default::default() }
        };
        let body = self.ask(version, &request);
        let answer: OffsetFetchResponse<'_> = read(&body, version);
        if version < 8 {
            let topics = answer.topics.iter().map(|topic| {
                let partitions =
                    topic.partitions.iter().map(|it| (it.partition_index, it.committed_offset)).collect();
                (topic.name.to_string(), partitions)
            });
            return vec![topics.collect()];
        }
        let groups = answer.groups.iter().map(|group| {
            assert_eq!((&*group.group_id, group.error_code), ("g", 0));
            let topics = group.topics.iter().map(|topic| {
                let partitions =
                    topic.partitions.iter().map(|it| (it.partition_index, it.committed_offset)).collect();
                assert_eq!(topic.topic_id, if by_id { t } else { TopicId::ZERO });
                (if by_id { "t".to_owned() } else { topic.name.to_string() }, partitions)
            });
            topics.collect()
        });
        groups.collect()
    }

    fn fetch_as(&mut self, version: i16, member: Option<&'static str>, epoch: i32) -> i16 {
        let group = OffsetFetchRequestGroup {
            group_id: "g".into(),
            member_id: member.map(Into::into),
            member_epoch: epoch,
            topics: Some(vec![OffsetFetchRequestTopics {
                topic_id: self.peer.topic("t").id,
                ..asked(if version < 10 { "t" } else { "" }, &[0])
            }]),
        };
        let request =
            OffsetFetchRequest { topics: Some(Vec::new()), groups: vec![group], ..Default::default() };
        let body = self.ask(version, &request);
        let answer: OffsetFetchResponse<'_> = read(&body, version);
        assert_eq!(answer.groups[0].topics.is_empty(), answer.groups[0].error_code != 0);
        answer.groups[0].error_code
    }
}

#[test]
fn groups_and_topics_are_fetched_as_often_as_they_are_named() {
    for version in 1..=10 {
        let mut groups = Groups::new();
        assert_eq!(groups.commit(8, "", -1, "t"), 0);
        let asked = vec![asked("t", &[1, 0]), asked("t", &[1, 1]), asked("t", &[])];
        let t = || "t".to_owned();
        let wanted = vec![(t(), vec![(1, 42), (0, -1)]), (t(), vec![(1, 42), (1, 42)]), (t(), Vec::new())];
        let times = if version >= 8 { 2 } else { 1 };
        assert_eq!(groups.fetch_twice(version, asked), vec![wanted; times], "version {version}");
    }
}

#[test]
fn a_group_named_twice_is_deleted_once() {
    for version in 0..=3 {
        let mut groups = Groups::new();
        groups.commit(8, "", -1, "t");
        let names = ["g", "nobody", "g", "", "nobody", ""];
        let request = DeleteGroupsRequest { groups_names: names.map(Into::into).into() };
        let body = groups.ask(version, &request);
        let answer: DeleteGroupsResponse<'_> = read(&body, version);
        let results = answer.results.iter();
        let results: Vec<_> =
            results.map(|it| (&*it.group_id, it.error_code, it.error_message.as_deref())).collect();
        let missing = code(ErrorCode::GroupIdNotFound);
        assert_eq!(results, [("g", 0, None), ("nobody", missing, None), ("", missing, None)]);
    }
}

#[test]
fn what_is_looked_at_twice_is_shown_twice() {
    let mut groups = Groups::new();
    groups.commit(8, "", -1, "t");
    let request = DescribeGroupsRequest {
        groups: vec!["g".into(), "nobody".into(), "g".into()],
        include_authorized_operations: true,
    };
    let body = groups.ask(6, &request);
    let answer: DescribeGroupsResponse<'_> = read(&body, 6);
    let shown: Vec<_> = answer.groups.iter().map(|it| (&*it.group_id, &*it.group_state)).collect();
    assert_eq!(shown, [("g", "Empty"), ("nobody", "Dead"), ("g", "Empty")]);
    let operations = answer.groups.iter().map(|it| it.authorized_operations == i32::MIN).collect::<Vec<_>>();
    assert_eq!(operations, [false, true, false], "a group that is not there allows nothing");
    let request = ConsumerGroupDescribeRequest { group_ids: vec!["g".into(); 2], ..Default::default() };
    let body = groups.ask(1, &request);
    let answer: ConsumerGroupDescribeResponse<'_> = read(&body, 1);
    assert_eq!(answer.groups.len(), 2);
    let request = FindCoordinatorRequest { coordinator_keys: vec!["g".into(); 2], ..Default::default() };
    let body = groups.ask(4, &request);
    let answer: FindCoordinatorResponse<'_> = read(&body, 4);
    assert_eq!(answer.coordinators.iter().map(|it| it.error_code).collect::<Vec<_>>(), [0, 0]);
}

#[test]
fn offsets_are_fetched_by_members_in_the_epoch_they_are_in() {
    for version in 9..=10 {
        let mut groups = Groups::new();
        // Nobody is a member of a group that is not there, nor of one of the classic protocol.
        assert_eq!(groups.fetch_as(version, Some("me"), 3), 0);
        groups.commit(9, "", -1, "t");
        assert_eq!(groups.fetch_as(version, Some("me"), 3), 0);
        let (error, _, epoch, _) = groups.beat(1, &consumer(1, "me"));
        assert_eq!(error, 0);
        assert_eq!(groups.fetch_as(version, Some("me"), epoch), 0);
        let (stale, unknown) = (code(ErrorCode::StaleMemberEpoch), code(ErrorCode::UnknownMemberId));
        for other in [epoch - 1, 0, -1, -2, i32::MIN, epoch + 1] {
            assert_eq!(groups.fetch_as(version, Some("me"), other), stale, "epoch {other}");
        }
        assert_eq!(groups.fetch_as(version, Some("you"), epoch), unknown);
        assert_eq!(groups.fetch_as(version, Some(""), -1), unknown);
        // From outside.
        assert_eq!(groups.fetch_as(version, None, -1), 0);
        // Kafka fails here by accident.
        assert_eq!(groups.fetch_as(version, None, epoch), unknown);
    }
}

#[test]
fn refusals_of_consumers_say_what_kafka_says() {
    let mut groups = Groups::new();
    let mut check = |version: i16, request: ConsumerGroupHeartbeatRequest<'_>, error, message: &str| {
        let body = groups.ask(version, &request);
        let answer: ConsumerGroupHeartbeatResponse<'_> = read(&body, version);
        assert_eq!((answer.error_code, answer.error_message.as_deref()), (code(error), Some(message)));
    };
    let invalid = ErrorCode::InvalidRequest;
    check(
        1,
        ConsumerGroupHeartbeatRequest { group_id: " ".into(), ..consumer(1, "m") },
        invalid,
        "GroupId can't be empty.",
    );
    check(
        1,
        ConsumerGroupHeartbeatRequest { group_id: "".into(), ..consumer(1, " ") },
        invalid,
        "MemberId can't be empty.",
    );
    let no_topics = ConsumerGroupHeartbeatRequest { subscribed_topic_names: None, ..consumer(0, "") };
    let message = "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.";
    check(0, no_topics, invalid, message);
    let best = ConsumerGroupHeartbeatRequest { server_assignor: Some("best".into()), ..consumer(1, "m") };
    let message = "ServerAssignor best is not supported. Supported assignors: uniform, range.";
    check(1, best, ErrorCode::UnsupportedAssignor, message);
    let nothing =
        ConsumerGroupHeartbeatRequest { subscribed_topic_names: Some(Vec::new()), ..consumer(0, "") };
    let (error, id, _, assignment) = groups.beat(0, &nothing);
    assert_eq!((error, id.is_empty(), assignment), (0, false, Some(Vec::new())));
}
