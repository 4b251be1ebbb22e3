//! A disk that promised more than there is, as thin-provisioned storage does: the file system shows free space, and writes
//! fail. (A file system that is full is among the end-to-end tests.)
//!
//! What the server is told depends on whose write it was: its own is refused for lack of space, and it refuses producers
//! until there is some; one of the file system's breaks that, and the server ends.

use std::fs;
use std::io::Write;
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

#[test]
fn a_disk_without_the_space_it_promised_loses_nothing() {
    let Some(_permit) = machine::permit() else { return };
    let (seed, logs) = (seed(), scratch());
    for file_system in [FileSystem::Ext4, FileSystem::Xfs] {
        let memory = Memory::new("thin", 512);
        let device = Device::of(&memory.file("raw", 1024));
        device.format(file_system);
        let mount = device.mount(&memory.path.join("mount"));
        let launch = busy(Launch::new(&mount.path.join("data")).logs_in(logs.path()));
        let mut course = Course::new(seed, Arc::new(|| 0));
        course.live(launch.start(), |mut server| {
            thread::sleep(Duration::from_millis(300));
            let hog = memory.path.join("hog");
            let mut taken = fs::File::create(&hog).unwrap();
            while taken.write_all(&[1; 4096]).is_ok() {}
            thread::sleep(Duration::from_secs(1));
            fs::remove_file(&hog).unwrap();
            drop(taken);
            if server.ended().is_some() {
                return ended_by_its_disk(server);
            }
            assert!(says(&server, "the disk has no space"), "{}", server.lines());
            let mut connection = connect(&server.address());
            let mut numbers = 1..;
            eventually("producing goes on", || {
                append_one(&mut connection, seed, 0, numbers.next().unwrap()).ok()
            });
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

fn says(server: &Server, words: &str) -> bool {
    server.lines().contains(words)
}
