//! The loader: one thread, an epoll loop, all its connections. Loader and broker share the cores, so what matters is how
//! little it does: prepared requests, gathered sends, edge-triggered events, a handful of bytes read per answer.

use std::time::{Duration, Instant};

use crate::epoll::Epoll;
use crate::error::BenchError;
use crate::socket::{Outgoing, Socket};

const PAUSE_MAX: Duration = Duration::from_secs(1);
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
    let events = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET;
    let epoll = Epoll::of(sockets.iter().map(Socket::fd), events)?;
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
        for index in epoll.wait(pause(wake))? {
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

/// How long to wait for events at most.
fn pause(wake: Option<Instant>) -> Duration {
    wake.map_or(PAUSE_MAX, |wake| wake.saturating_duration_since(Instant::now()).min(PAUSE_MAX))
}

/// Wakes at the instant asked for: the default slack of 50 us would be most of an open loop's latency.
fn sharpen_timers() {
    // SAFETY: takes numbers only; failing leaves the default slack.
    let _ = unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1, 0, 0, 0) };
}
