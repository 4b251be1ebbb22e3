//! One connection: its socket, the places of its answers, and what it holds of the shard's memory.
//!
//! Two tasks on the shard that the connection lives on have it in common, one for each direction: the [`super::reader`]
//! starts requests in arrival order and opens the place of each answer here; the [`super::writer`] sends the answers that
//! are ready at the front. In between, requests in progress put answers into their places, in any order. Knows neither what
//! is asked nor how bytes are moved; each side is woken by an event when the other has changed something.
//!
//! A connection ends on end of stream, on error, and on [`Connection::close`]; its memory comes back when the last of those
//! that hold it lets go.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;

use glommio::net::TcpStream;

use crate::api::ConnectionState;
use crate::base::MonoNanos;
use crate::protocol::{ApiKey, Frame};
use crate::runtime::Event;
use crate::runtime::clock::Clock;

use super::admission::Admitted;
use super::holdings::Holdings;
use super::overload::Standing;
use super::replies::Replies;

pub(super) struct Connection {
    pub(super) stream: RefCell<TcpStream>,
    pub(super) descriptor: RawFd,
    pub(super) peer: SocketAddr,
    pub(super) state: RefCell<ConnectionState>,
    pub(super) replies: RefCell<Replies>,
    pub(super) holdings: Holdings,
    clock: Clock,
    /// Wakes the writer: an answer can be sent, or the connection is over.
    pub(super) to_write: Event,
    /// Wakes the reader: answers have left, or the connection is over.
    pub(super) to_read: Event,
    /// The peer sends no more; answers still go out.
    half_closed: Cell<bool>,
    over: Cell<bool>,
    /// Whether the connection has gone to another shard: its socket must stay open.
    moved: Cell<bool>,
    last_active: Cell<MonoNanos>,
    _admitted: Admitted,
}

impl Connection {
    pub(super) fn new(
        clock: Clock,
        stream: TcpStream,
        peer: SocketAddr,
        state: ConnectionState,
        holdings: Holdings,
        admitted: Admitted,
    ) -> Rc<Connection> {
        // Answers are whole messages already; waiting to fill a segment only adds latency.
        let _ = stream.set_nodelay(true);
        Rc::new(Connection {
            descriptor: stream.as_raw_fd(),
            stream: RefCell::new(stream),
            peer,
            state: RefCell::new(state),
            replies: RefCell::default(),
            holdings,
            clock,
            to_write: Event::default(),
            to_read: Event::default(),
            half_closed: Cell::new(false),
            over: Cell::new(false),
            moved: Cell::new(false),
            last_active: Cell::new(clock.mono()),
            _admitted: admitted,
        })
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

    /// Ends the connection here and leaves its socket open, for the shard that it has been sent to.
    pub(super) fn leave(&self) {
        self.moved.set(true);
        self.over.set(true);
    }

    pub(super) fn is_over(&self) -> bool {
        self.over.get()
    }

    /// Whether the writer has nothing left to do.
    pub(super) fn is_written(&self) -> bool {
        self.over.get() || self.half_closed.get() && self.replies.borrow().is_empty()
    }

    /// The reader has ended.
    pub(super) fn read_no_more(&self) {
        self.half_closed.set(true);
        self.to_write.set();
    }

    /// The writer has ended.
    pub(super) fn write_no_more(&self) {
        self.over.set(true);
        if !self.moved.get() {
            self.close();
        }
    }

    /// How the connection stands with its peer and with the shard's memory.
    pub(super) fn standing(&self, now: MonoNanos) -> Standing {
        let is_idle = self.replies.borrow().is_empty();
        let idle_ms = is_idle.then(|| now.since(self.last_active.get()) / 1_000_000);
        Standing { idle_ms, ..self.holdings.standing(now) }
    }

    /// A request is there, as a whole.
    pub(super) fn heard_of(&self) {
        self.last_active.set(self.clock.mono());
    }

    /// Opens the answer's place of a request of this size.
    pub(super) fn open_answer(&self, api_key: i16, request_bytes: usize) -> u64 {
        self.holdings.begin(request_bytes);
        self.replies.borrow_mut().open(request_bytes, api_key == ApiKey::Fetch.code())
    }

    /// Puts the answer to request `number` into its place.
    pub(super) fn send(&self, number: u64, frame: Frame) {
        self.holdings.answer(frame.total_len(), || self.clock.mono());
        self.replies.borrow_mut().send(number, frame);
        self.wake_writer();
    }

    /// Closes the place of request `number`, which gets no answer.
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
}
