//! Accepts connections on one shard's socket, as far as the limits allow, and introduces the server to each.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd};
use std::rc::Rc;
use std::time::Duration;

use glommio::net::{TcpListener, TcpStream};

use crate::api::{self, ConnectionState, Hints};

use super::budgets;
use super::listener::Bound;
use super::registry::Registry;
use super::send_buffer;
use super::services::Services;

/// When the process is out of descriptors, most likely: so much time for connections to close.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_millis(100);

/// Accepts for as long as the thread lives.
pub(super) async fn run(services: Rc<Services>, registry: Rc<Registry>, socket: Bound) {
    // SAFETY: the socket is bound, listening, owned, and given up to the listener.
    let listener = unsafe { TcpListener::from_raw_fd(socket.socket.into_raw_fd()) };
    loop {
        match listener.accept().await {
            Ok(stream) => take(&services, &registry, stream),
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                glommio::timer::sleep(PAUSE_AFTER_FAILURE).await;
            }
        }
    }
}

fn take(services: &Rc<Services>, registry: &Rc<Registry>, stream: TcpStream) {
    // One that has gone already has no address.
    let (Ok(peer), Ok(local)) = (stream.peer_addr(), stream.local_addr()) else { return };
    if !admits(services, registry, peer) {
        return services.counters.rejected(peer);
    }
    services.counters.network.borrow_mut().connections_accepted += 1;
    // SAFETY: the stream is alive beyond the call, and its descriptor open.
    let socket = unsafe { BorrowedFd::borrow_raw(stream.as_raw_fd()) };
    send_buffer::size(socket, services.config().connections.send_buffer_bytes);
    registry.accept(stream, peer, introduce(services, local, peer));
}

/// Whether the limits allow one more connection from there. Each shard holds its share of the total.
fn admits(services: &Services, registry: &Registry, peer: SocketAddr) -> bool {
    let config = services.config();
    registry.open() < budgets::connections_max(&config)
        && registry.open_from(peer.ip()) < config.connections_max(peer.ip())
}

fn introduce(services: &Services, local: SocketAddr, peer: SocketAddr) -> ConnectionState {
    let settings = services.settings.at_start();
    let node = api::node_of_port(settings, settings.shards(), services.host.here);
    ConnectionState {
        software_name: String::new(),
        software_version: String::new(),
        client_host: format!("/{}", peer.ip()),
        client_port: peer.port(),
        node,
        view: api::view_of(settings, settings.shards(), node),
        hints: Hints::default(),
        advertised_host: settings.advertised_host.clone().unwrap_or_else(|| local.ip().to_string()),
        advertised_port: settings.advertised_port.unwrap_or(settings.listen.port()),
    }
}
