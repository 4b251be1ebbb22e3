//! Who votes in the metadata quorum: a proposal at a time, which the quorum may refuse (Q7).
//!
//! One or two servers have one voter, for two voters are worse than one. From three servers on three vote, in different racks
//! as far as there are any. A voter is replaced when its server is drained, or keeps another vote now. Whoever is merely gone
//! stays a voter: replacing it by a guess could make a majority of a minority. A live one comes before another one goes, and a
//! dead one goes before another one comes, so that no set of voters needs all of its members.

use crate::base::{MonoNanos, ServerId, VoterId, mark};
use crate::controller::decide::Controller;
use crate::controller::drain::Drain;
use crate::controller::image::Voter;
use crate::controller::record::MetadataRecord;
use crate::controller::servers::ControllerOutput;

/// A server votes only after it has been unfenced for so long.
const STEADY_MS: u64 = 60_000;
/// Voters from which on a quorum survives the loss of one.
const VOTERS_MIN: usize = 3;

/// A registered server, as far as its vote is concerned.
#[derive(Clone, Debug)]
struct Seen {
    /// The vote that it has or would have.
    vote: Voter,
    rack: String,
    /// Since when it is unfenced without a break.
    since: Option<MonoNanos>,
    drained: bool,
}

impl Controller {
    /// Another list of voters, when there should be one.
    pub(super) fn propose_voters(&mut self, now: MonoNanos, out: &mut ControllerOutput) {
        let voters = &self.decided.state.cluster.quorum.voters;
        let wanted =
            wanted(voters, self.config.server, self.config.settings.cluster.voters, &self.seen(), now);
        if wanted.is_some() {
            out.voters = wanted;
        }
    }

    /// Decides who votes. The quorum has allowed it.
    pub fn set_voters(&mut self, voters: Vec<Voter>, out: &mut ControllerOutput) {
        if self.is_active() {
            mark("other servers vote");
            self.enact(MetadataRecord::Voters(voters), &mut out.batches);
        }
    }

    fn seen(&self) -> Vec<Seen> {
        let servers = self.decided.state.cluster.servers.iter();
        let servers = servers.filter(|(_, server)| server.voter != VoterId::default());
        let seen = servers.map(|(id, server)| {
            let (host, port) = server.cluster.clone();
            let lives = !server.fenced && !server.stopping;
            Seen {
                vote: Voter { server: *id, voter: server.voter, host, port },
                rack: server.rack.clone().unwrap_or_else(|| format!("server-{id}")),
                since: lives.then(|| self.servers.since(*id)).flatten(),
                drained: self.drain_of(*id) != Drain::Nothing,
            }
        });
        seen.collect()
    }
}

/// The next list of voters; `None` when it is the one there is. `count` is how many there are at most.
fn wanted(
    voters: &[Voter],
    own: ServerId,
    count: usize,
    seen: &[Seen],
    now: MonoNanos,
) -> Option<Vec<Voter>> {
    let of = |server: ServerId| seen.iter().find(|it| it.vote.server == server);
    if voters.is_empty() {
        return Some(vec![of(own)?.vote.clone()]);
    }
    let is_same = |voter: &Voter| of(voter.server).filter(|it| it.vote.voter == voter.voter);
    let moved: Vec<Voter> =
        voters.iter().map(|it| is_same(it).map_or(it, |seen| &seen.vote).clone()).collect();
    if moved != voters {
        return Some(moved);
    }
    let is_lost =
        |voter: &&Voter| voter.server != own && of(voter.server).is_some() && is_same(voter).is_none();
    if let Some(lost) = voters.iter().find(is_lost) {
        mark("a vote that was lost leaves the quorum");
        return Some(without(voters, lost));
    }
    let is_steady = |seen: &Seen| seen.since.is_some_and(|since| now >= since.plus_ms(STEADY_MS));
    let mut observers: Vec<&Seen> = seen.iter().filter(|it| is_steady(it) && !it.drained).collect();
    observers.retain(|seen| voters.iter().all(|voter| voter.server != seen.vote.server));
    observers.sort_by_key(|seen| (seen.since, seen.vote.server));
    let is_drained = |voter: &Voter| of(voter.server).is_some_and(|it| it.drained);
    let staying = voters.iter().filter(|voter| !is_drained(voter)).count();
    let target = match staying + observers.len() {
        enough if enough >= count => count,
        enough if enough >= VOTERS_MIN => VOTERS_MIN,
        _ => 1,
    };
    let is_dead = |voter: &&Voter| of(voter.server).is_none_or(|it| it.since.is_none());
    if voters.len() > target {
        let drained = voters.iter().find(|voter| is_drained(voter) && voter.server != own);
        let others = || voters.iter().rev().find(|voter| voter.server != own);
        let goes = drained.or_else(|| voters.iter().find(is_dead)).or_else(others)?;
        return Some(without(voters, goes));
    }
    let dead = voters.iter().find(|voter| is_drained(voter) && is_dead(voter));
    if let Some(dead) = dead.filter(|_| !observers.is_empty()) {
        return Some(without(voters, dead));
    }
    let added = match voters.len() {
        1 if target >= VOTERS_MIN => 2,
        // An even number is only on the way to an odd one.
        even if even % 2 == 0 => 1,
        odd if odd < target && observers.len() >= 2 => 1,
        _ if staying < voters.len() => 1,
        _ => return None,
    };
    let racks = voters.iter().filter_map(|voter| of(voter.server)).map(|it| it.rack.as_str()).collect();
    let joining = spread(&observers, racks, added);
    let all = voters.iter().cloned().chain(joining.iter().map(|it| it.vote.clone())).collect();
    (joining.len() == added).then_some(all)
}

fn without(voters: &[Voter], gone: &Voter) -> Vec<Voter> {
    voters.iter().filter(|voter| *voter != gone).cloned().collect()
}

/// So many observers, of other racks as far as there are any.
fn spread<'a>(observers: &[&'a Seen], mut racks: Vec<&'a str>, count: usize) -> Vec<&'a Seen> {
    let mut chosen: Vec<&Seen> = Vec::new();
    for other_rack in [true, false] {
        for observer in observers {
            let is_open = chosen.iter().all(|it| it.vote.server != observer.vote.server);
            if is_open && chosen.len() < count && other_rack != racks.contains(&observer.rack.as_str()) {
                racks.push(&observer.rack);
                chosen.push(observer);
            }
        }
    }
    chosen
}
