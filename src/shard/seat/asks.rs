//! What servers ask of the controller: to be registered, to stay, and other in-sync sets. This server asks in the same way,
//! whether it leads itself or not.

use crate::base::{LeaderEpoch, Offset, PartitionEpoch, ShardId};
use crate::controller::{self, ControllerOutput, HeartbeatError, IsrAsked, RegisterError};
use crate::peer::{
    AlterIsr, AlterIsrAnswer, Damaged, Heartbeat, HeartbeatAnswer, HeartbeatOutcome, IsrOutcome, Message,
    Register, RegisterOutcome, Registered, Wants,
};

use super::super::effect::Effect;
use super::super::note::{IsrWanted, Note};
use super::cluster::{ClusterSeat, Hands};

impl ClusterSeat {
    /// A server registers.
    ///
    /// # Errors
    ///
    /// What it is to be told, if it may not.
    pub(super) fn register(
        &mut self,
        wanted: &Register,
        hands: &mut Hands<'_, '_>,
    ) -> Result<(), RegisterOutcome> {
        if self.quorum.majority().is_none() {
            return Err(RegisterOutcome::NotLeader { leader: self.quorum.leader() });
        }
        let mut out = ControllerOutput::default();
        let now = hands.turn.now.mono;
        let result = hands.controller.controller.register(&registration(wanted), now, &mut out);
        self.perform(out, hands);
        result.map_err(|error| match error {
            RegisterError::NotController | RegisterError::TooMany => {
                RegisterOutcome::NotLeader { leader: None }
            }
            RegisterError::InUse(_) => RegisterOutcome::IdInUse,
            RegisterError::OtherDirectory(_) => RegisterOutcome::OtherDirectory,
            RegisterError::Removed(_)
            | RegisterError::UnknownId(_)
            | RegisterError::NoShards
            | RegisterError::NoSuchId(_) => RegisterOutcome::UnknownId,
        })
    }

    pub(super) fn registered(&mut self, answer: &Registered, hands: &mut Hands<'_, '_>) {
        let why = match answer.outcome {
            RegisterOutcome::Accepted { .. } | RegisterOutcome::NotLeader { .. } => return,
            RegisterOutcome::IdInUse => "another live server has this node.id",
            RegisterOutcome::OtherDirectory => "this node.id is registered with another data directory",
            RegisterOutcome::UnknownId => "this node.id was never given, or its server was removed",
            RegisterOutcome::Protocol => "the cluster speaks another protocol",
        };
        hands.turn.notice(format!("the controller does not register this server: {why}"));
    }

    pub(super) fn heartbeat(&mut self, beat: &Heartbeat, hands: &mut Hands<'_, '_>) -> HeartbeatAnswer {
        let mut out = ControllerOutput::default();
        let said = controller::Heartbeat {
            server: beat.server,
            broker_epoch: beat.broker_epoch,
            applied: Offset(beat.applied),
            flushed: beat.metadata_flushed,
            sequence: beat.commit_sequence,
            wants: match beat.wants {
                Wants::Serve => controller::Wants::Serve,
                Wants::Stop => controller::Wants::Stop,
            },
            slow_sync: beat.slow_sync,
        };
        let leads = self.quorum.majority().is_some();
        let result = match leads {
            true => hands.controller.controller.heartbeat(&said, hands.turn.now.mono, &mut out),
            false => Err(HeartbeatError::NotController),
        };
        self.perform(out, hands);
        let refused = |outcome| HeartbeatAnswer {
            outcome,
            fenced: true,
            may_stop: false,
            sent: beat.sent,
            session_ms: 0,
        };
        match result {
            Ok(answer) => HeartbeatAnswer {
                outcome: HeartbeatOutcome::Accepted,
                fenced: answer.fenced,
                may_stop: answer.may_stop,
                sent: beat.sent,
                session_ms: u32::try_from(answer.lease_ms).unwrap_or(u32::MAX),
            },
            Err(HeartbeatError::NotController) => {
                refused(HeartbeatOutcome::NotLeader { leader: self.quorum.leader() })
            }
            Err(HeartbeatError::StaleBrokerEpoch) => refused(HeartbeatOutcome::Unknown),
        }
    }

    /// Leaders on a shard of this server ask for other in-sync sets.
    pub(super) fn isr_wanted(&mut self, from: ShardId, wanted: Vec<IsrWanted>, hands: &mut Hands<'_, '_>) {
        let epoch = self.quorum.epoch().0;
        let Some(asked) = self.member.alter_isr(from, wanted, epoch, hands.store.image()) else { return };
        if self.quorum.majority().is_some() {
            let answer = self.alter_isr(&asked, hands);
            return self.isr_answered(&answer, hands);
        }
        let lane = self.quorum.leader().and_then(|leader| hands.replica.control_to(leader.server));
        if let Some(lane) = lane {
            hands.replica.say(lane, &Message::AlterIsr(asked), hands.turn);
        }
    }

    pub(super) fn alter_isr(&mut self, asked: &AlterIsr, hands: &mut Hands<'_, '_>) -> AlterIsrAnswer {
        let mut out = ControllerOutput::default();
        let wanted = controller::AlterIsr {
            server: asked.server,
            broker_epoch: asked.broker_epoch,
            quorum_epoch: LeaderEpoch(asked.quorum_epoch),
            partitions: asked
                .changes
                .iter()
                .map(|change| IsrAsked {
                    partition: change.partition,
                    leader_epoch: change.leader_epoch,
                    partition_epoch: change.partition_epoch,
                    isr: change.isr.clone(),
                    number: change.number,
                })
                .collect(),
        };
        let result = hands.controller.controller.alter_isr(&wanted, hands.turn.now.mono, &mut out);
        self.perform(out, hands);
        let version = hands.controller.controller.version();
        let outcomes = result.unwrap_or_default();
        let answers = asked.changes.iter().zip(outcomes).map(|(change, outcome)| {
            let outcome = match outcome {
                controller::IsrOutcome::Decided => {
                    let partition_epoch = PartitionEpoch(change.partition_epoch.0.saturating_add(1));
                    IsrOutcome::Decided { partition_epoch }
                }
                controller::IsrOutcome::SameAlready => IsrOutcome::SameAlready,
                controller::IsrOutcome::Ineligible => IsrOutcome::Ineligible,
                controller::IsrOutcome::StaleEpoch => IsrOutcome::StaleEpoch,
                controller::IsrOutcome::NotLeader => IsrOutcome::NotLeader,
                controller::IsrOutcome::UnknownPartition => IsrOutcome::UnknownPartition,
            };
            (change.number, outcome)
        });
        AlterIsrAnswer { quorum_epoch: asked.quorum_epoch, version, answers: answers.collect() }
    }

    pub(super) fn isr_answered(&mut self, answer: &AlterIsrAnswer, hands: &mut Hands<'_, '_>) {
        for (number, outcome) in &answer.answers {
            if let Some((shard, partition, number)) = self.member.take_asked(*number) {
                let note = Note::IsrAnswered { partition, number, outcome: *outcome };
                hands.turn.effect(Effect::Tell { to: shard, note });
            }
        }
    }
}

fn registration(wanted: &Register) -> controller::Registration {
    controller::Registration {
        server: wanted.server,
        directory: wanted.directory,
        incarnation: wanted.incarnation,
        voter: wanted.voter,
        shards: wanted.shards,
        rack: wanted.rack.clone(),
        client: wanted.client.clone(),
        shard_ports: false,
        cluster: wanted.cluster.clone(),
        protocol: (wanted.protocol_min, wanted.protocol_max),
        clean: wanted.clean,
        damaged: match &wanted.damaged {
            Damaged::None => controller::Damage::Nothing,
            Damaged::Some(partitions) => controller::Damage::Partitions(partitions.iter().copied().collect()),
            Damaged::All => controller::Damage::Everything,
        },
        recovered_end: wanted.metadata_end,
        sequence: wanted.commit_sequence,
    }
}
