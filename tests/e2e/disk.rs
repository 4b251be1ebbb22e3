//! A full disk: producers are refused, everything else goes on, and it ends by itself.
//!
//! The disk is an ext4 or XFS image on a loop device, which takes root; without, only what the setting alone can show is tried.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use ringmain::base::{Offset, PartitionIndex};
use ringmain::client::Position;
use ringmain::protocol::ErrorCode;

use super::server::{PATIENCE, Server, topic_name, wait_until};
use super::wire::{Limits, Wire, batch, headers};

/// A small disk of its own, gone when dropped.
struct Disk {
    image: PathBuf,
    mount: PathBuf,
}

impl Disk {
    /// `None` where nothing can be mounted.
    fn new(file_system: &str, name: &str, mebibytes: u64) -> Option<Disk> {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let disk = Disk { image: base.with_extension("img"), mount: base };
        std::fs::create_dir_all(&disk.mount).expect("the target folder can be written");
        let image = std::fs::File::create(&disk.image).expect("the target folder can be written");
        image.set_len(mebibytes << 20).expect("a sparse file");
        let formatted = run(Command::new(format!("mkfs.{file_system}")).arg("-q").arg(&disk.image));
        let mounted =
            formatted && run(Command::new("mount").args(["-o", "loop"]).arg(&disk.image).arg(&disk.mount));
        mounted.then_some(disk)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        run(Command::new("umount").arg("-l").arg(&self.mount));
        let _ = std::fs::remove_file(&self.image);
        let _ = std::fs::remove_dir(&self.mount);
    }
}

fn run(command: &mut Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

/// Produces until it is refused; the end of what was acknowledged.
fn fill(wire: &mut Wire, mut end: Offset) -> Offset {
    let deadline = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < deadline, "the disk does not fill");
        let produced = wire.produce(batch(&[&"x".repeat(500_000)]));
        match produced.error {
            ErrorCode::None => end = produced.base_offset.plus(1),
            ErrorCode::KafkaStorageError => return end,
            other => panic!("{other:?} is no answer to a producer on a full disk"),
        }
    }
}

#[test]
fn producers_are_refused_while_the_reserve_is_touched() {
    let mut server = Server::start();
    let topic = topic_name("reserve");
    server.create_topic(&topic, 1, &[]);
    assert_eq!(Wire::to(&server, &topic, 0).append(batch(&["before"])), Offset(0));
    server.stop();
    server.start_again(&["--shards", "2", "--set", "ringmain.disk.reserve.bytes=4611686018427387904"]);
    let mut wire = Wire::to(&server, &topic, 0);
    wait_until("the reserve is noticed", || {
        wire.produce(batch(&["no"])).error == ErrorCode::KafkaStorageError
    });
    let end = server.log_end(&topic);
    assert_eq!(headers(&wire.fetch(Offset(0), Limits::NOW).bytes)[0].base_offset, Offset(0));
    server.create_topic(&topic_name("still"), 1, &[]);
    server.stop();
    server.start_again(&["--shards", "2"]);
    assert_eq!(Wire::to(&server, &topic, 0).append(batch(&["after"])), end);
}

#[test]
fn a_full_ext4_is_survived() {
    a_full_disk_is_survived("ext4");
}

#[test]
fn a_full_xfs_is_survived() {
    a_full_disk_is_survived("xfs");
}

fn a_full_disk_is_survived(file_system: &str) {
    let name = format!("full-{file_system}");
    let Some(disk) = Disk::new(file_system, &name, 400) else {
        eprintln!("nothing can be mounted here: not root");
        return;
    };
    let data = disk.mount.join("data");
    let settings = ["--shards", "2", "--set", "log.retention.check.interval.ms=100"];
    let mut server = Server::start_in(&data, &settings);
    let topic = topic_name(&name);
    server.create_topic(&topic, 1, &[("segment.bytes", "8388608")]);
    let mut wire = Wire::to(&server, &topic, 0);
    let end = fill(&mut wire, Offset(0));
    assert!(end > Offset(100), "only {end} records went in");
    // Somebody else takes the rest.
    let hog = disk.mount.join("hog");
    let full = std::fs::write(&hog, vec![1; 400 << 20]);
    assert!(full.is_err(), "the disk is full now");
    let begin = server.find(&topic, Position::Earliest);
    assert_eq!((begin, server.log_end(&topic)), (Offset(0), end), "reads go on");
    for how in ["stop", "kill"] {
        if how == "stop" {
            server.stop()
        } else {
            server.kill()
        }
        server.start_again(&settings);
        assert_eq!(server.log_end(&topic), end, "after {how}");
    }
    // The server frees space by itself once it is told what need not be kept.
    let mut admin = server.admin();
    admin
        .alter_topic_configs(&topic, &[("retention.bytes".into(), Some("20000000".into()))])
        .expect("altered");
    wait_until("old records go", || server.find(&topic, Position::Earliest) > Offset(0));
    let mut wire = Wire::to(&server, &topic, 0);
    let deadline = Instant::now() + PATIENCE;
    let next = loop {
        assert!(Instant::now() < deadline, "producing does not go on");
        let produced = wire.produce(batch(&["more"]));
        if produced.error == ErrorCode::None {
            break produced.base_offset;
        }
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(next >= end, "{next} was given before");
    wire.send_produce(PartitionIndex(0), batch(&["and more"]));
    assert_eq!(wire.receive_produced().base_offset, next.plus(1));
    server.stop();
}
