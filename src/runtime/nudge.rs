//! Wakes executors that sleep with tasks to run, from outside: nothing of their own can be relied on for that.
//!
//! An executor of glommio 0.9 looks for events, which wake tasks, and then runs those tasks. In between, something may
//! complete on its latency ring that no task waits for: its preempt timer, or another executor's notice. Then the executor
//! goes to sleep, and the tasks it has woken are left lying. Its own timers (see [`super::awake`]) wake it, if one of them is
//! still to come. There are two cases in which none is. Before the main future first runs, there are no timers yet. And
//! when a thread was held up for longer than their period, all of them come at once, and their tasks lie with the rest.
//!
//! Whatever interrupts its wait makes an executor look at its tasks again. So a thread beside them sends a signal to each
//! that has not moved for a while. The signal does nothing, and what it interrupts otherwise goes on by itself. To an
//! executor that is busy, or waits for a blocking call, it is no harm.
//!
//! One of the audited homes of `unsafe`: calls of libc.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// An executor whose keep-alive timers have not come for so long is woken; longer than they are ever apart.
const PATIENCE: Duration = Duration::from_millis(150);

/// The signal. The kernel ignores it unless somebody asks for it, and nothing else here does.
const SIGNAL: libc::c_int = libc::SIGURG;

thread_local! {
    static BEATS: Arc<AtomicU64> = Arc::default();
}

/// This thread's executor has run a task.
pub fn beat() {
    BEATS.with(|beats| beats.fetch_add(1, Ordering::Relaxed));
}

/// Looks after the threads that ask for it; ends with the last copy.
#[derive(Clone, Debug, Default)]
pub struct Nudger {
    watched: Arc<Mutex<Vec<Watched>>>,
}

#[derive(Debug)]
struct Watched {
    thread: libc::pid_t,
    beats: Arc<AtomicU64>,
    seen: u64,
}

/// A thread is looked after until its watch is dropped.
#[derive(Debug)]
pub struct Watch {
    nudger: Nudger,
    thread: libc::pid_t,
}

impl Nudger {
    pub fn start() -> io::Result<Nudger> {
        let nudger = Nudger::default();
        let watched = Arc::downgrade(&nudger.watched);
        take_signal()?;
        std::thread::Builder::new().name("nudger".to_owned()).spawn(move || {
            while let Some(watched) = watched.upgrade() {
                lock(&watched).iter_mut().for_each(Watched::look);
                drop(watched);
                std::thread::sleep(PATIENCE);
            }
        })?;
        Ok(nudger)
    }

    /// Begins to look after this thread, an executor's that has not run anything yet.
    #[must_use]
    pub fn watch_this_thread(&self) -> Watch {
        // SAFETY: has no preconditions and cannot fail.
        let thread = unsafe { libc::gettid() };
        let beats = BEATS.with(Arc::clone);
        let seen = beats.load(Ordering::Relaxed);
        lock(&self.watched).push(Watched { thread, beats, seen });
        Watch { nudger: self.clone(), thread }
    }
}

impl Watched {
    fn look(&mut self) {
        let beats = self.beats.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.seen, beats) == beats {
            tracing::debug!(thread = self.thread, "an executor has not moved for a while; woken");
            // SAFETY: no memory is passed. The thread lives: it leaves the list, whose lock is held, before it ends.
            unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), self.thread, SIGNAL) };
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        lock(&self.nudger.watched).retain(|watched| watched.thread != self.thread);
    }
}

fn lock(watched: &Mutex<Vec<Watched>>) -> MutexGuard<'_, Vec<Watched>> {
    watched.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Sets a handler that does nothing: a signal that is ignored would interrupt nothing.
fn take_signal() -> io::Result<()> {
    extern "C" fn nothing(_: libc::c_int) {}
    // SAFETY: the action is initialised; its handler may run on any thread at any time, for it does nothing.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = nothing as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // Calls that can go on do. Waiting for completions ends all the same, which glommio takes as having woken.
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(SIGNAL, &raw const action, std::ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Waits in the kernel as nothing restarts it: whether it was interrupted.
    fn is_interrupted(within: Duration) -> bool {
        let milliseconds = i32::try_from(within.as_millis()).expect("short");
        // SAFETY: there are no descriptors.
        unsafe { libc::poll(std::ptr::null_mut(), 0, milliseconds) == -1 }
    }

    #[test]
    fn a_thread_that_does_not_move_is_interrupted_again_and_again() {
        let nudger = Nudger::start().expect("starts");
        let _watch = nudger.watch_this_thread();
        for _ in 0..3 {
            assert!(is_interrupted(Duration::from_secs(30)));
        }
    }

    #[test]
    fn a_thread_that_is_not_watched_any_more_is_left_alone() {
        let nudger = Nudger::start().expect("starts");
        drop(nudger.watch_this_thread());
        assert!(!is_interrupted(3 * PATIENCE));
    }
}
