//! What voters say to each other, as frames have it and as the election does.

use crate::base::LeaderEpoch;
use crate::peer;
use crate::quorum::{Message, VoteAnswer, VoteAsk, VoteKind};

pub(super) fn asked(ask: &peer::VoteAsk) -> VoteAsk {
    let peer::VoteAsk { kind, epoch, candidate, asked, log } = *ask;
    VoteAsk { kind: kind_of(kind), epoch: LeaderEpoch(epoch), candidate, asked, log }
}

pub(super) fn answered(answer: &peer::VoteAnswer) -> VoteAnswer {
    let peer::VoteAnswer { kind, epoch, from, to, granted, log, leader, leader_epoch } = *answer;
    let (kind, epoch, leader_epoch) = (kind_of(kind), LeaderEpoch(epoch), LeaderEpoch(leader_epoch));
    VoteAnswer { kind, epoch, from, to, granted, log, leader, leader_epoch }
}

fn kind_of(kind: peer::VoteKind) -> VoteKind {
    match kind {
        peer::VoteKind::Pre => VoteKind::Pre,
        peer::VoteKind::Real => VoteKind::Real,
    }
}

pub(super) fn said(message: &Message) -> peer::Message {
    let kind = |kind| match kind {
        VoteKind::Pre => peer::VoteKind::Pre,
        VoteKind::Real => peer::VoteKind::Real,
    };
    match *message {
        Message::Ask(VoteAsk { kind: of, epoch, candidate, asked, log }) => {
            peer::Message::VoteAsk(peer::VoteAsk { kind: kind(of), epoch: epoch.0, candidate, asked, log })
        }
        Message::Answer(VoteAnswer { kind: of, epoch, from, to, granted, log, leader, leader_epoch }) => {
            let (epoch, leader_epoch) = (epoch.0, leader_epoch.0);
            let kind = kind(of);
            peer::Message::VoteAnswer(peer::VoteAnswer {
                kind,
                epoch,
                from,
                to,
                granted,
                log,
                leader,
                leader_epoch,
            })
        }
        Message::Lead(lead) => peer::Message::Lead(peer::Lead { epoch: lead.epoch.0, leader: lead.leader }),
    }
}
