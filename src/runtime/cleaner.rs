//! Compaction's reading and writing, and deleting segments: an ordinary thread per shard on the shard's core, at the lowest
//! priority, begun when there is first something to do.
//!
//! A file is deleted in pieces: freeing many blocks at once keeps the file system's locks, and with `discard` the device,
//! from everybody else for as long as it takes.
//!
//! Through the page cache, which it tells to forget what it has read and written: rounds are rare, and the data's readers
//! go past the cache. Paced: [`STEP_BYTES`] at a time, with pauses that keep it to its budget.

use std::borrow::Cow;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::resync::next_batch;
use crate::base::io::{Cleaned, Damage};
use crate::base::keys::KeyOffsets;
use crate::base::{Offset, TimestampMs};
use crate::log::{CleanRules, IndexedBatch, SparseIndex, clean_batch, note_keys};
use crate::record::{BATCH_HEADER_BYTES, BatchHeader, batch_crc};

const STEP_BYTES: u64 = 1024 * 1024;
/// A file that is deleted gets shorter by this much at a time, and then there is a pause: up to 1 GB/s.
const FREE_BYTES: u64 = 2 * 1024 * 1024;
const FREE_PAUSE: Duration = Duration::from_millis(2);
/// Of offset index, as the topic setting's default.
const INDEX_INTERVAL_BYTES: u64 = 4096;

pub(super) enum Job {
    /// The segment's `.log`; its other files go with it.
    Delete {
        path: PathBuf,
    },
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
    Clean {
        base: Offset,
        path: PathBuf,
        length: u64,
        keys: Arc<KeyOffsets>,
        now: TimestampMs,
        delete_retention_ms: u64,
    },
}

pub(super) enum Answer {
    Deleted,
    Keys(KeyOffsets),
    Cleaned(Option<Cleaned>),
    Verified { to: u64, next: Offset, damage: Vec<Damage> },
}

/// A job, its bytes a second, and where its answer goes.
type Asked = (Job, u64, flume::Sender<io::Result<Answer>>);

#[derive(Debug)]
pub(super) struct Cleaner {
    bytes_per_second: u64,
    jobs: Option<flume::Sender<Asked>>,
}

impl Cleaner {
    pub(super) fn new(bytes_per_second: u64) -> Cleaner {
        Cleaner { bytes_per_second: bytes_per_second.max(1), jobs: None }
    }

    /// For jobs from now on.
    pub(super) fn set_rate(&mut self, bytes_per_second: u64) {
        self.bytes_per_second = bytes_per_second.max(1);
    }

    /// Hands over a job; its answer comes by the channel.
    pub(super) fn begin(&mut self, job: Job) -> io::Result<flume::Receiver<io::Result<Answer>>> {
        let jobs = match &self.jobs {
            Some(jobs) => jobs.clone(),
            None => {
                let (jobs, asked) = flume::unbounded::<Asked>();
                std::thread::Builder::new().name("cleaner".to_owned()).spawn(move || work(&asked))?;
                self.jobs.insert(jobs).clone()
            }
        };
        let (answer, answered) = flume::bounded(1);
        jobs.send((job, self.bytes_per_second, answer))
            .map_err(|_| io::Error::other("the cleaner has ended"))?;
        Ok(answered)
    }
}

fn work(asked: &flume::Receiver<Asked>) {
    // SAFETY: three numbers; 0 is the calling thread. Failing leaves the priority as it is.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, 19) };
    while let Ok((job, bytes_per_second, answer)) = asked.recv() {
        let mut pace = Pace { bytes_per_second, bytes: 0, since: Instant::now() };
        let done = match job {
            Job::Delete { path } => delete(&path).map(|()| Answer::Deleted),
            Job::Map { files, keys } => map(&files, keys, &mut pace).map(Answer::Keys),
            Job::Verify { path, position, length, bytes, offsets } => {
                verify(&path, position..length, bytes, offsets)
            }
            Job::Clean { base, path, length, keys, now, delete_retention_ms } => {
                let rules = CleanRules { keys: &keys, now, delete_retention_ms };
                clean(base, &path, length, &rules, &mut pace).map(Answer::Cleaned)
            }
        };
        // The shard may have stopped.
        let _ = answer.send(done);
    }
}

/// From the first moment on, nobody takes the file for a segment any more: a crash leaves what the next start removes.
fn delete(path: &Path) -> io::Result<()> {
    let deleted = path.with_extension("deleted");
    match fs::rename(path, &deleted) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        renamed => renamed?,
    }
    for extension in ["index", "timeindex", "cleaned"] {
        match fs::remove_file(path.with_extension(extension)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            removed => removed?,
        }
    }
    let file = File::options().write(true).open(&deleted)?;
    let mut length = file.metadata()?.len();
    while length > FREE_BYTES {
        length -= FREE_BYTES;
        file.set_len(length)?;
        std::thread::sleep(FREE_PAUSE);
    }
    drop(file);
    fs::remove_file(&deleted)
}

/// Looks at each batch of a part of a segment until `bytes` have been read. A batch's own offset is not covered by its
/// checksum: batches must ascend, and lie within `offsets`. Damage is passed over if whole batches stand behind it.
fn verify(path: &Path, part: Range<u64>, bytes: u64, offsets: Range<Offset>) -> io::Result<Answer> {
    let mut batches = Batches::open_at(path, part.start, part.end)?;
    let until = part.start.saturating_add(bytes);
    let (mut to, mut next, mut damage) = (part.start, offsets.start, Vec::new());
    while to < part.end && to < until {
        let what = match batches.next().and_then(|batch| judged(path, batch, next, offsets.end)) {
            Ok((Some(header), None)) => {
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
    forget(batches.reader.get_ref());
    Ok(Answer::Verified { to, next, damage })
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

fn map(files: &[(PathBuf, u64)], mut keys: KeyOffsets, pace: &mut Pace) -> io::Result<KeyOffsets> {
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
    pace: &mut Pace,
) -> io::Result<Option<Cleaned>> {
    let mut batches = Batches::open(path, length)?;
    let cleaned = path.with_extension("cleaned");
    let mut out = BufWriter::with_capacity(256 * 1024, File::create(&cleaned)?);
    let (mut index, mut position, mut changed) = (SparseIndex::default(), 0, false);
    while let Some(batch) = batches.next()? {
        let stays =
            clean_batch(rules, &batch, batches.at == length).map_err(|error| damaged(path, &error))?;
        changed |= !matches!(stays, Some(Cow::Borrowed(_)));
        if let Some(stays) = &stays {
            let header = BatchHeader::parse(stays).map_err(|error| damaged(path, &error))?;
            let noted = IndexedBatch {
                last_offset: header.last_offset(),
                max_timestamp: header.max_timestamp,
                position,
            };
            index.note(base, noted, INDEX_INTERVAL_BYTES);
            out.write_all(stays)?;
            position += stays.len() as u64;
        }
        pace.done(batch.len() as u64 + stays.map_or(0, |stays| stays.len() as u64));
    }
    let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
    if !changed {
        drop(file);
        fs::remove_file(&cleaned)?;
        return Ok(None);
    }
    file.sync_all()?;
    forget(&file);
    let (index, time_index) = index.encode();
    Ok(Some(Cleaned { length: position, index, time_index }))
}

fn damaged(path: &Path, error: &crate::record::BatchError) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

/// The batches of a finished segment.
struct Batches<'a> {
    path: &'a Path,
    reader: BufReader<File>,
    at: u64,
    length: u64,
}

impl<'a> Batches<'a> {
    fn open(path: &'a Path, length: u64) -> io::Result<Batches<'a>> {
        Batches::open_at(path, 0, length)
    }

    fn open_at(path: &'a Path, at: u64, length: u64) -> io::Result<Batches<'a>> {
        let reader = BufReader::with_capacity(256 * 1024, File::open(path)?);
        let mut batches = Batches { path, reader, at, length };
        batches.seek(at)?;
        Ok(batches)
    }

    fn seek(&mut self, at: u64) -> io::Result<()> {
        self.at = at;
        self.reader.seek(SeekFrom::Start(at)).map(|_| ())
    }

    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
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
        Ok(Some(batch))
    }
}

impl Drop for Batches<'_> {
    fn drop(&mut self) {
        forget(self.reader.get_ref());
    }
}

/// Lets the page cache forget a file.
fn forget(file: &File) {
    // SAFETY: the descriptor is open for as long as `file` lives. The call is a hint.
    unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
}

/// Keeps to so many bytes a second.
struct Pace {
    bytes_per_second: u64,
    bytes: u64,
    since: Instant,
}

impl Pace {
    fn done(&mut self, bytes: u64) {
        self.bytes += bytes;
        if self.bytes >= STEP_BYTES {
            let due = Duration::from_secs_f64(self.bytes as f64 / self.bytes_per_second as f64);
            std::thread::sleep(due.saturating_sub(self.since.elapsed()).min(Duration::from_secs(60)));
            (self.bytes, self.since) = (0, Instant::now());
        }
    }
}
