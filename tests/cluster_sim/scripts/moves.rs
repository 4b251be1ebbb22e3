//! Topics and replicas that come and go while servers are away.

use super::{Play, Script};
use crate::clients::Acks;
use crate::queue::Span;

pub const SCRIPTS: &[Script] = &[
    ("a topic is deleted and made again while a server is down", made_again),
    ("a topic is made while one of its servers is down", made_while_down),
    ("replicas are added to a partition and taken away", there_and_back),
    ("D2: a reassignment is cancelled and begun again", cancelled_and_again),
    ("D13: a cancel that would take the last members away is refused", last_members),
    ("U1: a partition is written to while copies are made", written_while_copied),
    ("U2: a lowered minimum leaves those eligible who are needed", lowered_minimum),
    ("D10, D12: old servers delete nothing that they are still given", nothing_deleted),
];

fn made_again() {
    let mut play = Play::with_voters(3);
    let controller = play.controller();
    let away = (controller + 1) % 3;
    let p = play.topic("a", &[0, 1, 2], 2);
    let mut sent = play.produce(p, Acks::All);
    play.expect_acked(&mut sent);
    play.kill(away);
    play.run(500);
    play.delete(p);
    let q = play.topic("a", &[controller, away], 1);
    let mut sent = play.produce(q, Acks::All);
    play.expect_acked(&mut sent);
    play.boot(away);
    play.end_well();
}

fn made_while_down() {
    let mut play = Play::with_voters(3);
    let controller = play.controller();
    let away = (controller + 1) % 3;
    play.kill(away);
    play.run(500);
    let p = play.topic("a", &[controller, away], 1);
    let mut sent = play.produce(p, Acks::All);
    play.expect_acked(&mut sent);
    play.boot(away);
    play.end_well();
}

fn there_and_back() {
    let mut play = Play::with_voters(5);
    let p = play.topic("a", &[0, 1], 1);
    for servers in [[2, 3, 4].as_slice(), &[0, 2, 4], &[1], &[3, 1, 0]] {
        let mut sent = play.produce(p, Acks::All);
        play.expect_acked(&mut sent);
        assert!(play.reassign(p, Some(servers)));
        let mut wanted = servers.to_vec();
        wanted.sort_unstable();
        play.until_isr(p, &wanted);
        play.until("the move is done", Span::seconds(30), |it| {
            it.partition(p).is_some_and(|it| it.replicas().len() == servers.len())
        });
    }
    play.end_well();
}

fn cancelled_and_again() {
    for step in 0..10 {
        let mut play = Play::with_voters(5);
        let &[only, added] = play.observers().as_slice() else { panic!("three of five vote") };
        let p = play.topic("a", &[only], 1);
        let mut sent = play.produce(p, Acks::All);
        play.expect_acked(&mut sent);
        // Its own write waits, the follower's does not.
        play.stall_disk(only);
        play.reassign(p, Some(&[only, added]));
        drop(play.produce(p, Acks::Leader));
        play.run(5 + step * 10);
        play.power(&[added]);
        play.reassign(p, None);
        play.power(&[only]);
        play.right_disk(only);
        play.boot(only);
        play.until_led(p);
        let mut sent = play.produce(p, Acks::All);
        play.expect_acked(&mut sent);
        play.boot(added);
        play.run(200);
        assert!(play.reassign(p, Some(&[only, added])));
        play.until("both are in sync", Span::seconds(30), |it| it.isr(p).len() == 2);
        play.end_well();
    }
}

fn last_members() {
    let mut play = Play::with_voters(5);
    let p = play.topic("a", &[3], 1);
    let mut sent = play.produce(p, Acks::All);
    play.expect_acked(&mut sent);
    assert!(play.reassign(p, Some(&[4, 2])));
    // As soon as a new one is in sync the old one goes.
    play.until("a new one is in sync", Span::seconds(20), |it| it.isr(p).len() > 1);
    play.kill(3);
    play.run(2_000);
    let members = [play.isr(p), play.elr(p)].concat();
    if !members.contains(&3) && play.partition(p).unwrap().adding().count() > 0 {
        assert!(!play.reassign(p, None), "nobody would be left that has everything");
    }
    play.boot(3);
    play.end_well();
}

fn written_while_copied() {
    let mut play = Play::with_voters(3);
    let p = play.topic("a", &[0], 2);
    let mut sent = play.produce(p, Acks::All);
    play.expect_acked(&mut sent);
    play.cut_both(0, 1);
    play.cut_both(0, 2);
    play.run(50);
    play.mend();
    (1..3).for_each(|server| play.course.servers[server].disk_times.slowness = 100);
    assert!(play.reassign(p, Some(&[0, 1, 2])));
    for _ in 0..10 {
        let sent = play.produce(p, Acks::All);
        play.run(200);
        assert!(matches!(play.answer(&sent), Some(Ok(_))), "{:?}", play.answer(&sent));
    }
    play.end_well();
}

fn lowered_minimum() {
    let mut play = Play::with_voters(5);
    let &[one, other] = play.observers().as_slice() else { panic!("three of five vote") };
    let p = play.topic("a", &[one, other, play.controller()], 2);
    let q = play.topic("b", &[one, other], 2);
    let mut sent = play.produce(q, Acks::All);
    play.expect_acked(&mut sent);
    play.kill(one);
    play.kill(other);
    play.run(11_000);
    play.set_minimum(q, 1);
    play.set_minimum(p, 1);
    let mut sent = play.produce(p, Acks::All);
    play.expect_acked(&mut sent);
    play.boot(other);
    play.until_led(q);
    let mut sent = play.produce(q, Acks::All);
    play.expect_acked(&mut sent);
    play.boot(one);
    play.end_well();
}

fn nothing_deleted() {
    let mut play = Play::with_voters(3);
    let controller = play.controller();
    let away = (controller + 1) % 3;
    let old = play.topic("a", &[away], 1);
    let mut sent = play.produce(old, Acks::All);
    play.expect_acked(&mut sent);
    for n in 0..5 {
        let p = play.topic(&format!("t{n}"), &[away, controller], 1);
        let mut sent = play.produce(p, Acks::All);
        play.expect_acked(&mut sent);
        play.power(&[away]);
        play.run(100);
        play.boot(away);
        play.until_led(old);
    }
    play.end_well();
}
