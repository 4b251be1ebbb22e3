//! Looking in a segment's file for the next batch behind damage. Cold and blocking.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::base::Offset;
use crate::log::{may_begin, may_follow};
use crate::record::{BATCH_HEADER_BYTES, BatchHeader, batch_crc};

const WINDOW_BYTES: usize = 1 << 20;

/// Looks in `part` of the file for a batch that is whole, matches its checksum, and has its offsets `within`. Gives the
/// batch's position and base offset.
///
/// Of such batches it is the first that nothing behind it tells against ([`may_follow`]). If there is none and `last` is
/// given, it is the first one that reaches `last`: behind a log's last batch an older segment's bytes may stand.
pub(super) fn next_batch(
    file: &File,
    part: Range<u64>,
    within: &Range<Offset>,
    last: Option<Offset>,
) -> io::Result<Option<(u64, Offset)>> {
    let (mut from, mut reaching) = (part.start, None);
    while from < part.end {
        let window = read(file, from, part.end, WINDOW_BYTES + BATCH_HEADER_BYTES)?;
        for at in 0..window.len().saturating_sub(BATCH_HEADER_BYTES - 1).min(WINDOW_BYTES) {
            let Some(header) = may_begin(window.get(at..).unwrap_or(&[]), within) else { continue };
            let position = from + at as u64;
            let found = Some((position, header.base_offset));
            match judge(file, position..part.end, &header, within)? {
                Judgement::Followed => return Ok(found),
                Judgement::Whole if last.is_some_and(|last| header.last_offset().plus(1) >= last) => {
                    reaching = reaching.or(found);
                }
                Judgement::Whole | Judgement::None => {}
            }
        }
        from += WINDOW_BYTES as u64;
    }
    Ok(reaching)
}

enum Judgement {
    /// No batch, or one that does not match its checksum.
    None,
    /// The batch matches its checksum.
    Whole,
    /// The batch matches its checksum, and nothing behind it tells against it.
    Followed,
}

fn judge(
    file: &File,
    part: Range<u64>,
    header: &BatchHeader,
    within: &Range<Offset>,
) -> io::Result<Judgement> {
    let total = header.total_bytes();
    let bytes = read(file, part.start, part.end, total + BATCH_HEADER_BYTES)?;
    Ok(match bytes.split_at_checked(total) {
        Some((batch, _)) if batch_crc(batch) != header.crc => Judgement::None,
        Some((_, next)) if may_follow(next, header, within) => Judgement::Followed,
        Some(_) => Judgement::Whole,
        None => Judgement::None,
    })
}

fn read(file: &File, from: u64, end: u64, bytes: usize) -> io::Result<Vec<u8>> {
    let bytes = usize::try_from(end.saturating_sub(from)).unwrap_or(usize::MAX).min(bytes);
    let mut window = vec![0; bytes];
    file.read_exact_at(&mut window, from)?;
    Ok(window)
}
