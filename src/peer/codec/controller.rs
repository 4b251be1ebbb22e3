//! Changes of in-sync sets, and forwarded requests.

use bytes::Bytes;

use super::super::control::{
    AlterIsr, AlterIsrAnswer, Forward, ForwardOutcome, Forwarded, IsrChange, IsrOutcome,
};
use super::super::error::FrameError;
use super::super::generated as wire;
use super::values::{Body, Builder, Code, partition, to_partition};
use crate::base::{BrokerEpoch, LeaderEpoch, PartitionEpoch, ServerId};

pub(super) fn put_alter_isr(builder: &mut Builder<'_>, alter: &AlterIsr) -> Body {
    let changes = builder.create_vector_from_iter(alter.changes.iter().map(|change| {
        wire::IsrChange::new(
            &to_partition(change.partition),
            change.number,
            change.leader_epoch.0,
            change.partition_epoch.0,
            u32::try_from(change.isr.len()).expect("a set has as many members as a partition has replicas"),
        )
    }));
    let members: Vec<wire::IsrMember> = alter
        .changes
        .iter()
        .flat_map(|change| &change.isr)
        .map(|(server, epoch)| wire::IsrMember::new(epoch.0, server.0))
        .collect();
    let members = builder.create_vector(&members);
    let args = wire::AlterIsrArgs {
        quorum_epoch: alter.quorum_epoch,
        server: alter.server.0,
        broker_epoch: alter.broker_epoch.0,
        changes: Some(changes),
        members: Some(members),
    };
    (wire::Body::AlterIsr, wire::AlterIsr::create(builder, &args).as_union_value())
}

pub(super) fn alter_isr(body: &wire::AlterIsr<'_>) -> Result<AlterIsr, FrameError> {
    let mut members = body.members().iter();
    let mut changes = Vec::with_capacity(body.changes().len());
    for change in body.changes() {
        let mut isr = Vec::new();
        for _ in 0..change.members() {
            let member = members.next().ok_or(FrameError::Missing { what: "a member of an in-sync set" })?;
            isr.push((ServerId(member.server()), BrokerEpoch(member.broker_epoch())));
        }
        changes.push(IsrChange {
            partition: partition(change.partition()),
            leader_epoch: LeaderEpoch(change.leader_epoch()),
            partition_epoch: PartitionEpoch(change.partition_epoch()),
            isr,
            number: change.number(),
        });
    }
    if members.next().is_some() {
        return Err(FrameError::Contradiction { what: "the number of members" });
    }
    Ok(AlterIsr {
        quorum_epoch: body.quorum_epoch(),
        server: ServerId(body.server()),
        broker_epoch: BrokerEpoch(body.broker_epoch()),
        changes,
    })
}

pub(super) fn put_alter_isr_answer(builder: &mut Builder<'_>, answer: &AlterIsrAnswer) -> Body {
    let answers = builder.create_vector_from_iter(answer.answers.iter().map(|(number, outcome)| {
        let (code, partition_epoch) = match outcome {
            IsrOutcome::Decided { partition_epoch } => (wire::IsrOutcome::Decided, partition_epoch.0),
            IsrOutcome::SameAlready => (wire::IsrOutcome::SameAlready, 0),
            IsrOutcome::Ineligible => (wire::IsrOutcome::Ineligible, 0),
            IsrOutcome::StaleEpoch => (wire::IsrOutcome::StaleEpoch, 0),
            IsrOutcome::NotLeader => (wire::IsrOutcome::NotLeader, 0),
            IsrOutcome::UnknownPartition => (wire::IsrOutcome::UnknownPartition, 0),
        };
        wire::IsrAnswer::new(*number, partition_epoch, code)
    }));
    let args = wire::AlterIsrAnswerArgs {
        quorum_epoch: answer.quorum_epoch,
        version: answer.version,
        answers: Some(answers),
    };
    (wire::Body::AlterIsrAnswer, wire::AlterIsrAnswer::create(builder, &args).as_union_value())
}

pub(super) fn alter_isr_answer(body: &wire::AlterIsrAnswer<'_>) -> Result<AlterIsrAnswer, FrameError> {
    let answer = |answer: &wire::IsrAnswer| Ok((answer.number(), isr_outcome(answer)?));
    Ok(AlterIsrAnswer {
        quorum_epoch: body.quorum_epoch(),
        version: body.version(),
        answers: body.answers().iter().map(answer).collect::<Result<_, FrameError>>()?,
    })
}

fn isr_outcome(answer: &wire::IsrAnswer) -> Result<IsrOutcome, FrameError> {
    Ok(match answer.outcome() {
        wire::IsrOutcome::Decided => {
            IsrOutcome::Decided { partition_epoch: PartitionEpoch(answer.partition_epoch()) }
        }
        wire::IsrOutcome::SameAlready => IsrOutcome::SameAlready,
        wire::IsrOutcome::Ineligible => IsrOutcome::Ineligible,
        wire::IsrOutcome::StaleEpoch => IsrOutcome::StaleEpoch,
        wire::IsrOutcome::NotLeader => IsrOutcome::NotLeader,
        wire::IsrOutcome::UnknownPartition => IsrOutcome::UnknownPartition,
        other => return Err(FrameError::UnknownValue { what: "an outcome of a change", value: other.0 }),
    })
}

pub(super) fn put_forward(builder: &mut Builder<'_>, forward: &Forward) -> Body {
    let client = builder.create_string(&forward.client);
    let facts = builder.create_vector(&forward.facts[..]);
    let args = wire::ForwardArgs { id: forward.id, client: Some(client), facts: Some(facts) };
    (wire::Body::Forward, wire::Forward::create(builder, &args).as_union_value())
}

pub(super) fn forward(body: &wire::Forward<'_>) -> Forward {
    // Copied, so that a few bytes do not hold a frame's memory.
    let facts = Bytes::copy_from_slice(body.facts().bytes());
    Forward { id: body.id(), client: body.client().to_owned(), facts }
}

pub(super) fn put_forwarded(builder: &mut Builder<'_>, forwarded: &Forwarded) -> Body {
    let args = wire::ForwardedArgs {
        id: forwarded.id,
        version: forwarded.version,
        outcome: forwarded.outcome.code(),
    };
    (wire::Body::Forwarded, wire::Forwarded::create(builder, &args).as_union_value())
}

pub(super) fn forwarded(body: &wire::Forwarded<'_>) -> Result<Forwarded, FrameError> {
    Ok(Forwarded { id: body.id(), version: body.version(), outcome: ForwardOutcome::of(body.outcome())? })
}
