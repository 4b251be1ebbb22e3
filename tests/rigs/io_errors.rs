//! Disks whose writes, flushes or reads fail, and disks that crawl.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use ringmain::base::rng::Rng;
use ringmain::protocol::ErrorCode;

use crate::block_log::places;
use crate::disk::FileSystem;
use crate::failing_disk::{Failing, FailingDisk};
use crate::load::reader::fetch_outcomes;
use crate::load::{Course, Ended, PARTITIONS, connect};
use crate::process::{Server, eventually};
use crate::{machine, seed};

/// What the server ends with when its disk has failed.
pub const STORAGE_FAILED: i32 = 74;
/// Memory that may be added while the disk crawls: what waits is bounded.
const WAITING_BYTES_MAX: u64 = 64 << 20;

/// Waits until the server has ended by itself, as it must: at the first failed write, saying so.
pub fn ended_by_its_disk(mut server: Server) -> Ended {
    let status = eventually("the server ends", || server.ended());
    let lines = server.lines();
    assert_eq!(status.code(), Some(STORAGE_FAILED), "{lines}");
    assert!(lines.contains("storage has failed; nothing more is acknowledged"), "{lines}");
    Ended::AtOnce
}

#[test]
fn nothing_is_acknowledged_after_a_failed_write_or_flush() {
    let Some(_permit) = machine::permit() else { return };
    let seed = seed();
    let mut rng = Rng::seeded(seed);
    for file_system in [FileSystem::Ext4, FileSystem::Xfs] {
        let mut disk = FailingDisk::new("io-errors", file_system);
        let mut course = Course::new(seed, Arc::new(|| 0));
        for failing in [Failing::EveryWrite, Failing::OneFlush] {
            course.live(disk.launch().start(), |server| {
                thread::sleep(Duration::from_millis(200 + rng.below(600)));
                disk.fail(failing);
                ended_by_its_disk(server)
            });
            disk.heal();
            disk.mount_again();
        }
        let server = disk.launch().start();
        course.finish(&server.address());
        machine::say(&format!("{file_system:?} failed twice: {}", course.summary()));
        server.kill();
    }
}

#[test]
fn a_read_that_fails_costs_only_who_asked() {
    let Some(_permit) = machine::permit() else { return };
    let mut disk = FailingDisk::new("read-error", FileSystem::Ext4);
    let mut course = Course::new(seed(), Arc::new(|| 0));
    course.live(disk.launch().start(), |server| {
        thread::sleep(Duration::from_millis(800));
        assert_eq!(server.stop(), Some(0));
        Ended::InOrder
    });
    let segment = first_segment(&disk);
    let place = places(&segment)[0].start;
    // A server that has read nothing of it yet.
    let server = disk.launch().start();
    disk.forget_cached();
    disk.fail(Failing::ReadsAt(place));
    let mut connection = connect(&server.address());
    for _ in 0..2 {
        let outcomes = fetch_outcomes(&mut connection);
        let failed: Vec<_> = outcomes.iter().filter(|outcome| **outcome != ErrorCode::None).collect();
        assert_eq!(failed, [&ErrorCode::KafkaStorageError], "{outcomes:?}");
    }
    assert!(server.lines().contains("a segment cannot be read"), "{}", server.lines());
    disk.heal();
    course.finish(&server.address());
    assert_eq!(server.stop(), Some(0));
}

/// A first segment of the topic with so many partitions, full of records.
fn first_segment(disk: &FailingDisk) -> std::path::PathBuf {
    let folders = |path: std::path::PathBuf| {
        std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>()
    };
    let topics = folders(disk.data().join("topics"));
    let of_all = topics.into_iter().map(folders);
    let partitions =
        of_all.filter(|partitions| partitions.len() == usize::try_from(PARTITIONS).unwrap()).flatten();
    let segments: Vec<_> = partitions.map(|partition| partition.join(format!("{:020}.log", 0))).collect();
    let full = |path: &std::path::PathBuf| path.metadata().is_ok_and(|it| it.len() > 512 << 10);
    segments.into_iter().find(full).expect("half a segment was written")
}

#[test]
fn a_crawling_disk_slows_producers_down_and_nothing_else() {
    let Some(_permit) = machine::permit() else { return };
    let mut disk = FailingDisk::new("crawling", FileSystem::Xfs);
    let acknowledged = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&acknowledged);
    let mut course = Course::new(seed(), Arc::new(move || count.fetch_add(1, Ordering::Relaxed)));
    let within = |duration| {
        let before = acknowledged.load(Ordering::Relaxed);
        thread::sleep(duration);
        acknowledged.load(Ordering::Relaxed) - before
    };
    course.live(disk.launch().start(), |server| {
        let second = Duration::from_secs(1);
        thread::sleep(second);
        let before = within(second);
        let resident = server.resident_bytes();
        disk.limit(20);
        let slow = within(4 * second) / 4;
        let grown = server.resident_bytes().saturating_sub(resident);
        assert!(grown < WAITING_BYTES_MAX, "{grown} bytes more than before");
        disk.limit(0);
        eventually("the pace comes back", || (within(second) > before / 4).then_some(()));
        machine::say(&format!(
            "answers a second: {before}, at 20 operations a second {slow}; {} KiB more memory",
            grown >> 10
        ));
        assert!(slow > 0 && slow < before, "{slow} of {before}");
        assert_eq!(server.errors(), Vec::<String>::new());
        server.kill();
        Ended::AtOnce
    });
    let server = disk.launch().start();
    course.finish(&server.address());
    assert_eq!(server.stop(), Some(0));
}
