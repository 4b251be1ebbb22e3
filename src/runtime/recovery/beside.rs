//! What recovery makes of the files beside a segment's: its index, its marks, and copies of what is damaged.

use std::fs;
use std::path::Path;

use crate::base::Offset;
use crate::base::io::SegmentId;
use crate::log::{SparseIndex, marks};
use crate::runtime::layout::{self, MARKS, segment_file};
use crate::runtime::remover::absent_is_fine;

use super::error::{RecoveryError, at};

pub(super) fn length_of(path: &Path) -> Result<u64, RecoveryError> {
    fs::metadata(path).map(|file| file.len()).map_err(at(path))
}

/// Removes the marks of a segment that is no more, or of which they do not hold.
pub(super) fn remove_marks(folder: &Path, base: Offset) -> Result<(), RecoveryError> {
    let path = segment_file(folder, base, MARKS);
    absent_is_fine(fs::remove_file(&path)).map_err(at(&path))
}

pub(super) fn keep_damaged(folder: &Path, base: Offset) -> Result<(), RecoveryError> {
    let kept = segment_file(folder, base, "log.damaged");
    fs::copy(segment_file(folder, base, "log"), &kept).map_err(at(&kept))?;
    Ok(())
}

pub(super) fn write_index(folder: &Path, base: Offset, index: &SparseIndex) -> Result<(), RecoveryError> {
    let (offsets, times) = index.encode();
    layout::write_index(folder, base, &offsets, &times).map_err(at(folder))
}

/// Writes an index's marks. Whatever a crash leaves of these is true: they need no sync.
pub(super) fn write_marks(
    folder: &Path,
    segment: SegmentId,
    index: &SparseIndex,
) -> Result<(), RecoveryError> {
    let path = segment_file(folder, segment.base, MARKS);
    fs::write(&path, marks::encode(segment, index.marks(0..index.len()))).map_err(at(&path))
}
