//! Vectored send: many pieces of memory, one system call. glommio 0.9 has none (its `write_vectored` sends the first
//! slice only).
//!
//! One of the audited homes of `unsafe`.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_lite::AsyncWrite;
use glommio::net::TcpStream;

use crate::base::Payload;

/// Pieces per call; the kernel takes at most 1024.
const PIECES_MAX: usize = 256;
/// Bytes after which other tasks get their turn.
const TURN_BYTES: usize = 1024 * 1024;

/// Sends all pieces in order and lets go of each once it is sent; says of every step how many bytes it took.
pub async fn send_all(
    stream: &RefCell<TcpStream>,
    mut pieces: Vec<Payload>,
    sent_some: impl Fn(usize),
) -> io::Result<()> {
    let mut done = Progress { piece: 0, offset: 0 };
    let mut turn = 0;
    while done.skip_empty(&pieces) {
        let sent = poll_fn(|context| poll_send(stream, context, &pieces, done)).await?;
        if sent == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        let first = done.piece;
        done.advance(&pieces, sent);
        if let Some(gone) = pieces.get_mut(first..done.piece) {
            gone.fill_with(|| Payload::Bytes(Bytes::new()));
        }
        sent_some(sent);
        turn += sent;
        if turn >= TURN_BYTES {
            turn = 0;
            glommio::yield_if_needed().await;
        }
    }
    Ok(())
}

#[derive(Clone, Copy, Debug)]
struct Progress {
    piece: usize,
    offset: usize,
}

impl Progress {
    /// False when nothing is left.
    fn skip_empty(&mut self, pieces: &[Payload]) -> bool {
        while let Some(piece) = pieces.get(self.piece) {
            if self.offset < piece.len() {
                return true;
            }
            self.piece += 1;
            self.offset = 0;
        }
        false
    }

    fn advance(&mut self, pieces: &[Payload], mut sent: usize) {
        while sent > 0 && self.skip_empty(pieces) {
            let left = pieces.get(self.piece).map_or(0, |piece| piece.len() - self.offset);
            let step = left.min(sent);
            self.offset += step;
            sent -= step;
        }
    }
}

fn poll_send(
    stream: &RefCell<TcpStream>,
    context: &mut Context<'_>,
    pieces: &[Payload],
    from: Progress,
) -> Poll<io::Result<usize>> {
    let mut vectors = [libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 }; PIECES_MAX];
    let mut count = 0;
    for (vector, piece) in vectors.iter_mut().zip(pieces.iter().skip(from.piece)) {
        let skip = if count == 0 { from.offset } else { 0 };
        let bytes = &piece[skip..];
        *vector = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
        count += 1;
    }
    // SAFETY: msghdr is plain data for which all zeros is valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = vectors.as_mut_ptr();
    message.msg_iovlen = count;
    let mut stream = stream.borrow_mut();
    // SAFETY: the vectors name `count` live slices that outlast the call; the kernel only reads them.
    let sent = unsafe {
        libc::sendmsg(stream.as_raw_fd(), &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
    };
    if let Ok(sent) = usize::try_from(sent) {
        return Poll::Ready(Ok(sent));
    }
    let error = io::Error::last_os_error();
    if error.kind() != io::ErrorKind::WouldBlock {
        return Poll::Ready(Err(error));
    }
    // Tries once more with the first piece and, if the socket is still full, waits for room with our waker.
    let first = pieces.get(from.piece).map_or(&[][..], |piece| &piece[from.offset..]);
    Pin::new(&mut *stream).poll_write(context, first)
}
