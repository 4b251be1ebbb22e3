//! Requests in: receives from one connection, finds whole requests, and starts each in arrival order.
//!
//! [`api::dispatch`] is synchronous, so the appends of one connection keep their order; answers are not waited for. The
//! reader waits instead while there is no room: for more bytes ([`Pools`](super::holdings::Pools) of the shard), for an
//! answer that may be large, or for one request more. Answers that leave make room.
//!
//! Limits: [`REQUESTS_MAX`] requests, [`FETCHES_MAX`] long polls and [`BYTES_MAX`] request bytes in progress per connection,
//! and for all of a shard the pools. An idle connection holds no buffer.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_lite::{AsyncRead, future};

use crate::api;
use crate::protocol::ApiKey;
use crate::runtime;

use super::connection::Connection;
use super::holdings::SMALL_FRAME_BYTES;
use super::mover;
use super::peer::{self, NotKafka};
use super::pool::Pool;
use super::requests::{Begun, Requests};
use super::services::Services;

const REQUESTS_MAX: usize = 4096;
/// Clients have one fetch in progress per broker; each may pin as much memory as its answer is large.
const FETCHES_MAX: usize = 4;
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// Answers that an earlier one or the socket keeps waiting.
const READY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Room for small requests; a larger one gets a buffer of its size once its first bytes are there.
const READ_BYTES: usize = 64 * 1024;
/// Bytes that are received at once when nothing is known of what comes.
const FEW_BYTES: usize = 4096;
/// Reserved at once for a frame; a larger one doubles its buffer as bytes really arrive.
const RESERVE_BYTES_MAX: usize = 2 * 1024 * 1024;

pub(super) struct Reader {
    services: Rc<Services>,
    requests: Rc<Requests>,
    connection: Rc<Connection>,
    /// Received, and not yet a whole request.
    buffer: BytesMut,
    steering: Steering,
    /// Size of the last request, with its prefix.
    last_request_bytes: usize,
    /// The reader has been woken because something is there.
    is_woken: bool,
}

/// Whether it is known which shard a connection belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Steering {
    Open,
    /// The client has named a core, or a first produce or fetch has been looked at.
    Done,
}

enum Received {
    Bytes(usize),
    End,
}

enum Next {
    Frame(Bytes),
    /// More must be received, of a request of so many bytes if that is known.
    Missing(Option<usize>),
}

/// Whether the reader goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Then {
    GoOn,
    End,
}

impl Reader {
    pub(super) fn new(
        services: &Rc<Services>,
        requests: &Rc<Requests>,
        connection: Rc<Connection>,
        buffer: BytesMut,
        steering: Steering,
    ) -> Reader {
        Reader {
            services: Rc::clone(services),
            requests: Rc::clone(requests),
            connection,
            buffer,
            steering,
            last_request_bytes: 0,
            is_woken: false,
        }
    }

    pub(super) async fn read_requests(mut self) {
        while !self.connection.is_over() {
            let then = match self.next_frame() {
                Ok(Next::Frame(frame)) => self.start(frame).await,
                Ok(Next::Missing(size)) => self.receive_more(size).await,
                Err(error) => {
                    let now = self.services.host.clock.mono();
                    self.services.counters.malformed(now, self.connection.peer, &error);
                    self.connection.close();
                    Then::End
                }
            };
            if then == Then::End {
                break;
            }
        }
        self.connection.read_no_more();
    }

    /// The next whole request, or room for more of it.
    fn next_frame(&mut self) -> Result<Next, NotKafka> {
        let Some(prefix) = self.buffer.first_chunk::<4>() else {
            return Ok(Next::Missing(None));
        };
        let bytes_max = self.services.config().connections.request_bytes_max;
        let bytes = peer::frame_bytes(*prefix, bytes_max)?;
        if self.buffer.len() < 4 + bytes {
            return Ok(Next::Missing(Some(4 + bytes)));
        }
        self.last_request_bytes = 4 + bytes;
        let mut frame = self.buffer.split_to(4 + bytes);
        frame.advance(4);
        self.connection.heard_of();
        Ok(Next::Frame(frame.freeze()))
    }

    /// Starts a request, here or by moving to another shard with it, and waits until the next may be looked at.
    async fn start(&mut self, frame: Bytes) -> Then {
        if self.steering == Steering::Open && self.moves(&frame).await == Then::End {
            return Then::End;
        }
        self.wait_to_begin(&frame).await;
        if self.connection.is_over() {
            return Then::End;
        }
        if let Some(begun) = self.requests.begin(&self.connection, frame) {
            self.read_batches(begun).await;
        }
        self.wait_for_room().await;
        Then::GoOn
    }

    async fn receive_more(&mut self, size: Option<usize>) -> Then {
        if let Some(bytes) = size {
            self.wait_to_receive(bytes).await;
        }
        let missing = size.map_or(0, |bytes| bytes.saturating_sub(self.buffer.len()));
        match poll_fn(|context| self.poll_receive(context, missing)).await {
            Ok(Received::Bytes(bytes)) => {
                self.services.counters.received(bytes);
                self.connection.holdings.heard(|| self.services.host.clock.mono());
                Then::GoOn
            }
            Ok(Received::End) | Err(_) => Then::End,
        }
    }

    /// Reads a request's batches slice by slice. Nothing else of this connection begins meanwhile: its appends keep their
    /// order. Everybody else on this shard goes on between two slices.
    async fn read_batches(&self, mut begun: Begun) {
        let readings = &self.services.pools.readings;
        self.wait_for(readings).await;
        readings.take(1);
        while !self.connection.is_over() && !begun.reading.slice() {
            runtime::pause().await;
        }
        readings.give_back(1);
        if !self.connection.is_over() {
            self.requests.go_on(begun);
        }
    }

    /// Moves the connection to the shard where this request shows that it belongs, when all before it is answered.
    async fn moves(&mut self, frame: &Bytes) -> Then {
        let Some(target) = mover::place(&self.services, &self.connection, frame) else { return Then::GoOn };
        self.steering = Steering::Done;
        if target == self.services.host.here {
            return Then::GoOn;
        }
        while !self.connection.is_over() && !self.connection.replies.borrow().is_empty() {
            self.connection.to_read.wait().await;
        }
        if self.connection.is_over() {
            return Then::End;
        }
        match mover::send(&self.services, &self.connection, target, frame, &self.buffer) {
            Ok(()) => Then::End,
            Err(error) => {
                // Routing over the mesh answers as well.
                tracing::debug!(peer = %self.connection.peer, %error, "a connection could not be moved");
                Then::GoOn
            }
        }
    }

    /// Receives more, of a request of which at least `missing` bytes are still to come; waits with our waker if nothing is
    /// there.
    fn poll_receive(&mut self, context: &mut Context<'_>, missing: usize) -> Poll<io::Result<Received>> {
        let expected = self.expected_bytes();
        if missing >= FEW_BYTES || expected > 0 {
            make_room(&mut self.buffer, missing.max(expected));
            match self.receive() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
        // glommio asks for the next readiness as soon as a read was short: who sends one small request after the other is
        // waited for without another system call.
        let mut few = [0; FEW_BYTES];
        let received = Pin::new(&mut *self.connection.stream.borrow_mut()).poll_read(context, &mut few);
        match received {
            Poll::Pending => {
                self.is_woken = true;
                if self.buffer.is_empty() {
                    // A silent connection needs no memory: `few` is enough to notice that it speaks again.
                    self.buffer = BytesMut::new();
                }
                Poll::Pending
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(Received::End)),
            Poll::Ready(Ok(bytes)) => {
                make_room(&mut self.buffer, bytes);
                self.buffer.put_slice(&few[..bytes]);
                Poll::Ready(Ok(Received::Bytes(bytes)))
            }
        }
    }

    /// What the peer, just heard of, is likely to have sent at least, if that deserves a buffer before it is known: who sent
    /// a request of some size sends another. One system call receives it then.
    fn expected_bytes(&mut self) -> usize {
        let last = self.last_request_bytes;
        let is_woken = std::mem::take(&mut self.is_woken);
        let is_likely = is_woken && (FEW_BYTES..READ_BYTES).contains(&last);
        if is_likely && self.services.pools.frames.has_room() { last } else { 0 }
    }

    /// Receives into the buffer's spare room, if something is there.
    fn receive(&mut self) -> io::Result<Received> {
        let spare = self.buffer.chunk_mut();
        // SAFETY: the pointer and length name the buffer's own spare room, which outlives the call.
        let received = unsafe {
            let descriptor = self.connection.descriptor;
            libc::recv(descriptor, spare.as_mut_ptr().cast(), spare.len(), libc::MSG_DONTWAIT)
        };
        match usize::try_from(received) {
            Ok(0) => Ok(Received::End),
            Ok(bytes) => {
                // SAFETY: the kernel has just initialised that many bytes of the spare room.
                unsafe { self.buffer.advance_mut(bytes) };
                Ok(Received::Bytes(bytes))
            }
            Err(_) => Err(io::Error::last_os_error()),
        }
    }

    /// Waits until there is memory for a request of which only the beginning is there.
    async fn wait_to_receive(&self, bytes: usize) {
        let holdings = &self.connection.holdings;
        if bytes <= SMALL_FRAME_BYTES || holdings.is_receiving() {
            return;
        }
        self.wait_for(&self.services.pools.frames).await;
        holdings.receive(self.services.host.clock.mono(), bytes);
    }

    /// Waits until a request whose answer may be large can be answered without piling up.
    async fn wait_to_begin(&self, frame: &Bytes) {
        let api_key = peer::api_key(frame);
        if api::is_answered_briefly(api_key) {
            return;
        }
        let is_fetch = api_key == ApiKey::Fetch.code();
        let connection = &self.connection;
        while is_fetch && !connection.is_over() && connection.replies.borrow().fetches() >= FETCHES_MAX {
            connection.to_read.wait().await;
        }
        self.wait_for(&self.services.pools.answers).await;
    }

    /// After a request has begun: waits until the next may be looked at.
    async fn wait_for_room(&self) {
        while !self.connection.is_over() && self.is_full() {
            self.connection.to_read.wait().await;
        }
        // A connection with nothing in progress does not wait. The requests that fill the pool may be waiting for what this
        // connection sends next, as those of a rebalance wait for every member's. Each would wait for the other.
        if !self.connection.replies.borrow().is_empty() {
            self.wait_for(&self.services.pools.frames).await;
        }
    }

    async fn wait_for(&self, pool: &Pool) {
        while !self.connection.is_over() && !pool.has_room() {
            future::or(pool.room(), self.connection.to_read.wait()).await;
        }
    }

    fn is_full(&self) -> bool {
        let Connection { replies, holdings, .. } = &*self.connection;
        replies.borrow().len() >= REQUESTS_MAX
            || holdings.answer_bytes() >= READY_BYTES_MAX
            || holdings.request_bytes() >= BYTES_MAX
    }
}

/// Makes room for the rest of a request: small ones share a buffer, a large one is received into a buffer of its own size.
fn make_room(buffer: &mut BytesMut, missing: usize) {
    let room = match missing {
        0..READ_BYTES => READ_BYTES,
        _ => missing.min(buffer.len().max(RESERVE_BYTES_MAX)),
    };
    let needed = missing.min(room);
    if buffer.spare_capacity_mut().len() < needed && !buffer.try_reclaim(needed) {
        // Not by growing, which copies what nobody has written, too, and to do so has the kernel map a page for each.
        let mut larger = BytesMut::with_capacity(buffer.len() + room);
        larger.extend_from_slice(buffer);
        *buffer = larger;
    }
}
