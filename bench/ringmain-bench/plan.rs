//! Which connection serves which partitions: each connection stays with one leader, as real clients do.

use std::collections::BTreeMap;

use crate::topic::{Partition, Topic};

/// One connection to be opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    pub address: String,
    pub partitions: Vec<i32>,
}

/// Divides the partitions over `connections`, leader by leader. A share whose partitions have several leaders becomes a
/// connection to each; with fewer partitions than connections, partitions are shared.
pub fn shares(topic: &Topic, partitions: usize, connections: usize) -> Vec<Share> {
    let mut sorted: Vec<&Partition> = topic.partitions.iter().take(partitions).collect();
    sorted.sort_by_key(|partition| (partition.leader, partition.index));
    let count = sorted.len();
    let mut shares: Vec<Share> = Vec::new();
    for connection in 0..connections {
        let range = if count >= connections {
            connection * count / connections..(connection + 1) * count / connections
        } else {
            connection % count..connection % count + 1
        };
        let mut leader = None;
        for partition in sorted.get(range).unwrap_or(&[]) {
            if leader.replace(partition.leader) != Some(partition.leader) {
                shares.push(Share { address: partition.leader_address.clone(), partitions: Vec::new() });
            }
            if let Some(share) = shares.last_mut() {
                share.partitions.push(partition.index);
            }
        }
    }
    shares
}

/// `connections` dealt out to the leaders, each with all partitions of its leader: never fewer than leaders, or keys could
/// not go anywhere; never more than asked for beyond that, or brokers that show many leaders would get more load.
pub fn every(topic: &Topic, connections: usize) -> Vec<Share> {
    let mut leaders: BTreeMap<(i32, &str), Vec<i32>> = BTreeMap::new();
    for Partition { index, leader, leader_address } in &topic.partitions {
        leaders.entry((*leader, leader_address)).or_default().push(*index);
    }
    let count = connections.max(leaders.len());
    let of_leader = |((_, address), partitions): (&(i32, &str), &Vec<i32>)| Share {
        address: (*address).to_owned(),
        partitions: partitions.clone(),
    };
    leaders.iter().cycle().take(if leaders.is_empty() { 0 } else { count }).map(of_leader).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_connection_has_all_partitions_of_its_leader() {
        let partition =
            |index: i32| Partition { index, leader: index % 2, leader_address: (index % 2).to_string() };
        let topic = Topic { name: "t".into(), partitions: (0..5).map(partition).collect() };
        let found = |connections| {
            every(&topic, connections).into_iter().map(|share| share.partitions).collect::<Vec<_>>()
        };
        assert_eq!(found(1), [vec![0, 2, 4], vec![1, 3]]);
        assert_eq!(found(3), [vec![0, 2, 4], vec![1, 3], vec![0, 2, 4]]);
    }

    fn check(leaders: &[i32], connections: usize, expected: &[&[i32]]) {
        let partition = |(index, leader): (usize, &i32)| Partition {
            index: i32::try_from(index).expect("few"),
            leader: *leader,
            leader_address: leader.to_string(),
        };
        let partitions = leaders.iter().enumerate().map(partition).collect();
        let topic = Topic { name: "t".into(), partitions };
        let found: Vec<Vec<i32>> =
            shares(&topic, leaders.len(), connections).into_iter().map(|share| share.partitions).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_connection_has_one_leader() {
        check(&[1, 2, 1, 2], 4, &[&[0], &[2], &[1], &[3]]);
        check(&[1, 2, 1, 2], 2, &[&[0, 2], &[1, 3]]);
        check(&[1, 2, 1, 2], 1, &[&[0, 2], &[1, 3]]);
        check(&[1, 1], 3, &[&[0], &[1], &[0]]);
    }
}
