//! Syncs: of one file, of names, of everything at once.
//!
//! A sync that has failed is never tried again: the kernel may have dropped what it could not write, and says so once only.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::Path;

/// Syncs, and takes no failure for a full disk: what a full disk refuses is tried again.
pub(super) fn sync_once(file: &File) -> io::Result<()> {
    file.sync_all().map_err(failed)
}

/// Replaces a file whole, or not at all: temporary file, sync, rename, sync of the folder. A full disk says so.
pub(super) fn replace_whole(path: &Path, pieces: &[impl AsRef<[u8]>]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    let mut file = File::create(&temporary)?;
    pieces.iter().try_for_each(|piece| file.write_all(piece.as_ref()))?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// Makes the names in a folder and in those above it, up to `root`, durable.
pub(super) fn sync_names(root: &Path, folder: &Path) -> io::Result<()> {
    for level in folder.ancestors().take_while(|level| level.starts_with(root)) {
        sync_once(&File::open(level)?)?;
    }
    Ok(())
}

/// Commits everything completed on the file system that `root` is in, flushes its device, and tells of every write that has
/// failed since `root` was opened. Where the file system has nothing to commit, `syncfs` alone may not flush: `file`, any
/// one on it, is synced behind it, which does, and fails if the file system has given up.
pub(super) fn sync_file_system(root: &File, file: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open for as long as `root` lives.
    if unsafe { libc::syncfs(root.as_raw_fd()) } != 0 {
        return Err(failed(io::Error::last_os_error()));
    }
    sync_once(file)
}

fn failed(error: io::Error) -> io::Error {
    io::Error::other(format!("a sync failed: {error}"))
}
