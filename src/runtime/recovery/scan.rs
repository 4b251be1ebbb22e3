//! Walking over the batches of a segment's file, from one to the next, and past damage where something durable is lacking.
//!
//! Which batch may follow, and what it means if none does, is decided in [`crate::log`]'s `recovery`.

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

use crate::base::{Offset, TimestampMs};
use crate::log::{Interruption, Reach, Stands, Verdict};
use crate::record::{BATCH_HEADER_BYTES, BatchHeader, batch_crc};
use crate::runtime::cleaner::advise;
use crate::runtime::resync;

use super::error::{RecoveryError, at};

/// Read at a time where a whole segment may follow.
pub(super) const READ_BYTES: usize = 64 * 1024;
/// Read at a time where little is expected to be read.
const READ_LITTLE_BYTES: usize = 16 * 1024;

/// Which batch may follow.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Follows {
    /// The one with the next offset.
    Each,
    /// Any with a higher offset: compaction took some out.
    Gaps,
}

/// Whose checksums are verified.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Checksums {
    /// Every batch's.
    OfAll,
    /// Only those of batches that claim to go beyond the limit.
    BeyondLimit,
}

pub(super) struct Rules {
    pub(super) follows: Follows,
    pub(super) checksums: Checksums,
    pub(super) segment: Offset,
    /// Damage below is passed over, if something whole stands behind it; above, damage is the end.
    pub(super) durable: Offset,
    /// Where the next segment begins, if its beginning was durable: only what adjoins goes beyond.
    pub(super) limit: Offset,
    pub(super) log_start: Offset,
}

impl Rules {
    fn allow(&self, header: &BatchHeader, expected: Offset) -> bool {
        let follows = match self.follows {
            Follows::Each => header.base_offset == expected,
            Follows::Gaps => header.base_offset >= expected && header.last_offset() < self.limit,
        };
        (follows || header.base_offset == expected) && header.last_offset_delta >= 0
    }

    fn trust(&self, header: &BatchHeader) -> bool {
        self.checksums == Checksums::BeyondLimit && header.last_offset() < self.limit
    }

    pub(super) fn interruption(&self, expected: Offset) -> Interruption {
        let Rules { segment, durable, limit, log_start, .. } = *self;
        Interruption { segment, expected, durable, limit, log_start }
    }
}

/// What a walk came to.
pub(super) struct Walked {
    pub(super) reach: Reach,
    /// Said of each place where batches did not go on, and a batch stood behind.
    pub(super) passed_over: Vec<Verdict>,
    /// What the first bytes behind the last batch are.
    pub(super) stands: Stands,
}

/// Walks over the batches of a file.
pub(super) struct Scan<'a> {
    path: &'a Path,
    reader: BufReader<File>,
    /// Where the last whole batch ends.
    end: u64,
    length: u64,
    /// The bytes from there on, as many of them as a header has, or as there are.
    head: [u8; BATCH_HEADER_BYTES],
    head_bytes: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn open(path: &'a Path, position: u64, length: u64) -> Result<Scan<'a>, RecoveryError> {
        let file = File::open(path).map_err(at(path))?;
        let reader = BufReader::with_capacity(READ_BYTES, file);
        let head = [0; BATCH_HEADER_BYTES];
        let mut scan = Scan { path, reader, end: position, length, head, head_bytes: 0 };
        scan.seek(position)?;
        Ok(scan)
    }

    /// Opens a file of which a few batches are expected: nothing is read ahead, which tells with ten thousand partitions.
    pub(super) fn open_for_little(
        path: &'a Path,
        position: u64,
        length: u64,
    ) -> Result<Scan<'a>, RecoveryError> {
        let mut scan = Scan::open(path, position, length)?;
        let file = scan.reader.into_inner();
        advise(&file, 0..0, libc::POSIX_FADV_RANDOM);
        scan.reader = BufReader::with_capacity(READ_LITTLE_BYTES, file);
        Ok(scan)
    }

    fn seek(&mut self, position: u64) -> Result<(), RecoveryError> {
        self.end = position;
        self.reader.seek(SeekFrom::Start(position)).map(|_| ()).map_err(at(self.path))
    }

    /// Follows batches from `expected` on, past damage, and shows `each` with its position and bytes.
    pub(super) fn walk(
        &mut self,
        mut expected: Offset,
        rules: &Rules,
        each: &mut dyn FnMut(&BatchHeader, u64, &[u8]),
    ) -> Result<Walked, RecoveryError> {
        let mut passed_over = Vec::new();
        loop {
            let position = self.end;
            if let Some((header, batch)) = self.next(|header| rules.allow(header, expected))? {
                if rules.trust(&header) || batch_crc(&batch) == header.crc {
                    each(&header, position, &batch);
                    expected = header.last_offset().plus(1);
                    continue;
                }
                self.end = position;
            }
            let Some((verdict, behind)) = self.pass_over(&rules.interruption(expected))? else {
                let reach = Reach { position: self.end, ends: expected };
                return Ok(Walked { reach, passed_over, stands: Stands::of(self.head(), rules.segment) });
            };
            passed_over.push(verdict);
            expected = behind;
        }
    }

    /// Goes on at the next batch behind the interruption, if there is one and the log goes on with it: what that means, and its
    /// base offset.
    fn pass_over(&mut self, interruption: &Interruption) -> Result<Option<(Verdict, Offset)>, RecoveryError> {
        let Some(within) = interruption.sought() else { return Ok(None) };
        let (part, last) = (self.end..self.length, Some(interruption.durable_end()));
        let found = resync::next_batch(self.reader.get_ref(), part, &within, last).map_err(at(self.path))?;
        let Some((position, behind)) = found else { return Ok(None) };
        let Some(verdict) = interruption.verdict(behind) else { return Ok(None) };
        self.seek(position)?;
        Ok(Some((verdict, behind)))
    }

    /// The next batch, whole, if there is one and its header is `wanted`.
    pub(super) fn next(
        &mut self,
        wanted: impl Fn(&BatchHeader) -> bool,
    ) -> Result<Option<(BatchHeader, Vec<u8>)>, RecoveryError> {
        let Some(header) = self.read_header()? else { return Ok(None) };
        let total = header.total_bytes();
        if !wanted(&header) || self.end + total as u64 > self.length {
            return Ok(None);
        }
        let mut batch = self.head.to_vec();
        batch.resize(total, 0);
        self.reader.read_exact(&mut batch[BATCH_HEADER_BYTES..]).map_err(at(self.path))?;
        self.end += total as u64;
        Ok(Some((header, batch)))
    }

    /// Looks at everything behind the last batch.
    pub(super) fn all_that_stands(&mut self) -> Result<Stands, RecoveryError> {
        self.seek(self.end)?;
        let mut piece = vec![0; READ_BYTES];
        let mut stands = Stands::Nothing;
        loop {
            let read = self.reader.read(&mut piece).map_err(at(self.path))?;
            match piece.get(..read) {
                None | Some([]) => return Ok(stands),
                Some(bytes) if bytes.iter().any(|byte| *byte != 0) => return Ok(Stands::Bytes),
                Some(_) => stands = Stands::Zeros,
            }
        }
    }

    fn head(&self) -> &[u8] {
        self.head.get(..self.head_bytes).unwrap_or(&self.head)
    }

    /// Reads the next header. `None` at the end, at zeros, and at anything that is no batch.
    fn read_header(&mut self) -> Result<Option<BatchHeader>, RecoveryError> {
        self.head_bytes = 0;
        while let Some(rest) = self.head.get_mut(self.head_bytes..).filter(|rest| !rest.is_empty()) {
            match self.reader.read(rest) {
                Ok(0) => return Ok(None),
                Ok(read) => self.head_bytes += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(at(self.path)(error)),
            }
        }
        Ok(BatchHeader::parse(&self.head).ok())
    }
}

/// The timestamp of the first batch of a segment, if there is one: what an older segment left in the file lies below `base`.
pub(super) fn first_timestamp(path: &Path, base: Offset) -> Result<Option<TimestampMs>, RecoveryError> {
    let mut scan = Scan::open_for_little(path, 0, u64::MAX)?;
    let header = scan.read_header()?.filter(|header| header.base_offset >= base);
    Ok(header.map(|header| header.base_timestamp))
}
