//! Disks that are lost or rolled back, as far as the atlas lets them.

use std::sync::Arc;

use ringmain::base::{NodeId, PartitionIndex, ShardId};
use ringmain::controller::{ControllerRequest, Election, FactorChange, MetadataImage, Reassignment};
use ringmain::shard::ShardRequest;

use super::Course;
use crate::atlas::Loss;
use crate::nemesis::Deed;
use crate::net::At;
use crate::oracle::Layout;
use crate::queue::Span;
use crate::server::{End, State};

/// A server that is silent is fenced within this.
const FENCED: Span = Span::seconds(12);
/// How often a server is looked at whose disk is to be lost.
const LOOKS: Span = Span::ms(100);

impl Course {
    /// The newest image that any server has ever published.
    pub(super) fn newest_image(&self) -> Option<Arc<MetadataImage>> {
        self.newest.clone()
    }

    /// A server's disk is lost, if the rest can do without it.
    pub(super) fn reformat(&mut self, server: At, down: Span) {
        self.fall(server, Loss::Disk, down);
    }

    /// A server's disk is as it was some lives ago, if the rest can do without it.
    pub(super) fn restore(&mut self, server: At, down: Span) {
        if self.has_older_copy(server) {
            self.fall(server, Loss::RolledBack, down);
        }
    }

    /// Keeps a copy of a disk whose server is down.
    pub(super) fn keep_copy(&mut self, server: At) {
        if self.plan.layout == Layout::Together && self.rng.below(4) == 0 {
            let it = &self.servers[server];
            self.copies.insert(server, (it.life(), it.copy()));
        }
    }

    /// Whether there is a copy of the end of an earlier life than the one that was admitted last.
    fn has_older_copy(&self, server: At) -> bool {
        let life = self.servers[server].life();
        self.copies.get(&server).is_some_and(|(of, _)| *of < life)
    }

    /// A server's power goes off, and its disk changes once nobody counts on the server any more.
    fn fall(&mut self, server: At, loss: Loss, down: Span) {
        if self.servers[server].state() == State::Up && self.plan.layout == Layout::Together {
            self.end(server, End::Power, Span(down.0 + FENCED.0));
            let life = self.servers[server].life();
            self.later(LOOKS, Deed::Lose { server, life, loss });
        }
    }

    pub(super) fn lose(&mut self, server: At, life: u32, loss: Loss) {
        let it = &self.servers[server];
        if !self.is_chaos || it.state() != State::Down || it.life() != life {
            return;
        }
        let Some(image) = self.newest_image() else { return };
        if !self.atlas.may_lose(&image, self.servers[server].id, loss) {
            return self.later(LOOKS, Deed::Lose { server, life, loss });
        }
        match loss {
            Loss::Disk => {
                self.servers[server].reformat(&mut self.rng);
                // Another directory takes the place of the old one, which is refused from then on.
                self.copies.remove(&server);
            }
            Loss::RolledBack if self.has_older_copy(server) => {
                let (_, copy) = self.copies.remove(&server).expect("just found");
                self.servers[server].restore(&copy);
            }
            Loss::RolledBack => return,
        }
        let id = self.servers[server].id;
        self.atlas.lost(&image, id);
        self.oracle.replicas.lost(id);
        self.say(|| format!("the disk of server {server} is lost: {loss:?}"));
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
