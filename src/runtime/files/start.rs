//! What a shard's files need before the first operation: the probe of polled I/O, and how many may be open.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use glommio::io::DmaFile;

use crate::base::ShardId;

use super::open::plain_error;

/// glommio decides once per thread and device whether polled I/O works, by one read of the first file it opens; on an
/// empty file it decides wrongly and later reads fail. So the first file is this one, and each shard has its own: writing
/// it makes it empty for a moment.
pub async fn probe(data: &Path, shard: ShardId) -> io::Result<()> {
    let path = probe_file(data, shard);
    fs::write(&path, vec![0; 4096]).and_then(|()| fs::File::open(&path)?.sync_all())?;
    let file = DmaFile::open(&path).await.map_err(plain_error)?;
    file.close().await.map_err(plain_error)
}

pub(super) fn probe_file(data: &Path, shard: ShardId) -> PathBuf {
    data.join(format!("meta/probe-{shard}"))
}

/// Segment files that each shard may keep open: half of the descriptors are for them, half for connections.
#[must_use]
pub fn handles_max(shards: u16) -> usize {
    const HANDLES_MIN: u64 = 128;
    const HANDLES_MAX: u64 = 64 * 1024;
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a limit that outlives the call; a failure leaves it as it is.
    unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) };
    let each = limit.rlim_cur / 2 / u64::from(shards);
    usize::try_from(each.clamp(HANDLES_MIN, HANDLES_MAX)).unwrap_or(usize::MAX)
}
