//! Produce.

use ringmain::shard::Acks;

use super::*;

/// By name and by id: each version takes the one it knows.
pub fn produce(
    topic: &'static str,
    id: TopicId,
    version: i16,
    indexes: &[i32],
    acks: i16,
) -> ProduceRequest<'static> {
    let partition_data = indexes
        .iter()
        .map(|index| PartitionProduceData { index: *index, records: Records::Borrowed(RECORDS) });
    let mut data =
        TopicProduceData { partition_data: partition_data.collect(), ..TopicProduceData::default() };
    if version >= 13 {
        data.topic_id = id;
    } else {
        data.name = topic.into();
    }
    ProduceRequest { acks, timeout_ms: 1000, topic_data: vec![data], ..ProduceRequest::default() }
}

/// Every partition's batch gets its partition's index × 10 as offset, or what `fail` says.
fn appended(request: &ShardRequest, fail: impl Fn(i32) -> Option<PartitionError>) -> ShardReply {
    let ShardRequest::Produce(request) = request else { panic!("asked {request:?}") };
    let results = request.partitions.iter().map(|asked| {
        assert_eq!(asked.records, RECORDS);
        let index = asked.partition.partition.0;
        let offsets = Appended {
            base_offset: Offset(i64::from(index) * 10),
            log_append_time: TimestampMs::NONE,
            log_start: Offset(1),
        };
        ProduceResult { partition: asked.partition, outcome: fail(index).map_or(Ok(offsets), Err) }
    });
    ShardReply::Produce(results.collect())
}

#[test]
fn produce_answers_in_the_order_of_the_request_in_every_version() {
    for version in 3..=13 {
        let mut peer = Peer::new(&[("a", 4)]);
        let id = peer.topic("a").id;
        let request = produce("a", id, version, &[3, 0, 9, 1, 2], -1);
        let body = peer.send(version, &request, |_, request| appended(request, |_| None)).body();
        let answer: ProduceResponse<'_> = read(&body, version);
        let [topic] = answer.responses.as_slice() else { panic!("one topic") };
        assert_eq!(
            (&*topic.name, topic.topic_id),
            if version >= 13 { ("", id) } else { ("a", TopicId::ZERO) }
        );
        let got: Vec<_> = topic
            .partition_responses
            .iter()
            .map(|answer| (answer.index, answer.error_code, answer.base_offset))
            .collect();
        let unknown = code(ErrorCode::UnknownTopicOrPartition);
        assert_eq!(got, [(3, 0, 30), (0, 0, 0), (9, unknown, -1), (1, 0, 10), (2, 0, 20)], "v{version}");
        assert!(topic.partition_responses.iter().all(|answer| answer.log_append_time_ms == -1));
        assert_eq!(topic.partition_responses[0].log_start_offset, if version >= 5 { 1 } else { -1 });
        assert_eq!((peer.asked.len(), answer.throttle_time_ms), (2, 0));
        for (_, request) in &peer.asked {
            let ShardRequest::Produce(request) = request else { panic!("asked {request:?}") };
            assert_eq!((request.zstd_allowed, request.acks), (version >= 7, Acks::All));
        }
    }
}

#[test]
fn records_reach_the_shard_as_a_slice_of_the_frame() {
    let mut peer = Peer::new(&[("a", 1)]);
    let request = produce("a", TopicId::ZERO, 9, &[0], -1);
    let frame = encode_request(ApiKey::Produce, 9, 77, None, &request).expect("v9").to_vec();
    let frame = Bytes::from(frame).slice(4..);
    peer.send_frame(&frame, 5, |_, request| appended(request, |_| None)).body();
    let [(_, ShardRequest::Produce(request))] = peer.asked.as_slice() else { panic!("one call") };
    assert!(frame.as_ptr_range().contains(&request.partitions[0].records.as_ptr()), "copied");
}

#[test]
fn unknown_topics_are_named_as_they_were() {
    for version in [3, 12, 13] {
        let unknown = TopicId([9; 16]);
        let body = Peer::new(&[]).ask(version, &produce("b", unknown, version, &[0], 1));
        let answer: ProduceResponse<'_> = read(&body, version);
        let topic = &answer.responses[0];
        let error = topic.partition_responses[0].error_code;
        if version >= 13 {
            assert_eq!((topic.topic_id, error), (unknown, code(ErrorCode::UnknownTopicId)));
        } else {
            assert_eq!((&*topic.name, error), ("b", code(ErrorCode::UnknownTopicOrPartition)));
        }
    }
}

#[test]
fn refused_requests_reach_no_shard() {
    let check = |request: ProduceRequest<'static>, error| {
        let body = Peer::new(&[("a", 1)]).ask(9, &request);
        let answer: ProduceResponse<'_> = read(&body, 9);
        assert_eq!(answer.responses[0].partition_responses[0].error_code, code(error));
    };
    let good = || produce("a", TopicId::ZERO, 9, &[0], 1);
    check(ProduceRequest { acks: 2, ..good() }, ErrorCode::InvalidRequiredAcks);
    check(ProduceRequest { acks: -2, ..good() }, ErrorCode::InvalidRequiredAcks);
    check(
        ProduceRequest { transactional_id: Some("t".into()), ..good() },
        ErrorCode::TransactionalIdAuthorizationFailed,
    );
    let mut null = good();
    null.topic_data[0].partition_data[0].records = Records::Null;
    check(null, ErrorCode::InvalidRecord);
}

#[test]
fn every_failure_of_an_append_has_its_code() {
    let check = |error: PartitionError, want: ErrorCode| {
        for version in [3, 8, 13] {
            let mut peer = Peer::new(&[("a", 1)]);
            let request = produce("a", peer.topic("a").id, version, &[0], -1);
            let body =
                peer.send(version, &request, |_, request| appended(request, |_| Some(error.clone()))).body();
            let answer: ProduceResponse<'_> = read(&body, version);
            let partition = &answer.responses[0].partition_responses[0];
            assert_eq!((partition.error_code, partition.base_offset), (code(want), -1), "{error:?}");
            assert_eq!(partition.error_message.is_some(), version >= 8, "{error:?}");
        }
    };
    check(PartitionError::NotHere, ErrorCode::NotLeaderOrFollower);
    check(PartitionError::DiskFull, ErrorCode::KafkaStorageError);
    check(PartitionError::StorageFailed, ErrorCode::KafkaStorageError);
    let gap = PartitionError::OutOfOrderSequence { producer: ProducerId(1), expected: 1, received: 3 };
    check(gap, ErrorCode::OutOfOrderSequenceNumber);
    check(PartitionError::Batch(BatchError::Transactional), ErrorCode::TransactionalIdAuthorizationFailed);
    let refused = |reasons: &[Refusal]| {
        let records =
            reasons.iter().enumerate().map(|(index, reason)| RefusedRecord { index, reason: *reason });
        PartitionError::Batch(BatchError::Refused(records.collect()))
    };
    let late = Refusal::Timestamp { timestamp: 9, now: 5 };
    check(refused(&[Refusal::NoKey]), ErrorCode::InvalidRecord);
    check(refused(&[late]), ErrorCode::InvalidTimestamp);
    check(refused(&[Refusal::NoKey, late]), ErrorCode::InvalidTimestamp);
}

#[test]
fn refused_records_are_named_from_v8() {
    let late = Refusal::Timestamp { timestamp: 9, now: 5 };
    let bad = [(1, Refusal::NoKey), (4, late)].map(|(index, reason)| RefusedRecord { index, reason });
    let bad = PartitionError::Batch(BatchError::Refused(bad.into()));
    for version in [7, 8, 13] {
        let mut peer = Peer::new(&[("a", 1)]);
        let request = produce("a", peer.topic("a").id, version, &[0], -1);
        let body = peer.send(version, &request, |_, request| appended(request, |_| Some(bad.clone()))).body();
        let answer: ProduceResponse<'_> = read(&body, version);
        let named: Vec<i32> = answer.responses[0].partition_responses[0]
            .record_errors
            .iter()
            .map(|record| record.batch_index)
            .collect();
        assert_eq!(named, if version >= 8 { vec![1, 4] } else { vec![] }, "version {version}");
    }
}

#[test]
fn acks_0_is_never_answered() {
    for version in [3, 13] {
        let mut peer = Peer::new(&[("a", 2)]);
        let id = peer.topic("a").id;
        let good = produce("a", id, version, &[0, 1], 0);
        assert_eq!(peer.send(version, &good, |_, request| appended(request, |_| None)), End::Silent);
        assert!(peer.asked.iter().all(|(_, request)| {
            matches!(request, ShardRequest::Produce(request) if request.acks == Acks::None)
        }));
        let failed = |index| (index == 1).then_some(PartitionError::DiskFull);
        peer.send(version, &good, |_, request| appended(request, failed)).reason();
        let unknown = produce("b", TopicId([9; 16]), version, &[0], 0);
        peer.send(version, &unknown, nobody).reason();
    }
}

// --- Fetch --------------------------------------------------------------------------------------------------------
