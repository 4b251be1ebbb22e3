use crate::api::testing::{Server, read};
use crate::base::MonoNanos;
use crate::base::TopicId;
use crate::protocol::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};

use super::*;

fn request(version: i16, id: TopicId, max_bytes: i32) -> messages::FetchRequest<'static> {
    let asked = |partition| FetchPartition { partition, ..FetchPartition::default() };
    let topic = FetchTopic {
        topic: if version < IDS_FROM { "a".into() } else { "".into() },
        topic_id: if version < IDS_FROM { TopicId::ZERO } else { id },
        partitions: [2, 1, 0, 9].map(asked).into(),
    };
    messages::FetchRequest { max_bytes, topics: vec![topic], ..messages::FetchRequest::default() }
}

fn check(max_bytes: i32, isolation_level: i8, want: [(i32, i16, i64, usize); 4]) {
    for version in 4..=18 {
        let mut server = Server::new();
        let id = server.create("a", 3);
        let request = messages::FetchRequest { isolation_level, ..request(version, id, max_bytes) };
        let body = server.call(start, version, &request);
        let answer: FetchResponse<'_> = read(&body, version);
        assert_eq!((answer.error_code, answer.session_id), (0, 0));
        let partitions = &answer.responses[0].partitions;
        let data = |one: &PartitionData<'_>| {
            (one.partition_index, one.error_code, one.high_watermark, one.records.len())
        };
        assert_eq!(partitions.iter().map(data).collect::<Vec<_>>(), want, "version {version}");
        assert!(partitions.iter().all(|one| !one.records.is_null()));
        assert!(partitions.iter().all(|one| one.aborted_transactions.is_some() == (isolation_level == 1)));
    }
}

#[test]
fn partitions_are_answered_in_order_in_all_versions() {
    for isolation_level in [0, 1] {
        check(100, isolation_level, [(2, 0, 6, 5), (1, 56, -1, 0), (0, 0, 6, 5), (9, 3, -1, 0)]);
    }
}

#[test]
fn limits_hold_over_all_shards_but_for_the_first_records() {
    check(9, 0, [(2, 0, 6, 5), (1, 56, -1, 0), (0, 0, 6, 0), (9, 3, -1, 0)]);
    check(0, 0, [(2, 0, 6, 5), (1, 56, -1, 0), (0, 0, 6, 0), (9, 3, -1, 0)]);
}

#[test]
fn without_memory_for_answers_there_are_no_records_in_them() {
    let mut server = Server::new();
    let id = server.create("a", 3);
    for (answers_are_full, want) in [(true, [0, 0, 0, 0]), (false, [5, 0, 5, 0])] {
        server.answers_are_full = answers_are_full;
        let body = server.call(start, 13, &request(13, id, 100));
        let answer: FetchResponse<'_> = read(&body, 13);
        let records = |one: &PartitionData<'_>| one.records.len();
        assert_eq!(answer.responses[0].partitions.iter().map(records).collect::<Vec<_>>(), want);
    }
}

/// A client in a session: partitions 0 and 2 are healthy, 1 has failed.
struct Client {
    server: Server,
    version: i16,
    id: TopicId,
    session_id: i32,
    session_epoch: i32,
}

type News = Vec<(i32, i16, usize)>;

impl Client {
    fn new(version: i16) -> Client {
        let mut server = Server::new();
        let id = server.create("a", 4);
        Client { server, version, id, session_id: 0, session_epoch: 0 }
    }

    fn topic(&self, partitions: &[(i32, i64)]) -> Vec<FetchTopic<'static>> {
        let asked = |(partition, fetch_offset): &(i32, i64)| FetchPartition {
            partition: *partition,
            fetch_offset: *fetch_offset,
            partition_max_bytes: 100,
            ..FetchPartition::default()
        };
        if partitions.is_empty() {
            return Vec::new();
        }
        let by_name = self.version < IDS_FROM;
        vec![FetchTopic {
            topic: if by_name { "a".into() } else { "".into() },
            topic_id: if by_name { TopicId::ZERO } else { self.id },
            partitions: partitions.iter().map(asked).collect(),
        }]
    }

    fn forgotten(&self, partitions: &[i32]) -> Vec<ForgottenTopic<'static>> {
        let by_name = self.version < IDS_FROM;
        vec![ForgottenTopic {
            topic: if by_name { "a".into() } else { "".into() },
            topic_id: if by_name { TopicId::ZERO } else { self.id },
            partitions: partitions.to_vec(),
        }]
    }

    /// The answer's error and session, and its partitions with their errors and bytes.
    fn fetch(&mut self, changed: &[(i32, i64)], forgotten: &[i32]) -> (i16, i32, News) {
        let request = messages::FetchRequest {
            max_bytes: 1000,
            session_id: self.session_id,
            session_epoch: self.session_epoch,
            topics: self.topic(changed),
            forgotten_topics_data: self.forgotten(forgotten),
            ..messages::FetchRequest::default()
        };
        let body = self.server.call(start, self.version, &request);
        let answer: FetchResponse<'_> = read(&body, self.version);
        let partitions = answer.responses.iter().flat_map(|topic| {
            assert_eq!(topic.topic_id == self.id, self.version >= IDS_FROM);
            assert_eq!(&*topic.topic == "a", self.version < IDS_FROM);
            topic.partitions.iter().map(|it| (it.partition_index, it.error_code, it.records.len()))
        });
        let mut news: News = partitions.collect();
        news.sort_unstable();
        (answer.error_code, answer.session_id, news)
    }

    /// Opens a session for partitions at these offsets.
    fn open(&mut self, partitions: &[(i32, i64)]) -> News {
        self.session_epoch = 0;
        let (error, id, news) = self.fetch(partitions, &[]);
        assert!(error == 0 && id > 0, "error {error}, session {id}");
        (self.session_id, self.session_epoch) = (id, 1);
        news
    }

    fn next(&mut self, changed: &[(i32, i64)], forgotten: &[i32]) -> News {
        let (error, id, news) = self.fetch(changed, forgotten);
        assert_eq!((error, id), (0, self.session_id));
        self.session_epoch = session::next_epoch(self.session_epoch);
        news
    }
}

#[test]
fn sessions_tell_only_what_is_new() {
    for version in 7..=18 {
        let mut client = Client::new(version);
        assert_eq!(client.open(&[(0, 5), (2, 6)]), [(0, 0, 5), (2, 0, 0)]);
        assert_eq!(client.next(&[(0, 6)], &[]), []);
        assert_eq!(client.next(&[], &[]), []);
        assert_eq!(client.next(&[(2, 5)], &[]), [(2, 0, 5)]);
        assert_eq!(client.next(&[], &[]), [(2, 0, 5)], "asked for again, for nothing was said of it");
        assert_eq!(client.next(&[(0, 5)], &[2]), [(0, 0, 5)]);
        assert_eq!(client.next(&[(0, 6), (2, 6)], &[]), [(2, 0, 0)], "its offsets are news again");
        assert_eq!(client.server.sessions.counters().partitions, 2);
    }
}

#[test]
fn errors_in_sessions_are_told_every_time_and_their_end_too() {
    for version in [7, 12, 13, 18] {
        let mut client = Client::new(version);
        assert_eq!(client.open(&[(0, 6), (1, 6), (9, 6)]), [(0, 0, 0), (1, 56, 0), (9, 3, 0)]);
        assert_eq!(client.next(&[], &[]), [(1, 56, 0), (9, 3, 0)]);
        assert_eq!(client.next(&[], &[1]), [(9, 3, 0)]);
        client.server.grow("a", 11);
        assert_eq!(client.next(&[], &[]), [(9, 56, 0)], "the partition is there now, and has failed");
        assert_eq!(client.next(&[(10, 5)], &[9]), [(10, 0, 5)]);
    }
}

#[test]
fn sessions_of_names_follow_a_topic_that_was_created_anew() {
    let mut client = Client::new(12);
    assert_eq!(client.open(&[(0, 6)]), [(0, 0, 0)]);
    client.server.delete("a");
    assert_eq!(client.next(&[], &[]), [(0, 3, 0)]);
    client.id = client.server.create("a", 4);
    assert_eq!(client.next(&[], &[]), [(0, 0, 0)]);
    assert_eq!(client.next(&[], &[]), []);
    let mut client = Client::new(13);
    client.open(&[(0, 6)]);
    client.server.delete("a");
    client.server.create("a", 4);
    assert_eq!(client.next(&[], &[]), [(0, 100, 0)], "this id is gone for ever");
}

#[test]
fn sessions_keep_to_their_epochs_and_kinds() {
    let mut client = Client::new(13);
    client.open(&[(0, 5)]);
    let right = (client.session_id, client.session_epoch);
    for (id, epoch, version, error) in [
        (right.0, right.1 + 1, 13, ErrorCode::InvalidFetchSessionEpoch),
        (right.0, i32::MAX, 13, ErrorCode::InvalidFetchSessionEpoch),
        (right.0, i32::MIN, 13, ErrorCode::InvalidFetchSessionEpoch),
        (right.0 ^ 1, right.1, 13, ErrorCode::FetchSessionIdNotFound),
        (0, right.1, 13, ErrorCode::FetchSessionIdNotFound),
        (right.0, right.1, 12, ErrorCode::FetchSessionTopicIdError),
    ] {
        (client.session_id, client.session_epoch, client.version) = (id, epoch, version);
        assert_eq!(client.fetch(&[], &[]), (error.code(), 0, vec![]), "{id} {epoch} {version}");
    }
    (client.session_id, client.session_epoch, client.version) = (right.0, right.1, 13);
    assert_eq!(client.next(&[], &[]), [(0, 0, 5)], "nothing of that has harmed the session");
    // A full fetch ends the session it comes from; -1 opens no other.
    client.session_epoch = -1;
    assert_eq!(client.fetch(&[(0, 5)], &[]), (0, 0, vec![(0, 0, 5)]));
    client.session_epoch = right.1 + 1;
    assert_eq!(client.fetch(&[], &[]), (ErrorCode::FetchSessionIdNotFound.code(), 0, vec![]));
    assert_eq!(client.server.sessions.counters().partitions, 0);
}

#[test]
fn a_session_that_forgets_everything_ends() {
    let mut client = Client::new(18);
    client.open(&[(0, 6), (9, 6)]);
    assert_eq!(client.fetch(&[], &[0, 9, 7]), (0, 0, vec![]));
    assert_eq!(client.server.sessions.counters().sessions, 0);
}

#[test]
fn requests_that_overtake_an_answer_of_their_session_void_it() {
    let mut client = Client::new(13);
    client.open(&[(0, 5)]);
    let sessions = &mut client.server.sessions;
    let image = client.server.controller.image();
    let epoch = sessions
        .resume(MonoNanos(0), &image, client.session_id, 1, true)
        .map(|session| session.epoch)
        .expect("the session's next request");
    assert!(sessions.answering(client.session_id, epoch).is_ok());
    sessions.resume(MonoNanos(0), &image, client.session_id, epoch, true).expect("one more");
    let late = sessions.answering(client.session_id, epoch).map(|_| ());
    assert_eq!(late, Err(ErrorCode::InvalidFetchSessionEpoch));
}

#[test]
fn partitions_of_a_session_take_turns() {
    let mut client = Client::new(13);
    client.open(&[(0, 6), (2, 6)]);
    // One batch fits: each partition gets its turn although both always have more.
    let mut seen = Vec::new();
    for _ in 0..4 {
        let request = messages::FetchRequest {
            max_bytes: 5,
            session_id: client.session_id,
            session_epoch: client.session_epoch,
            topics: client.topic(&[(0, 5), (2, 5)]),
            ..messages::FetchRequest::default()
        };
        client.session_epoch += 1;
        let body = client.server.call(start, 13, &request);
        let answer: FetchResponse<'_> = read(&body, 13);
        let parts = answer.responses.iter().flat_map(|topic| &topic.partitions);
        seen.extend(parts.filter(|it| !it.records.is_empty()).map(|it| it.partition_index));
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 0, 2, 2]);
}

#[test]
fn what_another_server_leads_is_asked_of_nobody() {
    let image = crate::api::testing::image_of_two_servers();
    let mut plan = Plan::default();
    plan.topics.push(Key::Name(Arc::from("spread")).resolve(&image));
    for (index, order) in (0..5).zip(0..) {
        let asked = FetchPartition { partition: index, ..FetchPartition::default() };
        plan.add(&image, NamedPartition { topic: 0, index, order }, wanted(&asked), None);
    }
    let asked = plan.calls.iter().map(|call| (call.shard.0, call.named[0].index));
    assert_eq!(asked.collect::<Vec<_>>(), [(0, 0), (1, 2)]);
    let failed = plan.failed.iter().map(|failed| (failed.named.index, failed.code));
    let elsewhere = ErrorCode::NotLeaderOrFollower;
    let unknown = ErrorCode::UnknownTopicOrPartition;
    assert_eq!(failed.collect::<Vec<_>>(), [(1, elsewhere), (3, elsewhere), (4, unknown)]);
}

#[test]
fn full_caches_let_go_of_what_is_old() {
    let minutes = |minutes: u64| MonoNanos(minutes * 60_000_000_000);
    let image = crate::api::testing::image(2, &[("a", 8)]);
    let plan = |count: i32| {
        let mut plan = Plan::default();
        plan.topics.push(Key::Name(Arc::from("a")).resolve(&image));
        for index in 0..count {
            let asked = FetchPartition { partition: index, ..FetchPartition::default() };
            let order = u32::try_from(index).expect("positive");
            plan.add(&image, NamedPartition { topic: 0, index, order }, wanted(&asked), None);
        }
        plan
    };
    let mut sessions = FetchSessions::new(2, 1);
    let first = sessions.open(minutes(0), &image, false, plan(1)).expect("room");
    let second = sessions.open(minutes(1), &image, false, plan(3)).expect("room");
    assert!(sessions.open(minutes(1), &image, false, plan(8)).is_err(), "both are young");
    sessions.resume(minutes(2), &image, first, 1, false).expect("in use");
    sessions.resume(minutes(3), &image, second, 1, false).expect("in use");
    let third = sessions.open(minutes(3), &image, false, plan(2)).expect("the first is older and smaller");
    assert!(sessions.resume(minutes(3), &image, first, 2, false).is_err());
    assert!(sessions.open(minutes(3), &image, false, plan(1)).is_err(), "none is smaller");
    sessions.open(minutes(6), &image, false, plan(1)).expect("one has not been used for long");
    assert_eq!((sessions.counters().evicted, sessions.counters().sessions), (2, 2));
    sessions.close(third);
    let twice = {
        let mut plan = plan(2);
        let again = FetchPartition { partition: 1, ..FetchPartition::default() };
        plan.add(&image, NamedPartition { topic: 0, index: 1, order: 2 }, wanted(&again), None);
        plan
    };
    assert!(sessions.open(minutes(9), &image, false, twice).is_err(), "a partition is named twice");
}
