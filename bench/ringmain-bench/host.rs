//! What a run may do to the broker beside talking to it: look at its process, start it anew, take its disk.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::error::BenchError;
use crate::usage::Process;

pub trait Host {
    /// The broker's process, where that is on this machine.
    fn process(&self) -> Option<Process>;
    /// Stops and starts the broker, and says when it was started; none for one that is not ours to stop.
    fn restart(&mut self) -> Result<Option<Instant>, BenchError>;
    /// A directory on the broker's disk.
    fn dir(&self) -> &Path;
}

/// A broker that somebody else has started.
pub struct Found {
    pub process: Option<Process>,
    pub dir: PathBuf,
}

impl Host for Found {
    fn process(&self) -> Option<Process> {
        self.process
    }

    fn restart(&mut self) -> Result<Option<Instant>, BenchError> {
        Ok(None)
    }

    fn dir(&self) -> &Path {
        &self.dir
    }
}

/// Makes the next reads come from the disk: gives up the kernel's page cache, which only root may, and starts the broker
/// anew, which only works for our own. Says what of it could not be done.
pub fn cool(host: &mut dyn Host) -> Result<(), BenchError> {
    // SAFETY: takes nothing and returns nothing.
    unsafe { libc::sync() };
    if let Err(error) = fs::write("/proc/sys/vm/drop_caches", "3") {
        eprintln!(
            "ringmain-bench: the page cache stays as it is ({error}): a broker that uses it is not cold"
        );
    }
    if host.restart()?.is_none() {
        eprintln!("ringmain-bench: the broker is not ours to start anew: what it keeps in memory stays");
    }
    Ok(())
}

/// A file that takes space until it is dropped.
pub struct Ballast(PathBuf);

impl Ballast {
    /// Takes so much that the disk is full to `percent`; nothing if it already is.
    pub fn new(dir: &Path, percent: u8) -> Result<Option<Ballast>, BenchError> {
        let path = dir.join(format!("ringmain-bench-ballast-{}", std::process::id()));
        let file = File::create(&path).map_err(BenchError::io("create a file to fill the disk with"))?;
        let ballast = Ballast(path);
        // SAFETY: all-zero is a valid statvfs; the call fills it and the descriptor is open.
        let space = unsafe {
            let mut space: libc::statvfs = std::mem::zeroed();
            if libc::fstatvfs(file.as_raw_fd(), &raw mut space) != 0 {
                let source = io::Error::last_os_error();
                return Err(BenchError::Io { what: "ask for the disk's space", source });
            }
            space
        };
        let (total, free) = (space.f_blocks * space.f_frsize, space.f_bavail * space.f_frsize);
        let Some(bytes) = ballast_bytes(total, free, percent) else { return Ok(None) };
        // SAFETY: the descriptor is open and no pointers are passed.
        let code = unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, bytes.cast_signed()) };
        if code != 0 {
            let source = io::Error::from_raw_os_error(code);
            return Err(BenchError::Io { what: "fill the disk", source });
        }
        Ok(Some(ballast))
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

fn ballast_bytes(total: u64, free: u64, percent: u8) -> Option<u64> {
    let wanted_free = total / 100 * u64::from(100 - percent.min(100));
    free.checked_sub(wanted_free).filter(|bytes| *bytes > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ballast_leaves_what_the_percentage_leaves() {
        assert_eq!(ballast_bytes(1000, 700, 80), Some(500));
        assert_eq!(ballast_bytes(1000, 200, 80), None);
        assert_eq!(ballast_bytes(1000, 100, 80), None);
        assert_eq!(ballast_bytes(1000, 100, 100), Some(100));
    }
}
