//! How much of an answer the kernel may hold for a connection.
//!
//! Left to itself it takes megabytes: a whole answer is copied before its reader gets to the first of it, which by then has
//! left the processor's caches, and so has what the next connection is to be sent. With half a mebibyte one connection
//! reads 1.3 and four read 1.25 times as much from memory (`bench/scenarios/f4.toml`, three alternating runs each). That is
//! enough where the peer is near; farther away the kernel goes by what is on its way, up to its own limit (tcp(7),
//! `tcp_wmem`).

use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use socket2::SockRef;

/// A peer is near if its handshake took no longer. The kernel grants twice what it is asked for, so that 4 GB/s are on
/// their way then.
const NEAR: Duration = Duration::from_micros(250);
const NEAR_BYTES: usize = 512 * 1024;

/// Sizes the buffer of a connection that has just been accepted, unless the configuration has.
pub(super) fn size(socket: BorrowedFd<'_>, configured: Option<u32>) {
    if let Some(bytes) = wanted(configured, round_trip(socket)) {
        // Refused, it stays as it is: slower for some, wrong for nobody.
        let _ = SockRef::from(&socket).set_send_buffer_size(bytes);
    }
}

/// What the kernel is to be asked for; nothing if it is to size the buffer itself, or has been told with the listener.
fn wanted(configured: Option<u32>, round_trip: Option<Duration>) -> Option<usize> {
    let is_near = round_trip.is_some_and(|it| it <= NEAR);
    (configured.is_none() && is_near).then_some(NEAR_BYTES)
}

/// As far as the kernel knows, which is the handshake's at first; `None` where it does not say.
fn round_trip(socket: BorrowedFd<'_>) -> Option<Duration> {
    // SAFETY: numbers only, for which all zeros is valid.
    let mut info: libc::tcp_info = unsafe { std::mem::zeroed() };
    let mut length = libc::socklen_t::try_from(size_of_val(&info)).ok()?;
    // SAFETY: the descriptor is open while it is borrowed; the kernel writes no more than `length` bytes of `info`.
    let outcome = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            (&raw mut info).cast(),
            &raw mut length,
        )
    };
    let is_known = outcome == 0 && info.tcpi_rtt > 0;
    is_known.then(|| Duration::from_micros(info.tcpi_rtt.into()))
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn only_near_peers_of_a_server_that_was_told_nothing_have_it_sized() {
        let (near, far) = (Duration::from_micros(90), Duration::from_millis(2));
        assert_eq!(wanted(None, Some(near)), Some(NEAR_BYTES));
        assert_eq!(wanted(None, Some(far)), None);
        assert_eq!(wanted(None, None), None);
        assert_eq!(wanted(Some(100_000), Some(near)), None);
    }

    #[test]
    fn the_kernel_knows_how_near_a_peer_is() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let _peer = TcpStream::connect(listener.local_addr().expect("bound")).expect("listens");
        let (socket, _) = listener.accept().expect("connects");
        let round_trip = round_trip(socket.as_fd()).expect("a handshake took place");
        assert!(round_trip < Duration::from_secs(5), "{round_trip:?}");
    }
}
