//! The kernel's list of descriptors on which something has happened.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use crate::error::BenchError;

const EVENTS_MAX: usize = 64;

pub struct Epoll(OwnedFd);

impl Epoll {
    /// Waits for these events (`libc::EPOLLIN` and the like) on descriptors, which are known by their number in the list.
    pub fn of(descriptors: impl IntoIterator<Item = RawFd>, events: i32) -> Result<Epoll, BenchError> {
        // SAFETY: no pointers are passed; a negative result is an error.
        let fd = unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) };
        if fd < 0 {
            return Err(BenchError::Io { what: "epoll_create1", source: io::Error::last_os_error() });
        }
        // SAFETY: the descriptor is new and owned by nobody else.
        let epoll = unsafe { OwnedFd::from_raw_fd(fd) };
        for (index, fd) in (0..).zip(descriptors) {
            let mut event = libc::epoll_event { events: events.cast_unsigned(), u64: index };
            // SAFETY: the event outlives the call; both descriptors are open.
            let done = unsafe { libc::epoll_ctl(epoll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) };
            if done != 0 {
                return Err(BenchError::Io { what: "epoll_ctl", source: io::Error::last_os_error() });
            }
        }
        Ok(Epoll(epoll))
    }

    /// Numbers of descriptors on which something has happened; none if nothing has for so long.
    pub fn wait(&self, pause: Duration) -> Result<impl Iterator<Item = usize>, BenchError> {
        let timeout = libc::timespec {
            tv_sec: pause.as_secs().cast_signed(),
            tv_nsec: i64::from(pause.subsec_nanos()),
        };
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX];
        let room = i32::try_from(EVENTS_MAX).expect("a small constant");
        // SAFETY: the kernel writes at most `room` events into an array of as many; the timeout outlives the call.
        let count = unsafe {
            libc::epoll_pwait2(
                self.0.as_raw_fd(),
                events.as_mut_ptr(),
                room,
                &raw const timeout,
                std::ptr::null(),
            )
        };
        if count < 0 {
            let source = io::Error::last_os_error();
            if source.kind() != io::ErrorKind::Interrupted {
                return Err(BenchError::Io { what: "epoll_pwait2", source });
            }
        }
        let happened = events.into_iter().take(usize::try_from(count).unwrap_or(0));
        Ok(happened.map(|event| usize::try_from(event.u64).unwrap_or(usize::MAX)))
    }
}
