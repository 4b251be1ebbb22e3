//! What the machine must offer before a shard starts, checked by trying it; every lack is named with its fix.
//!
//! Runs on the main thread. Raises this process's own limits as far as the hard limits allow; changes nothing else.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::api::DiskSpace;
use crate::base::BLOCK_BYTES;

/// What the runtime wants to lock at least; less and no executor starts.
const LOCKED_BYTES_MIN: u64 = 512 << 10;
/// Fewer open files than this do not carry a server.
const OPEN_FILES_MIN: u64 = 256;

/// Why a server cannot run here. Each is one line that names the fix.
#[derive(Debug, thiserror::Error)]
pub enum PreflightError {
    #[error(
        "this kernel has no io_uring, or a seccomp profile hides it: Linux 5.8 or newer is needed, and a container must allow io_uring_setup, io_uring_enter and io_uring_register (Docker: --security-opt seccomp=unconfined)"
    )]
    NoIoUring,
    #[error("io_uring is disabled by kernel.io_uring_disabled={0}: run sysctl -w kernel.io_uring_disabled=0")]
    IoUringDisabled(String),
    #[error(
        "io_uring is forbidden here, most likely by a seccomp profile: allow io_uring_setup, io_uring_enter and io_uring_register (Docker: --security-opt seccomp=unconfined)"
    )]
    IoUringForbidden,
    #[error("io_uring does not start: {0}")]
    IoUring(#[source] io::Error),
    #[error(
        "only {limit} bytes of memory may be locked, {LOCKED_BYTES_MIN} are needed: raise it with ulimit -l unlimited, or LimitMEMLOCK=infinity in the systemd unit"
    )]
    LockedMemory { limit: u64 },
    #[error(
        "only {limit} files may be open, {OPEN_FILES_MIN} are needed: raise it with ulimit -n, or LimitNOFILE= in the systemd unit"
    )]
    OpenFiles { limit: u64 },
    #[error(
        "the data directory {path} is on a file system without direct I/O (as tmpfs): choose one on ext4 or xfs with --data-dir"
    )]
    NoDirectIo { path: PathBuf },
    #[error(
        "the data directory {path} has {free} bytes free, a new one needs {needed}: free some, choose another with --data-dir, or lower ringmain.commit.file.bytes"
    )]
    NoSpace { path: PathBuf, free: u64, needed: u64 },
    #[error(
        "cannot write to the data directory {path}: {source} (make it writable or choose another with --data-dir)"
    )]
    Unwritable { path: PathBuf, source: io::Error },
}

/// What this process may use, after its limits were raised.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SystemLimits {
    pub open_files: u64,
    pub locked_bytes: u64,
}

/// Checks the kernel and this process's limits.
///
/// # Errors
/// For the first thing that is missing.
pub fn check_system() -> Result<SystemLimits, PreflightError> {
    let locked_bytes = raise(libc::RLIMIT_MEMLOCK);
    if locked_bytes < LOCKED_BYTES_MIN {
        return Err(PreflightError::LockedMemory { limit: locked_bytes });
    }
    let open_files = raise(libc::RLIMIT_NOFILE);
    if open_files < OPEN_FILES_MIN {
        return Err(PreflightError::OpenFiles { limit: open_files });
    }
    start_ring().map_err(|error| {
        io_uring_error(error, fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok())
    })?;
    Ok(SystemLimits { open_files, locked_bytes })
}

/// Raises a soft limit to the hard one and answers what then holds.
fn raise(resource: libc::__rlimit_resource_t) -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for the answer.
    if unsafe { libc::getrlimit(resource, &mut limit) } != 0 {
        return 0;
    }
    let raised = libc::rlimit { rlim_cur: limit.rlim_max, rlim_max: limit.rlim_max };
    // SAFETY: `raised` is a valid limit; raising up to the hard limit needs no privilege.
    if unsafe { libc::setrlimit(resource, &raised) } == 0 { raised.rlim_cur } else { limit.rlim_cur }
}

/// Sets up the smallest ring there is and lets it go.
fn start_ring() -> io::Result<()> {
    // struct io_uring_params is 120 bytes, all zero when nothing special is asked for.
    let mut params = [0u64; 15];
    // SAFETY: the kernel reads and fills 120 bytes at `params`, which are there.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, params.as_mut_ptr()) };
    match i32::try_from(fd) {
        // SAFETY: the kernel has just handed out this descriptor, and nobody else has it.
        Ok(fd) if fd >= 0 => drop(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => return Err(io::Error::last_os_error()),
    }
    Ok(())
}

fn io_uring_error(error: io::Error, disabled: Option<String>) -> PreflightError {
    let disabled = disabled.map(|text| text.trim().to_owned()).filter(|text| text != "0");
    match (error.raw_os_error(), disabled) {
        (Some(libc::ENOSYS), _) => PreflightError::NoIoUring,
        (Some(libc::EPERM | libc::EACCES), Some(value)) => PreflightError::IoUringDisabled(value),
        (Some(libc::EPERM | libc::EACCES), None) => PreflightError::IoUringForbidden,
        _ => PreflightError::IoUring(error),
    }
}

/// What a data directory must still have room for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Room {
    /// A new directory: this many bytes for the first commit files.
    Needed(u64),
    /// A directory with data: a full disk is no failure, reads and deletes go on.
    Any,
}

/// Checks that the file system under `data` takes direct writes and has room.
///
/// # Errors
/// When it does not.
pub fn check_data_dir(data: &Path, room: Room) -> Result<(), PreflightError> {
    let unwritable = |source| PreflightError::Unwritable { path: data.to_owned(), source };
    if is_tmpfs(data).map_err(unwritable)? {
        return Err(PreflightError::NoDirectIo { path: data.to_owned() });
    }
    if let Room::Needed(needed) = room {
        let free = free_bytes(data).map_err(unwritable)?;
        if free < needed {
            return Err(PreflightError::NoSpace { path: data.to_owned(), free, needed });
        }
    }
    let probe = data.join("meta/direct-io-probe");
    let written = write_direct(&probe);
    // What is left over would be overwritten by the next start.
    let _ = fs::remove_file(&probe);
    match written.map_err(|error| (error.raw_os_error(), error)) {
        Ok(()) => Ok(()),
        Err((Some(libc::EINVAL | libc::EOPNOTSUPP), _)) => {
            Err(PreflightError::NoDirectIo { path: data.to_owned() })
        }
        Err((Some(libc::ENOSPC | libc::EDQUOT), _)) if room == Room::Any => Ok(()),
        Err((_, error)) => Err(unwritable(error)),
    }
}

/// One block, past the page cache.
fn write_direct(path: &Path) -> io::Result<()> {
    let file: File =
        OpenOptions::new().write(true).create(true).truncate(true).custom_flags(libc::O_DIRECT).open(path)?;
    file.write_all_at(&AlignedBlock([0; BLOCK_BYTES]).0, 0)
}

/// Memory that direct I/O takes.
#[repr(align(4096))]
struct AlignedBlock([u8; BLOCK_BYTES]);

/// tmpfs takes O_DIRECT on newer kernels and keeps nothing all the same.
fn is_tmpfs(path: &Path) -> io::Result<bool> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: an all-zero statfs is a valid place for the answer.
    let mut answer: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends in NUL and `answer` is the call's to fill.
    if unsafe { libc::statfs(path.as_ptr(), &mut answer) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(answer.f_type == libc::TMPFS_MAGIC)
}

/// Space of the file system that a path is on.
pub(super) fn disk_space(path: &Path) -> DiskSpace {
    let bytes = |blocks: u64, size: u64| i64::try_from(blocks.saturating_mul(size)).unwrap_or(i64::MAX);
    match file_system(path) {
        Ok(it) => DiskSpace {
            total_bytes: bytes(it.f_blocks, it.f_frsize),
            usable_bytes: bytes(it.f_bavail, it.f_frsize),
        },
        Err(_) => DiskSpace { total_bytes: -1, usable_bytes: -1 },
    }
}

fn free_bytes(path: &Path) -> io::Result<u64> {
    let answer = file_system(path)?;
    Ok(answer.f_bavail.saturating_mul(answer.f_frsize))
}

fn file_system(path: &Path) -> io::Result<libc::statvfs> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: an all-zero statvfs is a valid place for the answer.
    let mut answer: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: the path ends in NUL and `answer` is the call's to fill.
    if unsafe { libc::statvfs(path.as_ptr(), &mut answer) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_io_uring_lacks_is_told_apart() {
        let check = |errno: i32, disabled: Option<&str>, expected: &str| {
            let error = io_uring_error(io::Error::from_raw_os_error(errno), disabled.map(str::to_owned));
            assert!(error.to_string().contains(expected), "{error}");
        };
        check(libc::ENOSYS, Some("0\n"), "Linux 5.8");
        check(libc::EPERM, Some("2\n"), "io_uring_disabled=2: run sysctl");
        check(libc::EPERM, Some("0\n"), "seccomp");
        check(libc::EPERM, None, "seccomp");
        check(libc::ENOMEM, None, "does not start");
    }

    #[test]
    fn limits_are_raised_to_the_hard_ones() {
        let first = raise(libc::RLIMIT_NOFILE);
        assert!(first > 0 && raise(libc::RLIMIT_NOFILE) == first);
    }

    #[test]
    fn a_directory_on_a_disk_will_do() {
        // Beside the test's own binary: the system's scratch directory may be in memory.
        let binary = std::env::current_exe().expect("known");
        let dir =
            tempfile::tempdir_in(binary.parent().expect("in a directory")).expect("a scratch directory");
        fs::create_dir(dir.path().join("meta")).expect("made");
        check_data_dir(dir.path(), Room::Any).expect("usable");
        let error = check_data_dir(dir.path(), Room::Needed(u64::MAX)).expect_err("too much");
        assert!(matches!(error, PreflightError::NoSpace { .. }), "{error}");
        assert!(
            fs::read_dir(dir.path().join("meta")).expect("readable").next().is_none(),
            "the probe is gone"
        );
    }

    #[test]
    fn memory_and_missing_directories_will_not() {
        let error = check_data_dir(Path::new("/dev/shm"), Room::Any).expect_err("tmpfs");
        assert!(matches!(error, PreflightError::NoDirectIo { .. }), "{error}");
        let error = check_data_dir(Path::new("/proc/no/such"), Room::Any).expect_err("missing");
        assert!(matches!(error, PreflightError::Unwritable { .. }), "{error}");
    }
}
