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
        let dead = || voters.iter().find(|voter| is_dead(voter) && voter.server != own);
        let goes = drained.or_else(dead).or_else(others)?;
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

#[cfg(test)]
mod tests {
    use std::slice;

    use super::*;

    const NOW: MonoNanos = MonoNanos(1_000_000_000_000);

    /// A server that has been unfenced for a long time, the longer the smaller its number.
    fn seen(server: i32, rack: &str) -> Seen {
        let since = MonoNanos(u64::try_from(server).expect("small"));
        Seen { vote: vote(server, server), rack: rack.into(), since: Some(since), drained: false }
    }

    fn vote(server: i32, id: i32) -> Voter {
        let byte = u8::try_from(id).expect("small");
        Voter {
            server: ServerId(server),
            voter: VoterId([byte; 16]),
            host: format!("host-{server}"),
            port: 9192,
        }
    }

    /// Who is to vote where these do, server 1 leads, and three are wanted.
    fn check(voters: &[i32], servers: &[Seen], want: Option<&[i32]>) {
        check_of(3, voters, servers, want);
    }

    fn check_of(count: usize, voters: &[i32], servers: &[Seen], want: Option<&[i32]>) {
        let voters: Vec<Voter> = voters.iter().map(|server| vote(*server, *server)).collect();
        let next = wanted(&voters, ServerId(1), count, servers, NOW);
        let next = next.map(|next| next.iter().map(|voter| voter.server.0).collect::<Vec<_>>());
        assert_eq!(next.as_deref(), want, "{voters:?} of {servers:?}");
    }

    #[test]
    fn one_votes_until_three_are_steady() {
        let [one, two, three] = [seen(1, "a"), seen(2, "b"), seen(3, "c")];
        check(&[], slice::from_ref(&one), Some(&[1]));
        check(&[1], slice::from_ref(&one), None);
        let unheard = [&one, &two].map(|seen| Seen { since: None, ..seen.clone() });
        check(&[2, 1], &unheard, Some(&[1]));
        check(&[1], &[one.clone(), two.clone()], None);
        check(&[1], &[one.clone(), two.clone(), three.clone()], Some(&[1, 2, 3]));
        let young = Seen { since: Some(MonoNanos(NOW.0 - 1)), ..three.clone() };
        check(&[1], &[one.clone(), two.clone(), young], None);
        let fenced = Seen { since: None, ..three.clone() };
        check(&[1], &[one.clone(), two.clone(), fenced.clone()], None);
        check(&[1, 2, 3], &[one.clone(), two.clone(), three.clone()], None);
        check(&[1, 2, 3], &[one.clone(), two.clone(), fenced], None);
        check_of(1, &[1], &[one, two, three], None);
    }

    #[test]
    fn other_racks_come_first_and_then_the_longest_there() {
        let all = [seen(1, "a"), seen(2, "a"), seen(3, "b"), seen(4, "b"), seen(5, "c")];
        check(&[1], &all, Some(&[1, 3, 5]));
        check(&[1], &all[..4], Some(&[1, 3, 2]));
        check_of(5, &[1], &all, Some(&[1, 3, 5]));
        check_of(5, &[1, 3, 5], &all, Some(&[1, 3, 5, 2]));
        check_of(5, &[1, 3, 5, 2], &all, Some(&[1, 3, 5, 2, 4]));
        let without_four: Vec<Seen> = all.iter().filter(|it| it.vote.server.0 != 4).cloned().collect();
        check_of(5, &[1, 3, 5], &without_four, None);
    }

    #[test]
    fn a_live_voter_is_added_to_before_it_goes_and_a_dead_one_goes_first() {
        let drained = Seen { drained: true, ..seen(3, "c") };
        let dead = Seen { since: None, ..drained.clone() };
        let [one, two, four] = [seen(1, "a"), seen(2, "b"), seen(4, "c")];
        let with = |third: &Seen| [one.clone(), two.clone(), third.clone(), four.clone()];
        check(&[1, 2, 3], &with(&drained), Some(&[1, 2, 3, 4]));
        check(&[1, 2, 3, 4], &with(&drained), Some(&[1, 2, 4]));
        check(&[1, 2, 3], &with(&dead), Some(&[1, 2]));
        check(&[1, 2], &with(&dead), Some(&[1, 2, 4]));
        let gone = Seen { since: None, ..seen(3, "c") };
        check(&[1, 2, 3], &with(&gone), None);
        check(&[1, 2, 3], &[one.clone(), two.clone(), drained.clone()], Some(&[1, 2]));
        check(&[1, 2], &[one, two, drained], Some(&[1]));
    }

    #[test]
    fn a_lost_vote_goes_and_an_address_is_followed() {
        let [one, two, three] = [seen(1, "a"), seen(2, "b"), seen(3, "c")];
        let lost = Seen { vote: vote(3, 33), ..three.clone() };
        check(&[1, 2, 3], &[one.clone(), two.clone(), lost.clone()], Some(&[1, 2]));
        check(&[1, 2], &[one.clone(), two.clone(), lost], Some(&[1, 2, 3]));
        let moved = Voter { host: "elsewhere".into(), ..vote(2, 2) };
        let servers = [one, Seen { vote: moved.clone(), ..two }, three];
        let voters: Vec<Voter> = [1, 2, 3].map(|server| vote(server, server)).into();
        let next = wanted(&voters, ServerId(1), 3, &servers, NOW).expect("another address");
        assert_eq!(next, [voters[0].clone(), moved, voters[2].clone()]);
    }
}
