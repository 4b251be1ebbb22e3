//! What must be true whatever happens.

use std::rc::Rc;

use crate::world::{Committed, What, World};

/// A server begins to lead: nobody else ever led this epoch.
pub fn leads(world: &mut World, server: usize, epoch: i32) {
    if world.beyond {
        return;
    }
    if let Some(other) = world.led.insert(epoch, server).filter(|other| *other != server) {
        world.goes_wrong(format!("servers {other} and {server} both led epoch {epoch}"));
    }
}

/// A leader finds its log committed up to here: what was committed before is the same.
pub fn commits(world: &mut World, server: usize, end: usize) {
    if world.beyond {
        return;
    }
    let node = world.node(server);
    let by = node.leading.as_ref().expect("only a leader commits").epoch;
    let log = node.log[..end].to_vec();
    let mut committed = (*world.committed).clone();
    for (at, entry) in log.iter().enumerate() {
        match committed.get(at) {
            Some(before) if before.entry != *entry => {
                let before = before.entry;
                world.goes_wrong(format!("{before:?} was committed at {at}, and now {entry:?} is"));
            }
            Some(_) => {}
            None => committed.push(Committed { entry: *entry, by }),
        }
    }
    let decisions = committed.iter().filter_map(|committed| match committed.entry.what {
        What::Decision(number) => Some(usize::from(number)),
        What::Leader | What::Voters(_) => None,
    });
    if let Some((at, number)) = decisions.enumerate().find(|(at, number)| at != number) {
        world.goes_wrong(format!("decision {at} was made when {number} were known"));
    }
    world.committed = Rc::new(committed);
}

/// A server cuts its log: nothing that it has shown as committed goes.
pub fn cuts(world: &mut World, server: usize, end: usize) {
    let shown = world.node(server).shown;
    if end < shown {
        world.goes_wrong(format!("server {server} has shown {shown} records and cuts its log to {end}"));
    }
}

/// What holds between servers.
pub fn after_a_step(world: &mut World) {
    if world.beyond {
        return;
    }
    if let Some(wrong) = incomplete_leader(world).or_else(|| unequal_logs(world)) {
        world.goes_wrong(wrong);
    }
}

/// A leader has all that was committed in its own epoch or an earlier one.
fn incomplete_leader(world: &World) -> Option<String> {
    for server in world.servers() {
        let node = world.node(server);
        let Some(leading) = &node.leading else { continue };
        for (at, committed) in world.committed.iter().enumerate() {
            if committed.by <= leading.epoch && node.log.get(at) != Some(&committed.entry) {
                let Committed { entry, by } = committed;
                return Some(format!(
                    "{entry:?} was committed at {at} in epoch {by}, and the leader of epoch {} does not have it",
                    leading.epoch
                ));
            }
        }
    }
    None
}

/// Where two logs have a record of the same epoch at the same offset, they are equal up to there.
fn unequal_logs(world: &World) -> Option<String> {
    for one in world.servers() {
        for other in 0..one {
            let (log, others) = (&world.node(one).log, &world.node(other).log);
            let same_epoch = log.iter().zip(others).rposition(|(a, b)| a.epoch == b.epoch);
            if let Some(last) = same_epoch
                && log[..=last] != others[..=last]
            {
                return Some(format!("the logs of servers {other} and {one} differ up to {last}"));
            }
        }
    }
    None
}
