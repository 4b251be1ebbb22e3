//! Compaction's reading and writing, and scrubbing's, on a thread of their own; on another, what makes an index anew, for
//! which readers wait.
//!
//! Through the page cache, but in steps of [`STEP_BYTES`]: a step is read without reading ahead, written back at once and
//! then forgotten, so that the disk never has more than a step of it before a commit, and the cache never holds a
//! segment. Pauses between steps keep it to its budget, which the shard changes as the foreground comes and goes.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::background::{Background, Priority};
use super::layout::write_index;
use super::resync::next_batch;
use crate::base::io::{Cleaned, Damage};
use crate::base::keys::KeyOffsets;
use crate::base::{Offset, TimestampMs};
use crate::log::{CleanRules, IndexedBatch, SparseIndex, clean_batch, note_keys};
use crate::record::{BATCH_HEADER_BYTES, BatchHeader, batch_crc};

const STEP_BYTES: u64 = 1024 * 1024;
const BUFFER_BYTES: usize = 256 * 1024;
/// The longest sleep of a pause: after it the pause looks whether it may be shorter.
const PAUSE_MAX: Duration = Duration::from_millis(200);
/// Bytes of a segment between two entries of its new index: the default of the topic setting.
const INDEX_INTERVAL_BYTES: u64 = 4096;

#[derive(Debug)]
pub(super) enum Job {
    Map {
        files: Vec<(PathBuf, u64)>,
        keys: KeyOffsets,
    },
    Verify {
        path: PathBuf,
        position: u64,
        length: u64,
        bytes: u64,
        offsets: Range<Offset>,
    },
    Index {
        base: Offset,
        path: PathBuf,
        length: u64,
        offsets: Range<Offset>,
    },
    Clean {
        base: Offset,
        path: PathBuf,
        length: u64,
        keys: Arc<KeyOffsets>,
        now: TimestampMs,
        delete_retention_ms: u64,
        staying: Vec<Offset>,
    },
}

#[derive(Debug)]
pub(super) enum Answer {
    Keys(KeyOffsets),
    Cleaned(Option<Cleaned>),
    Verified { to: u64, next: Offset, damage: Vec<Damage> },
    Index { index: Vec<u8>, time_index: Vec<u8> },
}

pub(super) type Cleaner = Background<Rate, Job, Answer>;

/// Bytes a second, which the shard changes as the foreground comes and goes: from the next step on.
pub(super) type Rate = AtomicU64;

pub(super) fn cleaner(bytes_per_second: u64) -> Cleaner {
    Background::new("cleaner", Priority::Lowest, Rate::new(bytes_per_second), work)
}

/// A cleaner without a budget: does its jobs as fast as it can.
pub(super) fn indexer() -> Cleaner {
    Background::new("indexer", Priority::Lowest, Rate::new(u64::MAX), work)
}

fn work(rate: &Rate, job: Job) -> io::Result<Answer> {
    let mut pace = Pace { rate, bytes: 0, since: Instant::now() };
    match job {
        Job::Map { files, keys } => map(&files, keys, &mut pace).map(Answer::Keys),
        Job::Verify { path, position, length, bytes, offsets } => {
            verify(&path, position..length, bytes, offsets, &mut |_, _| {})
        }
        Job::Index { base, path, length, offsets } => index(base, &path, length, offsets),
        Job::Clean { base, path, length, keys, now, delete_retention_ms, staying } => {
            let rules = CleanRules { keys: &keys, now, delete_retention_ms, staying: &staying };
            clean(base, &path, length, &rules, &mut pace).map(Answer::Cleaned)
        }
    }
}

/// Looks at each batch of a part of a segment until `bytes` have been read. A batch's own offset is not covered by its
/// checksum: batches must ascend, and lie within `offsets`. Damage is passed over if whole batches stand behind it. `each`
/// gets the others, with their positions.
fn verify(
    path: &Path,
    part: Range<u64>,
    bytes: u64,
    offsets: Range<Offset>,
    each: &mut dyn FnMut(&BatchHeader, u64),
) -> io::Result<Answer> {
    let mut batches = Batches::open_at(path, part.start, part.end)?;
    let until = part.start.saturating_add(bytes);
    let (mut to, mut next, mut damage) = (part.start, offsets.start, Vec::new());
    while to < part.end && to < until {
        let what = match batches.next().and_then(|batch| judged(path, batch, next, offsets.end)) {
            Ok((Some(header), None)) => {
                each(&header, to);
                (to, next) = (batches.at, header.last_offset().plus(1));
                continue;
            }
            Ok((None, _)) => break,
            Ok((_, Some(what))) => what,
            Err(error) => error.to_string(),
        };
        let found = next_batch(batches.reader.get_ref(), to..part.end, &(next..offsets.end), None)?;
        let (behind, after) = found.unwrap_or((part.end, offsets.end));
        damage.push(Damage { position: to, offsets: next..after, what });
        (to, next) = (behind, after);
        batches.seek(to)?;
    }
    if to == part.end && next < offsets.end {
        let what = format!("its batches end at {next}, the next segment begins at {}", offsets.end);
        damage.push(Damage { position: to, offsets: next..offsets.end, what });
    }
    Ok(Answer::Verified { to, next, damage })
}

/// Makes a finished segment's index anew from its whole batches, and writes its files.
fn index(base: Offset, path: &Path, length: u64, offsets: Range<Offset>) -> io::Result<Answer> {
    let mut index = SparseIndex::default();
    verify(path, 0..length, u64::MAX, offsets, &mut |header, position| {
        index.note(base, IndexedBatch::of(header, position), INDEX_INTERVAL_BYTES);
    })?;
    let (index, time_index) = index.encode();
    let folder = path.parent().unwrap_or(path);
    if let Err(error) = write_index(folder, base, &index, &time_index) {
        // It is there for now; the next start, or the next reader, makes it again.
        tracing::warn!(segment = %path.display(), %error, "an index cannot be written");
    }
    Ok(Answer::Index { index, time_index })
}

/// A batch's header, and what is wrong with the batch.
fn judged(
    path: &Path,
    batch: Option<Vec<u8>>,
    next: Offset,
    end: Offset,
) -> io::Result<(Option<BatchHeader>, Option<String>)> {
    let Some(batch) = batch else { return Ok((None, None)) };
    let header = BatchHeader::parse(&batch).map_err(|error| damaged(path, &error))?;
    let what = if batch_crc(&batch) != header.crc {
        Some(format!("batch {} does not match its checksum", header.base_offset))
    } else if header.base_offset < next || header.last_offset() >= end {
        Some(format!("batch {} where {next} was expected", header.base_offset))
    } else {
        None
    };
    Ok((Some(header), what))
}

fn map(files: &[(PathBuf, u64)], mut keys: KeyOffsets, pace: &mut Pace<'_>) -> io::Result<KeyOffsets> {
    for (path, length) in files {
        let mut batches = Batches::open(path, *length)?;
        while let Some(batch) = batches.next()? {
            if !note_keys(&mut keys, &batch).map_err(|error| damaged(path, &error))? {
                return Ok(keys);
            }
            pace.done(batch.len() as u64);
        }
    }
    Ok(keys)
}

fn clean(
    base: Offset,
    path: &Path,
    length: u64,
    rules: &CleanRules<'_>,
    pace: &mut Pace<'_>,
) -> io::Result<Option<Cleaned>> {
    let mut batches = Batches::open(path, length)?;
    let cleaned = path.with_extension("cleaned");
    let mut out = Output::new(File::create(&cleaned)?);
    let (mut index, mut changed) = (SparseIndex::default(), false);
    while let Some(batch) = batches.next()? {
        let stays =
            clean_batch(rules, &batch, batches.at == length).map_err(|error| damaged(path, &error))?;
        changed |= !matches!(stays, Some(Cow::Borrowed(_)));
        if let Some(stays) = &stays {
            let header = BatchHeader::parse(stays).map_err(|error| damaged(path, &error))?;
            index.note(base, IndexedBatch::of(&header, out.at), INDEX_INTERVAL_BYTES);
            out.append(stays)?;
        }
        pace.done(batch.len() as u64 + stays.map_or(0, |stays| stays.len() as u64));
    }
    if !changed {
        drop(out);
        fs::remove_file(&cleaned)?;
        return Ok(None);
    }
    let length = out.finish()?;
    let (index, time_index) = index.encode();
    Ok(Some(Cleaned { length, index, time_index }))
}

fn damaged(path: &Path, error: &crate::record::BatchError) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

/// The batches of a finished segment.
pub(super) struct Batches<'a> {
    path: &'a Path,
    reader: BufReader<File>,
    /// Where the next one begins.
    pub(super) at: u64,
    length: u64,
    /// The page cache holds nothing of the file below.
    forgotten_to: u64,
}

impl<'a> Batches<'a> {
    fn open(path: &'a Path, length: u64) -> io::Result<Batches<'a>> {
        Batches::open_at(path, 0, length)
    }

    pub(super) fn open_at(path: &'a Path, at: u64, length: u64) -> io::Result<Batches<'a>> {
        let file = File::open(path)?;
        advise(&file, 0..0, libc::POSIX_FADV_RANDOM);
        let reader = BufReader::with_capacity(BUFFER_BYTES, file);
        let mut batches = Batches { path, reader, at, length, forgotten_to: at };
        batches.seek(at)?;
        Ok(batches)
    }

    pub(super) fn file(&self) -> &File {
        self.reader.get_ref()
    }

    pub(super) fn seek(&mut self, at: u64) -> io::Result<()> {
        self.at = at;
        self.reader.seek(SeekFrom::Start(at)).map(|_| ())
    }

    pub(super) fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.at >= self.length {
            return Ok(None);
        }
        let mut batch = vec![0; BATCH_HEADER_BYTES];
        self.reader.read_exact(&mut batch)?;
        let header = BatchHeader::parse(&batch).map_err(|error| damaged(self.path, &error))?;
        let total = header.total_bytes();
        if self.at + total as u64 > self.length {
            return Err(io::Error::other(format!("{}: a batch goes beyond the end", self.path.display())));
        }
        batch.resize(total, 0);
        self.reader.read_exact(batch.get_mut(BATCH_HEADER_BYTES..).unwrap_or_default())?;
        self.at += total as u64;
        if self.at >= self.forgotten_to + STEP_BYTES {
            advise(self.reader.get_ref(), self.forgotten_to..self.at, libc::POSIX_FADV_DONTNEED);
            self.forgotten_to = self.at;
        }
        Ok(Some(batch))
    }
}

impl Drop for Batches<'_> {
    fn drop(&mut self) {
        advise(self.reader.get_ref(), 0..0, libc::POSIX_FADV_DONTNEED);
    }
}

/// What stays of a segment, on its way to the disk.
struct Output {
    file: BufWriter<File>,
    at: u64,
    written_back_to: u64,
}

impl Output {
    fn new(file: File) -> Output {
        Output { file: BufWriter::with_capacity(BUFFER_BYTES, file), at: 0, written_back_to: 0 }
    }

    fn append(&mut self, batch: &[u8]) -> io::Result<()> {
        self.file.write_all(batch)?;
        self.at += batch.len() as u64;
        if self.at >= self.written_back_to + STEP_BYTES {
            self.file.flush()?;
            let step = self.written_back_to..self.at;
            write_back(self.file.get_ref(), step.clone())?;
            advise(self.file.get_ref(), step, libc::POSIX_FADV_DONTNEED);
            self.written_back_to = self.at;
        }
        Ok(())
    }

    /// Everything is on stable storage, but for the file's name.
    fn finish(self) -> io::Result<u64> {
        let file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        advise(&file, 0..0, libc::POSIX_FADV_DONTNEED);
        Ok(self.at)
    }
}

/// Tells the page cache what is to come of part of a file; of all of it, if the part is empty.
pub(super) fn advise(file: &File, part: Range<u64>, advice: libc::c_int) {
    let (from, length) = span(&part);
    // SAFETY: the descriptor is open for as long as `file` lives. The call is a hint.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), from, length, advice) };
}

/// Brings part of a file to the disk and waits, without the commit of the file system's journal that a sync costs.
fn write_back(file: &File, part: Range<u64>) -> io::Result<()> {
    const THROUGH: libc::c_uint =
        libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE | libc::SYNC_FILE_RANGE_WAIT_AFTER;
    let (from, length) = span(&part);
    // SAFETY: numbers, and a descriptor that is open for as long as `file` lives.
    match unsafe { libc::sync_file_range(file.as_raw_fd(), from, length, THROUGH) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn span(part: &Range<u64>) -> (libc::off64_t, libc::off64_t) {
    let number = |bytes| libc::off64_t::try_from(bytes).unwrap_or(libc::off64_t::MAX);
    (number(part.start), number(part.end - part.start))
}

/// Keeps to so many bytes a second, looking anew at how many with each step.
struct Pace<'a> {
    rate: &'a Rate,
    bytes: u64,
    since: Instant,
}

impl Pace<'_> {
    fn done(&mut self, bytes: u64) {
        self.bytes += bytes;
        while self.bytes >= STEP_BYTES {
            let rate = self.rate.load(Ordering::Relaxed).max(1);
            let due = Duration::from_secs_f64(self.bytes as f64 / rate as f64);
            let left = due.saturating_sub(self.since.elapsed());
            if left.is_zero() {
                (self.bytes, self.since) = (0, Instant::now());
                return;
            }
            std::thread::sleep(left.min(PAUSE_MAX));
        }
    }
}
