//! Votes, and what follows from them.

use super::super::error::FrameError;
use super::super::generated as wire;
use super::super::quorum::{Lead, Resign, Resigned, VoteAnswer, VoteAsk, VoteKind};
use super::values::{Body, Builder, Code, log_end, to_log_end, to_voter, voter};

pub(super) fn put_vote_ask(builder: &mut Builder<'_>, ask: &VoteAsk) -> Body {
    let args = wire::VoteAskArgs {
        kind: ask.kind.code(),
        epoch: ask.epoch,
        candidate: Some(&to_voter(ask.candidate)),
        asked: Some(&to_voter(ask.asked)),
        log: Some(&to_log_end(ask.log)),
    };
    (wire::Body::VoteAsk, wire::VoteAsk::create(builder, &args).as_union_value())
}

pub(super) fn vote_ask(body: &wire::VoteAsk<'_>) -> Result<VoteAsk, FrameError> {
    Ok(VoteAsk {
        kind: VoteKind::of(body.kind())?,
        epoch: body.epoch(),
        candidate: voter(body.candidate()),
        asked: voter(body.asked()),
        log: log_end(body.log()),
    })
}

pub(super) fn put_vote_answer(builder: &mut Builder<'_>, answer: &VoteAnswer) -> Body {
    let leader = answer.leader.map(to_voter);
    let args = wire::VoteAnswerArgs {
        kind: answer.kind.code(),
        epoch: answer.epoch,
        from: Some(&to_voter(answer.from)),
        to: Some(&to_voter(answer.to)),
        granted: answer.granted,
        log: Some(&to_log_end(answer.log)),
        leader: leader.as_ref(),
        leader_epoch: answer.leader_epoch,
    };
    (wire::Body::VoteAnswer, wire::VoteAnswer::create(builder, &args).as_union_value())
}

pub(super) fn vote_answer(body: &wire::VoteAnswer<'_>) -> Result<VoteAnswer, FrameError> {
    Ok(VoteAnswer {
        kind: VoteKind::of(body.kind())?,
        epoch: body.epoch(),
        from: voter(body.from()),
        to: voter(body.to()),
        granted: body.granted(),
        log: log_end(body.log()),
        leader: body.leader().map(voter),
        leader_epoch: body.leader_epoch(),
    })
}

pub(super) fn put_lead(builder: &mut Builder<'_>, lead: &Lead) -> Body {
    let args = wire::LeadArgs { epoch: lead.epoch, leader: Some(&to_voter(lead.leader)) };
    (wire::Body::Lead, wire::Lead::create(builder, &args).as_union_value())
}

pub(super) fn lead(body: &wire::Lead<'_>) -> Lead {
    Lead { epoch: body.epoch(), leader: voter(body.leader()) }
}

pub(super) fn put_resign(builder: &mut Builder<'_>, resign: &Resign) -> Body {
    let args = wire::ResignArgs { epoch: resign.epoch, what: resign.what.code() };
    (wire::Body::Resign, wire::Resign::create(builder, &args).as_union_value())
}

pub(super) fn resign(body: &wire::Resign<'_>) -> Result<Resign, FrameError> {
    Ok(Resign { epoch: body.epoch(), what: Resigned::of(body.what())? })
}
