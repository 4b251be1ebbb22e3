//! Snapshots of the metadata log, in files beside its segments: written and removed on a thread of its own, since they are
//! megabytes and nobody waits for them; and found by a start.
//!
//! ```text
//! <offset as 20 digits>-<epoch as 10 digits>.snapshot    stands for all records before the offset, the last of them of this epoch
//! file = record batch*                                   each record's value is a record of the controller's snapshot
//! ```

use std::cmp::Reverse;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::background::{Background, Priority};
use super::durable::{replace_whole, sync_names};
use super::layout::{SNAPSHOT, snapshot_end, snapshot_file};
use super::remover::absent_is_fine;
use crate::base::{LogEnd, Offset};

#[derive(Debug)]
pub(super) enum Job {
    Write { end: LogEnd, pieces: Vec<Vec<u8>> },
    Remove { below: Offset },
}

/// Jobs in the folder of the metadata log.
pub(super) type Snapshots = Background<(), (PathBuf, Job), ()>;

pub(super) fn snapshots() -> Snapshots {
    Background::new("snapshots", Priority::Lowest, (), |(), (folder, job)| perform(&folder, job))
}

fn perform(folder: &Path, job: Job) -> io::Result<()> {
    match job {
        Job::Write { end, pieces } => {
            // A server that begins with the snapshot of another has no metadata log yet.
            fs::create_dir_all(folder)?;
            replace_whole(&snapshot_file(folder, end), &pieces)?;
            folder.ancestors().nth(3).map_or(Ok(()), |data| sync_names(data, folder))
        }
        Job::Remove { below } => {
            let mut older = newest_first(folder)?.into_iter().filter(|(end, _)| end.end < below);
            older.try_for_each(|(_, path)| absent_is_fine(fs::remove_file(path)))
        }
    }
}

/// The snapshots in a folder, as they are named.
pub(super) fn newest_first(folder: &Path) -> io::Result<Vec<(LogEnd, PathBuf)>> {
    let mut found = Vec::new();
    if !folder.exists() {
        return Ok(found);
    }
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|it| it == SNAPSHOT) {
            found.extend(snapshot_end(&path).map(|end| (end, path)));
        }
    }
    found.sort_by_key(|(end, _)| Reverse((end.end, end.last_epoch)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::LeaderEpoch;

    #[test]
    fn snapshots_are_found_by_their_names_and_old_ones_are_removed() {
        let scratch = tempfile::tempdir().expect("a scratch directory");
        let folder = scratch.path().join("topics/metadata/0");
        let end = |end, epoch| LogEnd { last_epoch: LeaderEpoch(epoch), end: Offset(end) };
        assert_eq!(newest_first(&folder).expect("no folder"), []);
        for (at, epoch, pieces) in
            [(50, 1, vec![b"fi".to_vec(), b"fty".to_vec()]), (1000, 3, vec![]), (1000, 2, vec![])]
        {
            perform(&folder, Job::Write { end: end(at, epoch), pieces }).expect("writable");
        }
        for other in
            ["00000000000000000007-0000000001.new", "seven.snapshot", "-7-1.snapshot", "7--1.snapshot"]
        {
            fs::write(folder.join(other), b"").expect("writable");
        }
        let ends = || {
            let found = newest_first(&folder).expect("readable");
            found.into_iter().map(|(end, _)| end).collect::<Vec<_>>()
        };
        assert_eq!(ends(), [end(1000, 3), end(1000, 2), end(50, 1)]);
        assert_eq!(fs::read(snapshot_file(&folder, end(50, 1))).expect("there"), b"fifty");
        for (below, left) in [(50, 3), (51, 2), (1000, 2), (1001, 0)] {
            perform(&folder, Job::Remove { below: Offset(below) }).expect("writable");
            assert_eq!(ends().len(), left, "below {below}");
        }
    }
}
