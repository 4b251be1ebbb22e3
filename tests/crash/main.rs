//! kill -9 under load, again and again: what was acknowledged is there afterwards, once, in order, at its offset, whole;
//! what was served once is served again; a retry after the crash never appends twice.
//!
//! RINGMAIN_CRASH_CYCLES and RINGMAIN_CRASH_SEED change length and course.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod load;
mod model;
#[path = "../process/mod.rs"]
mod process;

use std::thread;
use std::time::Duration;

use ringmain::base::rng::Rng;
use ringmain::client::{Admin, Cluster, Connection, ConnectionOptions, NewTopic};

use load::{Commits, End, Idempotent, Load, Reader};
use model::Model;
use process::{Launch, PATIENCE, scratch};

pub const TOPIC: &str = "crash";
pub const PARTITIONS: i32 = 6;
/// Written only by the idempotent producer.
pub const IDEMPOTENT_PARTITION: i32 = PARTITIONS - 1;
const WRITERS: u64 = 3;

#[test]
fn nothing_acknowledged_is_lost_or_changed_by_crashes() {
    let cycles = from_environment("RINGMAIN_CRASH_CYCLES").unwrap_or(100);
    let seed = from_environment("RINGMAIN_CRASH_SEED").unwrap_or_else(|| u64::from(std::process::id()));
    println!("RINGMAIN_CRASH_SEED={seed} RINGMAIN_CRASH_CYCLES={cycles}");
    let scratch = scratch();
    // Small files: commit files are recycled and segments rolled under load.
    let launch = Launch::new(&scratch.path().join("data"))
        .set("ringmain.commit.file.bytes=4194304")
        .set("ringmain.commit.files.max=3");
    let mut rng = Rng::seeded(seed);
    let mut model = Model::new(seed);
    let mut idempotent: Option<Idempotent> = None;
    let mut commits = Commits::default();
    for cycle in 0..cycles {
        let server = launch.start();
        if cycle == 0 {
            create_topic(&server.address());
        }
        let mut reader = connect(&server.address());
        let before = model.read_on(&mut reader);
        let mut producer = idempotent.take().unwrap_or_else(|| Idempotent::begin(&mut reader, seed));
        producer.retry_after_crash(connect(&server.address()), &mut model);
        let address = server.address();
        let mut committer = connect(&address);
        commits.check(&mut committer);
        let load: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let load = Load::new(seed, cycle * WRITERS + writer);
                let connection = connect(&address);
                thread::spawn(move || load.run(connection))
            })
            .collect();
        let connection = connect(&address);
        let sequence = thread::spawn(move || producer.run(connection));
        let committing = thread::spawn(move || commits.run(committer));
        let reads = thread::spawn(move || Reader::new(before).run(reader));
        // The moment is what is random here; nothing is waited for.
        thread::sleep(Duration::from_millis(200 + rng.below(400)));
        let stops = cycle % 10 == 9;
        if stops {
            assert_eq!(server.stop(), Some(0), "cycle {cycle}");
        } else {
            server.kill();
        }
        for writer in load {
            let (written, end) = writer.join().unwrap();
            model.written(written);
            assert!(stops || end == End::Lost, "refused in cycle {cycle}, seed {seed}");
        }
        let end;
        (commits, end) = committing.join().unwrap();
        assert!(stops || end == End::Lost, "commits refused in cycle {cycle}, seed {seed}");
        let (producer, written, end) = sequence.join().unwrap();
        model.written(written);
        assert!(stops || end == End::Lost, "refused in cycle {cycle}, seed {seed}");
        idempotent = Some(producer);
        model.served(reads.join().unwrap());
    }
    let server = launch.start();
    let mut reader = connect(&server.address());
    idempotent.unwrap().retry_after_crash(connect(&server.address()), &mut model);
    commits.check(&mut reader);
    model.read_on(&mut reader);
    model.read_again_from_the_start(&mut reader);
    println!("{}", model.summary());
    assert_eq!(server.stop(), Some(0));
}

fn create_topic(address: &str) {
    let cluster = Cluster::connect(address, ConnectionOptions::default()).unwrap();
    let topic = NewTopic {
        name: TOPIC.to_owned(),
        partitions: Some(PARTITIONS),
        replication_factor: Some(1),
        configs: vec![("segment.bytes".to_owned(), "1048576".to_owned())],
    };
    Admin::new(cluster, PATIENCE).create_topic(&topic).unwrap();
}

fn connect(address: &str) -> Connection {
    let options = ConnectionOptions { request_timeout: PATIENCE, ..ConnectionOptions::default() };
    Connection::connect(address, &options).unwrap()
}

fn from_environment(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}
