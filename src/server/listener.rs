//! Listening sockets: one per shard on the shared port (the kernel spreads connections), or one per shard at its own.

use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use socket2::{Domain, Protocol, Socket, Type};

use crate::config::{Advertise, Config};

use super::error::ServerError;

const TAKEN_FOR_MAX: Duration = Duration::from_secs(2);
const TRY_AGAIN: Duration = Duration::from_millis(20);

/// A listening socket, not yet with any executor.
#[derive(Debug)]
pub struct Bound {
    pub(super) socket: Socket,
}

/// One socket per shard, in shard order.
pub(super) fn bind(config: &Config) -> Result<Vec<Bound>, ServerError> {
    let own_ports = config.advertise == Advertise::ShardPorts;
    let mut sockets = Vec::new();
    if !own_ports {
        // With SO_REUSEPORT a second server would share the port without a word: try without it first.
        drop(listen_when_free(config.listen, config)?);
    }
    for shard in 0..config.shards() {
        let mut address = config.listen;
        if own_ports {
            let port = config.listen.port().checked_add(shard);
            let beyond = || io::Error::other(format!("shard {shard} would need a port beyond 65535"));
            let refused = |source| ServerError::Listen { address, source };
            address.set_port(port.ok_or_else(beyond).map_err(refused)?);
            drop(listen_when_free(address, config)?);
        }
        sockets.push(listen(address, !own_ports, config)?);
    }
    Ok(sockets)
}

/// The kernel closes the sockets of a killed process that used io_uring a moment after the process is gone: a supervisor
/// that starts it again at once finds the port taken.
fn listen_when_free(address: SocketAddr, config: &Config) -> Result<Bound, ServerError> {
    let until = Instant::now() + TAKEN_FOR_MAX;
    loop {
        match listen(address, false, config) {
            Err(ServerError::Listen { source, .. })
                if source.kind() == io::ErrorKind::AddrInUse && Instant::now() < until =>
            {
                std::thread::sleep(TRY_AGAIN);
            }
            done => return done,
        }
    }
}

fn listen(address: SocketAddr, shared: bool, config: &Config) -> Result<Bound, ServerError> {
    let open = || -> io::Result<Bound> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(shared)?;
        if let Some(bytes) = config.connections.receive_buffer_bytes {
            socket.set_recv_buffer_size(bytes as usize)?;
        }
        if let Some(bytes) = config.connections.send_buffer_bytes {
            socket.set_send_buffer_size(bytes as usize)?;
        }
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(config.connections.backlog).unwrap_or(i32::MAX))?;
        Ok(Bound { socket })
    };
    open().map_err(|source| ServerError::Listen { address, source })
}
