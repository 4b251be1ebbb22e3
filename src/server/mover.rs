//! From one shard to another: finds out where a connection belongs, and sends it there.
//!
//! Looks at the request in which the client may name a core, and else at the first produce or fetch: if the core is another
//! one, or all that is wanted lives on another shard, the connection goes there, with everything unread, once, before it is
//! answered. From then on its requests leave no core. What a request wants is read by [`crate::api`].

use std::io;

use bytes::{Bytes, BytesMut};

use crate::api;
use crate::base::ShardId;
use crate::protocol::ApiKey;

use super::connection::Connection;
use super::moving::Moving;
use super::peer;
use super::services::Services;

/// Where the connection belongs, if this request says it.
pub(super) fn place(services: &Services, connection: &Connection, frame: &Bytes) -> Option<ShardId> {
    let (state, host) = (connection.state.borrow(), &services.host);
    let api_key = ApiKey::from_code(peer::api_key(frame))?;
    match api_key {
        // Only the first word counts.
        ApiKey::ApiVersions if state.software_name.is_empty() => {
            api::named_shard(frame, &host.image(), &services.config())
        }
        ApiKey::ApiVersions => None,
        _ => {
            let wanted = api::wants_shard(frame, &host.image(), state.node);
            let settles = matches!(api_key, ApiKey::Produce | ApiKey::Fetch);
            wanted.or_else(|| settles.then_some(host.here))
        }
    }
}

/// Sends the connection to another shard, with the request that is not answered yet and all that has been read after it.
pub(super) fn send(
    services: &Services,
    connection: &Connection,
    target: ShardId,
    frame: &Bytes,
    unread: &BytesMut,
) -> io::Result<()> {
    let size = u32::try_from(frame.len()).map_err(io::Error::other)?;
    let mut bytes = Vec::with_capacity(4 + frame.len() + unread.len());
    bytes.extend_from_slice(&size.to_be_bytes());
    bytes.extend_from_slice(frame);
    bytes.extend_from_slice(unread);
    let state = connection.state.borrow().clone();
    let moving = Moving::new(connection.descriptor, connection.peer, state, bytes)?;
    services.counters.network.borrow_mut().connections_moved += 1;
    connection.leave();
    services.host.send_connection(target, moving);
    Ok(())
}
