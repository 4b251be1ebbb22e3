//! Power cuts, block by block: a disk records every write and every flush while the server is loaded, killed and started
//! again; then the power is cut at random moments of that history, and the server has to make do with what is left.
//!
//! Who is told of an acknowledgement notes how long the recorded history is *then*: everything the acknowledgement rests on
//! stands before that. So a cut owes all promises noted at or before its own place in the history.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ringmain::base::rng::Rng;

use crate::block_log::{BlockLog, places};
use crate::daemon::Daemon;
use crate::disk::{Device, FileSystem, Memory};
use crate::load::{Course, Ended, Promises, busy};
use crate::machine::{self, say};
use crate::process::Launch;
use crate::{from_environment, seed};

const DISK_MEBIBYTES: u64 = 1024;
/// Images of one history: enough to be worth recording, few enough that there are many histories.
const IMAGES_PER_HISTORY: u64 = 25;

#[test]
fn nothing_acknowledged_is_lost_to_a_power_cut() {
    let Some(_permit) = machine::permit() else { return };
    let images = from_environment("RINGMAIN_RIGS_IMAGES").unwrap_or(6);
    let seed = seed();
    let started = Instant::now();
    let (mut done, mut looked_for) = (0, 0);
    while done < images {
        let round = (images - done).min(2 * IMAGES_PER_HISTORY);
        for (file_system, count) in [(FileSystem::Ext4, round.div_ceil(2)), (FileSystem::Xfs, round / 2)] {
            looked_for += cut_power(file_system, seed + done, count);
            done += count;
        }
        let seconds = started.elapsed().as_secs();
        say(&format!(
            "{done} power cuts in {seconds} s, {looked_for} acknowledged batches looked for, 0 lost"
        ));
    }
}

/// Records a history and cuts it at `images` moments; how many acknowledged batches were looked for.
fn cut_power(file_system: FileSystem, seed: u64, images: u64) -> usize {
    let memory = Memory::new("power-cut", 6 * DISK_MEBIBYTES);
    let mut rng = Rng::seeded(seed);
    let recorded = Recorded::new(&memory, file_system, seed, &mut rng);
    let mut log = BlockLog::open(&recorded.log, &memory.file("base", DISK_MEBIBYTES));
    let first = log.entry_at(recorded.promises.begun_at()) as u64 + 1;
    let mut cuts: Vec<u64> =
        (0..images).map(|_| first + rng.below(log.entries() as u64 - first + 1)).collect();
    cuts.sort_unstable();
    let mut looked_for = 0;
    for cut in cuts {
        let image = memory.path.join("image");
        let (moment, fate) = log.cut(usize::try_from(cut).unwrap(), &recorded.torn, &mut rng, &image);
        let evidence = Evidence { image: &image, what: format!("{file_system:?}, seed {seed}, {fate}") };
        looked_for += start_on(&image, &memory, |address| recorded.promises.check_at(moment, seed, address));
        drop(evidence);
    }
    looked_for
}

/// What a disk went through, and what was promised meanwhile.
struct Recorded {
    log: PathBuf,
    promises: Promises,
    /// Where the commit files are: their format takes care of sectors in pieces.
    torn: Vec<Range<u64>>,
}

impl Recorded {
    fn new(memory: &Memory, file_system: FileSystem, seed: u64, rng: &mut Rng) -> Recorded {
        let (raw, log) = (memory.file("raw", DISK_MEBIBYTES), memory.file("log", 0));
        let graph = [
            format!("--blockdev=driver=file,node-name=raw,filename={}", raw.display()),
            format!("--blockdev=driver=file,node-name=log,filename={}", log.display()),
            "--blockdev=driver=blklogwrites,node-name=top,file=raw,log=log,log-sector-size=4096".to_owned(),
        ];
        let daemon = Daemon::start(&memory.path, &graph);
        let device = Device::of(&daemon.export);
        device.format(file_system);
        let mount = device.mount(&memory.path.join("mount"));
        let data = mount.path.join("data");
        let length = std::fs::File::open(&log).unwrap();
        let mut recycled = 0;
        let mut course = Course::new(seed, Arc::new(move || length.metadata().unwrap().len()));
        // Recovery is part of the history: the power may fail in it as well.
        for life in 0..3 {
            course.live(launch(&data, memory).start(), |server| {
                thread::sleep(Duration::from_millis(300 + rng.below(900)));
                recycled += server.metric("ringmain_segments_recycled_total");
                if life == 1 {
                    assert_eq!(server.stop(), Some(0));
                    return Ended::InOrder;
                }
                server.kill();
                Ended::AtOnce
            });
        }
        say(&format!("{recycled} segments were written into old files"));
        let torn = commit_files(&data).iter().flat_map(|file| places(file)).collect();
        mount.end();
        drop(device);
        drop(daemon);
        std::fs::remove_file(&raw).unwrap();
        Recorded { log, promises: course.promises().clone(), torn }
    }
}

fn launch(data: &Path, memory: &Memory) -> Launch {
    busy(Launch::new(data).logs_in(&memory.path))
}

fn commit_files(data: &Path) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(data.join("commit")).unwrap().map(|entry| entry.unwrap().path());
    let files = folders.flat_map(|folder| std::fs::read_dir(folder).unwrap());
    files
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "commit"))
        .collect()
}

/// Mounts an image, starts the server on it and lets it be checked.
fn start_on<R>(image: &Path, memory: &Memory, check: impl FnOnce(&str) -> R) -> R {
    let device = Device::of(image);
    let mount = device.mount(&memory.path.join("mount"));
    let server = launch(&mount.path.join("data"), memory).start();
    let checked = check(&server.address());
    assert_eq!(server.errors(), Vec::<String>::new(), "a power cut is no damage");
    server.kill();
    mount.end();
    checked
}

/// Keeps the image of a cut that the server did not survive.
struct Evidence<'a> {
    image: &'a Path,
    what: String,
}

impl Drop for Evidence<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            say(&self.what);
            machine::keep(self.image, "image");
        }
    }
}
