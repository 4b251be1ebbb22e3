//! The loader: one thread, an epoll loop, all its connections. Loader and broker share the cores, so what matters is how
//! little it does: prepared requests, gathered sends, edge-triggered events, a handful of bytes read per answer.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use crate::error::BenchError;
use crate::socket::{Outgoing, Socket};

const EVENTS_MAX: usize = 64;
/// Patience with what is unanswered when the last request has been made.
const DRAIN: Duration = Duration::from_secs(60);

/// What a connection does next.
pub enum Next {
    Send(Outgoing),
    /// Nothing before an answer arrives, or before this instant.
    Wait(Option<Instant>),
    /// Nothing more, ever.
    Finished,
}

/// What is asked and how answers are judged.
pub trait Workload {
    fn next(&mut self, connection: usize, now: Instant) -> Result<Next, BenchError>;
    /// `count` requests have gone to the kernel; true if that alone made room for more.
    fn sent(&mut self, connection: usize, count: usize, now: Instant) -> bool;
    fn answered(&mut self, connection: usize, answer: &[u8], now: Instant) -> Result<(), BenchError>;
    /// Requests still to be answered.
    fn outstanding(&self, connection: usize) -> usize;
    /// Nothing more will be asked or answered.
    fn ended(&mut self);
}

/// Runs until the workload is finished on every connection. Returns how many requests were still unanswered when
/// patience ended.
pub fn run(mut sockets: Vec<Socket>, workload: &mut impl Workload) -> Result<usize, BenchError> {
    let epoll = register(&sockets)?;
    sharpen_timers();
    let mut states = vec![State::default(); sockets.len()];
    let mut drain_until = None;
    loop {
        let now = Instant::now();
        let mut wake: Option<Instant> = None;
        for (index, (socket, state)) in sockets.iter_mut().zip(&mut states).enumerate() {
            if state.awake || state.due.is_some_and(|due| due <= now) {
                ask(index, socket, state, workload, now)?;
            }
            let due = if state.awake { Some(now) } else { state.due };
            wake = [wake, due].into_iter().flatten().min();
        }
        if states.iter().all(|state| state.finished) {
            let outstanding: usize = (0..sockets.len()).map(|index| workload.outstanding(index)).sum();
            let queued: usize = sockets.iter().map(Socket::queued).sum();
            if outstanding + queued == 0 {
                return Ok(0);
            }
            let until = *drain_until.get_or_insert_with(|| Instant::now() + DRAIN);
            if Instant::now() > until {
                return Ok(outstanding);
            }
        }
        for event in &wait(&epoll, wake)? {
            let index = usize::try_from(event.u64).unwrap_or(usize::MAX);
            if let (Some(socket), Some(state)) = (sockets.get_mut(index), states.get_mut(index)) {
                receive(index, socket, workload)?;
                state.awake = true;
            }
        }
    }
}

#[derive(Clone)]
struct State {
    /// Something happened: ask the workload.
    awake: bool,
    due: Option<Instant>,
    finished: bool,
}

impl Default for State {
    fn default() -> State {
        State { awake: true, due: None, finished: false }
    }
}

fn ask(
    index: usize,
    socket: &mut Socket,
    state: &mut State,
    workload: &mut impl Workload,
    now: Instant,
) -> Result<(), BenchError> {
    state.awake = false;
    loop {
        match workload.next(index, now)? {
            Next::Send(request) => socket.queue(request),
            Next::Wait(due) => {
                state.due = due;
                break;
            }
            Next::Finished => {
                (state.due, state.finished) = (None, true);
                break;
            }
        }
    }
    let gone = socket.flush()?;
    if gone > 0 {
        state.awake = workload.sent(index, gone, now) && !state.finished;
    }
    Ok(())
}

fn receive(index: usize, socket: &mut Socket, workload: &mut impl Workload) -> Result<(), BenchError> {
    loop {
        let more = socket.fill()?;
        let now = Instant::now();
        while let Some(answer) = socket.answer() {
            workload.answered(index, answer, now)?;
        }
        if !more {
            return Ok(());
        }
    }
}

fn register(sockets: &[Socket]) -> Result<OwnedFd, BenchError> {
    // SAFETY: no pointers are passed; a negative result is an error.
    let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
    if fd < 0 {
        return Err(BenchError::Io { what: "epoll_create1", source: io::Error::last_os_error() });
    }
    // SAFETY: the descriptor is new and owned by nobody else.
    let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
    for (index, socket) in sockets.iter().enumerate() {
        let flags = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET;
        let mut event = libc::epoll_event { events: flags.cast_unsigned(), u64: index as u64 };
        // SAFETY: the event outlives the call; both descriptors are open.
        let done =
            unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, socket.fd(), &raw mut event) };
        if done != 0 {
            return Err(BenchError::Io { what: "epoll_ctl", source: io::Error::last_os_error() });
        }
    }
    Ok(epoll)
}

/// Waits for events, at most until `wake`, and never longer than a second.
fn wait(epoll: &OwnedFd, wake: Option<Instant>) -> Result<Vec<libc::epoll_event>, BenchError> {
    let second = Duration::from_secs(1);
    let pause = wake.map_or(second, |wake| wake.saturating_duration_since(Instant::now()).min(second));
    let timeout =
        libc::timespec { tv_sec: pause.as_secs().cast_signed(), tv_nsec: i64::from(pause.subsec_nanos()) };
    let mut events = Vec::with_capacity(EVENTS_MAX);
    let room = i32::try_from(EVENTS_MAX).expect("a small constant");
    // SAFETY: the kernel writes at most `room` events into memory reserved for as many; the timeout outlives the call.
    let count = unsafe {
        libc::epoll_pwait2(epoll.as_raw_fd(), events.as_mut_ptr(), room, &raw const timeout, std::ptr::null())
    };
    if count < 0 {
        let source = io::Error::last_os_error();
        if source.kind() == io::ErrorKind::Interrupted {
            return Ok(events);
        }
        return Err(BenchError::Io { what: "epoll_pwait2", source });
    }
    // SAFETY: the kernel has written `count` events, which is at most the capacity.
    unsafe { events.set_len(usize::try_from(count).unwrap_or(0)) };
    Ok(events)
}

/// Wakes at the instant asked for: the default slack of 50 us would be most of an open loop's latency.
fn sharpen_timers() {
    // SAFETY: takes numbers only; failing leaves the default slack.
    let _ = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0) };
}
