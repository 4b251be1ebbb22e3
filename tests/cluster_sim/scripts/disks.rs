//! Disks that fail, fill up or are lost, and the power.

use super::{Play, Script};
use crate::clients::Acks;
use crate::queue::Span;

pub const SCRIPTS: &[Script] = &[
    ("all lose power during writes, and one never returns", power_cut),
    ("U0: after a power cut of five, two that are back are enough for a partition of theirs", slow_return),
    ("a follower's disk is replaced", replaced),
    ("D3: a voter's disk is replaced, and the cluster goes on", voter_replaced),
    ("a follower's disk is low for a while", low_follower),
    ("U3: a topic is deleted though all disks are low", delete_on_low_disks),
    ("a replica crashes at any moment of a cut", crash_in_a_cut),
    ("D5: a server that loses power does not know less than it has served", image_ahead),
    ("the power goes twice in a row", twice),
];

fn power_cut() {
    let mut play = Play::with_voters(3);
    let p = play.topic("a", &[0, 1, 2], 2);
    let mut sent: Vec<_> = (0..5).map(|_| play.produce(p, Acks::All)).collect();
    play.expect_acked(&mut sent[0]);
    play.power(&[0, 1, 2]);
    play.boot(1);
    play.boot(2);
    play.until_led(p);
    sent.iter_mut().for_each(|sent| play.expect_acked(sent));
    play.boot(0);
    play.end_well();
}

fn slow_return() {
    let mut play = Play::with_voters(5);
    let p = play.topic("a", &[0, 3, 4], 2);
    let mut sent = play.produce(p, Acks::All);
    play.expect_acked(&mut sent);
    play.power(&[0, 1, 2, 3, 4]);
    play.boot(0);
    play.boot(1);
    // The others are slow, and two of them are not needed.
    play.until("the intact one that is back leads", Span::seconds(40), |it| it.leader(p) == Some(0));
    play.boot(2);
    play.run(1_000);
    play.boot(3);
    play.boot(4);
    play.end_well();
}

fn replaced() {
    let mut play = Play::of(3);
    let p = play.topic("a", &[0, 1, 2], 2);
    let mut sent = play.produce(p, Acks::All);
    play.expect_acked(&mut sent);
    play.power(&[2]);
    play.lose_disk(2);
    play.run(500);
    play.boot(2);
    play.until_isr(p, &[0, 1, 2]);
    play.end_well();
}

fn voter_replaced() {
    let mut play = Play::with_voters(3);
    let p = play.topic("a", &[0, 1, 2], 2);
    let mut sent = play.produce(p, Acks::All);
    play.expect_acked(&mut sent);
    let controller = play.controller();
    let [voter, other] = [(controller + 1) % 3, (controller + 2) % 3];
    play.power(&[voter]);
    play.lose_disk(voter);
    play.run(500);
    play.boot(voter);
    play.until_isr(p, &[0, 1, 2]);
    play.run(5_000);
    // The one that lost its disk must not elect itself with what it has not.
    play.kill(other);
    play.run(500);
    play.boot(other);
    let mut sent = play.produce(p, Acks::All);
    play.expect_acked(&mut sent);
    play.end_well();
}

fn low_follower() {
    let mut play = Play::with_voters(3);
    let p = play.topic("a", &[0, 1, 2], 2);
    let leader = play.leader(p).unwrap();
    let low = (leader + 1) % 3;
    play.low_disk(low);
    for _ in 0..20 {
        let mut sent = play.produce(p, Acks::All);
        play.expect_acked(&mut sent);
        play.run(400);
    }
    play.right_disk(low);
    play.until_isr(p, &[0, 1, 2]);
    play.end_well();
}

fn delete_on_low_disks() {
    let mut play = Play::with_voters(3);
    let p = play.topic("a", &[0, 1, 2], 2);
    (0..3).for_each(|server| play.low_disk(server));
    play.run(200);
    play.delete(p);
    play.run(1_000);
    assert_eq!(play.partition(p), None, "it is gone everywhere");
    play.end_well();
}

/// The old leader has what nobody else has, and must cut it: it loses power ever later while it does.
fn crash_in_a_cut() {
    for step in 0..25 {
        let mut play = Play::of(3);
        let controller = play.controller();
        let [leader, other] = [(controller + 1) % 3, (controller + 2) % 3];
        let p = play.topic("a", &[leader, controller, other], 2);
        let mut first = play.produce(p, Acks::All);
        play.expect_acked(&mut first);
        play.cut(leader, controller);
        play.cut(leader, other);
        (0..3).for_each(|_| drop(play.produce(p, Acks::Leader)));
        play.run(50);
        play.kill(leader);
        play.mend();
        play.until_led_by_other(p, leader);
        let mut next = play.produce(p, Acks::All);
        play.expect_acked(&mut next);
        play.boot(leader);
        play.course.run_for(Span::micros(400 * step));
        play.power(&[leader]);
        play.boot(leader);
        play.run(3);
        play.power(&[leader]);
        play.boot(leader);
        play.until_isr(p, &[0, 1, 2]);
        play.end_well();
    }
}

fn image_ahead() {
    for step in 0..20 {
        let mut play = Play::with_voters(3);
        let controller = play.controller();
        let [one, other] = [(controller + 1) % 3, (controller + 2) % 3];
        play.course.servers[one].disk_times.slowness = 40;
        let p = play.topic("a", &[other, one, controller], 2);
        drop(play.produce(p, Acks::All));
        play.course.run_for(Span::micros(500 * step));
        play.power(&[one]);
        play.boot(one);
        play.run(2_000);
        play.kill(other);
        play.until_led_by_other(p, other);
        play.boot(other);
        play.end_well();
    }
}

fn twice() {
    let mut play = Play::with_voters(3);
    let p = play.topic("a", &[0, 1, 2], 2);
    let mut sent = play.produce(p, Acks::All);
    play.expect_acked(&mut sent);
    for pause in [0, 5, 50, 150, 300, 600] {
        play.power(&[0, 1, 2]);
        (0..3).for_each(|server| play.boot(server));
        play.run(pause);
    }
    play.power(&[0, 1, 2]);
    (0..3).for_each(|server| play.boot(server));
    play.until_led(p);
    play.end_well();
}
