//! Which servers keep a new partition.
//!
//! Servers are put in an order that goes round the racks. Leaders follow each other in this order, and each partition's other
//! replicas are taken from it, from a place that moves on with every round, so that the load of a server that fails is shared by
//! all others. Replicas of one partition stand in different racks as far as there are any. Servers that are fenced come last:
//! they may be back in a minute, and a topic with too few replicas would stay as it is (U10).
//!
//! Knows no records; decides nothing about partitions that are there.

use std::collections::BTreeMap;

use crate::base::{Home, LeaderEpoch, PartitionEpoch, ServerId};

use super::drain::Drain;
use super::image::{ClusterImage, PartitionImage, PartitionState, Resource, ServerImage};
use super::request::ControllerError;

/// What a topic gets that does not say how often it is to be kept, on so many servers.
const FACTOR_MAX: usize = 3;

/// Servers that may get replicas.
#[derive(Clone, Debug)]
pub(super) struct Places {
    unfenced: Vec<Candidate>,
    fenced: Vec<Candidate>,
    /// Registered servers, those left out that are to give replicas away.
    pub usable: usize,
}

#[derive(Clone, PartialEq, Eq, Debug)]
struct Candidate {
    server: ServerId,
    rack: String,
}

impl Places {
    /// Places of a cluster; before any server has registered, `own` is all of it.
    pub fn new(cluster: &ClusterImage, own: ServerId) -> Places {
        let mut places = Places { unfenced: Vec::new(), fenced: Vec::new(), usable: 0 };
        let is_drained = |id: &ServerId| {
            let configs = cluster.configs(&Resource::Broker(*id));
            Drain::of(configs.and_then(|it| it.get(Drain::CONFIG)).map(String::as_str)) == Drain::Replicas
        };
        let usable: Vec<_> = cluster.servers.iter().filter(|(id, _)| !is_drained(id)).collect();
        let out = |server: &ServerImage| server.fenced || server.stopping;
        places.unfenced =
            striped(usable.iter().filter(|(_, it)| !out(it)).map(|(id, it)| candidate(**id, it)));
        places.fenced = striped(usable.iter().filter(|(_, it)| out(it)).map(|(id, it)| candidate(**id, it)));
        places.usable = usable.len();
        if cluster.servers.is_empty() {
            places.unfenced = vec![Candidate { server: own, rack: String::new() }];
            places.usable = 1;
        }
        places
    }

    /// How often a topic is kept that does not say it, where no setting does.
    pub fn factor(&self) -> usize {
        self.usable.clamp(1, FACTOR_MAX)
    }

    /// # Errors
    /// When a partition cannot be kept so many times, in Kafka's words.
    pub fn check(&self, factor: usize) -> Result<(), ControllerError> {
        let refused = |why: String| {
            let message = format!("Unable to replicate the partition {factor} time(s): {why}");
            Err(ControllerError::InvalidReplicationFactor(message))
        };
        if self.unfenced.is_empty() {
            return refused("All brokers are currently fenced.".to_owned());
        }
        if factor > self.usable {
            return refused(format!(
                "The target replication factor of {factor} cannot be reached because only {} broker(s) are registered.",
                self.usable
            ));
        }
        Ok(())
    }

    /// The servers of the `nth` partition of the cluster, the leader first. [`Places::check`] has allowed the factor.
    pub fn replicas(&self, nth: usize, factor: usize) -> Vec<ServerId> {
        let count = self.unfenced.len();
        let leader = &self.unfenced[nth % count];
        self.extended(&[leader.server], nth, factor)
    }

    /// The servers that are kept, and as many more as it takes; fewer, where there are no more.
    pub fn extended(&self, kept: &[ServerId], nth: usize, factor: usize) -> Vec<ServerId> {
        let all = self.unfenced.iter().chain(&self.fenced);
        let of = |server: &ServerId| all.clone().find(|it| it.server == *server).map(|it| it.rack.as_str());
        let mut chosen = kept.to_vec();
        let mut racks: Vec<&str> = kept.iter().filter_map(of).collect();
        for candidates in [&self.unfenced, &self.fenced] {
            let turned = turned(candidates, nth);
            for other_rack in [true, false] {
                for candidate in &turned {
                    let is_open = !chosen.contains(&candidate.server);
                    if is_open
                        && chosen.len() < factor
                        && other_rack != racks.contains(&candidate.rack.as_str())
                    {
                        chosen.push(candidate.server);
                        racks.push(&candidate.rack);
                    }
                }
            }
        }
        chosen
    }

    pub fn is_unfenced(&self, server: ServerId) -> bool {
        self.unfenced.iter().any(|it| it.server == server)
    }
}

/// A partition as it comes into being: its unfenced replicas are in sync, and the first of them leads.
pub(super) fn born(replicas: Vec<ServerId>, home: Home, places: &Places) -> PartitionState {
    let isr: Vec<ServerId> = replicas.iter().copied().filter(|server| places.is_unfenced(*server)).collect();
    let leader = isr.first().copied();
    let mut state = PartitionImage::single(replicas[0], LeaderEpoch(0), home).state();
    (state.replicas, state.leader, state.isr) = (replicas, leader, isr);
    state.partition_epoch = PartitionEpoch(0);
    state
}

/// The candidates, beginning behind the leader of the `nth` partition, one place further in each round.
fn turned(candidates: &[Candidate], nth: usize) -> Vec<&Candidate> {
    let count = candidates.len();
    if count == 0 {
        return Vec::new();
    }
    let further = 1 + nth / count % (count - 1).max(1);
    let (behind, before) = candidates.split_at((nth + further) % count);
    before.iter().chain(behind).collect()
}

/// One of each rack, then the next of each.
fn striped(candidates: impl Iterator<Item = Candidate>) -> Vec<Candidate> {
    let mut racks: BTreeMap<String, Vec<Candidate>> = BTreeMap::new();
    for candidate in candidates {
        racks.entry(candidate.rack.clone()).or_default().push(candidate);
    }
    let most = racks.values().map(Vec::len).max().unwrap_or(0);
    (0..most)
        .flat_map(|nth| racks.values().filter_map(move |rack| rack.get(nth)).cloned().collect::<Vec<_>>())
        .collect()
}

/// A server without a rack is one of its own.
fn candidate(server: ServerId, image: &ServerImage) -> Candidate {
    Candidate { server, rack: image.rack.clone().unwrap_or_else(|| format!("server-{server}")) }
}
