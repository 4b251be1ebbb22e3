//! Members that join, leave, die, restart and lose answers, while topics come, grow and go.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::group::record::versioned;
use crate::group::{JoinRequest, LeavingMember, MemberRef, SyncRequest};
use crate::protocol::messages::{ConsumerProtocolSubscription, consumer_protocol_subscription};

use super::*;

const TOPICS: [&str; 4] = ["t0", "t1", "t2", "t3"];

/// A client that behaves like real ones: it gives up before it takes, takes only what it was told, and sends everything when
/// unsure.
#[derive(Clone, Debug)]
struct Client {
    id: String,
    instance: Option<String>,
    epoch: i32,
    topics: Vec<&'static str>,
    pattern: Option<&'static str>,
    told: Assignment,
    owned: Assignment,
    /// The partitions that the client last said it has, in a request that arrived.
    said: Option<Assignment>,
    is_unsure: bool,
    /// Set if the client speaks the classic protocol.
    classic: Option<Classic>,
}

/// Where a classic client is in its own protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Classic {
    phase: Phase,
    /// The client gives up everything before it joins again.
    is_eager: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Joins,
    Syncs,
    Beats,
}

impl Client {
    fn subscription(&self, image: &MetadataImage) -> Bytes {
        let owned = self.owned.topics().filter_map(|(id, partitions)| {
            let topic = image.topic_by_id(id)?.name.to_string().into();
            let partitions = partitions.iter().copied().collect();
            Some(consumer_protocol_subscription::TopicPartition { topic, partitions })
        });
        let message = ConsumerProtocolSubscription {
            topics: self.topics.iter().map(|topic| (*topic).into()).collect(),
            user_data: None,
            owned_partitions: owned.collect(),
            generation_id: -1,
            rack_id: None,
        };
        versioned(&message, 3).into()
    }

    fn claim(&self) -> MemberRef {
        MemberRef {
            generation: self.epoch,
            member_id: name(&self.id),
            instance_id: self.instance.as_deref().map(name),
        }
    }

    /// Takes the next step of its protocol. `is_lost`: the client does not get the answer.
    fn step_classic(&mut self, world: &mut World, is_lost: bool) {
        let Some(mut classic) = self.classic else { return };
        let result = match classic.phase {
            Phase::Joins => {
                if classic.is_eager {
                    self.owned = Assignment::default();
                }
                let request = JoinRequest {
                    group: name("g"),
                    member_id: name(&self.id),
                    instance_id: self.instance.as_deref().map(name),
                    client_id: name("client"),
                    client_host: name("/127.0.0.1"),
                    session_timeout_ms: 45_000,
                    rebalance_timeout_ms: 300_000,
                    protocol_type: name("consumer"),
                    protocols: vec![(name("p"), self.subscription(&world.image))],
                    id_required: false,
                    can_skip_assignment: true,
                };
                world.join(&request).map_err(|refused| refused.error).map(|joined| {
                    if !is_lost {
                        (self.id, self.epoch) = (joined.member_id.to_string(), joined.generation);
                        classic.phase = Phase::Syncs;
                    }
                })
            }
            Phase::Syncs => {
                let request = SyncRequest {
                    group: name("g"),
                    member: self.claim(),
                    protocol_type: Some(name("consumer")),
                    protocol: Some(name("p")),
                    assignments: Vec::new(),
                };
                world.group.sync_classic(world.now, &world.limits, &request).map(|synced| {
                    let told = read_assignment(&synced.assignment, &world.image).unwrap();
                    let gives_up = !self.owned.is_subset(&told);
                    if is_lost {
                        classic.phase = Phase::Joins;
                    } else {
                        self.owned = told;
                        // A cooperative consumer that gave something up says so at once.
                        classic.phase = if gives_up { Phase::Joins } else { Phase::Beats };
                    }
                })
            }
            Phase::Beats => world.group.heartbeat_classic(world.now, &world.limits, &self.claim()),
        };
        match result {
            Ok(()) => {}
            Err(GroupError::RebalanceInProgress) => classic.phase = Phase::Joins,
            Err(GroupError::IllegalGeneration | GroupError::UnknownMemberId) => {
                self.forget();
                if self.instance.is_some() {
                    self.id = String::new();
                }
                classic.phase = Phase::Joins;
            }
            Err(error) => panic!("{self:?}: {error}"),
        }
        self.classic = Some(classic);
    }

    fn request(&self) -> HeartbeatRequest {
        let instance_id = self.instance.as_deref().map(name);
        let topics: Vec<&str> = self.topics.clone();
        let full = HeartbeatRequest {
            instance_id: instance_id.clone(),
            member_epoch: self.epoch,
            pattern: Some(name(self.pattern.unwrap_or(""))),
            owned: Some(self.owned.clone()),
            ..joining(&self.id, &topics)
        };
        if self.epoch == 0 || self.is_unsure {
            return full;
        }
        let owned = (self.said.as_ref() != Some(&self.owned)).then(|| self.owned.clone());
        HeartbeatRequest { instance_id, owned, ..beating(&self.id, self.epoch) }
    }

    fn forget(&mut self) {
        (self.epoch, self.told, self.owned) = (0, Assignment::default(), Assignment::default());
        (self.said, self.is_unsure) = (None, false);
    }

    /// Does what the client was told, or only a part of it.
    fn reconcile(&mut self, is_slow: bool) {
        let (kept, surplus) = self.owned.split(|topic, partition| self.told.contains(topic, partition));
        if !surplus.is_empty() && is_slow {
            return;
        }
        self.owned = kept;
        self.owned.extend(self.told.iter());
    }
}

struct Play {
    world: World,
    rng: Rng,
    clients: BTreeMap<usize, Client>,
    made: usize,
}

impl Play {
    fn chance(&mut self, percent: u64) -> bool {
        self.rng.below(100) < percent
    }

    fn pick(&mut self) -> Option<usize> {
        let at = self.rng.below(self.clients.len().max(1) as u64);
        self.clients.keys().nth(usize::try_from(at).unwrap()).copied()
    }

    fn join(&mut self) {
        self.made += 1;
        let mut topics = TOPICS.to_vec();
        if self.chance(40) {
            topics.truncate(1 + usize::try_from(self.rng.below(3)).unwrap());
        }
        let pattern = self.chance(20).then_some("t[12]");
        let instance = self.chance(30).then(|| format!("i{}", self.made));
        let is_eager = self.chance(50);
        let classic = self.chance(30).then_some(Classic { phase: Phase::Joins, is_eager });
        let client = Client {
            // A static classic member is known by its instance.
            id: if classic.is_some() && instance.is_some() {
                String::new()
            } else {
                format!("m{}", self.made)
            },
            classic,
            instance,
            epoch: 0,
            topics,
            pattern,
            told: Assignment::default(),
            owned: Assignment::default(),
            said: None,
            is_unsure: false,
        };
        self.clients.insert(self.made, client);
    }

    fn beat(&mut self, at: usize, is_perfect: bool) {
        let (loses_request, loses_answer, is_slow) = match is_perfect {
            true => (false, false, false),
            false => (self.chance(5), self.chance(10), self.chance(30)),
        };
        let Some(client) = self.clients.get_mut(&at) else { return };
        if client.classic.is_some() {
            if !loses_request {
                client.step_classic(&mut self.world, loses_answer);
            }
            return self.check();
        }
        let request = client.request();
        if loses_request {
            client.is_unsure = true;
            return;
        }
        let answer = self.world.send(&request);
        let Some(client) = self.clients.get_mut(&at) else { return };
        match answer {
            _ if loses_answer => client.is_unsure = true,
            Ok(answer) => {
                client.epoch = answer.member_epoch;
                client.is_unsure = false;
                if let Some(owned) = request.owned {
                    client.said = Some(owned);
                }
                if let Some(told) = answer.assignment {
                    client.told = told;
                }
                client.reconcile(is_slow);
            }
            Err(GroupError::FencedMemberEpoch | GroupError::UnknownMemberId) => client.forget(),
            Err(error) => panic!("{request:?}: {error}"),
        }
        self.check();
    }

    /// A static member goes and comes back as a new process.
    fn restart(&mut self, at: usize) {
        let made = self.made + 1;
        let Some(client) = self.clients.get_mut(&at).filter(|it| it.instance.is_some() && it.epoch > 0)
        else {
            return;
        };
        if let Some(classic) = &mut client.classic {
            // The client says nothing, and comes back in either protocol.
            classic.phase = Phase::Joins;
            client.forget();
            client.id = String::new();
            if made.is_multiple_of(2) {
                (client.classic, client.id) = (None, format!("m{made}"));
                self.made = made;
            }
            return self.check();
        }
        let mut request = beating(&client.id, STATIC_LEAVE_EPOCH);
        request.instance_id = client.instance.as_deref().map(name);
        client.forget();
        if self.world.send(&request).is_ok() {
            let client = self.clients.get_mut(&at).unwrap();
            client.id = format!("m{made}");
            self.made = made;
        }
        self.check();
    }

    fn leave(&mut self, at: usize) {
        if let Some(client) = self.clients.remove(&at) {
            if client.classic.is_some() {
                let (member_id, instance_id) = (name(&client.id), client.instance.as_deref().map(name));
                self.world.leave(&[LeavingMember { member_id, instance_id }]);
                return self.check();
            }
            let mut request = beating(&client.id, LEAVE_EPOCH);
            request.instance_id = client.instance.as_deref().map(name);
            let _ = self.world.send(&request);
        }
        self.check();
    }

    fn change_topic(&mut self) {
        let topic = TOPICS[usize::try_from(self.rng.below(4)).unwrap()];
        let partitions = self.world.image.topic(topic).map_or(0, |it| it.partitions.len());
        if partitions > 0 && self.chance(30) {
            self.world.delete_topic(topic);
        } else if partitions < 12 {
            let more = usize::try_from(self.rng.below(4)).unwrap();
            self.world.make_topic(topic, partitions + 1 + more);
        }
    }

    fn step(&mut self) {
        match self.rng.below(100) {
            0..4 => self.join(),
            4..6 => self.change_topic(),
            6 => drop(self.pick().map(|at| self.leave(at))),
            // The client dies without leaving.
            7 => drop(self.pick().map(|at| self.clients.remove(&at))),
            8 => drop(self.pick().map(|at| self.restart(at))),
            9..15 => drop(self.world.pass(2000)),
            _ => drop(self.pick().map(|at| self.beat(at, false))),
        }
        self.check();
    }

    /// Checks that no partition is with two members at once. Members that were fenced or have left do not count, because their
    /// commits are refused.
    fn check(&self) {
        let mut holders: BTreeMap<(TopicId, i32), &str> = BTreeMap::new();
        let members: BTreeMap<&str, &Member> =
            self.world.group.members().map(|(id, it)| (&**id, it)).collect();
        for client in self.clients.values().filter(|it| members.contains_key(&*it.id)) {
            for held in client.owned.iter() {
                let other = holders.insert(held, &client.id);
                assert_eq!(other, None, "{held:?} is with {} too\n{:#?}", client.id, self.world.group);
            }
        }
        let mut held = Assignment::default();
        for (topic, partition) in members.values().flat_map(|it| it.current.held()) {
            assert!(held.insert(topic, partition), "{topic}-{partition} twice");
        }
        assert_eq!(held.len(), self.world.group.holders.len());
    }

    /// Checks that every member gets its part when nothing more happens, and that every partition is with some member.
    fn settle(&mut self) {
        // Time passes, so that dead members are noticed.
        for _ in 0..12 {
            let all: Vec<usize> = self.clients.keys().copied().collect();
            all.into_iter().for_each(|at| self.beat(at, true));
            self.world.pass(5000);
        }
        for round in 0.. {
            let all: Vec<usize> = self.clients.keys().copied().collect();
            all.into_iter().for_each(|at| self.beat(at, true));
            let group = &self.world.group;
            if self.clients.is_empty() || group.state_name() == "Stable" {
                break;
            }
            // A classic member needs three requests where another one needs one.
            assert!(round < 12, "{} after {round} rounds: {group:#?}", group.state_name());
        }
        let mut all = Assignment::default();
        for client in self.clients.values() {
            assert_eq!(client.owned, self.world.group.target[&*client.id]);
            all.extend(client.owned.iter());
        }
        let subscribed = |topic: &str| {
            let matches =
                |it: &Client| it.topics.contains(&topic) || it.pattern.is_some() && "t1t2".contains(topic);
            self.clients.values().any(matches)
        };
        for topic in self.world.image.topics.values().filter(|topic| subscribed(&topic.name)) {
            assert_eq!(all.count(topic.id), topic.partitions.len(), "{}", topic.name);
        }
    }
}

#[test]
fn a_partition_is_never_with_two_members_and_groups_settle() {
    for seed in 0..20 {
        let mut world = World::new(&[("t0", 3), ("t1", 5)]);
        // There is no coordinator here to make a classic group of it when only classic members are left.
        world.limits.downgrade = false;
        let mut play = Play { world, rng: Rng::seeded(seed), clients: BTreeMap::new(), made: 0 };
        for _ in 0..3 {
            for _ in 0..250 {
                play.step();
            }
            play.world.check_replay();
            // A coordinator that starts again continues where the last one was.
            play.world.group = play.world.replayed();
            play.world.group.start(play.world.now, &play.world.limits);
            play.settle();
        }
        play.world.check_replay();
    }
}
