//! What becomes of a partition, row by row.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::{Home, LeaderEpoch, PartitionEpoch, PartitionIndex, ServerId, TopicId, TopicPartition};

use super::*;

const ID: TopicPartition = TopicPartition { topic: TopicId([9; 16]), partition: PartitionIndex(0) };

fn ids(servers: &[i32]) -> Vec<ServerId> {
    servers.iter().copied().map(ServerId).collect()
}

/// Replicas 1, 2, 3; leader epoch 5, partition epoch 9.
fn partition(leader: Option<i32>, isr: &[i32], elr: &[i32]) -> PartitionState {
    kept(&[1, 2, 3], leader, isr, elr)
}

fn kept(replicas: &[i32], leader: Option<i32>, isr: &[i32], elr: &[i32]) -> PartitionState {
    PartitionState {
        replicas: ids(replicas),
        leader: leader.map(ServerId),
        leader_epoch: LeaderEpoch(5),
        partition_epoch: PartitionEpoch(9),
        unclean_epoch: None,
        isr: ids(isr),
        elr: ids(elr),
        last_known: Vec::new(),
        adding: Vec::new(),
        removing: Vec::new(),
        home: Home(0),
    }
}

/// A state in short: leader, ISR, ELR, last known, and by how much the leader epoch has risen.
type Short = (Option<i32>, Vec<i32>, Vec<i32>, Vec<i32>, i32);

fn short(state: &PartitionState) -> Short {
    let list = |servers: &[ServerId]| servers.iter().map(|server| server.0).collect::<Vec<_>>();
    let leader = state.leader.map(|leader| leader.0);
    (leader, list(&state.isr), list(&state.elr), list(&state.last_known), state.leader_epoch.0 - 5)
}

/// Four servers that do all there is to do, but for what a test says.
fn members(changes: &[(i32, Member)]) -> Members {
    let mut members = Members::default();
    for server in 1..=4 {
        members.set(ServerId(server), Member::LIVE);
    }
    for (server, member) in changes {
        members.set(ServerId(*server), member.clone());
    }
    members
}

fn silent() -> Member {
    Member { reach: Reach::Silent, ..Member::LIVE }
}

fn stopping() -> Member {
    Member { stopping: true, ..Member::LIVE }
}

fn relieved() -> Member {
    Member { relieved: true, ..Member::LIVE }
}

fn anew(loss: Loss, clean: bool) -> Member {
    let damaged = Arc::new(BTreeSet::new());
    Member { anew: Some(Incarnation { loss, damaged, clean }), ..Member::FENCED }
}

fn case(min: u32) -> Case {
    Case { partition: ID, min_isr: MinIsr(Some(min)), from_memory: false, unclean: false }
}

fn settled(now: &PartitionState, cause: &Cause, members: &Members, case: &Case) -> Option<PartitionState> {
    let image = PartitionImage::new(now).expect("a sound state");
    let next = settle(&image, cause, members, case)?;
    assert_eq!(next.partition_epoch.0, 10, "every change is counted");
    Some(next)
}

/// What changed servers make of a partition with a minimum of 2.
fn check(now: &PartitionState, changes: &[(i32, Member)], want: Option<Short>) {
    let next = settled(now, &Cause::Servers, &members(changes), &case(2));
    assert_eq!(next.as_ref().map(short), want, "{now:?} with {changes:?}");
}

#[test]
fn fenced_members_leave_and_another_one_leads() {
    let all = partition(Some(1), &[1, 2, 3], &[]);
    check(&all, &[], None);
    check(&all, &[(3, Member::FENCED)], Some((Some(1), vec![1, 2], vec![], vec![], 0)));
    check(&all, &[(1, Member::FENCED)], Some((Some(2), vec![2, 3], vec![], vec![], 1)));
    let two = [(1, Member::FENCED), (2, Member::FENCED)];
    check(&all, &two, Some((Some(3), vec![3], vec![1, 2], vec![], 1)));
    let three = [(1, Member::FENCED), (2, Member::FENCED), (3, Member::FENCED)];
    check(&all, &three, Some((None, vec![], vec![1, 2, 3], vec![], 1)));
    let below = partition(Some(1), &[1], &[2]);
    check(&below, &[(1, Member::FENCED)], Some((Some(2), vec![2], vec![1], vec![], 1)));
    check(&below, &[(1, Member::FENCED), (2, Member::FENCED)], Some((None, vec![], vec![1, 2], vec![], 1)));
    check(&below, &[(2, Member::FENCED)], None);
}

#[test]
fn whoever_is_eligible_leads_when_it_is_back_and_nobody_else_does() {
    let nobody = partition(None, &[], &[2, 3]);
    check(&nobody, &[(2, Member::FENCED), (3, Member::FENCED)], None);
    check(&nobody, &[(2, Member::FENCED)], Some((Some(3), vec![3], vec![2], vec![], 1)));
    check(&nobody, &[(2, silent())], Some((Some(3), vec![3], vec![2], vec![], 1)));
    let lost = PartitionState { last_known: ids(&[1]), ..partition(None, &[], &[]) };
    check(&lost, &[], None);
    let next = settled(&lost, &Cause::Unclean, &members(&[]), &case(2)).expect("an election");
    assert_eq!(
        (short(&next), next.unclean_epoch),
        ((Some(1), vec![1], vec![], vec![], 1), Some(LeaderEpoch(6)))
    );
    let allowed = Case { unclean: true, ..case(2) };
    let fenced = members(&[(1, Member::FENCED)]);
    let next = settled(&lost, &Cause::Servers, &fenced, &allowed).expect("an election");
    assert_eq!(
        (short(&next), next.unclean_epoch),
        ((Some(2), vec![2], vec![], vec![], 1), Some(LeaderEpoch(6)))
    );
}

#[test]
fn a_new_incarnation_leaves_every_isr_and_costs_an_epoch() {
    let all = partition(Some(1), &[1, 2, 3], &[]);
    check(&all, &[(1, anew(Loss::Nothing, false))], Some((Some(2), vec![2, 3], vec![], vec![], 1)));
    check(&all, &[(3, anew(Loss::Nothing, true))], Some((Some(1), vec![1, 2], vec![], vec![], 0)));
    let alone = partition(Some(1), &[1], &[]);
    check(&alone, &[(1, anew(Loss::Nothing, false))], Some((None, vec![], vec![1], vec![], 1)));
    check(&alone, &[(1, anew(Loss::Some, false))], Some((None, vec![], vec![], vec![1], 1)));
    check(&alone, &[(1, anew(Loss::Everything, true))], Some((None, vec![], vec![], vec![1], 1)));
    let eligible = partition(Some(1), &[1], &[2]);
    check(&eligible, &[(2, anew(Loss::Nothing, false))], None);
    check(&eligible, &[(2, anew(Loss::Some, false))], Some((Some(1), vec![1], vec![], vec![2], 0)));
}

#[test]
fn damage_counts_where_it_is() {
    let damaged = |partition| Incarnation {
        loss: Loss::Nothing,
        damaged: Arc::new(BTreeSet::from([TopicPartition { partition, ..ID }])),
        clean: true,
    };
    let alone = partition(Some(1), &[1], &[]);
    for (at, elr, last_known) in [(PartitionIndex(0), vec![], vec![1]), (PartitionIndex(1), vec![1], vec![])]
    {
        let member = Member { anew: Some(damaged(at)), ..Member::FENCED };
        check(&alone, &[(1, member)], Some((None, vec![], elr, last_known, 1)));
    }
}

#[test]
fn the_restart_of_an_only_replica_costs_nothing_unless_records_are_gone() {
    let only = kept(&[1], Some(1), &[1], &[]);
    let restart = |loss, clean, from_memory| {
        let of = Case { from_memory, ..case(1) };
        let next = settled(&only, &Cause::Servers, &members(&[(1, anew(loss, clean))]), &of);
        next.map(|next| (short(&next), next.unclean_epoch.map(|epoch| epoch.0)))
    };
    let again = Some(((Some(1), vec![1], vec![], vec![], 1), Some(6)));
    assert_eq!(restart(Loss::Nothing, false, false), None);
    assert_eq!(restart(Loss::Nothing, true, true), None);
    assert_eq!(restart(Loss::Nothing, false, true), again);
    assert_eq!(restart(Loss::Some, true, false), again);
    assert_eq!(restart(Loss::Everything, true, false), Some(((None, vec![], vec![], vec![1], 1), None)));
    check(&only, &[(1, Member::FENCED)], Some((None, vec![], vec![1], vec![], 1)));
}

#[test]
fn of_a_topic_that_acknowledges_from_memory_an_unclean_replica_leads_with_loss() {
    let of = Case { from_memory: true, ..case(2) };
    let now = partition(Some(1), &[1, 2], &[]);
    let both = members(&[(1, anew(Loss::Nothing, false)), (2, anew(Loss::Nothing, true))]);
    let next = settled(&now, &Cause::Servers, &both, &of).expect("a change");
    assert_eq!(short(&next), (None, vec![], vec![1, 2], vec![1], 1), "eligible, and doubted");
    let back = |server| {
        let other = members(&[(3 - server, Member::FENCED)]);
        let again = PartitionState { partition_epoch: PartitionEpoch(9), ..next.clone() };
        settled(&again, &Cause::Servers, &other, &of).expect("an election").unclean_epoch
    };
    assert_eq!((back(1), back(2)), (Some(LeaderEpoch(7)), None));
}

#[test]
fn whoever_stops_leaves_to_whoever_stays() {
    let all = partition(Some(1), &[1, 2, 3], &[]);
    check(&all, &[(1, stopping())], Some((Some(2), vec![2, 3], vec![], vec![], 1)));
    check(&all, &[(1, stopping()), (2, stopping())], Some((Some(3), vec![3], vec![1, 2], vec![], 1)));
    check(&all, &[(1, stopping()), (2, stopping()), (3, stopping())], None);
    check(&partition(Some(1), &[1], &[2]), &[(1, stopping())], None);
}

#[test]
fn whoever_is_relieved_leads_only_what_nobody_else_can() {
    let all = partition(Some(1), &[1, 2, 3], &[]);
    check(&all, &[(1, relieved())], Some((Some(2), vec![1, 2, 3], vec![], vec![], 1)));
    check(&all, &[(1, relieved()), (2, relieved())], Some((Some(3), vec![1, 2, 3], vec![], vec![], 1)));
    check(&all, &[(1, relieved()), (2, relieved()), (3, relieved())], None);
    check(&partition(Some(1), &[1], &[]), &[(1, relieved())], None);
}

#[test]
fn silent_members_leave_together_with_another_one() {
    let all = partition(Some(1), &[1, 2, 3], &[]);
    check(&all, &[(2, silent()), (3, silent())], None);
    check(&all, &[(2, silent()), (3, Member::FENCED)], Some((Some(1), vec![1], vec![2, 3], vec![], 0)));
    // After a power cut one is back, and the others are slow: each of them has everything.
    let slow = [(1, anew(Loss::Nothing, false)), (2, silent()), (3, silent())];
    check(&all, &slow, Some((None, vec![], vec![1, 2, 3], vec![], 1)));
}

#[test]
fn leaders_get_the_isr_they_ask_for_without_an_epoch() {
    let asked = |now: &PartitionState, isr: &[i32], changes: &[(i32, Member)]| {
        let cause = Cause::IsrAsked(ids(isr));
        settled(now, &cause, &members(changes), &case(2)).as_ref().map(short)
    };
    let all = partition(Some(1), &[1, 2, 3], &[]);
    assert_eq!(asked(&all, &[3, 2, 1], &[]), None);
    assert_eq!(asked(&all, &[1, 2], &[]), Some((Some(1), vec![1, 2], vec![], vec![], 0)));
    assert_eq!(asked(&all, &[1], &[]), Some((Some(1), vec![1], vec![2, 3], vec![], 0)));
    let below = PartitionState { last_known: ids(&[3]), ..partition(Some(1), &[1], &[2]) };
    assert_eq!(asked(&below, &[1, 3], &[]), Some((Some(1), vec![1, 3], vec![], vec![], 0)));
    assert_eq!(asked(&below, &[1, 2], &[(2, Member::FENCED)]), None, "fenced meanwhile");
    let stops = [(1, stopping())];
    assert_eq!(asked(&below, &[1, 2], &stops), Some((Some(2), vec![2], vec![1], vec![3], 1)));
}

#[test]
fn the_preferred_leader_leads_if_it_is_in_sync() {
    let preferred = |now: &PartitionState, changes: &[(i32, Member)]| {
        settled(now, &Cause::Preferred, &members(changes), &case(2)).as_ref().map(short)
    };
    let astray = partition(Some(2), &[1, 2, 3], &[]);
    assert_eq!(preferred(&astray, &[]), Some((Some(1), vec![1, 2, 3], vec![], vec![], 1)));
    assert_eq!(preferred(&astray, &[(1, relieved())]), None);
    assert_eq!(preferred(&astray, &[(1, silent())]), None);
    assert_eq!(preferred(&partition(Some(2), &[2, 3], &[]), &[]), None);
}

fn assignment(replicas: &[i32], adding: &[i32], removing: &[i32]) -> Cause {
    Cause::Assignment { replicas: ids(replicas), adding: ids(adding), removing: ids(removing) }
}

#[test]
fn an_assignment_takes_over_when_its_targets_are_in_sync() {
    let all = partition(Some(1), &[1, 2, 3], &[]);
    let cause = assignment(&[2, 3, 4, 1], &[4], &[1]);
    let begun = settled(&all, &cause, &members(&[]), &case(2)).expect("a change");
    assert_eq!((short(&begun), begun.replicas.len()), ((Some(1), vec![2, 3, 1], vec![], vec![], 0), 4));
    let again = PartitionState { partition_epoch: PartitionEpoch(9), ..begun };
    let asked = Cause::IsrAsked(ids(&[1, 2, 3, 4]));
    let done = settled(&again, &asked, &members(&[]), &case(2)).expect("a change");
    assert_eq!(short(&done), (Some(2), vec![2, 3, 4], vec![], vec![], 1), "the leader handed over");
    assert_eq!((done.replicas, done.adding, done.removing), (ids(&[2, 3, 4]), vec![], vec![]));
    let order = settled(&all, &assignment(&[3, 2, 1], &[], &[]), &members(&[]), &case(2)).expect("a change");
    assert_eq!(
        (short(&order), order.replicas),
        ((Some(1), vec![3, 2, 1], vec![], vec![], 0), ids(&[3, 2, 1]))
    );
}

/// D2: whoever leaves an assignment may come back, with records of this epoch that nobody else has.
#[test]
fn a_replica_that_leaves_the_assignment_costs_an_epoch() {
    let moving = PartitionState { adding: ids(&[2]), ..kept(&[1, 2], Some(1), &[1], &[]) };
    let cancelled = settled(&moving, &assignment(&[1], &[], &[]), &members(&[]), &case(1)).expect("a change");
    assert_eq!(short(&cancelled), (Some(1), vec![1], vec![], vec![], 1));
    let added = kept(&[1], Some(1), &[1], &[]);
    let begun = settled(&added, &assignment(&[1, 2], &[2], &[]), &members(&[]), &case(1)).expect("a change");
    assert_eq!(short(&begun), (Some(1), vec![1], vec![], vec![], 0));
}

/// U1: while a partition is copied, the minimum is that of the smaller set.
#[test]
fn the_minimum_of_a_partition_that_is_copied_is_the_smaller_one() {
    let unset = Case { min_isr: MinIsr(None), ..case(0) };
    let only = kept(&[1], Some(1), &[1], &[]);
    let copied =
        settled(&only, &assignment(&[1, 2, 3], &[2, 3], &[]), &members(&[]), &unset).expect("a change");
    let image = PartitionImage::new(&copied).expect("sound");
    assert_eq!(unset.min_isr.of(image.replication()), 1, "the one that is there goes on");
    let again = PartitionState { partition_epoch: PartitionEpoch(9), ..copied };
    let done = settled(&again, &Cause::IsrAsked(ids(&[1, 2, 3])), &members(&[]), &unset).expect("a change");
    let image = PartitionImage::new(&done).expect("sound");
    assert_eq!((unset.min_isr.of(image.replication()), done.leader_epoch.0), (2, 5));
}
