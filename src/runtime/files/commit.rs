//! The commit log's own files: new ones are written once through, the checkpoint is replaced whole.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use glommio::io::OpenOptions;

use crate::base::ChunkWriter;
use crate::base::io::{IoDone, WriteData};
use crate::runtime::durable::replace_whole;
use crate::runtime::layout::{commit_file, commit_folder};

use super::Files;
use super::blocking::blocking;
use super::open::plain_error;

/// A commit file is pre-written in pieces of this size, each awaited, so that the foreground's writes get in between.
const PREWRITE_PIECE_BYTES: usize = 1024 * 1024;

/// Space that is kept free for a checkpoint at least.
const RESERVE_BYTES_MIN: u64 = 256 * 1024;

impl Files {
    pub(super) async fn create_commit_file(&self, number: u32, bytes: u64) -> io::Result<IoDone> {
        let folder = commit_folder(&self.data, self.shard);
        let path = commit_file(&folder, number);
        let temporary = path.with_extension("new");
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.dma_open(&temporary).await.map_err(plain_error)?;
        let zeros = self.memory.allocate(PREWRITE_PIECE_BYTES);
        // Chunk memory comes as it is.
        let zeros = {
            let mut writer = ChunkWriter::new(zeros);
            writer.spare().fill(0);
            writer.freeze()
        };
        let mut position = 0;
        while position < bytes {
            self.write(&file, WriteData::Whole(zeros.clone()), position).await?;
            position += PREWRITE_PIECE_BYTES as u64;
        }
        file.truncate(bytes).await.map_err(plain_error)?;
        file.close().await.map_err(plain_error)?;
        let finish = move || {
            fs::File::open(&temporary)?.sync_all()?;
            fs::rename(&temporary, &path)?;
            fs::File::open(&folder)?.sync_all()?;
            Ok(IoDone::Done)
        };
        blocking(finish).await
    }

    pub(super) async fn write_checkpoint(&self, bytes: Vec<u8>) -> io::Result<IoDone> {
        let path = commit_folder(&self.data, self.shard).join("checkpoint");
        blocking(move || replace_with_reserve(&path, &bytes)).await
    }
}

/// Replaces a file even when the disk is full: space for it is kept in another file, which is given up then. What the
/// new checkpoint allows to be deleted gives more space than it took.
fn replace_with_reserve(path: &Path, bytes: &[u8]) -> io::Result<IoDone> {
    let reserve = path.with_extension("reserve");
    let replaced = match replace_whole(path, &[bytes]) {
        Err(error) if matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT)) => {
            // Without a reserve the disk is just full.
            fs::remove_file(&reserve).map_err(|_| error)?;
            replace_whole(path, &[bytes])
        }
        other => other,
    };
    let wanted = (2 * bytes.len() as u64).max(RESERVE_BYTES_MIN);
    if replaced.is_ok() && fs::metadata(&reserve).map_or(0, |it| it.len()) < wanted {
        // If there is no space for it now, the next checkpoint tries again.
        let _ = keep_space(&reserve, wanted);
    }
    replaced.map(|()| IoDone::Done)
}

fn keep_space(reserve: &Path, bytes: u64) -> io::Result<()> {
    let file = fs::OpenOptions::new().create(true).write(true).truncate(false).open(reserve)?;
    let length = libc::off_t::try_from(bytes).map_err(io::Error::other)?;
    // SAFETY: the descriptor is open for as long as `file` lives.
    match unsafe { libc::posix_fallocate(file.as_raw_fd(), 0, length) } {
        0 => file.sync_all(),
        error => {
            fs::remove_file(reserve)?;
            Err(io::Error::from_raw_os_error(error))
        }
    }
}
