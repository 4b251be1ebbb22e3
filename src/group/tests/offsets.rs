//! Commits, and how long they are kept.

use super::*;

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
fn offsets_of_topics_that_members_may_read_are_not_deleted() {
    let check = |metadata: &'static [u8], topic: &str, result: Result<(), GroupError>| {
        let mut bench = Bench::new();
        let mut request = join_as("", None, false);
        request.protocols = vec![
            ("range".into(), Bytes::from_static(metadata)),
            // This protocol is not chosen, so its metadata does not matter.
            ("sticky".into(), Bytes::from_static(b"\0\0\0\0\0\x01\0\x01s\xff\xff\xff\xff")),
        ];
        let ticket = bench.ask(GroupRequest::Join(request));
        let joined = bench.joined(ticket);
        bench.answer(sync(&joined, &[]));
        let delete = GroupRequest::DeleteOffsets { group: "g".into(), partitions: vec![(topic.into(), 0)] };
        assert_eq!(bench.answer(delete), GroupReply::DeleteOffsets(Ok(vec![result])), "{metadata:?} {topic}");
    };
    let subscribed = Err(GroupError::GroupSubscribedToTopic);
    let to_t = b"\0\0\0\0\0\x01\0\x01t\xff\xff\xff\xff";
    check(to_t, "t", subscribed);
    check(to_t, "u", Ok(()));
    check(to_t, "s", Ok(()));
    // Metadata that cannot be read may subscribe to anything.
    check(b"", "u", subscribed);
    check(b"none of Kafka's", "u", subscribed);
    check(b"\0\0\0\0\0\x09", "u", subscribed);
    // Some clients leave out the later fields.
    check(b"\0\x03\0\0\0\x01\0\x01t\xff\xff\xff\xff", "u", Ok(()));
    // Before the first generation nothing has been chosen.
    let mut bench = Bench::with(|limits| limits.initial_rebalance_delay_ms = 3000);
    bench.ask(join("", None));
    let delete = GroupRequest::DeleteOffsets { group: "g".into(), partitions: vec![("u".into(), 0)] };
    assert_eq!(bench.answer(delete), GroupReply::DeleteOffsets(Ok(vec![subscribed])));
}

#[test]
fn what_is_named_twice_is_committed_and_deleted_once() {
    let mut bench = Bench::new();
    bench.image = image_with(1, 1);
    let request = CommitRequest {
        group: "g".into(),
        member: member(-1, "", None),
        retention_ms: None,
        knows_group_id_not_found: false,
        partitions: vec![commit("t", 8, ""), commit("t", 9, "")],
    };
    let twice = Ok(vec![Ok(()), Ok(())]);
    assert_eq!(bench.answer(GroupRequest::CommitOffsets(request)), GroupReply::CommitOffsets(twice.clone()));
    assert_eq!((bench.committed("t"), bench.restarted().committed("t")), (9, 9), "the last one counts");
    let partitions = vec![("t".into(), 0), ("t".into(), 0)];
    let records = bench.log.len();
    let delete = GroupRequest::DeleteOffsets { group: "g".into(), partitions };
    assert_eq!(bench.answer(delete), GroupReply::DeleteOffsets(twice));
    assert_eq!((bench.committed("t"), bench.log.len()), (-1, records + 1));
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
    // The topic was deleted and created again before the coordinator looked.
    bench.image = image_with(2, 0);
    change(&mut bench);
    assert_eq!(bench.committed("t"), -1);
    bench.commit(member(-1, "", None), "t", 1).unwrap();
    bench.image = MetadataImage::default();
    assert_eq!(bench.restarted().committed("t"), -1, "gone while the coordinator was down");
}
