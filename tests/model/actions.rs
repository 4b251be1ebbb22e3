//! What can happen next to a small quorum.

use std::fmt;

use ringmain::base::MonoNanos;
use ringmain::quorum::{Counts, Message, Standing};

use crate::setting::Setting;
use crate::world::{Leading, Node, Packet, Servers, World, offset, place, voters};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Action {
    /// The deadline of this server comes.
    Time(usize),
    Deliver(Packet),
    /// This server is told who leads: by a message of the leader, or by anybody's greeting.
    Named {
        server: usize,
        leader: usize,
    },
    /// The write of the ballot ends.
    Written(usize),
    /// The log is flushed.
    Flush(usize),
    /// The next frame of the leader: cuts what it does not have, or appends one record.
    Follow(usize),
    Decide(usize),
    Change(usize, Servers),
    /// The server dies and starts again, without what was not flushed and not written.
    Crash(usize),
    /// The server loses its metadata log: it starts with an empty one, as another voter.
    Lose(usize),
    /// The server is restored from an old copy: as the voter it was, with an empty log.
    Restore(usize),
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Time(server) => write!(f, "the deadline of {server} comes"),
            Action::Deliver((_, message)) => message_text(f, message),
            Action::Named { server, leader } => write!(f, "{server} is told that {leader} leads"),
            Action::Written(server) => write!(f, "{server} has written its ballot"),
            Action::Flush(server) => write!(f, "{server} has flushed its log"),
            Action::Follow(server) => write!(f, "{server} takes the next record of its leader"),
            Action::Decide(server) => write!(f, "{server} decides"),
            Action::Change(server, servers) => write!(f, "{server} changes the voters to {servers:#b}"),
            Action::Crash(server) => write!(f, "{server} dies and starts"),
            Action::Lose(server) => write!(f, "{server} loses its log, and is another voter"),
            Action::Restore(server) => write!(f, "{server} is restored without its log, as the voter it was"),
        }
    }
}

fn message_text(f: &mut fmt::Formatter<'_>, message: &Message) -> fmt::Result {
    match message {
        Message::Ask(ask) => {
            let (candidate, asked, kind) = (place(ask.candidate), place(ask.asked), ask.kind);
            write!(f, "{candidate} asks {asked} for its {kind:?} vote in epoch {}", ask.epoch)
        }
        Message::Answer(answer) => {
            let given = if answer.granted { "gives" } else { "refuses" };
            let (from, to, kind) = (place(answer.from), place(answer.to), answer.kind);
            write!(f, "{from} {given} {to} its {kind:?} vote in epoch {}", answer.epoch)
        }
        Message::Lead(lead) => write!(f, "{} says that it leads epoch {}", place(lead.leader), lead.epoch),
    }
}

/// What can happen next.
pub fn possible(world: &World, setting: &Setting) -> Vec<Action> {
    let mut actions: Vec<Action> = world.packets.iter().map(|packet| Action::Deliver(*packet)).collect();
    for server in world.servers() {
        let node = world.node(server);
        if may_stand(world, node, setting) {
            actions.push(Action::Time(server));
        }
        if node.writing.is_some() {
            actions.push(Action::Written(server));
        }
        if node.flushed < node.log.len() {
            actions.push(Action::Flush(server));
        }
        if node.following.is_some_and(|following| leads(world, following.leader) == Some(following.epoch)) {
            actions.push(Action::Follow(server));
        }
        let named = world.servers().filter(|leader| *leader != server).filter(|leader| {
            leads(world, *leader).is_some_and(|epoch| names_something(node, epoch, *leader))
        });
        actions.extend(named.map(|leader| Action::Named { server, leader }));
        if let Some(leading) = &node.leading {
            decisions(world, setting, server, leading, &mut actions);
        }
        faults(world, server, &mut actions);
    }
    actions
}

fn may_stand(world: &World, node: &Node, setting: &Setting) -> bool {
    if node.quorum.deadline() == MonoNanos::NEVER {
        return false;
    }
    match node.quorum.standing() {
        Standing::Leading => setting.resigning,
        _ => world.budget.elections > 0,
    }
}

/// Whether the server would learn anything from being told of this leader.
fn names_something(node: &Node, epoch: i32, leader: usize) -> bool {
    let follows =
        node.following.is_some_and(|following| following.epoch == epoch && following.leader == leader);
    epoch >= node.quorum.epoch().0 && !follows && node.writing.is_none()
}

/// The epoch that a server leads.
pub fn leads(world: &World, server: usize) -> Option<i32> {
    world.node(server).leading.as_ref().map(|leading| leading.epoch)
}

fn decisions(world: &World, setting: &Setting, server: usize, leading: &Leading, actions: &mut Vec<Action>) {
    let majority = &leading.majority;
    if !majority.takes_records() {
        return;
    }
    if world.budget.decisions > 0 && majority.may_decide() {
        actions.push(Action::Decide(server));
    }
    if world.budget.changes > 0 {
        let allowed = |servers: &Servers| judged(leading, *servers).is_some();
        let targets = setting.targets.iter().filter(|servers| allowed(servers));
        actions.extend(targets.map(|servers| Action::Change(server, *servers)));
    }
}

/// Whether a leader may change to these voters, and from when on they count.
pub fn judged(leading: &Leading, servers: Servers) -> Option<Counts> {
    let next = voters(servers);
    let committed = leading.majority.high_watermark();
    let caught_up = |place: usize| leading.ends.get(&place).is_some_and(|end| offset(*end) >= committed);
    let changes = next != *leading.majority.voters();
    leading.majority.judge(&next, |voter| caught_up(place(voter))).ok().filter(|_| changes)
}

fn faults(world: &World, server: usize, actions: &mut Vec<Action>) {
    let budget = &world.budget;
    let faults = [
        (budget.crashes, Action::Crash(server)),
        (budget.losses, Action::Lose(server)),
        (budget.restores, Action::Restore(server)),
    ];
    actions.extend(faults.into_iter().filter(|(left, _)| *left > 0).map(|(_, action)| action));
}
