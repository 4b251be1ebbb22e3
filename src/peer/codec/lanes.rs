//! What is said about streams: lists of structs, read in place.

use super::super::error::FrameError;
use super::super::generated as wire;
use super::super::lanes::{
    Ack, Acked, CloseReason, ClosedStream, Gap, OpenOutcome, OpenStream, OpenedStream, Part, SnapshotPart,
};
use super::values::{Body, Builder, Code, log_end, partition, to_log_end, to_partition};
use crate::base::{LeaderEpoch, Offset, StreamNumber};

pub(super) fn put_open(builder: &mut Builder<'_>, streams: &[OpenStream]) -> Body {
    let streams = builder.create_vector_from_iter(streams.iter().map(|open| {
        wire::OpenStream::new(
            &to_partition(open.partition),
            open.stream.0,
            open.leader_epoch.0,
            &to_log_end(open.log_end),
            open.flushed.0,
            open.log_start.0,
        )
    }));
    let body = wire::Open::create(builder, &wire::OpenArgs { streams: Some(streams) });
    (wire::Body::Open, body.as_union_value())
}

pub(super) fn open(body: &wire::Open<'_>) -> Vec<OpenStream> {
    let stream = |open: &wire::OpenStream| OpenStream {
        stream: StreamNumber(open.stream()),
        partition: partition(open.partition()),
        leader_epoch: LeaderEpoch(open.leader_epoch()),
        log_end: log_end(open.log_end()),
        flushed: Offset(open.flushed()),
        log_start: Offset(open.log_start()),
    };
    body.streams().iter().map(stream).collect()
}

pub(super) fn put_opened(builder: &mut Builder<'_>, streams: &[OpenedStream]) -> Body {
    let streams = builder.create_vector_from_iter(streams.iter().map(|opened| {
        let (outcome, epoch, offset) = to_outcome(opened.outcome);
        let (high_watermark, log_start) = (opened.high_watermark.0, opened.log_start.0);
        wire::OpenedStream::new(opened.stream.0, epoch, offset, high_watermark, log_start, outcome)
    }));
    let body = wire::Opened::create(builder, &wire::OpenedArgs { streams: Some(streams) });
    (wire::Body::Opened, body.as_union_value())
}

fn to_outcome(outcome: OpenOutcome) -> (wire::OpenOutcome, i32, i64) {
    match outcome {
        OpenOutcome::Fenced { current } => (wire::OpenOutcome::Fenced, current.0, 0),
        OpenOutcome::NotYet => (wire::OpenOutcome::NotYet, 0, 0),
        OpenOutcome::Refused => (wire::OpenOutcome::Refused, 0, 0),
        OpenOutcome::Begin { at, epoch_before } => (wire::OpenOutcome::Begin, epoch_before.0, at.0),
        OpenOutcome::Diverging { epoch, end } => (wire::OpenOutcome::Diverging, epoch.0, end.0),
        OpenOutcome::From { next } => (wire::OpenOutcome::From, 0, next.0),
        OpenOutcome::Snapshot { offset, epoch } => (wire::OpenOutcome::Snapshot, epoch.0, offset.0),
    }
}

pub(super) fn opened(body: &wire::Opened<'_>) -> Result<Vec<OpenedStream>, FrameError> {
    let stream = |opened: &wire::OpenedStream| {
        Ok(OpenedStream {
            stream: StreamNumber(opened.stream()),
            outcome: outcome(opened)?,
            high_watermark: Offset(opened.high_watermark()),
            log_start: Offset(opened.log_start()),
        })
    };
    body.streams().iter().map(stream).collect()
}

fn outcome(opened: &wire::OpenedStream) -> Result<OpenOutcome, FrameError> {
    let (epoch, offset) = (LeaderEpoch(opened.epoch()), Offset(opened.offset()));
    Ok(match opened.outcome() {
        wire::OpenOutcome::Fenced => OpenOutcome::Fenced { current: epoch },
        wire::OpenOutcome::NotYet => OpenOutcome::NotYet,
        wire::OpenOutcome::Refused => OpenOutcome::Refused,
        wire::OpenOutcome::Begin => OpenOutcome::Begin { at: offset, epoch_before: epoch },
        wire::OpenOutcome::Diverging => OpenOutcome::Diverging { epoch, end: offset },
        wire::OpenOutcome::From => OpenOutcome::From { next: offset },
        wire::OpenOutcome::Snapshot => OpenOutcome::Snapshot { offset, epoch },
        other => return Err(FrameError::UnknownValue { what: "an outcome of a stream", value: other.0 }),
    })
}

pub(super) fn put_append(builder: &mut Builder<'_>, parts: &[Part]) -> Body {
    let parts = builder.create_vector_from_iter(parts.iter().map(|part| {
        wire::Part::new(
            part.stream.0,
            part.bytes,
            part.base.0,
            part.end.0,
            part.epoch.0,
            part.gap.code(),
            part.high_watermark.0,
            part.log_start.0,
        )
    }));
    let body = wire::Append::create(builder, &wire::AppendArgs { parts: Some(parts) });
    (wire::Body::Append, body.as_union_value())
}

pub(super) fn append(body: &wire::Append<'_>) -> Result<Vec<Part>, FrameError> {
    let part = |part: &wire::Part| {
        Ok(Part {
            stream: StreamNumber(part.stream()),
            bytes: part.bytes(),
            base: Offset(part.base()),
            end: Offset(part.end()),
            epoch: LeaderEpoch(part.epoch()),
            gap: Gap::of(part.gap())?,
            high_watermark: Offset(part.high_watermark()),
            log_start: Offset(part.log_start()),
        })
    };
    body.parts().iter().map(part).collect()
}

pub(super) fn put_ack(builder: &mut Builder<'_>, ack: &Ack) -> Body {
    let acked = builder.create_vector_from_iter(ack.acked.iter().map(|acked| {
        wire::Acked::new(
            acked.stream.0,
            acked.wants_high_watermark,
            acked.damaged,
            acked.log_end.0,
            acked.flushed.0,
            acked.log_start.0,
        )
    }));
    let body = wire::Ack::create(builder, &wire::AckArgs { acked: Some(acked), credit: ack.credit });
    (wire::Body::Ack, body.as_union_value())
}

pub(super) fn ack(body: &wire::Ack<'_>) -> Ack {
    let acked = |acked: &wire::Acked| Acked {
        stream: StreamNumber(acked.stream()),
        log_end: Offset(acked.log_end()),
        flushed: Offset(acked.flushed()),
        log_start: Offset(acked.log_start()),
        wants_high_watermark: acked.wants_high_watermark(),
        damaged: acked.damaged(),
    };
    Ack { acked: body.acked().iter().map(acked).collect(), credit: body.credit() }
}

pub(super) fn put_close(builder: &mut Builder<'_>, streams: &[ClosedStream]) -> Body {
    let streams = builder.create_vector_from_iter(
        streams.iter().map(|closed| wire::ClosedStream::new(closed.stream.0, closed.reason.code())),
    );
    let body = wire::Close::create(builder, &wire::CloseArgs { streams: Some(streams) });
    (wire::Body::Close, body.as_union_value())
}

pub(super) fn close(body: &wire::Close<'_>) -> Result<Vec<ClosedStream>, FrameError> {
    let stream = |closed: &wire::ClosedStream| {
        let reason = CloseReason::of(closed.reason())?;
        Ok(ClosedStream { stream: StreamNumber(closed.stream()), reason })
    };
    body.streams().iter().map(stream).collect()
}

pub(super) fn put_snapshot_part(builder: &mut Builder<'_>, part: &SnapshotPart) -> Body {
    let args = wire::SnapshotPartArgs {
        stream: part.stream.0,
        offset: part.offset.0,
        epoch: part.epoch.0,
        position: part.position,
        total: part.total,
        is_last: part.is_last,
    };
    (wire::Body::SnapshotPart, wire::SnapshotPart::create(builder, &args).as_union_value())
}

pub(super) fn snapshot_part(body: &wire::SnapshotPart<'_>) -> SnapshotPart {
    SnapshotPart {
        stream: StreamNumber(body.stream()),
        offset: Offset(body.offset()),
        epoch: LeaderEpoch(body.epoch()),
        position: body.position(),
        total: body.total(),
        is_last: body.is_last(),
    }
}
