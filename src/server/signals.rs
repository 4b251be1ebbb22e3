//! SIGTERM and SIGINT, received by the main thread alone.
//!
//! One of the audited homes of `unsafe`: three calls of libc.

use std::io;

use crate::runtime::Ending;

/// What a shell says of a process that a second interrupt has ended.
const INSISTED_EXIT: u8 = 130;

/// Blocks the signals in this thread and all it starts; before the first of them.
pub(super) fn block() -> io::Result<()> {
    let set = set();
    // SAFETY: the set is initialised; no old mask is asked for.
    match unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Waits for one of the signals.
pub(super) fn wait() -> io::Result<()> {
    let set = set();
    let mut signal = 0;
    // SAFETY: both arguments are valid for the call.
    match unsafe { libc::sigwait(&raw const set, &raw mut signal) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// Ends the process at the next signal: a second one means now. Nothing acknowledged is lost by ending without order.
pub(super) fn exit_on_the_next(ending: Ending) {
    std::thread::spawn(move || {
        if wait().is_ok() {
            tracing::warn!("a second signal: ending at once");
            ending.end(INSISTED_EXIT);
        }
    });
}

fn set() -> libc::sigset_t {
    // SAFETY: a zeroed set is then initialised by sigemptyset; the calls only write to it.
    unsafe {
        let mut set = std::mem::zeroed();
        libc::sigemptyset(&raw mut set);
        libc::sigaddset(&raw mut set, libc::SIGTERM);
        libc::sigaddset(&raw mut set, libc::SIGINT);
        set
    }
}
