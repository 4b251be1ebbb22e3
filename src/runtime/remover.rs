//! Deleting segments and partitions, on a thread of its own: whatever compaction is at, space that an operator needs comes
//! back, and the thread that finishes commit files has nothing to do with it.
//!
//! A segment is deleted in pieces: freeing many blocks at once keeps the file system's locks, and with `discard` the device,
//! from everybody else for as long as it takes.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::background::{Background, Priority};
use super::layout::BESIDE;

/// A file that is deleted gets shorter by this much at a time, and then there is a pause: up to 1 GB/s.
const FREE_BYTES: u64 = 2 * 1024 * 1024;
const FREE_PAUSE: Duration = Duration::from_millis(2);

/// What is to be deleted.
#[derive(Debug)]
pub(super) enum Gone {
    /// A segment's `.log`, or what is left of one under another name; its other files go with it.
    Segment(PathBuf),
    /// A partition's folder, and its topic's once that is empty.
    Partition(PathBuf),
}

pub(super) type Remover = Background<(), Gone, ()>;

pub(super) fn remover() -> Remover {
    Background::new("remover", Priority::Lowest, (), |(), gone| remove(&gone))
}

fn remove(gone: &Gone) -> io::Result<()> {
    match gone {
        Gone::Segment(path) => remove_segment(path),
        Gone::Partition(folder) => remove_partition(folder),
    }
}

/// From the first moment on, nobody takes the file for a segment any more: a crash leaves what the next start removes.
fn remove_segment(path: &Path) -> io::Result<()> {
    let deleted = path.with_extension("deleted");
    match fs::rename(path, &deleted) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        renamed => renamed?,
    }
    for extension in BESIDE.into_iter().chain(["cleaned"]) {
        absent_is_fine(fs::remove_file(path.with_extension(extension)))?;
    }
    shrink(&deleted)?;
    fs::remove_file(&deleted)
}

/// The metadata log says that the topic is gone: the next start removes what a crash leaves. Who still reads from a file goes
/// on with what it has open, so that these are not deleted in pieces.
fn remove_partition(folder: &Path) -> io::Result<()> {
    absent_is_fine(fs::remove_dir_all(folder))?;
    // The topic's folder goes with its last partition, whichever shard that is on.
    if let Some(topic) = folder.parent() {
        let _ = fs::remove_dir(topic);
    }
    Ok(())
}

/// Leaves no more of a file than may be freed at once.
fn shrink(path: &Path) -> io::Result<()> {
    let mut length = fs::metadata(path)?.len();
    if length <= FREE_BYTES {
        return Ok(());
    }
    let file = File::options().write(true).open(path)?;
    while length > FREE_BYTES {
        length -= FREE_BYTES;
        file.set_len(length)?;
        std::thread::sleep(FREE_PAUSE);
    }
    Ok(())
}

pub(super) fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
