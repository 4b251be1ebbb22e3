//! A connection on its way from one shard to another, as plain data that may cross threads.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd, RawFd};

use bytes::BytesMut;
use glommio::net::TcpStream;

use crate::api::ConnectionState;

#[derive(Debug)]
pub struct Moving {
    socket: OwnedFd,
    peer: SocketAddr,
    state: ConnectionState,
    /// What has been read of the peer, and not yet answered.
    unread: Vec<u8>,
}

impl Moving {
    /// Takes a second descriptor of the connection's socket along: the first belongs to the stream that stays behind.
    pub(super) fn new(
        descriptor: RawFd,
        peer: SocketAddr,
        state: ConnectionState,
        unread: Vec<u8>,
    ) -> io::Result<Moving> {
        // SAFETY: a duplicate is a descriptor of its own, or there is none; it is owned by the value made of it.
        let socket = unsafe {
            match libc::fcntl(descriptor, libc::F_DUPFD_CLOEXEC, 0) {
                -1 => return Err(io::Error::last_os_error()),
                duplicate => OwnedFd::from_raw_fd(duplicate),
            }
        };
        Ok(Moving { socket, peer, state, unread })
    }

    /// What another shard goes on with.
    pub(super) fn arrive(self) -> (TcpStream, SocketAddr, ConnectionState, BytesMut) {
        // SAFETY: the descriptor is owned, open and given up to the stream.
        let stream = unsafe { TcpStream::from_raw_fd(self.socket.into_raw_fd()) };
        (stream, self.peer, self.state, BytesMut::from(&self.unread[..]))
    }
}
