//! Hello, Welcome, Refused.

use bytes::Bytes;

use super::super::error::FrameError;
use super::super::generated as wire;
use super::super::handshake::{Hello, LaneKind, Refusal, Refused, Welcome};
use super::values::{Body, Builder, Code, to_uuid, to_voter, uuid, voter};
use crate::base::{BrokerEpoch, DirectoryId, IncarnationId, ServerId, ShardId, VoterId};

pub(super) fn put_hello(builder: &mut Builder<'_>, hello: &Hello) -> Body {
    let cluster = builder.create_string(&hello.cluster);
    let proof = (!hello.proof.is_empty()).then(|| builder.create_vector(&hello.proof[..]));
    let leader = hello.quorum_leader.map(to_voter);
    let args = wire::HelloArgs {
        protocol_min: hello.protocol_min,
        protocol_max: hello.protocol_max,
        cluster: Some(cluster),
        server: hello.server.0,
        directory: Some(&to_uuid(hello.directory.0)),
        incarnation: Some(&to_uuid(hello.incarnation.0)),
        voter: Some(&to_uuid(hello.voter.0)),
        broker_epoch: hello.broker_epoch.0,
        shard: hello.shard.0,
        shards: hello.shards,
        to_server: hello.to_server.0,
        to_shard: hello.to_shard.0,
        kind: hello.kind.code(),
        window: hello.window,
        quorum_epoch: hello.quorum_epoch,
        quorum_leader: leader.as_ref(),
        proof,
    };
    (wire::Body::Hello, wire::Hello::create(builder, &args).as_union_value())
}

pub(super) fn hello(body: &wire::Hello<'_>) -> Result<Hello, FrameError> {
    Ok(Hello {
        protocol_min: body.protocol_min(),
        protocol_max: body.protocol_max(),
        cluster: body.cluster().to_owned(),
        server: ServerId(body.server()),
        directory: DirectoryId(uuid(body.directory())),
        incarnation: IncarnationId(uuid(body.incarnation())),
        voter: VoterId(uuid(body.voter())),
        broker_epoch: BrokerEpoch(body.broker_epoch()),
        shard: ShardId(body.shard()),
        shards: body.shards(),
        to_server: ServerId(body.to_server()),
        to_shard: ShardId(body.to_shard()),
        kind: LaneKind::of(body.kind())?,
        window: body.window(),
        quorum_epoch: body.quorum_epoch(),
        quorum_leader: body.quorum_leader().map(voter),
        proof: body.proof().map(|proof| Bytes::copy_from_slice(proof.bytes())).unwrap_or_default(),
    })
}

pub(super) fn put_welcome(builder: &mut Builder<'_>, welcome: &Welcome) -> Body {
    let leader = welcome.quorum_leader.map(to_voter);
    let args = wire::WelcomeArgs {
        protocol: welcome.protocol,
        server: welcome.server.0,
        directory: Some(&to_uuid(welcome.directory.0)),
        incarnation: Some(&to_uuid(welcome.incarnation.0)),
        voter: Some(&to_uuid(welcome.voter.0)),
        broker_epoch: welcome.broker_epoch.0,
        shards: welcome.shards,
        quorum_epoch: welcome.quorum_epoch,
        quorum_leader: leader.as_ref(),
    };
    (wire::Body::Welcome, wire::Welcome::create(builder, &args).as_union_value())
}

pub(super) fn welcome(body: &wire::Welcome<'_>) -> Welcome {
    Welcome {
        protocol: body.protocol(),
        server: ServerId(body.server()),
        directory: DirectoryId(uuid(body.directory())),
        incarnation: IncarnationId(uuid(body.incarnation())),
        voter: VoterId(uuid(body.voter())),
        broker_epoch: BrokerEpoch(body.broker_epoch()),
        shards: body.shards(),
        quorum_epoch: body.quorum_epoch(),
        quorum_leader: body.quorum_leader().map(voter),
    }
}

pub(super) fn put_refused(builder: &mut Builder<'_>, refused: &Refused) -> Body {
    let why = builder.create_string(&refused.why);
    let args = wire::RefusedArgs { reason: refused.reason.code(), why: Some(why) };
    (wire::Body::Refused, wire::Refused::create(builder, &args).as_union_value())
}

pub(super) fn refused(body: &wire::Refused<'_>) -> Result<Refused, FrameError> {
    Ok(Refused { reason: Refusal::of(body.reason())?, why: body.why().to_owned() })
}
