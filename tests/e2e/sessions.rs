//! Fetch sessions against the real server: what wakes them, and what they are told.

use ringmain::base::TopicId;
use ringmain::client::{Connection, Missing};
use ringmain::protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use ringmain::protocol::messages::{FetchRequest, FetchResponse};

use super::server::{PATIENCE, Server, topic_name};
use super::wire::{Wire, batch};

const PARTITIONS: i32 = 6;
/// Far longer than a test may take.
const LONG_POLL_MS: i32 = 50_000;

struct Session {
    connection: Connection,
    topic: TopicId,
    id: i32,
    epoch: i32,
}

/// A partition's number, error, end and bytes.
type News = Vec<(i32, i16, i64, bool)>;

impl Session {
    fn of(server: &Server, topic: &str) -> Session {
        let mut cluster = server.cluster();
        let view = cluster.ready_topic(topic, Missing::Fail, PATIENCE).expect("the topic has leaders");
        let connection = Wire::to(server, topic, 0).connection;
        Session { connection, topic: view.id, id: 0, epoch: 0 }
    }

    fn send(&mut self, max_wait_ms: i32, positions: &[(i32, i64)]) {
        let partition = |(partition, fetch_offset): &(i32, i64)| FetchPartition {
            partition: *partition,
            fetch_offset: *fetch_offset,
            partition_max_bytes: 1 << 20,
            ..Default::default()
        };
        let partitions: Vec<_> = positions.iter().map(partition).collect();
        let topics = vec![FetchTopic { topic: "".into(), topic_id: self.topic, partitions }];
        let request = FetchRequest {
            max_wait_ms,
            min_bytes: 1,
            max_bytes: 1 << 20,
            session_id: self.id,
            session_epoch: self.epoch,
            topics: if positions.is_empty() { Vec::new() } else { topics },
            ..Default::default()
        };
        self.connection.send(&request).expect("the broker reads");
    }

    fn receive(&mut self) -> News {
        let answer = self.connection.receive().expect("the broker answers");
        let response: FetchResponse<'_> = answer.decode().expect("a fetch response");
        assert_eq!(response.error_code, 0);
        assert!(response.session_id > 0 && (self.id == 0 || self.id == response.session_id));
        self.id = response.session_id;
        self.epoch += 1;
        let partitions = response.responses.iter().flat_map(|topic| &topic.partitions);
        let mut news: News = partitions
            .map(|it| (it.partition_index, it.error_code, it.high_watermark, !it.records.is_empty()))
            .collect();
        news.sort_unstable();
        news
    }
}

#[test]
fn a_session_sleeps_until_one_of_its_partitions_has_news() {
    let server = Server::start();
    let topic = topic_name("session");
    server.create_topic(&topic, PARTITIONS, &[]);
    let mut session = Session::of(&server, &topic);
    let all: Vec<(i32, i64)> = (0..PARTITIONS).map(|partition| (partition, 0)).collect();
    session.send(0, &all);
    let empty: News = (0..PARTITIONS).map(|partition| (partition, 0, 0, false)).collect();
    assert_eq!(session.receive(), empty);
    session.send(20, &[]);
    assert_eq!(session.receive(), []);
    for round in 0..3 {
        for partition in 0..PARTITIONS {
            session.send(LONG_POLL_MS, &[]);
            Wire::to(&server, &topic, partition).append(batch(&["news"]));
            assert_eq!(session.receive(), [(partition, 0, round + 1, true)]);
            // The records were not asked for again, the end is known: nothing is new.
            session.send(20, &[(partition, round + 1)]);
            assert_eq!(session.receive(), []);
        }
    }
}

#[test]
fn a_sleeping_session_hears_of_a_deleted_topic() {
    let server = Server::start();
    let topic = topic_name("session-gone");
    server.create_topic(&topic, 1, &[]);
    let mut session = Session::of(&server, &topic);
    session.send(0, &[(0, 0)]);
    assert_eq!(session.receive(), [(0, 0, 0, false)]);
    session.send(LONG_POLL_MS, &[]);
    server.admin().delete_topic(&topic).expect("the topic is there");
    let told = session.receive();
    assert!(matches!(told[..], [(0, error, -1, false)] if error != 0), "{told:?}");
    session.send(0, &[]);
    assert_eq!(session.receive(), [(0, 100, -1, false)]);
}
