//! Disks that are lost or rolled back, as far as the atlas lets them.

use std::sync::Arc;

use ringmain::base::{NodeId, PartitionIndex, ShardId};
use ringmain::controller::{ControllerRequest, Election, FactorChange, MetadataImage, Reassignment};
use ringmain::shard::ShardRequest;

use super::Course;
use crate::atlas::Loss;
use crate::net::At;
use crate::oracle::Layout;
use crate::queue::Span;
use crate::server::{End, State};

impl Course {
    /// The newest image that any server has ever published.
    pub(super) fn newest_image(&self) -> Option<Arc<MetadataImage>> {
        self.newest.clone()
    }

    /// A server's disk is lost, if the rest can do without it.
    pub(super) fn reformat(&mut self, server: At, down: Span) {
        let Some(image) = self.may_lose(server, Loss::Disk) else { return };
        self.end(server, End::Power, down);
        self.servers[server].reformat(&mut self.rng);
        // Another directory takes the place of the old one, which is refused from then on.
        self.copies.remove(&server);
        self.lost(server, &image);
        self.say(|| format!("the disk of server {server} is lost"));
    }

    /// Keeps a copy of a disk whose server is down.
    pub(super) fn keep_copy(&mut self, server: At) {
        if self.plan.layout == Layout::Together && self.rng.below(4) == 0 {
            let it = &self.servers[server];
            self.copies.insert(server, (it.life(), it.copy()));
        }
    }

    /// A server's disk is as it was some lives ago, if the rest can do without it.
    pub(super) fn restore(&mut self, server: At, down: Span) {
        let life = self.servers[server].life();
        // The copy is of the end of an earlier life than the one that was admitted last.
        if self.copies.get(&server).is_none_or(|(of, _)| *of + 1 > life) {
            return;
        }
        let Some(image) = self.may_lose(server, Loss::RolledBack) else { return };
        let (of, copy) = self.copies.remove(&server).expect("just found");
        self.end(server, End::Power, down);
        self.servers[server].restore(&copy);
        self.lost(server, &image);
        self.say(|| format!("server {server} is as it was before life {of}"));
    }

    fn lost(&mut self, server: At, image: &MetadataImage) {
        let id = self.servers[server].id;
        self.atlas.lost(image, id);
        self.oracle.replicas.lost(id);
    }

    fn may_lose(&self, server: At, loss: Loss) -> Option<Arc<MetadataImage>> {
        let is_up = self.servers[server].state() == State::Up;
        let image = self.newest_image().filter(|_| is_up && self.plan.layout == Layout::Together)?;
        self.atlas.may_lose(&image, self.servers[server].id, loss).then_some(image)
    }

    /// Every partition is to be led by the next one of its replicas.
    pub(super) fn lead_by_next(&mut self) {
        let (Some(controller), Some(image)) = (self.controller(), self.newest_image()) else { return };
        if self.servers[controller].state() != State::Up {
            return;
        }
        let turned = image.topics.values().flat_map(|topic| {
            let partitions = (0..).map(PartitionIndex).zip(&topic.partitions);
            partitions.map(|(partition, state)| {
                let mut nodes: Vec<i32> =
                    state.replicas().iter().map(|server| NodeId::of_server(*server).0).collect();
                nodes.rotate_left(1);
                Reassignment { topic: topic.name.to_string(), partition, replicas: Some(nodes) }
            })
        });
        let (partitions, factor) = (turned.collect(), FactorChange::Refused);
        let election = ControllerRequest::ElectLeaders { election: Election::Preferred, partitions: None };
        for request in [ControllerRequest::Reassign { partitions, factor }, election] {
            self.begin_to_ask(controller, ShardId(0), ShardRequest::Controller(request));
        }
    }
}
