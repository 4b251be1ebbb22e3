//! A disk's history as qemu's `blklogwrites` (the format of Linux' dm-log-writes) records it, and the disks that a power
//! cut could have left.
//!
//! ```text
//! log    = superblock, one sector  entry*                         all integers little-endian
//! entry  = header, one sector  data, unless a discard
//! header = sector u64  sectors u64  flags u64 (1 flush, 2 FUA, 4 discard)  data length u64
//! ```
//!
//! A cut keeps what was written before the last flush. Of what was written since, each sector is kept or not by itself, as a
//! drive with a volatile cache may; a write of several sectors is torn that way. Sectors of 4 KiB are whole, as file systems
//! demand of such a drive, but for those the caller allows to be torn at 512 bytes.

use std::fs::{self, File};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::Command;

use ringmain::base::rng::Rng;

use crate::machine::run;

const SECTOR: usize = 4096;
const TORN_AT: usize = 512;
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;

struct Entry {
    sector: u64,
    sectors: u64,
    flags: u64,
    /// Where the data begins in the log.
    data: u64,
    /// Where the entry ends in the log: what the log's length was when it had been recorded.
    end: u64,
}

/// The history, and the disk it began with carried up to a flush.
pub struct BlockLog {
    log: File,
    entries: Vec<Entry>,
    disk: std::path::PathBuf,
    /// Entries that are on `disk`.
    applied: usize,
}

/// How much of what was not flushed is lost.
#[derive(Clone, Copy, Debug)]
enum Loss {
    All,
    Nothing,
    /// So many of 256 sectors.
    Some(u64),
}

impl BlockLog {
    /// The history in `log` of a disk that held zeros before; `disk` is used for the carrying.
    pub fn open(log: &Path, disk: &Path) -> BlockLog {
        let length = fs::metadata(log).unwrap().len();
        let log = File::open(log).unwrap();
        let mut entries = Vec::new();
        let mut at = SECTOR as u64;
        while at + SECTOR as u64 <= length {
            let mut header = [0; 32];
            log.read_exact_at(&mut header, at).unwrap();
            let field = |index: usize| u64::from_le_bytes(header[index * 8..][..8].try_into().unwrap());
            let (sector, sectors, flags) = (field(0), field(1), field(2));
            let data = at + SECTOR as u64;
            at = data + if flags & DISCARD == 0 { sectors * SECTOR as u64 } else { 0 };
            if at <= length {
                entries.push(Entry { sector, sectors, flags, data, end: at });
            }
        }
        BlockLog { log, entries, disk: disk.to_owned(), applied: 0 }
    }

    pub fn entries(&self) -> usize {
        self.entries.len()
    }

    /// The first entry that was recorded when the log was longer than this.
    pub fn entry_at(&self, moment: u64) -> usize {
        self.entries.partition_point(|entry| entry.end <= moment)
    }

    /// Makes of `image` what a power cut after the first `entries` of them may have left; the cuts of one history ascend.
    /// Returns the moment of the cut, and what became of what had not been flushed, in words.
    pub fn cut(&mut self, entries: usize, torn: &[Range<u64>], rng: &mut Rng, image: &Path) -> (u64, String) {
        let flushed = self.entries[..entries].iter().rposition(|entry| entry.flags & FLUSH != 0).unwrap_or(0);
        assert!(flushed >= self.applied, "cuts ascend");
        let disk = File::options().write(true).open(&self.disk).unwrap();
        for entry in &self.entries[self.applied..flushed] {
            self.sectors(entry, |at, sector| disk.write_all_at(sector, at).unwrap());
        }
        self.applied = flushed;
        run(Command::new("cp").arg("--sparse=always").arg(&self.disk).arg(image));
        let image = File::options().read(true).write(true).open(image).unwrap();
        let loss = match rng.below(6) {
            0 => Loss::All,
            1 => Loss::Nothing,
            _ => Loss::Some(16 + rng.below(224)),
        };
        let (mut kept, mut lost, mut in_pieces) = (0, 0, 0);
        for entry in &self.entries[flushed..entries] {
            self.sectors(entry, |at, sector| {
                let tears = torn.iter().any(|range| range.contains(&at)) && rng.below(2) == 0;
                let keeps = match loss {
                    _ if entry.flags & FUA != 0 => true,
                    Loss::All => false,
                    Loss::Nothing => true,
                    Loss::Some(of_256) => rng.below(256) >= of_256,
                };
                match (matches!(loss, Loss::Some(_)) && tears, keeps) {
                    (true, _) => {
                        in_pieces += 1;
                        let pieces = (0_u64..).step_by(TORN_AT).zip(sector.chunks(TORN_AT));
                        for (offset, piece) in pieces.filter(|_| rng.below(2) == 0) {
                            image.write_all_at(piece, at + offset).unwrap();
                        }
                    }
                    (false, true) => {
                        kept += 1;
                        image.write_all_at(sector, at).unwrap();
                    }
                    (false, false) => lost += 1,
                }
            });
        }
        let fate =
            format!("cut after {entries}, {loss:?}: {kept} sectors kept, {lost} lost, {in_pieces} torn");
        (self.entries[entries - 1].end, fate)
    }

    /// Every sector of an entry with its place on the disk; what is discarded is zeros from then on.
    fn sectors(&self, entry: &Entry, mut each: impl FnMut(u64, &[u8])) {
        let mut sector = [0; SECTOR];
        for index in 0..entry.sectors {
            if entry.flags & DISCARD == 0 {
                self.log.read_exact_at(&mut sector, entry.data + index * SECTOR as u64).unwrap();
            }
            each((entry.sector + index) * SECTOR as u64, &sector);
        }
    }
}

/// Where on its disk a file lies, in bytes.
pub fn places(file: &Path) -> Vec<Range<u64>> {
    let output = run(Command::new("filefrag").args(["-b4096", "-v"]).arg(file));
    let text = String::from_utf8(output.stdout).unwrap();
    let extents = text.lines().filter_map(|line| {
        let mut columns = line.split(':');
        columns.next()?.trim().parse::<u64>().ok()?;
        let (first, last) = columns.nth(1)?.split_once("..")?;
        let first: u64 = first.trim().parse().ok()?;
        let last: u64 = last.trim().parse().ok()?;
        Some(first * SECTOR as u64..(last + 1) * SECTOR as u64)
    });
    extents.collect()
}
