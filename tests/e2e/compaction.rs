//! Compaction keeps the latest record of each key, whatever happens meanwhile.

use std::collections::BTreeMap;
use std::path::Path;

use ringmain::base::{Offset, PartitionIndex, TimestampMs};
use ringmain::client::Position;
use ringmain::protocol::ErrorCode;
use ringmain::record::{BatchBuilder, Codec};

use super::server::{PATIENCE, Server, topic_name, wait_until};
use super::wire::Wire;

const SETTINGS: [&str; 4] = ["--shards", "2", "--set", "log.cleaner.backoff.ms=20"];
const CONFIGS: [(&str, &str); 4] = [
    ("cleanup.policy", "compact"),
    ("segment.bytes", "1048576"),
    ("min.cleanable.dirty.ratio", "0.01"),
    ("delete.retention.ms", "600000"),
];
const KEYS: u64 = 40;
/// Random, so that no codec makes it small.
const VALUE_BYTES: usize = 3000;

/// What was written, and what must be left of it.
struct Model {
    topic: String,
    latest: BTreeMap<String, (Offset, Option<String>)>,
    seed: u64,
}

impl Model {
    fn create(server: &Server, name: &str) -> Model {
        let topic = topic_name(name);
        server.create_topic(&topic, 1, &CONFIGS);
        Model { topic, latest: BTreeMap::new(), seed: 1 }
    }

    fn random(&mut self) -> u64 {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.seed >> 33
    }

    fn value(&mut self) -> String {
        (0..VALUE_BYTES / 8).map(|_| format!("{:08x}", self.random())).collect()
    }

    /// Writes so many batches of up to four records.
    fn write(&mut self, server: &Server, batches: usize) {
        let mut wire = Wire::to(server, &self.topic, 0);
        for at in 0..batches {
            let mut batch = BatchBuilder::new(TimestampMs(1_700_000_000_000)).codec(Codec::ALL[at % 5]);
            let mut written = Vec::new();
            for _ in 0..1 + self.random() % 4 {
                let key = format!("key-{}", self.random() % KEYS);
                let value = (!self.random().is_multiple_of(10)).then(|| self.value());
                batch.append(Some(key.as_bytes()), value.as_deref().map(str::as_bytes));
                written.push((key, value));
            }
            wire.send_produce(PartitionIndex(0), batch.finish().expect("a batch"));
            let produced = wire.receive_produced();
            assert_eq!(produced.error, ErrorCode::None);
            for ((key, value), delta) in written.into_iter().zip(0..) {
                self.latest.insert(key, (produced.base_offset.plus(delta), value));
            }
        }
    }

    /// Reads everything; the number of records there are.
    fn check(&self, server: &Server) -> usize {
        let end = server.log_end(&self.topic);
        let mut consumer = server.consumer();
        consumer.assign(&self.topic, None, Position::Earliest).expect("assigned");
        let (mut found, mut records, mut next) = (BTreeMap::new(), 0, Offset(0));
        while next < end {
            for batch in consumer.poll(PATIENCE).expect("the consumer goes on") {
                batch
                    .records(|record| {
                        assert!(record.offset >= next, "{} after {next}", record.offset);
                        next = record.offset.plus(1);
                        records += 1;
                        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
                        let key = text(record.key.expect("a key"));
                        found.insert(key, (record.offset, record.value.map(text)));
                        true
                    })
                    .expect("sound");
            }
        }
        assert_eq!(found.len(), self.latest.len());
        for (key, latest) in &self.latest {
            assert!(found.get(key) == Some(latest), "{key} should be at {} of {end}", latest.0);
        }
        records
    }
}

/// Bytes of all segment files.
fn bytes(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let sizes = entries.map(|entry| {
        let path = entry.path();
        match entry.metadata() {
            Ok(it) if it.is_dir() => bytes(&path),
            Ok(it) if path.extension().is_some_and(|extension| extension == "log") => it.len(),
            _ => 0,
        }
    });
    sizes.sum()
}

#[test]
fn the_latest_of_each_key_stays() {
    let mut server = Server::start_with(&SETTINGS);
    let mut model = Model::create(&server, "compacted");
    for round in 0..3 {
        model.write(&server, 1200);
        let folder = server.data_directory().join("topics");
        wait_until("most of the log is gone", || bytes(&folder) < 2_200_000);
        assert!(model.check(&server) < 1200);
        match round {
            0 => server.kill(),
            1 => server.stop(),
            _ => continue,
        }
        server.start_again(&SETTINGS);
        model.check(&server);
    }
}

#[test]
fn readers_see_nothing_of_it() {
    let server = Server::start_with(&SETTINGS);
    let mut model = Model::create(&server, "read");
    std::thread::scope(|scope| {
        model.write(&server, 300);
        let topic = model.topic.clone();
        let server = &server;
        let (done, is_done) = std::sync::mpsc::channel::<()>();
        let reader = scope.spawn(move || {
            let mut rounds = 0;
            while is_done.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                let end = server.log_end(&topic);
                let mut consumer = server.consumer();
                consumer.assign(&topic, None, Position::Earliest).expect("assigned");
                let mut next = Offset(0);
                while next < end {
                    for batch in consumer.poll(PATIENCE).expect("no error while segments are replaced") {
                        let sound = batch.records(|record| {
                            assert!(record.offset >= next);
                            next = record.offset.plus(1);
                            true
                        });
                        sound.expect("sound");
                    }
                }
                rounds += 1;
            }
            rounds
        });
        model.write(server, 1500);
        drop(done);
        assert!(reader.join().expect("the reader is well") > 0);
        model.check(server);
    });
}

#[test]
fn compaction_can_be_killed_anywhere() {
    let mut server = Server::start_with(&SETTINGS);
    let mut model = Model::create(&server, "killed");
    for round in 0..12 {
        model.write(&server, 300);
        std::thread::sleep(std::time::Duration::from_millis(round * 9));
        server.kill();
        server.start_again(&SETTINGS);
        model.check(&server);
    }
}
