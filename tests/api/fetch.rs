//! Fetch.

use super::*;

pub fn fetch(topic: &'static str, id: TopicId, version: i16, indexes: &[i32]) -> FetchRequest<'static> {
    let partitions = indexes.iter().map(|partition| FetchPartition {
        partition: *partition,
        fetch_offset: 5,
        partition_max_bytes: 1000,
        ..FetchPartition::default()
    });
    let mut asked = FetchTopic { partitions: partitions.collect(), ..FetchTopic::default() };
    if version >= 13 {
        asked.topic_id = id;
    } else {
        asked.topic = topic.into();
    }
    FetchRequest {
        max_wait_ms: 500,
        min_bytes: 1,
        max_bytes: 10_000,
        topics: vec![asked],
        ..FetchRequest::default()
    }
}

fn records(bytes: &'static [u8]) -> Fetched {
    Fetched {
        high_watermark: Offset(9),
        last_stable_offset: Offset(9),
        log_start: Offset(2),
        diverging: None,
        records: if bytes.is_empty() { Vec::new() } else { vec![Payload::Bytes(Bytes::from_static(bytes))] },
    }
}

fn fetched(request: &ShardRequest, outcome: impl Fn(i32) -> Result<Fetched, PartitionError>) -> ShardReply {
    let ShardRequest::Fetch(request) = request else { panic!("asked {request:?}") };
    let results = (0..)
        .zip(request.partitions.iter())
        .map(|(index, asked)| FetchResult { index, outcome: outcome(asked.partition.partition.0) });
    ShardReply::Fetch(results.collect())
}

fn bytes_of(records: &Records<'_>) -> Vec<u8> {
    assert!(!records.is_null(), "null records break clients");
    records.to_vec()
}

#[test]
fn a_partition_named_twice_is_fetched_once_at_the_last_offset() {
    for (version, session_epoch) in [(12, -1), (12, 0), (13, -1), (18, 0)] {
        let mut peer = Peer::new(&[("a", 4)]);
        let id = peer.topic("a").id;
        let mut request = fetch("a", id, version, &[2, 1, 2]);
        request.session_epoch = session_epoch;
        request.topics[0].partitions[2].fetch_offset = 7;
        let body = peer.send(version, &request, |_, request| fetched(request, |_| Ok(records(b"x")))).body();
        let answer: FetchResponse<'_> = read(&body, version);
        assert_eq!((answer.error_code, answer.session_id != 0), (0, session_epoch == 0));
        let answered = answer.responses.iter().flat_map(|topic| &topic.partitions);
        let mut answered: Vec<_> = answered.map(|partition| partition.partition_index).collect();
        answered.sort_unstable();
        assert_eq!(answered, [1, 2]);
        let asked = peer.asked.iter().flat_map(|(_, request)| match request {
            ShardRequest::Fetch(request) => request.partitions.to_vec(),
            other => panic!("asked {other:?}"),
        });
        let offsets: BTreeMap<i32, i64> =
            asked.map(|asked| (asked.partition.partition.0, asked.offset.0)).collect();
        assert_eq!(offsets, BTreeMap::from([(1, 5), (2, 7)]));
    }
}

#[test]
fn fetch_gives_records_in_the_order_of_the_request_in_every_version() {
    for version in 4..=18 {
        let mut peer = Peer::new(&[("a", 4)]);
        let id = peer.topic("a").id;
        let request = fetch("a", id, version, &[2, 1, 9, 0]);
        let reply =
            |index| Ok(records([&b"zero"[..], b"one", b"", b"three"][usize::try_from(index).expect("0-3")]));
        let body = peer.send(version, &request, |_, request| fetched(request, reply)).body();
        let answer: FetchResponse<'_> = read(&body, version);
        assert_eq!((answer.error_code, answer.session_id, answer.throttle_time_ms), (0, 0, 0));
        let [topic] = answer.responses.as_slice() else { panic!("one topic") };
        assert_eq!(
            (&*topic.topic, topic.topic_id),
            if version >= 13 { ("", id) } else { ("a", TopicId::ZERO) }
        );
        let got: Vec<_> = topic
            .partitions
            .iter()
            .map(|data| (data.partition_index, data.error_code, data.high_watermark, bytes_of(&data.records)))
            .collect();
        let unknown = code(ErrorCode::UnknownTopicOrPartition);
        assert_eq!(
            got,
            [
                (2, 0, 9, vec![]),
                (1, 0, 9, b"one".to_vec()),
                (9, unknown, -1, vec![]),
                (0, 0, 9, b"zero".to_vec())
            ],
            "version {version}"
        );
        let first = &topic.partitions[0];
        assert_eq!(first.last_stable_offset, 9);
        assert_eq!(first.log_start_offset, if version >= 5 { 2 } else { -1 });
        assert_eq!((first.preferred_read_replica, first.aborted_transactions.is_none()), (-1, true));
    }
}

#[test]
fn what_is_asked_reaches_every_shard_whole() {
    let mut peer = Peer::new(&[("a", 2)]);
    let mut request = fetch("a", TopicId::ZERO, 12, &[0, 1]);
    request.isolation_level = 1;
    request.topics[0].partitions[0].current_leader_epoch = 3;
    request.topics[0].partitions[0].last_fetched_epoch = 2;
    let body = peer.send(12, &request, |_, request| fetched(request, |_| Ok(records(b"")))).body();
    let answer: FetchResponse<'_> = read(&body, 12);
    assert!(answer.responses[0].partitions.iter().all(|data| data.aborted_transactions == Some(vec![])));
    assert_eq!(peer.asked.len(), 2);
    for (_, request) in &peer.asked {
        let ShardRequest::Fetch(request) = request else { panic!("asked {request:?}") };
        assert_eq!((request.wait_ms_max, request.bytes_min, request.bytes_max), (500, 1, 10_000));
        let [asked] = request.partitions.as_slice() else { panic!("one partition each") };
        let epochs = if asked.partition.partition.0 == 0 { (3, 2) } else { (-1, -1) };
        assert_eq!((asked.current_leader_epoch.0, asked.last_fetched_epoch.0), epochs);
        assert_eq!((asked.offset, asked.bytes_max, request.read_committed), (Offset(5), 1000, true));
    }
}

#[test]
fn a_partition_nobody_can_be_asked_about_ends_the_wait() {
    let mut peer = Peer::new(&[("a", 1)]);
    peer.send(12, &fetch("a", TopicId::ZERO, 12, &[0, 7]), |_, request| {
        fetched(request, |_| Ok(records(b"")))
    })
    .body();
    let [(_, ShardRequest::Fetch(request))] = peer.asked.as_slice() else { panic!("one call") };
    assert_eq!(request.wait_ms_max, 0);
}

#[test]
fn the_first_records_go_whole_and_the_rest_within_the_limit() {
    let fetch_bytes = |bytes_max: i32| {
        let mut peer = Peer::new(&[("a", 4)]);
        let request = FetchRequest { max_bytes: bytes_max, ..fetch("a", TopicId::ZERO, 12, &[0, 1, 2, 3]) };
        let body =
            peer.send(12, &request, |_, request| fetched(request, |_| Ok(records(b"12345678")))).body();
        let answer: FetchResponse<'_> = read(&body, 12);
        answer.responses[0].partitions.iter().map(|data| bytes_of(&data.records).len()).collect::<Vec<_>>()
    };
    assert_eq!(fetch_bytes(0), [8, 0, 0, 0]);
    assert_eq!(fetch_bytes(1), [8, 0, 0, 0]);
    assert_eq!(fetch_bytes(16), [8, 8, 0, 0]);
    assert_eq!(fetch_bytes(1000), [8, 8, 8, 8]);
}

#[test]
fn sessions_open_and_close_as_asked() {
    for version in 7..=18 {
        let check = |session_id: i32, session_epoch: i32, want: ErrorCode, opened: bool| {
            let mut peer = Peer::new(&[("a", 1)]);
            let request =
                FetchRequest { session_id, session_epoch, ..fetch("a", peer.topic("a").id, version, &[0]) };
            let body =
                peer.send(version, &request, |_, request| fetched(request, |_| Ok(records(b"x")))).body();
            let answer: FetchResponse<'_> = read(&body, version);
            assert_eq!(
                (answer.error_code, answer.session_id > 0),
                (code(want), opened),
                "{session_id} {session_epoch}"
            );
            assert_eq!(answer.responses.is_empty(), want != ErrorCode::None);
        };
        check(0, -1, ErrorCode::None, false);
        check(5, -1, ErrorCode::None, false);
        check(0, 0, ErrorCode::None, true);
        check(5, 0, ErrorCode::None, true);
        check(5, 1, ErrorCode::FetchSessionIdNotFound, false);
    }
}

#[test]
fn failures_of_a_fetch_carry_no_offsets_and_empty_records() {
    let check = |error: PartitionError, want: ErrorCode| {
        for version in [4, 18] {
            let mut peer = Peer::new(&[("a", 1)]);
            let request = fetch("a", peer.topic("a").id, version, &[0]);
            let body =
                peer.send(version, &request, |_, request| fetched(request, |_| Err(error.clone()))).body();
            let answer: FetchResponse<'_> = read(&body, version);
            let data = &answer.responses[0].partitions[0];
            assert_eq!(data.error_code, code(want));
            assert_eq!((data.high_watermark, data.last_stable_offset, data.log_start_offset), (-1, -1, -1));
            assert_eq!(bytes_of(&data.records), b"");
        }
    };
    let range =
        PartitionError::OffsetOutOfRange { requested: Offset(5), log_start: Offset(0), log_end: Offset(1) };
    check(range, ErrorCode::OffsetOutOfRange);
    let (requested, current) = (LeaderEpoch(3), LeaderEpoch(4));
    check(PartitionError::FencedLeaderEpoch { requested, current }, ErrorCode::FencedLeaderEpoch);
    check(PartitionError::UnknownLeaderEpoch { requested, current }, ErrorCode::UnknownLeaderEpoch);
    check(PartitionError::Corrupt { offset: Offset(5) }, ErrorCode::CorruptMessage);
    check(PartitionError::NotHere, ErrorCode::NotLeaderOrFollower);
}

#[test]
fn unknown_topics_are_answered_by_the_key_they_came_with() {
    for version in [4, 12, 13, 18] {
        let unknown = TopicId([9; 16]);
        let body = Peer::new(&[]).ask(version, &fetch("b", unknown, version, &[0]));
        let answer: FetchResponse<'_> = read(&body, version);
        let topic = &answer.responses[0];
        let error = topic.partitions[0].error_code;
        if version >= 13 {
            assert_eq!((topic.topic_id, error), (unknown, code(ErrorCode::UnknownTopicId)));
        } else {
            assert_eq!((&*topic.topic, error), ("b", code(ErrorCode::UnknownTopicOrPartition)));
        }
    }
}

#[test]
fn divergence_is_told_from_v12() {
    let diverging = Some(EpochEnd { epoch: LeaderEpoch(1), end: Offset(3) });
    for version in [11, 12, 18] {
        let mut peer = Peer::new(&[("a", 1)]);
        let request = fetch("a", peer.topic("a").id, version, &[0]);
        let reply = |_| Ok(Fetched { diverging, ..records(b"") });
        let end = peer.send(version, &request, |_, request| fetched(request, reply));
        if version >= 12 {
            let body = end.body();
            let data = &read::<FetchResponse<'_>>(&body, version).responses[0].partitions[0];
            assert_eq!((data.diverging_epoch.epoch, data.diverging_epoch.end_offset), (1, 3));
        }
    }
}

// --- ListOffsets, OffsetForLeaderEpoch ----------------------------------------------------------------------------
