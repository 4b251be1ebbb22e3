//! Headers: messages as FlatBuffers say them, both ways. What numbers may be is not known here, only which there are.

mod controller;
mod handshake;
mod lanes;
mod quorum;
mod server;
mod values;

use flatbuffers::{FlatBufferBuilder, VerifierOptions};

use super::error::FrameError;
use super::generated as wire;
use super::limits::HEADER_BYTES_MAX;
use super::message::Message;
use values::{Body, Builder};

/// The header that says `message`.
pub(super) fn encode(message: &Message) -> Vec<u8> {
    let mut builder = FlatBufferBuilder::new();
    let (body_type, body) = put(&mut builder, message);
    let root = wire::Header::create(&mut builder, &wire::HeaderArgs { body_type, body: Some(body) });
    wire::finish_header_buffer(&mut builder, root);
    builder.finished_data().to_vec()
}

fn put(builder: &mut Builder<'_>, message: &Message) -> Body {
    match message {
        Message::Hello(hello) => handshake::put_hello(builder, hello),
        Message::Welcome(welcome) => handshake::put_welcome(builder, welcome),
        Message::Refused(refused) => handshake::put_refused(builder, refused),
        Message::Open(streams) => lanes::put_open(builder, streams),
        Message::Opened(streams) => lanes::put_opened(builder, streams),
        Message::Append(parts) => lanes::put_append(builder, parts),
        Message::Ack(ack) => lanes::put_ack(builder, ack),
        Message::Close(streams) => lanes::put_close(builder, streams),
        Message::VoteAsk(ask) => quorum::put_vote_ask(builder, ask),
        Message::VoteAnswer(answer) => quorum::put_vote_answer(builder, answer),
        Message::Lead(lead) => quorum::put_lead(builder, lead),
        Message::Resign(resign) => quorum::put_resign(builder, resign),
        Message::Register(register) => server::put_register(builder, register),
        Message::Registered(registered) => server::put_registered(builder, registered),
        Message::Heartbeat(heartbeat) => server::put_heartbeat(builder, heartbeat),
        Message::HeartbeatAnswer(answer) => server::put_heartbeat_answer(builder, answer),
        Message::AlterIsr(alter) => controller::put_alter_isr(builder, alter),
        Message::AlterIsrAnswer(answer) => controller::put_alter_isr_answer(builder, answer),
        Message::SnapshotPart(part) => lanes::put_snapshot_part(builder, part),
        Message::Forward(forward) => controller::put_forward(builder, forward),
        Message::Forwarded(forwarded) => controller::put_forwarded(builder, forwarded),
    }
}

/// # Errors
/// When the bytes are no header, or one that says something this version does not know.
pub(super) fn decode(bytes: &[u8]) -> Result<Message, FrameError> {
    let root = wire::root_as_header_with_opts(&limits(), bytes)?;
    let unknown = FrameError::UnknownMessage(root.body_type().0);
    said(&root)?.ok_or(unknown)
}

/// `None` for a kind that this version does not know.
fn said(root: &wire::Header<'_>) -> Result<Option<Message>, FrameError> {
    use wire::Body;
    match root.body_type() {
        Body::Hello => read(root.body_as_hello(), handshake::hello, Message::Hello),
        Body::Welcome => read(root.body_as_welcome(), |it| Ok(handshake::welcome(it)), Message::Welcome),
        Body::Refused => read(root.body_as_refused(), handshake::refused, Message::Refused),
        Body::Open => read(root.body_as_open(), |it| Ok(lanes::open(it)), Message::Open),
        Body::Opened => read(root.body_as_opened(), lanes::opened, Message::Opened),
        Body::Append => read(root.body_as_append(), lanes::append, Message::Append),
        Body::Ack => read(root.body_as_ack(), |it| Ok(lanes::ack(it)), Message::Ack),
        Body::Close => read(root.body_as_close(), lanes::close, Message::Close),
        Body::VoteAsk => read(root.body_as_vote_ask(), quorum::vote_ask, Message::VoteAsk),
        Body::VoteAnswer => read(root.body_as_vote_answer(), quorum::vote_answer, Message::VoteAnswer),
        Body::Lead => read(root.body_as_lead(), |it| Ok(quorum::lead(it)), Message::Lead),
        Body::Resign => read(root.body_as_resign(), quorum::resign, Message::Resign),
        Body::Register => read(root.body_as_register(), server::register, Message::Register),
        Body::Registered => read(root.body_as_registered(), server::registered, Message::Registered),
        Body::Heartbeat => read(root.body_as_heartbeat(), server::heartbeat, Message::Heartbeat),
        Body::HeartbeatAnswer => {
            read(root.body_as_heartbeat_answer(), server::heartbeat_answer, Message::HeartbeatAnswer)
        }
        Body::AlterIsr => read(root.body_as_alter_isr(), controller::alter_isr, Message::AlterIsr),
        Body::AlterIsrAnswer => {
            read(root.body_as_alter_isr_answer(), controller::alter_isr_answer, Message::AlterIsrAnswer)
        }
        Body::SnapshotPart => {
            read(root.body_as_snapshot_part(), |it| Ok(lanes::snapshot_part(it)), Message::SnapshotPart)
        }
        Body::Forward => read(root.body_as_forward(), |it| Ok(controller::forward(it)), Message::Forward),
        Body::Forwarded => read(root.body_as_forwarded(), controller::forwarded, Message::Forwarded),
        _ => Ok(None),
    }
}

fn read<B, T>(
    body: Option<B>,
    of: impl FnOnce(&B) -> Result<T, FrameError>,
    message: impl FnOnce(T) -> Message,
) -> Result<Option<Message>, FrameError> {
    body.map(|body| of(&body).map(message)).transpose()
}

/// No message has as many tables, or tables as deep, as are allowed.
fn limits() -> VerifierOptions {
    VerifierOptions {
        max_depth: 4,
        max_tables: 16,
        max_apparent_size: 2 * HEADER_BYTES_MAX,
        ignore_missing_null_terminator: false,
    }
}
