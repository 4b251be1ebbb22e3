//! Replicas as a client places them: checked in Kafka's words.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{NodeId, PartitionIndex, ServerId};

use super::image::REPLICAS_MAX;
use super::request::{ControllerError, NewTopic};

/// The replicas that a manual assignment gives to each partition.
///
/// # Errors
/// Why Kafka would refuse it.
pub(super) fn check_assignments(
    topic: &NewTopic,
    is_known: impl Fn(ServerId) -> bool,
) -> Result<Vec<Vec<ServerId>>, ControllerError> {
    let both = |what: &str| {
        let message = format!("A manual partition assignment was specified, but {what} was not set to -1.");
        Err(ControllerError::InvalidRequest(message))
    };
    if topic.replication_factor != -1 {
        return both("replication factor");
    }
    if topic.partitions != -1 {
        return both("numPartitions");
    }
    let mut assigned = BTreeMap::new();
    for (partition, replicas) in &topic.assignments {
        let replicas = check_assigned(replicas, &is_known);
        if assigned.contains_key(partition) {
            return Err(ControllerError::InvalidReplicaAssignment(format!(
                "Found multiple manual partition assignments for partition {partition}"
            )));
        }
        assigned.insert(*partition, replicas?);
    }
    let count = i32::try_from(assigned.len()).unwrap_or(i32::MAX);
    if assigned.keys().copied().ne((0..count).map(PartitionIndex)) {
        let message = "partitions should be a consecutive 0-based integer sequence";
        return Err(ControllerError::InvalidReplicaAssignment(message.into()));
    }
    let assigned: Vec<Vec<ServerId>> = assigned.into_values().collect();
    check_factors(&assigned, assigned.first().map_or(0, Vec::len))?;
    Ok(assigned)
}

/// The replicas that an assignment gives to `added` further partitions of a topic that is kept `factor` times.
///
/// # Errors
/// When it is not one of so many, or names what cannot be.
pub(super) fn check_added(
    added: i32,
    assignments: &[Vec<i32>],
    factor: usize,
    is_known: impl Fn(ServerId) -> bool,
) -> Result<Vec<Vec<ServerId>>, ControllerError> {
    if usize::try_from(added) != Ok(assignments.len()) {
        return Err(ControllerError::InvalidReplicaAssignment(format!(
            "Attempted to add {added} additional partition(s), but only {} assignment(s) were specified.",
            assignments.len()
        )));
    }
    let assigned = assignments.iter().map(|replicas| check_assigned(replicas, &is_known));
    let assigned = assigned.collect::<Result<Vec<_>, _>>()?;
    check_factors(&assigned, factor)?;
    Ok(assigned)
}

/// As in Kafka, all partitions of a topic are kept equally often when they come into being.
fn check_factors(assigned: &[Vec<ServerId>], factor: usize) -> Result<(), ControllerError> {
    match assigned.iter().find(|replicas| replicas.len() != factor) {
        Some(other) => Err(ControllerError::InvalidReplicaAssignment(format!(
            "The manual partition assignment includes a partition with {} replica(s), but this is not consistent \
             with previous partitions, which have {factor} replica(s).",
            other.len()
        ))),
        None => Ok(()),
    }
}

/// One partition's replicas as a client placed them on the one server there is.
pub fn check_replicas(replicas: &[i32], server: ServerId) -> Result<(), ControllerError> {
    check_assigned(replicas, |known| known == server).map(drop)
}

/// One partition's replicas as a client placed them: servers, each named by any of its nodes.
///
/// # Errors
/// Why Kafka would refuse them.
pub(super) fn check_assigned(
    replicas: &[i32],
    is_known: impl Fn(ServerId) -> bool,
) -> Result<Vec<ServerId>, ControllerError> {
    let refused = |message: String| Err(ControllerError::InvalidReplicaAssignment(message));
    if replicas.is_empty() {
        return refused("The manual partition assignment includes an empty replica list.".into());
    }
    if let Some(unknown) = replicas.iter().find(|node| !is_known(NodeId(**node).server())) {
        return refused(format!(
            "The manual partition assignment includes broker {unknown}, but no such broker is registered."
        ));
    }
    let mut named = BTreeSet::new();
    if let Some(twice) = replicas.iter().find(|node| !named.insert(**node)) {
        return refused(format!(
            "The manual partition assignment includes the broker {twice} more than once."
        ));
    }
    let servers: Vec<ServerId> = replicas.iter().map(|node| NodeId(*node).server()).collect();
    if servers.iter().collect::<BTreeSet<_>>().len() < servers.len() {
        let nodes: Vec<String> = named.iter().map(ToString::to_string).collect();
        return refused(format!(
            "The manual partition assignment includes the brokers {}, some of which are one server: it keeps one \
             replica of a partition.",
            nodes.join(", ")
        ));
    }
    if servers.len() > REPLICAS_MAX {
        return refused(format!(
            "A partition has up to {REPLICAS_MAX} replicas; {} were named.",
            servers.len()
        ));
    }
    Ok(servers)
}
