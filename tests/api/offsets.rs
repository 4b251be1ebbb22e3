//! ListOffsets and OffsetForLeaderEpoch.

use super::*;

fn list_offsets(indexes: &[i32], timestamp: i64) -> ListOffsetsRequest<'static> {
    let partitions = indexes.iter().map(|partition_index| ListOffsetsPartition {
        partition_index: *partition_index,
        timestamp,
        ..ListOffsetsPartition::default()
    });
    let topic = ListOffsetsTopic { name: "a".into(), partitions: partitions.collect() };
    ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..ListOffsetsRequest::default() }
}

fn listed(request: &ShardRequest) -> ShardReply {
    let ShardRequest::ListOffsets(partitions) = request else { panic!("asked {request:?}") };
    let results = partitions.iter().map(|asked| match asked.partition.partition.0 {
        3 => Err(PartitionError::NotHere),
        index => Ok(ListedOffset {
            offset: Offset(i64::from(index) * 10),
            timestamp: TimestampMs(1000),
            leader_epoch: LeaderEpoch(4),
        }),
    });
    ShardReply::ListOffsets(results.collect())
}

#[test]
fn offsets_are_listed_in_every_version() {
    for version in 1..=11 {
        let mut peer = Peer::new(&[("a", 4)]);
        let body =
            peer.send(version, &list_offsets(&[2, 3, 8, 1], 1000), |_, request| listed(request)).body();
        let answer: ListOffsetsResponse<'_> = read(&body, version);
        let epoch = if version >= 4 { 4 } else { -1 };
        let got: Vec<_> = answer.topics[0]
            .partitions
            .iter()
            .map(|answer| {
                (
                    answer.partition_index,
                    answer.error_code,
                    answer.offset,
                    answer.timestamp,
                    answer.leader_epoch,
                )
            })
            .collect();
        let (moved, unknown) =
            (code(ErrorCode::NotLeaderOrFollower), code(ErrorCode::UnknownTopicOrPartition));
        assert_eq!(
            got,
            [
                (2, 0, 20, 1000, epoch),
                (3, moved, -1, -1, -1),
                (8, unknown, -1, -1, -1),
                (1, 0, 10, 1000, epoch)
            ],
            "version {version}"
        );
    }
}

#[test]
fn special_timestamps_are_known_from_their_version_on() {
    let check = |timestamp: i64, from: i16, lookup: OffsetLookup| {
        for version in 1..=11 {
            let mut peer = Peer::new(&[("a", 1)]);
            let body =
                peer.send(version, &list_offsets(&[0], timestamp), |_, request| listed(request)).body();
            let error = read::<ListOffsetsResponse<'_>>(&body, version).topics[0].partitions[0].error_code;
            let known = version >= from;
            assert_eq!(
                error,
                if known { 0 } else { code(ErrorCode::UnsupportedVersion) },
                "{timestamp} v{version}"
            );
            if known {
                let [(_, ShardRequest::ListOffsets(asked))] = peer.asked.as_slice() else {
                    panic!("one call")
                };
                assert_eq!(asked[0].lookup, lookup);
            }
        }
    };
    check(1, 1, OffsetLookup::AtOrAfter(TimestampMs(1)));
    check(-1, 1, OffsetLookup::Latest);
    check(-2, 1, OffsetLookup::Earliest);
    check(-3, 7, OffsetLookup::MaxTimestamp);
    check(-4, 8, OffsetLookup::EarliestLocal);
    check(-5, 9, OffsetLookup::LatestTiered);
    check(-6, 11, OffsetLookup::EarliestPendingUpload);
    check(-7, 12, OffsetLookup::Latest);
}

#[test]
fn ends_of_epochs_are_told_in_every_version() {
    for version in 2..=4 {
        let mut peer = Peer::new(&[("a", 2)]);
        let partitions = [1, 0, 5].map(|partition| OffsetForLeaderPartition {
            partition,
            leader_epoch: 3,
            ..OffsetForLeaderPartition::default()
        });
        let topic = OffsetForLeaderTopic { topic: "a".into(), partitions: partitions.into() };
        let request =
            OffsetForLeaderEpochRequest { topics: vec![topic], ..OffsetForLeaderEpochRequest::default() };
        let body = peer
            .send(version, &request, |_, request| {
                let ShardRequest::OffsetForLeaderEpoch(partitions) = request else {
                    panic!("asked {request:?}")
                };
                let results = partitions.iter().map(|asked| {
                    assert_eq!(asked.epoch, LeaderEpoch(3));
                    Ok(EpochEnd {
                        epoch: LeaderEpoch(2),
                        end: Offset(i64::from(asked.partition.partition.0)),
                    })
                });
                ShardReply::OffsetForLeaderEpoch(results.collect())
            })
            .body();
        let answer: OffsetForLeaderEpochResponse<'_> = read(&body, version);
        let got: Vec<_> = answer.topics[0]
            .partitions
            .iter()
            .map(|end| (end.partition, end.error_code, end.leader_epoch, end.end_offset))
            .collect();
        let unknown = code(ErrorCode::UnknownTopicOrPartition);
        assert_eq!(got, [(1, 0, 2, 1), (0, 0, 2, 0), (5, unknown, -1, -1)], "version {version}");
    }
}

// --- Steering -----------------------------------------------------------------------------------------------------
