//! Control lanes: what they tell of other servers, and which of them are needed.

use std::collections::BTreeSet;

use crate::base::{BrokerEpoch, IncarnationId, ServerId, ShardId};
use crate::controller::{ControllerOutput, Dialled};
use crate::peer::LaneKind;

use super::super::replica::{LaneNews, Loss, Target};
use super::super::store::Store;
use super::cluster::{ClusterSeat, Hands};

impl ClusterSeat {
    /// A new controller knows no lanes, though servers may have theirs: without this it would take them for lost.
    pub(super) fn tell_lanes(&self, hands: &mut Hands<'_, '_>) {
        let (now, mut out) = (hands.turn.now.mono, ControllerOutput::default());
        let lanes = hands.replica.accepted_lanes().filter(|(_, from)| from.kind == LaneKind::Control);
        for (_, from) in lanes.collect::<Vec<_>>() {
            let epoch = broker_epoch(from.server, from.incarnation, hands.store);
            hands.controller.controller.lane_opened(from.server, epoch, now, &mut out);
        }
    }

    /// Which control lanes are needed: to all other voters for a voter, to the leader, and to whoever may know the leader while
    /// nobody here does.
    pub(super) fn aim(&mut self, hands: &mut Hands<'_, '_>) {
        let me = self.member.server();
        let mut wanted: BTreeSet<ServerId> = self.dialling.clone();
        let voters = self.quorum.voters();
        if voters.contains(self.quorum.me()) {
            wanted.extend(voters.iter().map(|voter| voter.server));
        }
        match self.quorum.leader() {
            Some(leader) => _ = wanted.insert(leader.server),
            None => {
                wanted.extend(voters.iter().map(|voter| voter.server));
                wanted.extend(self.member.seeds());
                wanted.extend(hands.store.image().servers.keys());
            }
        }
        wanted.remove(&me);
        let target = |server| Target { server, shard: ShardId(0), kind: LaneKind::Control };
        for target in hands.replica.control_targets() {
            if !wanted.contains(&target.server) {
                hands.replica.unwant(target, hands.turn);
            }
        }
        wanted.into_iter().for_each(|server| hands.replica.want(target(server)));
    }

    /// What became of a lane.
    pub(super) fn lane(&mut self, news: LaneNews, hands: &mut Hands<'_, '_>) {
        let now = hands.turn.now.mono;
        let mut out = ControllerOutput::default();
        let leads = self.quorum.majority().is_some();
        match news {
            LaneNews::Accepted { from, quorum, .. } if from.kind == LaneKind::Control => {
                self.quorum.named(quorum, hands.replica, hands.store, hands.turn);
                let epoch = broker_epoch(from.server, from.incarnation, hands.store);
                if leads {
                    hands.controller.controller.lane_opened(from.server, epoch, now, &mut out);
                }
            }
            LaneNews::Left { from, .. } if from.kind == LaneKind::Control => {
                let mut others = hands.replica.accepted_lanes();
                let is_last = !others.any(|(_, it)| {
                    (it.server, it.kind, it.incarnation) == (from.server, from.kind, from.incarnation)
                });
                drop(others);
                let is_registered = broker_epoch(from.server, from.incarnation, hands.store).is_some();
                if leads && is_last && is_registered {
                    hands.controller.controller.lane_closed(from.server, now, &mut out);
                }
            }
            LaneNews::Open { lane, target, quorum, incarnation } if target.kind == LaneKind::Control => {
                self.quorum.named(quorum, hands.replica, hands.store, hands.turn);
                // What was said when it was dialled may be older.
                self.quorum.name_leader(lane, hands.replica, hands.turn);
                if self.dialling.remove(&target.server) {
                    let found = Dialled::Answered(broker_epoch(target.server, incarnation, hands.store));
                    hands.controller.controller.dialled(target.server, found, now, &mut out);
                }
            }
            LaneNews::Lost { target, how, .. } if target.kind == LaneKind::Control => {
                self.quorum.lane_lost(target.server, hands.replica, hands.store, hands.turn);
                if how != Loss::GivenUp && self.dialling.remove(&target.server) {
                    let found = if how == Loss::Refused { Dialled::Refused } else { Dialled::Silent };
                    hands.controller.controller.dialled(target.server, found, now, &mut out);
                }
            }
            _ => {}
        }
        self.hear_quorum(hands);
        self.perform(out, hands);
    }
}

/// The broker epoch of an incarnation, if it is the one that the image has.
fn broker_epoch(server: ServerId, incarnation: IncarnationId, store: &Store) -> Option<BrokerEpoch> {
    let known = store.image().servers.get(&server)?;
    (known.incarnation == incarnation).then_some(known.broker_epoch)
}
