//! What happens to a small quorum, one step at a time, with the effects that the shard would perform.

use ringmain::base::{LeaderEpoch, Offset, VoterId};
use ringmain::quorum::{
    Ballot, Change, Counts, Majority, Message, Outcome, Standing, VoteAnswer, VoteKind, Voters, may_cut,
};

use crate::actions::{Action, judged, leads};
use crate::checks;
use crate::setting::{Answers, Flushes, PreVotes, Setting, Writes};
use crate::world::{
    Entry, Following, Leading, Node, Packet, Passed, Servers, What, World, offset, place, voters,
};

/// The state after an action.
pub fn after(world: &World, setting: &Setting, action: Action) -> World {
    let mut world = world.clone();
    match action {
        Action::Time(server) => {
            let leads = *world.node(server).quorum.standing() == Standing::Leading;
            world.budget.elections -= u8::from(!leads);
            let outcome = world.change(server, |node| {
                node.now = Passed(node.now().plus_ms(10_000));
                node.quorum.tick(node.now(), node.end())
            });
            perform(&mut world, setting, server, outcome);
        }
        Action::Deliver(packet) => deliver(&mut world, setting, packet),
        Action::Named { server, leader } => {
            let epoch = LeaderEpoch(leads(&world, leader).expect("only a leader is named"));
            let leader = world.node(leader).quorum.me();
            let outcome = world.change(server, |node| node.quorum.leader_named(node.now(), epoch, leader));
            perform(&mut world, setting, server, outcome);
        }
        Action::Written(server) => written(&mut world, setting, server),
        Action::Flush(server) => {
            world.change(server, |node| node.flushed = node.log.len());
            flushed(&mut world, setting, server);
        }
        Action::Follow(server) => follow(&mut world, setting, server),
        Action::Decide(server) => decide(&mut world, server),
        Action::Change(server, servers) => change_voters(&mut world, setting, server, servers),
        Action::Crash(server) => {
            world.budget.crashes -= 1;
            start(&mut world, server, setting.first_voters, |node| {
                (node.file, node.log[..node.flushed].to_vec())
            });
        }
        Action::Lose(server) => {
            world.budget.losses -= 1;
            start(&mut world, server, 0, |_| (Ballot::new(VoterId([2; 16])), Vec::new()));
        }
        Action::Restore(server) => {
            world.budget.restores -= 1;
            world.beyond = true;
            start(&mut world, server, setting.first_voters, |node| (node.file, Vec::new()));
        }
    }
    forget_useless(&mut world);
    checks::after_a_step(&mut world);
    world
}

fn start(
    world: &mut World,
    server: usize,
    first_voters: Servers,
    left: impl FnOnce(&Node) -> (Ballot, Vec<Entry>),
) {
    world.change(server, |node| {
        let (file, log) = left(node);
        *node = Node::new(server, file, first_voters, log, node.now);
    });
}

fn deliver(world: &mut World, setting: &Setting, packet: Packet) {
    world.packets.remove(&packet);
    let (server, message) = packet;
    let outcome = world.change(server, |node| {
        let (now, end) = (node.now(), node.end());
        match message {
            Message::Ask(ask) => node.quorum.vote_asked(now, &ask, end),
            Message::Answer(answer) => node.quorum.vote_answered(now, &answer, Offset(-1), end),
            Message::Lead(lead) => node.quorum.leader_named(now, lead.epoch, lead.leader),
        }
    });
    perform(world, setting, server, outcome);
}

/// What the shard does with an outcome.
fn perform(world: &mut World, setting: &Setting, server: usize, outcome: Outcome) {
    if let Some(change) = outcome.change {
        world.change(server, |node| node.takes_part(change));
        if let Change::Lead { epoch } = change {
            leads_now(world, server, epoch.0);
        }
    }
    let mut asked = Vec::new();
    for (to, message) in outcome.send {
        match message {
            Message::Ask(ask) if ask.kind == VoteKind::Pre && setting.pre_votes == PreVotes::Granted => {
                asked.push(ask);
            }
            // `Named` is possible as long as a leader leads.
            Message::Lead(_) => {}
            Message::Answer(_) if setting.answers == Answers::AtOnce => {
                deliver(world, setting, (place(to), message));
            }
            Message::Ask(_) | Message::Answer(_) => drop(world.packets.insert((place(to), message))),
        }
    }
    if let Some(ballot) = outcome.persist {
        world.change(server, |node| node.writing = Some(ballot));
        if setting.writes == Writes::AtOnce {
            written(world, setting, server);
        }
    }
    for ask in asked {
        let answer = VoteAnswer {
            kind: ask.kind,
            epoch: ask.epoch,
            from: ask.asked,
            to: ask.candidate,
            granted: true,
            log: ask.log,
            leader: None,
            leader_epoch: LeaderEpoch(ask.epoch.0 - 1),
        };
        let outcome = world
            .change(server, |node| node.quorum.vote_answered(node.now(), &answer, Offset(-1), node.end()));
        perform(world, setting, server, outcome);
    }
}

fn written(world: &mut World, setting: &Setting, server: usize) {
    let outcome = world.change(server, |node| {
        node.file = node.writing.take().expect("a write is under way");
        node.quorum.persisted(node.now())
    });
    perform(world, setting, server, outcome);
}

fn leads_now(world: &mut World, server: usize, epoch: i32) {
    checks::leads(world, server, epoch);
    world.change(server, |node| {
        let (me, voters) = (node.quorum.me(), node.quorum.voters().clone());
        let majority = Majority::new(me, offset(node.log.len()), voters, offset(node.shown));
        node.leading = Some(Leading { epoch, majority, ends: Default::default() });
        node.log.push(Entry { epoch, what: What::Leader });
    });
}

/// A server has flushed its log, and tells its leader.
fn flushed(world: &mut World, setting: &Setting, server: usize) {
    let node = world.node(server);
    let end = node.flushed;
    if node.leading.is_some() {
        count(world, setting, server);
    }
    let Some(Following { epoch, leader, agreed: true }) = world.node(server).following else { return };
    if leads(world, leader) == Some(epoch) {
        world.change(leader, |node| {
            node.leading.as_mut().expect("leads this epoch").ends.insert(server, end);
        });
        count(world, setting, leader);
    }
}

/// A leader learns of flushed ends.
fn count(world: &mut World, setting: &Setting, server: usize) {
    let known: Vec<_> = world.nodes().map(|node| node.quorum.me()).collect();
    let (moved, outcome) = world.change(server, |node| {
        let own = node.flushed;
        let leading = node.leading.as_mut().expect("leads");
        let ends = &leading.ends;
        let end = |place: usize| if place == server { Some(own) } else { ends.get(&place).copied() };
        let moved = leading.majority.flushed(|voter| {
            let is_known = known.get(place(voter)) == Some(&voter);
            end(place(voter)).filter(|_| is_known).map(offset)
        });
        let outcome = moved
            .voters
            .clone()
            .map(|(at, voters): (Offset, Voters)| node.quorum.voters_appended(node.now.0, at, voters));
        (moved, outcome)
    });
    if let Some(outcome) = outcome {
        perform(world, setting, server, outcome);
    }
    if let Some(high_watermark) = moved.high_watermark {
        let end = usize::try_from(high_watermark.0).unwrap();
        checks::commits(world, server, end);
        let outcome = world.change(server, |node| {
            node.shown = end;
            node.quorum.committed(node.now(), high_watermark)
        });
        perform(world, setting, server, outcome);
    }
}

/// A frame of the leader: as streams do it, logs are compared by epochs and offsets alone.
fn follow(world: &mut World, setting: &Setting, server: usize) {
    let Following { epoch, leader, .. } = world.node(server).following.expect("follows");
    let sender = world.node(leader);
    let until = sender.leading.as_ref().and_then(|leading| leading.majority.sends_until());
    let sent = &sender.log[..until.map_or(sender.log.len(), |until| usize::try_from(until.0).unwrap())];
    let node = world.node(server);
    let common = node.log.iter().zip(sent).take_while(|(own, its)| own.epoch == its.epoch).count();
    if common < node.log.len() {
        if !may_cut(offset(common), offset(node.shown)) {
            return;
        }
        cut(world, setting, server, common);
    } else {
        let next = sent.get(common).copied();
        append(world, setting, server, next);
    }
    let shown = world.node(leader).shown;
    let outcome = world.change(server, |node| {
        node.following = Some(Following { epoch, leader, agreed: true });
        if setting.flushes == Flushes::AtOnce {
            node.flushed = node.log.len();
        }
        if setting.showing {
            node.shown = node.shown.max(shown.min(node.flushed));
        }
        node.quorum.leader_heard(node.now(), LeaderEpoch(epoch))
    });
    perform(world, setting, server, outcome);
    flushed(world, setting, server);
}

fn cut(world: &mut World, setting: &Setting, server: usize, end: usize) {
    checks::cuts(world, server, end);
    let outcome = world.change(server, |node| {
        node.log.truncate(end);
        node.flushed = node.flushed.min(end);
        node.quorum.voters_truncated(node.now(), offset(end))
    });
    perform(world, setting, server, outcome);
}

fn append(world: &mut World, setting: &Setting, server: usize, entry: Option<Entry>) {
    let Some(entry) = entry else { return };
    let at = offset(world.node(server).log.len());
    world.change(server, |node| node.log.push(entry));
    if let What::Voters(servers) = entry.what {
        let outcome =
            world.change(server, |node| node.quorum.voters_appended(node.now(), at, voters(servers)));
        perform(world, setting, server, outcome);
    }
}

/// The leader decides on what it has folded: what is committed, and what it has decided itself.
fn decide(world: &mut World, server: usize) {
    world.budget.decisions -= 1;
    world.change(server, |node| {
        let epoch = node.leading.as_ref().expect("leads").epoch;
        let folded =
            node.log.iter().enumerate().filter(|(at, entry)| *at < node.shown || entry.epoch == epoch);
        let decisions = folded.filter(|(_, entry)| matches!(entry.what, What::Decision(_))).count();
        let what = What::Decision(u8::try_from(decisions).unwrap());
        node.log.push(Entry { epoch, what });
    });
}

fn change_voters(world: &mut World, setting: &Setting, server: usize, servers: Servers) {
    world.budget.changes -= 1;
    let outcome = world.change(server, |node| {
        let at = offset(node.log.len());
        let leading = node.leading.as_mut().expect("leads");
        let counts = judged(leading, servers).expect("was found allowed");
        let entry = Entry { epoch: leading.epoch, what: What::Voters(servers) };
        leading.majority.changed(at, voters(servers), counts);
        node.log.push(entry);
        match counts {
            Counts::AtAppend => node.quorum.voters_appended(node.now(), at, voters(servers)),
            Counts::OnceFlushed => Outcome::default(),
        }
    });
    perform(world, setting, server, outcome);
}

/// Messages that would change nothing any more count as lost.
fn forget_useless(world: &mut World) {
    let epochs: Vec<i32> = world.nodes().map(|node| node.quorum.epoch().0).collect();
    let counts: Vec<bool> = world
        .nodes()
        .map(|node| matches!(node.quorum.standing(), Standing::Asking { .. } | Standing::Candidate { .. }))
        .collect();
    world.packets.retain(|(to, message)| match message {
        // Of no use to a candidate of the past, but that it learns the newer epoch.
        Message::Ask(ask) => {
            let asker = place(ask.candidate);
            epochs[asker] <= ask.epoch.0 && counts[asker] || epochs[asker] < epochs[*to]
        }
        Message::Answer(answer) => {
            let of_the_round = answer.epoch.0 >= epochs[*to] && counts[*to] && answer.granted;
            of_the_round || answer.leader_epoch.0 > epochs[*to]
        }
        Message::Lead(_) => true,
    });
}
