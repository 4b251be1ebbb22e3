//! The decisions of the commit log: which entries the next group takes, where it is written, and which files are free.
//!
//! Files are used in turn. The one that is being filled is the *current* file. A file that was filled stays *full* until
//! everything in it is synced in segments; then it is *reclaimed*, which makes it *ready* to be filled again. The last ready
//! files are the *reserve*: only tails that are logged again (*relogged*) may begin them, so that freeing a full file can
//! always finish.

mod queue;

use std::collections::VecDeque;

use crate::base::{BLOCK_BYTES, Chunk, ChunkWriter, block_ceil};

use super::group::GroupWriter;
pub use queue::{Logged, Pending, Receipt};
use queue::{Queue, Takes};

/// Fewest files: one is filled, one is being freed, and one is in reserve for the tails that freeing must log again.
pub const FILES_MIN: usize = 3;

/// The number of files begun before this one. It grows with each file that is begun, so a larger serial is newer. A file
/// that is recycled gets a new serial, which tells its new content apart from the old.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct FileSerial(pub u64);

/// One group to be written: the whole chunk, at this place. The write is durable when it is done.
#[derive(Debug)]
pub struct CommitWrite {
    pub file: u32,
    pub position: u64,
    pub data: Chunk,
    /// The serial of the file: the group's partitions keep that file from being recycled.
    pub serial: FileSerial,
}

/// What a commit log begins with, as recovery has found or made it.
#[derive(Clone, Debug)]
pub struct CommitStart {
    pub identity: [u8; 16],
    pub next_sequence: u64,
    /// Files that exist, pre-written and free.
    pub files: Vec<u32>,
    pub file_bytes: u64,
    pub files_max: usize,
    /// The largest group, a server's being [`GROUP_BYTES_MAX`](super::GROUP_BYTES_MAX). Every append that goes into the log
    /// fits it.
    pub group_bytes_max: usize,
}

#[derive(Debug)]
pub struct CommitLog {
    identity: [u8; 16],
    file_bytes: u64,
    group_bytes_max: u64,
    files_max: usize,
    next_sequence: u64,
    /// Groups with a smaller sequence are durable. With one write in flight this is the sequence of that write.
    durable_end: u64,
    previous_crc: u32,
    current: Option<CurrentFile>,
    /// Files that were filled, oldest first. Each waits until everything in it is synced in segments.
    full: VecDeque<FullFile>,
    ready: VecDeque<u32>,
    /// Files that exist or are being created.
    files: usize,
    next_file: u32,
    creating: bool,
    /// The last attempt to create a file failed: no more files will come for now.
    create_refused: bool,
    next_serial: u64,
    queue: Queue,
    /// Ready files that only re-logged tails may begin, so that freeing a file can always finish.
    reserve: usize,
    /// Receipts of the group being written. There is one write at a time: a second one beside it, of 64 KiB or more, made both
    /// so much slower (each flushes the disk's cache) that nothing was gained.
    in_flight: Option<Vec<Receipt>>,
}

#[derive(Debug)]
struct CurrentFile {
    file: u32,
    serial: FileSerial,
    position: u64,
    first_sequence: u64,
    /// The file was begun from the reserve, and the reserve is not whole again: the rest of the file is for tails that are
    /// logged again.
    is_reserve: bool,
}

#[derive(Debug)]
struct FullFile {
    file: u32,
    serial: FileSerial,
    first_sequence: u64,
}

impl CommitLog {
    #[must_use]
    pub fn new(start: CommitStart) -> CommitLog {
        let group_bytes_max = start.group_bytes_max as u64;
        assert!(start.group_bytes_max >= 2 * BLOCK_BYTES, "a group holds any tail");
        assert!(start.file_bytes >= 4 * group_bytes_max, "a file holds several groups");
        assert!(start.files_max >= FILES_MIN, "fewer files cannot make progress");
        CommitLog {
            identity: start.identity,
            file_bytes: start.file_bytes,
            group_bytes_max,
            files_max: start.files_max,
            next_sequence: start.next_sequence,
            durable_end: start.next_sequence,
            previous_crc: 0,
            current: None,
            full: VecDeque::new(),
            files: start.files.len(),
            next_file: start.files.iter().max().map_or(0, |last| last + 1),
            ready: start.files.into(),
            creating: false,
            create_refused: false,
            next_serial: 0,
            queue: Queue::new(start.group_bytes_max),
            reserve: 1,
            in_flight: None,
        }
    }

    /// Queues an entry. The caller bounds what waits by admission: see [`CommitLog::pending_bytes`].
    pub fn push(&mut self, entry: Pending) {
        self.queue.push(entry);
    }

    /// Queues a tail (less than a block) that must move out of an old file before that file can be freed, or a step of a cut,
    /// for which an old file is kept as well. They may use the reserve. None is behind an append of its own partition: that
    /// one waits until all its appends are durable.
    pub fn relog(&mut self, entry: Pending) {
        self.queue.relog(entry);
    }

    /// Says how many partitions may need their tails re-logged at once; decides how many files are held in reserve.
    pub fn reserve_for(&mut self, partitions: usize) {
        // At worst each tail has a group of its own, or both entries of a cut, during which there is no tail. At a file's end
        // less than the largest group stays unused.
        let tails = partitions as u64 * 2 * BLOCK_BYTES as u64;
        let usable = self.file_bytes - self.group_bytes_max;
        self.reserve = usize::try_from(tails.div_ceil(usable)).unwrap_or(usize::MAX).max(1);
        self.files_max = self.files_max.max(self.reserve + FILES_MIN - 1);
        self.note_whole_reserve();
    }

    /// Bytes that wait for a group.
    #[must_use]
    pub fn pending_bytes(&self) -> usize {
        self.queue.bytes()
    }

    /// Whether nothing waits and nothing is being written.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.queue.is_empty() && self.in_flight.is_none()
    }

    /// Files that exist, and how many of them are free.
    #[must_use]
    pub fn file_counts(&self) -> (usize, usize) {
        (self.files, self.ready.len())
    }

    #[must_use]
    pub fn identity(&self) -> [u8; 16] {
        self.identity
    }

    /// The next group, if entries wait, none is being written and there is a file with room. Its receipts are listed by
    /// [`CommitLog::issued`] and given back by [`CommitLog::written`].
    pub fn gather(&mut self, allocate: &mut dyn FnMut(usize) -> Chunk) -> Option<CommitWrite> {
        if self.in_flight.is_some() || self.is_idle() {
            return None;
        }
        let has_room = self.has_room_besides_the_reserve();
        let selection = self.queue.select(if has_room { Takes::Everything } else { Takes::OnlyTails });
        if selection.is_empty() {
            return None;
        }
        let held_back = if selection.relogged > 0 { 0 } else { self.reserve };
        if self.lacks_room(selection.bytes) && !self.rotate(held_back) {
            return None;
        }
        assert!(!self.lacks_room(selection.bytes), "a fresh file holds several groups");
        let sequence = self.next_sequence;
        let blocks = block_ceil(selection.bytes as u64);
        let mut writer = ChunkWriter::new(allocate(usize::try_from(blocks).expect("a group is bounded")));
        let mut group = GroupWriter::new(writer.spare());
        let mut receipts = Vec::with_capacity(selection.relogged + selection.entries);
        for entry in self.queue.take(selection) {
            group.entry(&entry.says, entry.data.iter().flatten().map(|piece| &**piece));
            receipts.push(entry.receipt);
        }
        self.previous_crc = group.finish(self.identity, sequence, self.durable_end, self.previous_crc);
        writer.advance(writer.room());
        self.next_sequence += 1;
        self.in_flight = Some(receipts);
        let current = self.current.as_mut().expect("rotated to a file above");
        let position = current.position;
        current.position += blocks;
        Some(CommitWrite { file: current.file, position, data: writer.freeze(), serial: current.serial })
    }

    /// The receipts of the group being written.
    #[must_use]
    pub fn issued(&self) -> &[Receipt] {
        self.in_flight.as_deref().unwrap_or(&[])
    }

    /// Notes that the group in flight is durable. Returns its receipts.
    pub fn written(&mut self) -> Vec<Receipt> {
        let receipts = self.in_flight.take().expect("a group was being written");
        self.durable_end = self.next_sequence;
        assert!(self.durable_end >= 1, "sequences begin at 1 or above");
        receipts
    }

    /// The sequence of the newest group that is durable.
    #[must_use]
    pub fn durable_sequence(&self) -> u64 {
        self.durable_end.saturating_sub(1)
    }

    /// Drops all that waits for a group, because it was made durable in another way. Returns its receipts.
    pub fn give_up(&mut self) -> Vec<Receipt> {
        self.queue.take_all().map(|entry| entry.receipt).collect()
    }

    /// The number and size of a file to be created now, if only the reserve is left. Files are created ahead, because creating
    /// one may take longer than filling half of one. [`CommitLog::created`] or [`CommitLog::create_failed`] must follow.
    pub fn create(&mut self) -> Option<(u32, u64)> {
        // A reserve that has grown with the number of partitions may be larger than the number of ready files.
        if self.creating || self.files >= self.files_max || self.ready.len() > self.reserve {
            return None;
        }
        self.creating = true;
        self.files += 1;
        let file = self.next_file;
        self.next_file += 1;
        Some((file, self.file_bytes))
    }

    /// Notes that the file of [`CommitLog::create`] exists now and is pre-written.
    pub fn created(&mut self, file: u32) {
        assert!(self.creating, "a file was being created");
        self.creating = false;
        self.create_refused = false;
        self.ready.push_back(file);
        self.note_whole_reserve();
    }

    /// Notes that creating the file failed (no space). The log goes on with the files it has.
    pub fn create_failed(&mut self) {
        self.creating = false;
        self.create_refused = true;
        self.files -= 1;
    }

    /// How far the log has come, in bytes. A file that was left before its end counts whole.
    #[must_use]
    pub fn head(&self) -> u64 {
        self.current.as_ref().map_or(0, |current| current.serial.0 * self.file_bytes + current.position)
    }

    /// The serial of the file being filled.
    #[must_use]
    pub fn current_serial(&self) -> Option<FileSerial> {
        self.current.as_ref().map(|current| current.serial)
    }

    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.file_bytes
    }

    /// How many files appends can fill before they wait.
    #[must_use]
    pub fn usable_files(&self) -> usize {
        self.files_max.saturating_sub(self.reserve)
    }

    /// The oldest full file, if it must be freed now because only the reserve is left and no new file will come.
    #[must_use]
    pub fn short_of_files(&self) -> Option<FileSerial> {
        let none_to_come = !self.creating && (self.files >= self.files_max || self.create_refused);
        let oldest = self.full.front()?;
        (none_to_come && self.ready.len() <= self.reserve).then_some(oldest.serial)
    }

    /// The newest full file that can be freed, and how many files would be free with it. `needed` is the oldest file that some
    /// partition still needs.
    #[must_use]
    pub fn freeable(&self, needed: Option<FileSerial>) -> Option<(FileSerial, usize)> {
        let count = self.full.partition_point(|full| needed.is_none_or(|needed| full.serial < needed));
        Some((self.full.get(count.checked_sub(1)?)?.serial, count))
    }

    /// Makes the full files up to `serial` ready again: nothing in them is needed any more.
    pub fn reclaimed(&mut self, serial: FileSerial) {
        while let Some(full) = self.full.front()
            && full.serial <= serial
        {
            self.ready.push_back(full.file);
            self.full.pop_front();
        }
        self.note_whole_reserve();
    }

    /// Sequence where replay may begin once everything up to and including the file `serial` is in segments.
    #[must_use]
    pub fn replay_from_after(&self, serial: FileSerial) -> u64 {
        let later_full = self.full.iter().find(|full| full.serial > serial).map(|full| full.first_sequence);
        let current = self
            .current
            .as_ref()
            .filter(|current| current.serial > serial)
            .map(|current| current.first_sequence);
        later_full.or(current).unwrap_or(self.next_sequence)
    }

    /// Sequence where replay must begin now: the first one in the oldest file still in use.
    #[must_use]
    pub fn replay_from(&self) -> u64 {
        let oldest_full = self.full.front().map(|full| full.first_sequence);
        let current = self.current.as_ref().map(|current| current.first_sequence);
        oldest_full.or(current).unwrap_or(self.next_sequence)
    }

    /// The sequence the next group will carry.
    #[must_use]
    pub fn next_sequence(&self) -> u64 {
        self.next_sequence
    }

    /// Whether a group of any size can be written without using the reserve. The current file may be used for it even if the
    /// reserve has just grown with the number of partitions.
    fn has_room_besides_the_reserve(&self) -> bool {
        let fits = |current: &CurrentFile| {
            !current.is_reserve && self.file_bytes - current.position >= self.group_bytes_max
        };
        self.ready.len() > self.reserve || self.current.as_ref().is_some_and(fits)
    }

    /// Notes whether the reserve is whole again. A current file that was begun from the reserve is then like any other file.
    fn note_whole_reserve(&mut self) {
        if self.ready.len() >= self.reserve
            && let Some(current) = &mut self.current
        {
            current.is_reserve = false;
        }
    }

    fn lacks_room(&self, bytes: usize) -> bool {
        let blocks = block_ceil(bytes as u64);
        self.current.as_ref().is_none_or(|current| current.position + blocks > self.file_bytes)
    }

    /// Puts the current file among the full ones and begins the next, if more than `held_back` files are ready.
    fn rotate(&mut self, held_back: usize) -> bool {
        if self.ready.len() <= held_back {
            return false;
        }
        let is_reserve = self.ready.len() <= self.reserve;
        let Some(file) = self.ready.pop_front() else { return false };
        if let Some(done) = self.current.take() {
            self.full.push_back(FullFile {
                file: done.file,
                serial: done.serial,
                first_sequence: done.first_sequence,
            });
        }
        let serial = FileSerial(self.next_serial);
        self.next_serial += 1;
        self.current =
            Some(CurrentFile { file, serial, position: 0, first_sequence: self.next_sequence, is_reserve });
        true
    }
}

#[cfg(test)]
mod tests;
