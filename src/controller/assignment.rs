//! Replicas as a client places them: checked in Kafka's words.

use std::collections::BTreeSet;

use crate::base::{NodeId, PartitionIndex, ServerId};

use super::request::{ControllerError, NewTopic};

/// How many partitions a manual assignment makes.
///
/// # Errors
/// Why Kafka would refuse it.
pub(super) fn check_assignments(topic: &NewTopic, server: ServerId) -> Result<i32, ControllerError> {
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
    let mut seen = BTreeSet::new();
    for (partition, replicas) in &topic.assignments {
        if !seen.insert(*partition) {
            return Err(ControllerError::InvalidReplicaAssignment(format!(
                "Found multiple manual partition assignments for partition {partition}"
            )));
        }
        check_replicas(replicas, server)?;
    }
    let count = i32::try_from(seen.len()).unwrap_or(i32::MAX);
    if seen.into_iter().ne((0..count).map(PartitionIndex)) {
        let message = "partitions should be a consecutive 0-based integer sequence";
        return Err(ControllerError::InvalidReplicaAssignment(message.into()));
    }
    Ok(count)
}

/// # Errors
/// When an assignment of `added` further partitions is not one of so many, or names what cannot be.
pub(super) fn check_added(
    added: i32,
    assignments: &[Vec<i32>],
    server: ServerId,
) -> Result<(), ControllerError> {
    if usize::try_from(added) != Ok(assignments.len()) {
        return Err(ControllerError::InvalidReplicaAssignment(format!(
            "Attempted to add {added} additional partition(s), but only {} assignment(s) were specified.",
            assignments.len()
        )));
    }
    assignments.iter().try_for_each(|replicas| check_replicas(replicas, server))
}

/// One partition's replicas as a client placed them: with one server, exactly that one, named by any of its nodes.
pub fn check_replicas(replicas: &[i32], server: ServerId) -> Result<(), ControllerError> {
    let refused = |message: String| Err(ControllerError::InvalidReplicaAssignment(message));
    if replicas.is_empty() {
        return refused("The manual partition assignment includes an empty replica list.".into());
    }
    if let Some(unknown) = replicas.iter().find(|node| NodeId(**node).server() != server) {
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
    if replicas.len() > 1 {
        let nodes: Vec<String> = named.iter().map(ToString::to_string).collect();
        return refused(format!(
            "The manual partition assignment includes the brokers {}, which are one server: it keeps one replica of a \
             partition.",
            nodes.join(", ")
        ));
    }
    Ok(())
}
