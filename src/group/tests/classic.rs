//! Members of the classic protocol.

use super::*;

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
    // A client that was given an id never comes back.
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
    let too_long = changed(|it| it.protocols[0].1 = vec![0; 1 << 20].into());
    assert!(matches!(join_error(&bench.answer(too_long)), GroupError::InvalidRequest(_)));
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
    check(&mut bench, changed(|it| it.protocols.clear()), GroupError::InconsistentGroupProtocol);
    check(&mut bench, changed(|it| it.protocol_type = "".into()), GroupError::InconsistentGroupProtocol);
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

/// A group that has room for two, with its members a and b.
fn full_group(bench: &mut Bench) -> (Joined, Joined) {
    let a = bench.stable_member();
    let second = bench.ask(join("", None));
    let again = bench.ask(join(&a.member_id, None));
    let (a, b) = (bench.joined(again), bench.joined(second));
    (a, b)
}

fn assigned(bench: &mut Bench, a: &Joined, b: &Joined) {
    let waiting = bench.ask(sync(b, &[]));
    synced(bench.answer(sync(a, &[(&a.member_id, "one"), (&b.member_id, "two")])));
    assert_eq!(synced(bench.reply(waiting)), "two");
}

fn small() -> Bench {
    Bench::with(|limits| limits.size_max = 2)
}

#[test]
fn a_full_group_takes_nobody_more_between_rebalances() {
    let full = GroupError::GroupMaxSizeReached;
    let mut bench = small();
    let (a, b) = full_group(&mut bench);
    assert_eq!(bench.describe().state, "CompletingRebalance");
    let refused = bench.answer(join("", None));
    let GroupReply::Join(Err(JoinRefused { error, member_id })) = &refused else { panic!("{refused:?}") };
    assert_eq!((*error, &**member_id), (full, ""));
    assert_eq!(join_error(&bench.answer(GroupRequest::Join(join_as("", None, true)))), full, "no id either");
    assert_eq!(join_error(&bench.answer(join("", Some("i")))), full);
    assigned(&mut bench, &a, &b);
    assert_eq!(bench.describe().state, "Stable");
    assert_eq!(join_error(&bench.answer(join("", None))), full);
    assert_eq!(join_error(&bench.answer(join("nobody", None))), full);
    assert_eq!(bench.heartbeat(&a), Ok(()), "nothing has happened");
    // Members come and go as they like.
    let again = bench.ask(join(&b.member_id, None));
    assert_eq!(bench.joined(again).generation, b.generation);
}

#[test]
fn members_of_a_full_group_start_again_one_by_one() {
    let mut bench = small();
    let (a, b) = full_group(&mut bench);
    assigned(&mut bench, &a, &b);
    // b goes and comes back under another id, before a has heard of it; ids that nobody uses take no place.
    bench.answer(leave(&b.member_id, None));
    let ids: Vec<_> = (0..3)
        .map(|_| match bench.answer(GroupRequest::Join(join_as("", None, true))) {
            GroupReply::Join(Err(JoinRefused { error: GroupError::MemberIdRequired, member_id })) => {
                member_id
            }
            other => panic!("{other:?}"),
        })
        .collect();
    let successor = bench.ask(join(&ids[0], None));
    assert!(bench.waits(successor));
    bench.answer(leave(&ids[1], None));
    bench.answer(leave(&ids[2], None));
    // a goes, too: its successor comes before it is missed.
    let other = bench.ask(join("", None));
    assert!(bench.waits(other), "of the old generation a is left, who does not count until it joins");
    bench.answer(leave(&a.member_id, None));
    let (successor, other) = (bench.joined(successor), bench.joined(other));
    assert_eq!((successor.generation, other.generation), (b.generation + 1, b.generation + 1));
}

#[test]
fn who_joins_too_late_for_a_full_group_is_let_go_and_not_waited_for() {
    let mut bench = small();
    let (a, b) = full_group(&mut bench);
    assigned(&mut bench, &a, &b);
    bench.answer(leave(&b.member_id, None));
    let first = bench.ask(join("", None));
    let second = bench.ask(join("", None));
    assert!(bench.waits(first) && bench.waits(second), "a may still come");
    assert_eq!(join_error(&bench.answer(join("", None))), GroupError::GroupMaxSizeReached, "two wait");
    assert!(bench.waits(first));
    // A member that waits may ask again; a member that does not wait has lost its place.
    let once_more = bench.ask(join("", Some("i")));
    assert_eq!(join_error(&bench.reply(once_more)), GroupError::GroupMaxSizeReached);
    assert_eq!(join_error(&bench.answer(join(&a.member_id, None))), GroupError::GroupMaxSizeReached);
    assert_eq!((bench.joined(first).generation, bench.joined(second).generation), (3, 3));
    assert_eq!(bench.heartbeat(&a), Err(GroupError::UnknownMemberId));
}

#[test]
fn a_first_generation_has_no_more_members_than_there_may_be() {
    let mut bench = Bench::with(|limits| (limits.size_max, limits.initial_rebalance_delay_ms) = (2, 3000));
    let first = bench.ask(join("", None));
    let GroupReply::Join(Err(given)) = bench.answer(GroupRequest::Join(join_as("", None, true))) else {
        panic!("an id is given away")
    };
    let second = bench.ask(join("", None));
    // An id that was handed out and not used counts no more than an unknown one.
    assert_eq!(join_error(&bench.answer(join(&given.member_id, None))), GroupError::GroupMaxSizeReached);
    assert_eq!(join_error(&bench.answer(join("", None))), GroupError::GroupMaxSizeReached);
    bench.pass(6000);
    assert_eq!((bench.joined(first).generation, bench.joined(second).generation), (1, 1));
}

#[test]
fn an_instance_starts_again_in_a_full_group() {
    let mut bench = Bench::with(|limits| limits.size_max = 1);
    let ticket = bench.ask(join("", Some("i")));
    let first = bench.joined(ticket);
    bench.answer(sync(&first, &[(&first.member_id, "mine")]));
    let ticket = bench.ask(join("", Some("i")));
    assert_eq!(bench.joined(ticket).generation, 1);
    assert_eq!(join_error(&bench.answer(join("", Some("j")))), GroupError::GroupMaxSizeReached);
}

#[test]
fn a_group_that_has_become_too_large_begins_a_new_generation_when_it_is_read() {
    let mut bench = small();
    let (a, b) = full_group(&mut bench);
    assigned(&mut bench, &a, &b);
    bench.limits = Arc::new(GroupLimits { size_max: 1, ..(*bench.limits).clone() });
    let mut bench = bench.restarted();
    assert_eq!(bench.heartbeat(&a), Err(GroupError::RebalanceInProgress));
    assert_eq!(bench.commit(member(a.generation, &a.member_id, None), "t", 7), Ok(()));
    let again = bench.ask(join(&a.member_id, None));
    assert_eq!(join_error(&bench.answer(join(&b.member_id, None))), GroupError::GroupMaxSizeReached);
    assert_eq!(bench.joined(again).generation, a.generation + 1);
}

#[test]
fn a_rebalancing_group_shows_what_was_assigned_last() {
    let mut bench = Bench::new();
    let first = bench.stable_member();
    let shown = |bench: &mut Bench| -> Vec<(Bytes, bool)> {
        let members = bench.describe().members;
        let mut shown: Vec<_> =
            members.into_iter().map(|it| (it.assignment, it.metadata.is_empty())).collect();
        shown.sort();
        shown
    };
    assert_eq!(shown(&mut bench), [("all".into(), false)]);
    let second = bench.ask(join("", None));
    assert_eq!(bench.describe().state, "PreparingRebalance");
    assert_eq!(shown(&mut bench), [("".into(), true), ("all".into(), true)]);
    let again = bench.ask(join(&first.member_id, None));
    bench.joined(second);
    bench.joined(again);
    assert_eq!(bench.describe().state, "CompletingRebalance");
    assert_eq!(bench.describe().protocol, "".into());
    assert_eq!(shown(&mut bench), [("".into(), true), ("all".into(), true)]);
    // After an assignment that never came, nothing is left of it.
    bench.ask(join("", None));
    assert_eq!(bench.describe().state, "PreparingRebalance");
    assert_eq!(shown(&mut bench), [("".into(), true), ("".into(), true), ("".into(), true)]);
}

#[test]
fn a_protocol_named_twice_counts_once() {
    let mut bench = Bench::new();
    let mut request = join_as("", None, false);
    request.protocols = [("range", "first"), ("range", "second")]
        .map(|(name, metadata)| (name.into(), Bytes::from_static(metadata.as_bytes())))
        .into();
    let ticket = bench.ask(GroupRequest::Join(request));
    let joined = bench.joined(ticket);
    assert_eq!((joined.protocol.as_deref(), joined.members.len()), (Some("range"), 1));
    assert_eq!(joined.members[0].metadata, "first");
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
fn the_log_makes_the_same_groups() {
    let mut bench = Bench::new();
    bench.image = MetadataImage::default();
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

#[test]
fn a_coordinator_that_draws_the_same_numbers_again_makes_other_ids() {
    let mut bench = Bench::new();
    let first = bench.stable_member();
    let mut bench = bench.restarted_with_seed(SEED);
    let second = bench.ask(join("", None));
    let again = bench.ask(join(&first.member_id, None));
    let (first, second) = (bench.joined(again), bench.joined(second));
    assert_ne!(first.member_id, second.member_id);
    assert_eq!(first.members.len(), 2, "the second member has not taken the first one's place");
}
