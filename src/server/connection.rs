//! One connection: frames in, answers out, in order; many requests in progress at once.
//!
//! A reader and a writer task on the shard the connection lives on. The reader starts each request in arrival order
//! ([`api::dispatch`] is synchronous, so appends of one connection keep their order) and does not wait for answers; the
//! writer sends all that are ready with one call. Both end by themselves: on end of stream, on error, on
//! [`Connection::close`].
//!
//! Limits: [`REQUESTS_MAX`] requests, [`FETCHES_MAX`] long polls and [`BYTES_MAX`] request bytes in progress per connection,
//! and for all of a shard the pools of [`super::holdings`]; beyond, the reader stops reading until answers have left. An idle
//! connection holds no buffer.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context as TaskContext, Poll};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures_lite::{AsyncRead, future};
use glommio::net::TcpStream;

use crate::api::{self, ConnectionState};
use crate::base::{MonoNanos, ShardId};
use crate::protocol::{ApiKey, Frame};
use crate::runtime::{self, Event, sendv};

use super::holdings::{Holdings, SMALL_FRAME_BYTES};
use super::overload::Standing;
use super::peer::{self, NotKafka};
use super::pool::Pool;
use super::replies::Replies;
use super::shard::{Begun, ShardServer};

const REQUESTS_MAX: usize = 4096;
/// Clients have one fetch in progress per broker; each may pin as much memory as its answer is large.
const FETCHES_MAX: usize = 4;
const BYTES_MAX: usize = 32 * 1024 * 1024;
/// Answers that an earlier one or the socket keeps waiting.
const READY_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Room for small requests; a larger one gets a buffer of its size once its first bytes are there.
const READ_BYTES: usize = 64 * 1024;
/// Read at once when nothing is known of what comes.
const FEW_BYTES: usize = 4096;
/// Reserved at once for a frame; a larger one doubles its buffer as bytes really arrive.
const RESERVE_BYTES_MAX: usize = 2 * 1024 * 1024;
const SEND_BYTES: usize = 1024 * 1024;

/// A connection on its way to the shard that owns its partitions.
#[derive(Debug)]
pub struct Moving {
    socket: OwnedFd,
    peer: SocketAddr,
    state: ConnectionState,
    /// Read, not yet answered.
    unread: Vec<u8>,
}

pub(super) struct Connection {
    server: Rc<ShardServer>,
    stream: RefCell<TcpStream>,
    pub(super) descriptor: RawFd,
    pub(super) peer: SocketAddr,
    pub(super) state: RefCell<ConnectionState>,
    replies: RefCell<Replies>,
    /// For the writer: something can be sent, or it is over.
    to_write: Event,
    /// For the reader: answers have left.
    to_read: Event,
    holdings: Holdings,
    /// The peer sends no more; answers still go out.
    half_closed: Cell<bool>,
    over: Cell<bool>,
    /// Whether it is known where the connection belongs: the client has named a core, or a first produce or fetch has
    /// been looked at.
    steered: Cell<bool>,
    last_active: Cell<MonoNanos>,
    /// Of the last request, with its size.
    last_request_bytes: Cell<usize>,
    /// The reader has been woken because something is there.
    heard: Cell<bool>,
}

enum Read {
    Bytes(usize),
    End,
}

enum Next {
    Frame(Bytes),
    /// More must be received, of a request of so many bytes if that is known.
    Missing(Option<usize>),
}

impl Connection {
    /// Begins serving a socket the listener accepted.
    pub(super) fn accept(
        server: &Rc<ShardServer>,
        stream: TcpStream,
        peer: SocketAddr,
        state: ConnectionState,
    ) {
        Connection::serve(server, stream, peer, state, BytesMut::new(), false);
    }

    /// Goes on serving a connection that another shard has sent here.
    pub(super) fn arrive(server: &Rc<ShardServer>, moving: Moving) {
        use std::os::fd::IntoRawFd;
        // SAFETY: the descriptor is owned, open and given up to the stream.
        let stream = unsafe { TcpStream::from_raw_fd(moving.socket.into_raw_fd()) };
        let unread = BytesMut::from(&moving.unread[..]);
        Connection::serve(server, stream, moving.peer, moving.state, unread, true);
    }

    fn serve(
        server: &Rc<ShardServer>,
        stream: TcpStream,
        peer: SocketAddr,
        state: ConnectionState,
        unread: BytesMut,
        steered: bool,
    ) {
        // Answers are whole messages already; waiting to fill a segment only adds latency.
        let _ = stream.set_nodelay(true);
        let connection = Rc::new(Connection {
            server: Rc::clone(server),
            descriptor: stream.as_raw_fd(),
            stream: RefCell::new(stream),
            peer,
            state: RefCell::new(state),
            replies: RefCell::default(),
            to_write: Event::default(),
            to_read: Event::default(),
            holdings: Holdings::of(&server.pools),
            half_closed: Cell::new(false),
            over: Cell::new(false),
            steered: Cell::new(steered),
            last_active: Cell::new(server.host.clock.mono()),
            last_request_bytes: Cell::default(),
            heard: Cell::default(),
        });
        server.opened(&connection);
        glommio::spawn_local(Rc::clone(&connection).write_answers()).detach();
        glommio::spawn_local(connection.read_requests(unread)).detach();
    }

    /// Ends the connection now; answers that are not sent are lost.
    pub(super) fn close(&self) {
        self.over.set(true);
        // SAFETY: the descriptor belongs to the stream this connection owns, so it is open. A failure means the peer
        // has gone already.
        unsafe { libc::shutdown(self.descriptor, libc::SHUT_RDWR) };
        self.to_write.set();
        self.to_read.set();
    }

    /// Takes no more requests; what is in progress is answered.
    pub(super) fn finish(&self) {
        // SAFETY: as in `close`.
        unsafe { libc::shutdown(self.descriptor, libc::SHUT_RD) };
    }

    /// How the connection stands with its peer and with the shard's memory.
    pub(super) fn standing(&self, now: MonoNanos) -> Standing {
        let is_idle = self.replies.borrow().is_empty();
        let idle_ms = is_idle.then(|| now.since(self.last_active.get()) / 1_000_000);
        Standing { idle_ms, ..self.holdings.standing(now) }
    }

    /// The answer to request `number`.
    pub(super) fn send(&self, number: u64, frame: Frame) {
        self.holdings.answer(frame.total_len(), || self.server.host.clock.mono());
        self.replies.borrow_mut().send(number, frame);
        self.wake_writer();
    }

    pub(super) fn silent(&self, number: u64) {
        self.replies.borrow_mut().silent(number);
        self.wake_writer();
    }

    /// Ends the connection once everything before request `number` is answered.
    pub(super) fn close_after(&self, number: u64, reason: &str) {
        let client = self.state.borrow().software_name.clone();
        tracing::warn!(peer = %self.peer, client, reason, "connection closed");
        self.replies.borrow_mut().close(number);
        self.wake_writer();
    }

    fn wake_writer(&self) {
        if self.replies.borrow().has_ready() {
            self.to_write.set();
        }
    }

    async fn read_requests(self: Rc<Self>, mut buffer: BytesMut) {
        while !self.over.get() {
            match self.next_frame(&mut buffer) {
                Ok(Next::Frame(frame)) => {
                    if self.moves(&frame, &buffer).await {
                        break;
                    }
                    self.wait_to_begin(&frame).await;
                    if self.over.get() {
                        break;
                    }
                    if let Some(begun) = self.server.handle(&self, frame) {
                        self.read_batches(begun).await;
                    }
                    self.wait_for_room().await;
                }
                Ok(Next::Missing(size)) => {
                    if let Some(bytes) = size {
                        self.wait_to_receive(bytes).await;
                    }
                    let missing = size.map_or(0, |bytes| bytes.saturating_sub(buffer.len()));
                    match poll_fn(|context| self.poll_read(context, &mut buffer, missing)).await {
                        Ok(Read::Bytes(bytes)) => {
                            self.server.received(bytes);
                            self.holdings.heard(|| self.server.host.clock.mono());
                        }
                        Ok(Read::End) | Err(_) => break,
                    }
                }
                Err(error) => {
                    self.server.malformed(self.peer, &error);
                    self.close();
                    break;
                }
            }
        }
        self.half_closed.set(true);
        self.to_write.set();
    }

    /// Reads a request's batches slice by slice. Nothing else of this connection begins meanwhile: its appends keep their
    /// order. Everybody else on this shard goes on between two slices.
    async fn read_batches(self: &Rc<Self>, mut begun: Begun) {
        let readings = Rc::clone(&self.server.pools.readings);
        self.wait_for(&readings).await;
        readings.take(1);
        while !self.over.get() && !begun.reading.slice() {
            runtime::pause().await;
        }
        readings.give_back(1);
        if !self.over.get() {
            self.server.go_on(self, begun);
        }
    }

    async fn write_answers(self: Rc<Self>) {
        loop {
            if self.over.get() || self.half_closed.get() && self.replies.borrow().is_empty() {
                break;
            }
            let outgoing = self.replies.borrow_mut().take(SEND_BYTES);
            if outgoing.requests == 0 {
                self.to_write.wait().await;
                continue;
            }
            let clock = &self.server.host.clock;
            let begun = clock.mono();
            self.holdings.send(begun, outgoing.bytes);
            let sent = sendv::send_all(&self.stream, outgoing.pieces, |bytes| {
                self.holdings.sent(clock.mono(), bytes);
            });
            let sent = sent.await;
            let taken_after = self.holdings.moved().since(begun);
            self.server.sent(taken_after, if sent.is_ok() { outgoing.bytes } else { 0 });
            self.holdings.end(outgoing.request_bytes);
            self.server.answered(outgoing.requests);
            self.to_read.set();
            if sent.is_err() || outgoing.close {
                self.close();
            }
        }
        // Whatever was in progress is answered into nothing.
        self.server.answered(self.replies.borrow().len());
        self.over.set(true);
        if !self.server.has_moved(self.descriptor) {
            self.close();
        }
    }

    /// The next whole request, or room for more of it.
    fn next_frame(&self, buffer: &mut BytesMut) -> Result<Next, NotKafka> {
        let Some(prefix) = buffer.first_chunk::<4>() else {
            return Ok(Next::Missing(None));
        };
        let bytes = peer::frame_bytes(*prefix, self.server.config().connections.request_bytes_max)?;
        if buffer.len() < 4 + bytes {
            return Ok(Next::Missing(Some(4 + bytes)));
        }
        self.last_request_bytes.set(4 + bytes);
        let mut frame = buffer.split_to(4 + bytes);
        frame.advance(4);
        self.last_active.set(self.server.host.clock.mono());
        Ok(Next::Frame(frame.freeze()))
    }

    /// Receives more, of a request of which at least `missing` bytes are still to come; waits with our waker if nothing is
    /// there.
    fn poll_read(
        &self,
        context: &mut TaskContext<'_>,
        buffer: &mut BytesMut,
        missing: usize,
    ) -> Poll<io::Result<Read>> {
        let expected = self.expected_bytes();
        if missing >= FEW_BYTES || expected > 0 {
            make_room(buffer, missing.max(expected));
            match self.receive(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                result => return Poll::Ready(result),
            }
        }
        // glommio asks for the next readiness as soon as a read was short: who sends one small request after the other is
        // waited for without another system call.
        let mut few = [0; FEW_BYTES];
        let mut stream = self.stream.borrow_mut();
        match Pin::new(&mut *stream).poll_read(context, &mut few) {
            Poll::Pending => {
                self.heard.set(true);
                if buffer.is_empty() {
                    // Whoever says nothing needs no memory to be heard.
                    *buffer = BytesMut::new();
                }
                Poll::Pending
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(Read::End)),
            Poll::Ready(Ok(bytes)) => {
                make_room(buffer, bytes);
                buffer.put_slice(&few[..bytes]);
                Poll::Ready(Ok(Read::Bytes(bytes)))
            }
        }
    }

    /// What the peer, just heard of, is likely to have sent at least, if that deserves a buffer before it is known: who sent
    /// a request of some size sends another. One system call receives it then.
    fn expected_bytes(&self) -> usize {
        let last = self.last_request_bytes.get();
        let is_likely = self.heard.replace(false) && (FEW_BYTES..READ_BYTES).contains(&last);
        if is_likely && self.server.pools.frames.has_room() { last } else { 0 }
    }

    /// Receives into the buffer's spare room, if something is there.
    fn receive(&self, buffer: &mut BytesMut) -> io::Result<Read> {
        let spare = buffer.chunk_mut();
        // SAFETY: the pointer and length name the buffer's own spare room, which outlives the call.
        let received = unsafe {
            libc::recv(self.descriptor, spare.as_mut_ptr().cast(), spare.len(), libc::MSG_DONTWAIT)
        };
        match usize::try_from(received) {
            Ok(0) => Ok(Read::End),
            Ok(bytes) => {
                // SAFETY: the kernel has just initialised that many bytes of the spare room.
                unsafe { buffer.advance_mut(bytes) };
                Ok(Read::Bytes(bytes))
            }
            Err(_) => Err(io::Error::last_os_error()),
        }
    }

    /// Waits until there is memory for a request of which only the beginning is there.
    async fn wait_to_receive(&self, bytes: usize) {
        if bytes <= SMALL_FRAME_BYTES || self.holdings.is_receiving() {
            return;
        }
        self.wait_for(&self.server.pools.frames).await;
        self.holdings.receive(self.server.host.clock.mono(), bytes);
    }

    /// Waits until a request whose answer may be large can be answered without piling up.
    async fn wait_to_begin(&self, frame: &Bytes) {
        let api_key = peer::api_key(frame);
        if api::is_answered_briefly(api_key) {
            return;
        }
        let is_fetch = api_key == ApiKey::Fetch.code();
        while is_fetch && !self.over.get() && self.replies.borrow().fetches() >= FETCHES_MAX {
            self.to_read.wait().await;
        }
        self.wait_for(&self.server.pools.answers).await;
    }

    /// After a request has begun: waits until the next may be looked at.
    async fn wait_for_room(&self) {
        while !self.over.get() && self.is_full() {
            self.to_read.wait().await;
        }
        // Who has nothing in progress may go on: others would wait for its turn for ever.
        if !self.replies.borrow().is_empty() {
            self.wait_for(&self.server.pools.frames).await;
        }
    }

    async fn wait_for(&self, pool: &Pool) {
        while !self.over.get() && !pool.has_room() {
            future::or(pool.room(), self.to_read.wait()).await;
        }
    }

    fn is_full(&self) -> bool {
        let replies = self.replies.borrow();
        replies.len() >= REQUESTS_MAX
            || self.holdings.answer_bytes() >= READY_BYTES_MAX
            || self.holdings.request_bytes() >= BYTES_MAX
    }

    /// Opens the answer's place of a request of this size.
    pub(super) fn open_answer(&self, api_key: i16, request_bytes: usize) -> u64 {
        self.holdings.begin(request_bytes);
        self.replies.borrow_mut().open(request_bytes, api_key == ApiKey::Fetch.code())
    }

    /// Looks at the request in which the client may name a core, and else at the first produce or fetch: if the core is
    /// another one, or all that is wanted lives on another shard, the connection goes there, with everything unread, once,
    /// before it is answered. From then on its requests leave no core.
    async fn moves(&self, frame: &Bytes, unread: &BytesMut) -> bool {
        let Some(target) = self.place(frame) else { return false };
        self.steered.set(true);
        if target == self.server.host.here {
            return false;
        }
        while !self.over.get() && !self.replies.borrow().is_empty() {
            self.to_read.wait().await;
        }
        if self.over.get() {
            return true;
        }
        match self.leave_for(target, frame, unread) {
            Ok(()) => true,
            Err(error) => {
                // Routing over the mesh answers as well.
                tracing::debug!(peer = %self.peer, %error, "a connection could not be moved");
                false
            }
        }
    }

    /// Where the connection belongs, if this request says it.
    fn place(&self, frame: &Bytes) -> Option<ShardId> {
        if self.steered.get() {
            return None;
        }
        let (state, here) = (self.state.borrow(), self.server.host.here);
        let api_key = ApiKey::from_code(peer::api_key(frame))?;
        match api_key {
            // Only the first word counts.
            ApiKey::ApiVersions if state.software_name.is_empty() => {
                api::named_shard(frame, &self.server.host.image(), &self.server.config())
            }
            ApiKey::ApiVersions => None,
            _ => {
                let wanted = api::wants_shard(frame, &self.server.host.image(), state.node);
                let settles = matches!(api_key, ApiKey::Produce | ApiKey::Fetch);
                wanted.or_else(|| settles.then_some(here))
            }
        }
    }

    fn leave_for(&self, target: ShardId, frame: &Bytes, unread: &BytesMut) -> io::Result<()> {
        // SAFETY: the descriptor is open; the duplicate is owned by the value made of it.
        let socket = unsafe {
            match libc::fcntl(self.descriptor, libc::F_DUPFD_CLOEXEC, 0) {
                -1 => return Err(io::Error::last_os_error()),
                duplicate => OwnedFd::from_raw_fd(duplicate),
            }
        };
        let size = u32::try_from(frame.len()).map_err(io::Error::other)?;
        let mut bytes = Vec::with_capacity(4 + frame.len() + unread.len());
        bytes.extend_from_slice(&size.to_be_bytes());
        bytes.extend_from_slice(frame);
        bytes.extend_from_slice(unread);
        self.server.moved(self.descriptor);
        self.over.set(true);
        let state = self.state.borrow().clone();
        self.server.host.send_connection(target, Moving { socket, peer: self.peer, state, unread: bytes });
        Ok(())
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

impl Drop for Connection {
    fn drop(&mut self) {
        self.server.closed(self.descriptor, self.peer);
    }
}
