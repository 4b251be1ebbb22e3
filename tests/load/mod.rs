//! A load that keeps account of what it was promised, and a model of what must therefore be there afterwards.
//!
//! Writers, an idempotent producer, a group that commits and a reader at the tail, all at once on one topic, a writer to
//! topics that retention and compaction are at work on, and one to a topic whose segments' files are used again, through any number of the server's lives. Each promise is kept with the moment at which it was known: what a moment is, the test
//! says (a rig: how long the disk's recorded log was), so that a promise can be held against any earlier state of a disk.

#![allow(dead_code, reason = "each test uses the part it needs")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod churn;
mod commits;
pub mod model;
pub mod reader;
mod recycling;
pub mod writers;

use std::sync::Arc;
use std::thread;

use ringmain::client::{Admin, Cluster, Connection, ConnectionOptions, NewTopic};

use crate::process::{Launch, PATIENCE, Server};
use churn::Churn;
use commits::Commits;
use model::Model;
use reader::{Reader, Served};
use recycling::Recycling;
use writers::{Acked, End, Idempotent, Load, append_one};

pub const TOPIC: &str = "load";
pub const PARTITIONS: i32 = 6;
/// Written only by the idempotent producer.
pub const IDEMPOTENT_PARTITION: i32 = PARTITIONS - 1;
const WRITERS: u64 = 3;

/// Tells the moment, never going back.
pub type Moment = Arc<dyn Fn() -> u64 + Send + Sync>;

/// How a life of the server ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// By a stop, or after its disk was full: the last requests may be refused.
    InOrder,
    /// At any moment: connections are lost, nothing is refused.
    AtOnce,
}

/// The load through all lives of one data directory.
pub struct Course {
    seed: u64,
    moment: Moment,
    lives: u64,
    model: Model,
    idempotent: Option<Idempotent>,
    promises: Promises,
}

/// Everything that was acknowledged, served or committed.
#[derive(Clone, Debug, Default)]
pub struct Promises {
    acked: Vec<Acked>,
    served: Vec<Served>,
    commits: Commits,
    churn: Churn,
    recycling: Recycling,
    /// When the topics were there.
    begun_at: u64,
}

impl Course {
    pub fn new(seed: u64, moment: Moment) -> Course {
        let model = Model::new(seed);
        Course { seed, moment, lives: 0, model, idempotent: None, promises: Promises::default() }
    }

    /// One life: checks what the lives before have left, then loads the server until `end` has ended it.
    pub fn live(&mut self, server: Server, end: impl FnOnce(Server) -> Ended) {
        let address = server.address();
        if self.lives == 0 {
            create_topics(&address);
            self.promises.begun_at = (self.moment)();
        }
        let (positions, producer) = self.check(&address);
        let load: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let load = Load::new(self.seed, self.lives * WRITERS + writer);
                let (connection, moment) = (connect(&address), Arc::clone(&self.moment));
                thread::spawn(move || load.run(connection, &moment))
            })
            .collect();
        let (connection, moment) = (connect(&address), Arc::clone(&self.moment));
        let sequence = thread::spawn(move || producer.run(connection, &moment));
        let (connection, moment) = (connect(&address), Arc::clone(&self.moment));
        let commits = std::mem::take(&mut self.promises.commits);
        let committing = thread::spawn(move || commits.run(connection, &moment));
        let (connection, moment) = (connect(&address), Arc::clone(&self.moment));
        let reads = thread::spawn(move || Reader::new(positions).run(connection, &moment));
        let (connection, moment) = (connect(&address), Arc::clone(&self.moment));
        let churn = std::mem::take(&mut self.promises.churn);
        let churning = thread::spawn(move || churn.run(connection, &moment));
        let (connection, moment) = (connect(&address), Arc::clone(&self.moment));
        let recycling = std::mem::take(&mut self.promises.recycling);
        let recycling = thread::spawn(move || recycling.run(connection, &moment));
        let ended = end(server);
        let (life, seed) = (self.lives, self.seed);
        let lost = |end| assert!(ended == Ended::InOrder || end == End::Lost, "life {life}, seed {seed}");
        for writer in load {
            let (acked, end) = writer.join().unwrap();
            self.acked(acked);
            lost(end);
        }
        let (producer, acked, end) = sequence.join().unwrap();
        self.acked(acked);
        lost(end);
        self.idempotent = Some(producer);
        let (commits, end) = committing.join().unwrap();
        self.promises.commits = commits;
        lost(end);
        let (churn, end) = churning.join().unwrap();
        self.promises.churn = churn;
        lost(end);
        let (recycling, end) = recycling.join().unwrap();
        self.promises.recycling = recycling;
        lost(end);
        let served = reads.join().unwrap();
        self.model.served(served.clone());
        self.promises.served.extend(served);
        self.lives += 1;
    }

    /// After the last life: everything that was promised, and everything once more.
    pub fn finish(&mut self, address: &str) {
        let (_, producer) = self.check(address);
        self.idempotent = Some(producer);
        let mut connection = connect(address);
        self.model.read_on(&mut connection);
        self.model.read_again_from_the_start(&mut connection);
    }

    pub fn summary(&self) -> String {
        format!("{}; {}", self.model.summary(), self.promises.churn)
    }

    pub fn promises(&self) -> &Promises {
        &self.promises
    }

    /// Reads on what is new, and holds it against what was promised; then what was left unanswered is sent again. Where
    /// readers go on, and the producer.
    fn check(&mut self, address: &str) -> (Vec<i64>, Idempotent) {
        let mut connection = connect(address);
        let positions = self.model.read_on(&mut connection);
        let seed = self.seed;
        let mut producer = self.idempotent.take().unwrap_or_else(|| Idempotent::begin(&mut connection, seed));
        let retried = producer.retry_after_crash(&mut connection, &self.model, &self.moment);
        self.acked(retried);
        self.promises.commits.check(&mut connection);
        self.promises.churn.check(address);
        self.promises.recycling.check(address);
        (positions, producer)
    }

    fn acked(&mut self, acked: Vec<Acked>) {
        self.model.written(acked.clone());
        self.promises.acked.extend(acked);
    }
}

impl Promises {
    /// The first moment anything can be held against.
    pub fn begun_at(&self) -> u64 {
        self.begun_at
    }

    /// Holds a server against what was promised up to a moment: all of it is there, what was promised later is where it
    /// was to be or not there at all, and the log goes on at its end. How many acknowledged batches were looked for.
    pub fn check_at(&self, moment: u64, seed: u64, address: &str) -> usize {
        let (due, later): (Vec<Acked>, Vec<Acked>) = self.acked.iter().partition(|acked| acked.at <= moment);
        let count = due.len();
        let mut model = Model::new(seed);
        model.written(due);
        model.served(self.served.iter().filter(|served| served.at <= moment).copied().collect());
        let mut connection = connect(address);
        let ends = model.read_on(&mut connection);
        for acked in later {
            let kept = model.offset_of(acked.partition, acked.stamp);
            assert!(kept.is_none_or(|kept| kept == acked.offset), "kept at {kept:?}: {acked:?}, seed {seed}");
        }
        self.commits.until(moment).check(&mut connection);
        self.churn.until(moment).check(address);
        self.recycling.until(moment).check(address);
        for (partition, end) in (0..).zip(ends) {
            assert_eq!(
                append_one(&mut connection, seed, partition, 1),
                Ok(end),
                "partition {partition}, seed {seed}"
            );
        }
        count
    }
}

/// Small files and short periods: commit files are recycled, segments rolled, deleted and compacted under load.
pub fn busy(launch: Launch) -> Launch {
    launch
        .set("ringmain.commit.file.bytes=4194304")
        .set("ringmain.commit.files.max=3")
        .set("log.retention.check.interval.ms=100")
        .set("log.cleaner.backoff.ms=20")
}

fn create_topics(address: &str) {
    let mut admin = Admin::new(Cluster::connect(address, ConnectionOptions::default()).unwrap(), PATIENCE);
    admin.create_topic(&new_topic(TOPIC, PARTITIONS, &[])).unwrap();
    Churn::create_topics(&mut admin);
    Recycling::create_topic(&mut admin);
}

fn new_topic(name: &str, partitions: i32, configs: &[(&str, &str)]) -> NewTopic {
    let configs = [("segment.bytes", "1048576")].iter().chain(configs);
    NewTopic {
        name: name.to_owned(),
        partitions: Some(partitions),
        replication_factor: Some(1),
        configs: configs.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    }
}

pub fn connect(address: &str) -> Connection {
    let options = ConnectionOptions { request_timeout: PATIENCE, ..ConnectionOptions::default() };
    Connection::connect(address, &options).unwrap()
}
