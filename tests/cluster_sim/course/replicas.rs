//! The replicas of a partition, as the disks of stopped servers have them.

use std::collections::BTreeMap;

use ringmain::base::{Offset, TopicPartition};
use ringmain::record::BatchHeader;
use ringmain::shard::{Shard, ShardGauges};

use super::Course;
use crate::checks::{Invariant, require, violated};
use crate::clients::{key_of, read_batches};
use crate::oracle::{Layout, Look};
use crate::queue::Span;
use crate::server::State;

/// A stop takes no longer than this.
const STOPS: Span = Span::seconds(20);

impl Course {
    /// What each server has of each partition agrees with what was promised.
    pub(super) fn look_at_replicas(&mut self) {
        let Some(image) = self.newest_image().filter(|_| self.plan.layout == Layout::Together) else {
            return;
        };
        let Course { servers, oracle, atlas, .. } = self;
        for server in servers.iter() {
            for replica in server.shards().flat_map(Shard::replicas) {
                let (start, acknowledged, exposed) = oracle.promised(replica.id);
                let is_lost = atlas.has_lost(replica.id, server.id);
                oracle.replicas.look(Look {
                    server: server.id,
                    replica: &replica,
                    image: &image,
                    start,
                    acknowledged,
                    exposed,
                    is_lost,
                });
            }
        }
    }

    /// Servers that have heard of everything serve nothing that is gone.
    pub(super) fn look_for_the_deleted(&self) {
        for server in &self.servers {
            let served = server.shards().flat_map(Shard::replicas);
            served
                .filter(|replica| !replica.is_idle)
                .for_each(|replica| self.oracle.serves(server.id, replica.id));
        }
    }

    /// Nothing is held any more by servers that have stopped.
    pub(super) fn account(&self) {
        for (server, shard) in self.servers.iter().flat_map(|it| it.shards().map(|shard| (it.id, shard))) {
            let gauges = shard.gauges();
            let ShardGauges { fetches_waiting, commit_pending_bytes, writeback_waiting, .. } = gauges;
            require(
                Invariant::Accounting,
                (fetches_waiting, commit_pending_bytes, writeback_waiting) == (0, 0, 0),
                || format!("server {server} has stopped and holds {gauges:?}"),
            );
        }
    }

    /// All servers stop in order, and what they have of each partition is the same.
    pub(super) fn compare_replicas(&mut self) {
        if self.plan.layout == Layout::Apart {
            return;
        }
        let Some(image) = self.newest_image() else { return };
        for server in 0..self.servers.len() {
            self.on(server, |it, stage| it.stop(stage));
        }
        let until = self.queue.now().plus(STOPS);
        while !self.servers.iter().all(|it| it.state() == State::Up && it.is_stopped()) {
            if self.queue.now() > until {
                violated(Invariant::Liveness, "a server does not stop");
            }
            self.step();
        }
        for partition in self.oracle.live().to_vec() {
            let Some(topic) = image.topic_by_id(partition.topic) else { continue };
            let Some(state) = topic.partition(partition.partition) else { continue };
            let kind = self.oracle.topic(partition.topic).map(|topic| topic.kind);
            let of = |server: &ringmain::base::ServerId| usize::try_from(server.0 - 1).unwrap();
            let servers: Vec<usize> = state.replicas().iter().map(of).collect();
            match kind {
                Some(kind) if kind.is_internal() => {}
                Some(kind) if kind.is_compacted() => self.compare_keys(partition, &servers),
                _ => self.compare_bytes(partition, &servers),
            }
        }
    }

    /// Batch by batch, from where all logs begin: of what lies below a start a crash may bring back any file.
    fn compare_bytes(&self, partition: TopicPartition, servers: &[usize]) {
        let logs: Vec<BTreeMap<Offset, Vec<u8>>> =
            servers.iter().map(|server| batches(&self.servers[*server].disk().log(partition))).collect();
        let replicas = servers.iter().flat_map(|it| self.servers[*it].shards()).flat_map(Shard::replicas);
        let starts = replicas.filter(|it| it.id == partition).map(|it| it.log_start);
        let begin = starts.max().unwrap_or(Offset(0));
        let first: Vec<_> = logs[0].range(begin..).collect();
        for (log, server) in logs.iter().zip(servers).skip(1) {
            let other: Vec<_> = log.range(begin..).collect();
            require(Invariant::LogsMatch, first == other, || {
                let differs = first.iter().zip(&other).position(|(one, other)| one != other);
                let at = differs.and_then(|at| first.get(at)).map(|(offset, _)| **offset);
                format!(
                    "{partition} is not the same on {} and {server}: at {at:?}, or it ends after {} and {} batches",
                    servers[0],
                    first.len(),
                    other.len()
                )
            });
        }
    }

    /// Compacted logs are the same in what is the newest of each key.
    fn compare_keys(&self, partition: TopicPartition, servers: &[usize]) {
        let newest = |server: &usize| {
            let (found, end, _) = read_batches(&self.servers[*server].disk().log(partition));
            let newest: BTreeMap<u8, i64> =
                found.iter().map(|record| (key_of(record.number), record.offset)).collect();
            (newest, end)
        };
        let first = newest(&servers[0]);
        for server in &servers[1..] {
            let other = newest(server);
            require(Invariant::LogsMatch, first == other, || {
                format!(
                    "{partition}: the newest of each key are {first:?} on {}, {other:?} on {server}",
                    servers[0]
                )
            });
        }
    }
}

/// Batches by their base offsets.
fn batches(mut bytes: &[u8]) -> BTreeMap<Offset, Vec<u8>> {
    let mut found = BTreeMap::new();
    while !bytes.is_empty() {
        let header = BatchHeader::parse(bytes).unwrap();
        let (batch, rest) = bytes.split_at(header.total_bytes());
        found.insert(header.base_offset, batch.to_vec());
        bytes = rest;
    }
    found
}
