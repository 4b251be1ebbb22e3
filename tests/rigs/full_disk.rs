//! A disk that promised more than there is, as thin-provisioned storage does: the file system shows free space, and writes
//! fail. (A file system that is full is among the end-to-end tests.)
//!
//! What the server is told depends on whose write it was: its own is refused for lack of space, and it refuses producers
//! until there is some; one of the file system's breaks that, and the server ends.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::disk::{Device, FileSystem, Memory};
use crate::io_errors::ended_by_its_disk;
use crate::load::writers::append_one;
use crate::load::{Course, Ended, busy, connect};
use crate::machine;
use crate::process::{Launch, Server, eventually, scratch};
use crate::seed;

const BLOCK_BYTES: usize = 4096;

#[test]
fn a_disk_without_the_space_it_promised_loses_nothing() {
    let Some(_permit) = machine::permit() else { return };
    let (seed, logs) = (seed(), scratch());
    for file_system in [FileSystem::Ext4, FileSystem::Xfs] {
        let memory = Memory::new("thin", 512);
        let device = thin(&memory);
        device.format(file_system);
        let mount = device.mount(&memory.path.join("mount"));
        let launch = busy(Launch::new(&mount.path.join("data")).logs_in(logs.path()));
        let mut course = Course::new(seed, Arc::new(|| 0));
        course.live(launch.start(), |mut server| {
            thread::sleep(Duration::from_millis(300));
            let mut connection = connect(&server.address());
            for full_ms in [50, 50, 50, 50, 1000] {
                let hog = hog(&memory);
                thread::sleep(Duration::from_millis(full_ms));
                fs::remove_file(&hog).unwrap();
                thread::sleep(Duration::from_millis(50));
            }
            let mut numbers = 1..;
            let goes_on = eventually("producing goes on, or the server has ended", || {
                let appended = append_one(&mut connection, seed, 0, numbers.next().unwrap());
                if appended.is_ok() { Some(true) } else { server.ended().map(|_| false) }
            });
            if !goes_on {
                ended_by_its_disk(server);
                // It may have refused before.
                return Ended::InOrder;
            }
            assert!(says(&server, "the disk has no space"), "{}", server.lines());
            eventually("that is said", || says(&server, "the disk has space again").then_some(()));
            server.kill();
            Ended::InOrder
        });
        mount.end();
        let mount = device.mount(&memory.path.join("mount"));
        let server = launch.start();
        course.finish(&server.address());
        assert_eq!(server.stop(), Some(0));
        mount.end();
    }
}

/// What the rig stands on: of what was said to be written, all is there.
#[test]
fn a_disk_without_space_says_so() {
    const BYTES: usize = 16 * BLOCK_BYTES;
    let Some(_permit) = machine::permit() else { return };
    let memory = Memory::new("honest", 8);
    let device = thin(&memory);
    let mut options = fs::File::options();
    let file = options.read(true).write(true).custom_flags(libc::O_DIRECT).open(&device.path).unwrap();
    let mut space = vec![0; BYTES + BLOCK_BYTES];
    let aligned = space.as_ptr().align_offset(BLOCK_BYTES);
    let bytes = &mut space[aligned..aligned + BYTES];
    // The last that finds space begins within a request.
    let begin = |number: u64| 3 * BLOCK_BYTES as u64 + number * BYTES as u64;
    bytes.fill(1);
    file.write_all_at(&bytes[..3 * BLOCK_BYTES], 0).unwrap();
    let written = (0..).take_while(|number| file.write_all_at(bytes, begin(*number)).is_ok()).count() as u64;
    assert!((1..128).contains(&written), "{written}");
    for number in 0..written {
        bytes.fill(0);
        file.read_exact_at(bytes, begin(number)).unwrap();
        assert!(bytes.iter().all(|byte| *byte == 1), "write {number} of {written}");
    }
}

fn thin(memory: &Memory) -> Device {
    let device = Device::of(&memory.file("raw", 1024));
    device.write_single_blocks();
    device
}

/// Takes what space there is.
fn hog(memory: &Memory) -> PathBuf {
    let path = memory.path.join("hog");
    let mut file = fs::File::create(&path).unwrap();
    while file.write_all(&[1; BLOCK_BYTES]).is_ok() {}
    path
}

fn says(server: &Server, words: &str) -> bool {
    server.lines().contains(words)
}
