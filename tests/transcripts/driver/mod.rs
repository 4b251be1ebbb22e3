//! One shard under the hand of a transcript: its time, its disk and its clients do what the script says, and nothing else.

mod disk;
mod effects;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use ringmain::base::io::IoOp;
use ringmain::base::rng::Rng;
use ringmain::base::{Chunk, MonoNanos, Now, ShardId, TimestampMs, VoterId};
use ringmain::controller::{ControllerConfig, ControllerRequest, MetadataImage, Published};
use ringmain::runtime::recovery::{Origin, Recovery};
use ringmain::shard::{IoId, RequestId, Shard, ShardReply, ShardRequest};

use crate::ask::{Questions, new_topic};
use crate::disk::{Crash, Disk, Fault};
use crate::names::Names;
use crate::server::Server;
use crate::settings::with_segments_of;
use crate::words::Words;
use disk::Ending;

const WALL_MS: i64 = 1_700_000_000_000;
const SEED: u64 = 1;
/// Whatever takes more rounds than this does not end.
const PATIENCE: usize = 10_000;
/// The number of questions that the setting of a transcript asks.
const UNNUMBERED: u64 = 1_000_000;

pub struct Driver {
    server: Server,
    now: Now,
    rng: Rng,
    disk: Disk,
    shard: Option<Shard>,
    /// The bytes of the shard's chunks that somebody still holds.
    memory: Rc<Cell<usize>>,
    /// On the disk, in the order in which they were asked for.
    under_way: Vec<(IoId, IoOp)>,
    published: Vec<Published>,
    names: Names,
    questions: Questions,
    /// Segment sizes of topics by name.
    segments: BTreeMap<String, u64>,
    /// Answers that the script leaves in their sockets.
    left: BTreeMap<u64, Option<ShardReply>>,
    out: Vec<String>,
}

impl Driver {
    pub fn new() -> Driver {
        Driver {
            server: Server::default(),
            now: Now { mono: MonoNanos(1_000_000_000), wall: TimestampMs(WALL_MS) },
            rng: Rng::seeded(SEED),
            disk: Disk::default(),
            shard: None,
            memory: Rc::default(),
            under_way: Vec::new(),
            published: Vec::new(),
            names: Names::default(),
            questions: Questions::default(),
            segments: BTreeMap::new(),
            left: BTreeMap::new(),
            out: Vec::new(),
        }
    }

    /// A line of the setting: whatever it causes comes to its end, and nothing is shown of it.
    pub fn set(&mut self, line: &str) {
        let mut words = Words::of(line);
        if words.has("server") {
            return self.server.set(&mut words);
        }
        if self.shard.is_none() {
            self.start_again(Crash::Kill);
        }
        if words.has("topic") {
            let topic = new_topic(&mut words);
            if words.has("in segments of") {
                self.segments.insert(topic.name.clone(), words.parse());
                words.expect("bytes");
            }
            words.end();
            let request = ControllerRequest::CreateTopics { topics: vec![topic], validate_only: false };
            self.ask(UNNUMBERED, ShardRequest::Controller(request));
        } else {
            self.perform_line(line);
        }
        self.settle();
        self.out.clear();
    }

    /// The setting is complete: an orderly stop, so that everything is in segments, and a fresh start.
    pub fn begin(&mut self) {
        if self.shard.is_none() {
            self.start_again(Crash::Kill);
        }
        self.input(|it, now, effects| it.stop(now, effects));
        self.settle();
        assert!(self.shard().is_stopped(), "the setting ends with an orderly stop");
        self.start_again(Crash::Kill);
        self.settle();
        self.out.clear();
    }

    /// A line of the script, and what it causes.
    pub fn step(&mut self, line: &str) -> Vec<String> {
        self.perform_line(line);
        std::mem::take(&mut self.out)
    }

    fn perform_line(&mut self, line: &str) {
        if let Some((numbers, question)) = line.split_once(": ")
            && let Some((first, last)) = range_of(numbers)
        {
            return (first..=last).for_each(|number| self.question(number, question));
        }
        let mut words = Words::of(line);
        match words.word() {
            "turn" => self.input(|it, now, effects| it.turn(now, effects)),
            "pass" => self.pass(&mut words),
            "settle" => self.settle_showing(),
            "done" => self.finish_as_told(&mut words, Ending::Well),
            "failed" => self.finish_as_told(&mut words, Ending::Fault(Fault::Error)),
            "full" => self.finish_as_told(&mut words, Ending::Fault(Fault::Full)),
            "rotten" => self.finish_as_told(&mut words, Ending::Rotten),
            "shard" => self.apply(words.parse()),
            "answer" => self.answer_now(words.parse()),
            "take" => {
                let number = words.parse();
                assert!(self.left.remove(&number).is_some(), "answer {number} was not left");
            }
            "disk" => self.disk_space(&mut words),
            "stop" => self.input(|it, now, effects| it.stop(now, effects)),
            "resign" => self.input(|it, now, effects| it.resign(now, effects)),
            "kill" => self.start_again(Crash::Kill),
            "power" => self.start_again(Crash::Power),
            "show" if words.has("holdings") => self.show_holdings(),
            "show" => self.show(),
            other => panic!("'{other}' in '{line}' is nothing to do"),
        }
    }

    // Inputs

    fn question(&mut self, number: u64, line: &str) {
        let mut words = Words::of(line);
        let request = self.questions.read(number, &mut words, &self.names, self.now.wall);
        if words.has("and leave the answer") {
            self.left.insert(number, None);
        }
        words.end();
        self.ask(number, request);
    }

    fn ask(&mut self, number: u64, request: ShardRequest) {
        let id = RequestId { origin: ShardId(0), number };
        self.input(|it, now, effects| it.request(now, id, request, effects));
    }

    fn answer_now(&mut self, number: u64) {
        let id = RequestId { origin: ShardId(0), number };
        self.ask(UNNUMBERED, ShardRequest::FetchNow(id));
    }

    fn pass(&mut self, words: &mut Words<'_>) {
        let ms = words.parse();
        words.expect("ms");
        self.now.mono = self.now.mono.plus_ms(ms);
        self.now.wall.0 += i64::try_from(ms).expect("a moment");
    }

    fn disk_space(&mut self, words: &mut Words<'_>) {
        words.expect("has");
        let free: u64 = words.parse();
        words.expect("MiB free of a reserve of");
        let reserve: u64 = words.parse();
        self.input(|it, now, effects| it.disk_space(now, free << 20, reserve << 20, effects));
    }

    /// A shard has the oldest cluster state that is published and not served by all. Only shard 0 is real.
    fn apply(&mut self, shard: u16) {
        let published = self.published.first().expect("a cluster state was published").clone();
        let version = published.image.version;
        if shard + 1 == self.server.shards {
            self.published.remove(0);
        }
        if shard == 0 {
            self.input(|it, now, effects| it.image(now, &published, effects));
        }
        self.input(|it, now, effects| it.image_applied(now, ShardId(shard), version, effects));
    }

    // Lives

    fn start_again(&mut self, crash: Crash) {
        // Memory will do: what the disk under recovery does is not what is tried here.
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory } else { Path::new(env!("CARGO_TARGET_TMPDIR")) };
        let directory = tempfile::tempdir_in(place).expect("a directory");
        let under_way: Vec<(ShardId, IoOp)> =
            self.under_way.drain(..).map(|(_, op)| (ShardId(0), op)).collect();
        self.disk.crash(crash, &under_way, &mut self.rng, directory.path());
        (self.shard, self.memory) = (None, Rc::default());
        self.published.clear();
        self.left.clear();
        self.boot(directory.path());
    }

    fn boot(&mut self, directory: &Path) {
        let settings = ringmain::config::Config::default();
        let controller = ControllerConfig::new("0123456789abcdefghijkl".into(), &settings);
        let controller = ControllerConfig { shards: self.server.shards, ..controller };
        let commit = self.server.commit;
        let recovery = Recovery {
            data_dir: directory,
            directory: [9; 16],
            origin: Origin::Founded,
            voter: VoterId([8; 16]),
            commit,
            controller,
        };
        let mut recovered = recovery.run().expect("it recovers").shards.swap_remove(0);
        self.disk = Disk::load(directory);
        assert_eq!(self.disk.damaged(), None, "nothing of a log was damaged");
        recovered.image = self.adapted(&recovered.image);
        self.names.learn(&recovered.image);
        let memory = Rc::clone(&self.memory);
        let allocate = move |bytes| Chunk::heap(bytes).counted(&memory);
        let config = self.server.shard_config(&settings);
        self.shard = Some(Shard::new(config, recovered, Box::new(allocate), Rc::clone(&self.memory)));
    }

    fn adapted(&self, image: &Arc<MetadataImage>) -> Arc<MetadataImage> {
        with_segments_of(image, |name| self.segments.get(name).copied())
    }
}

/// `7`, or `7..9` for three that ask the same.
fn range_of(numbers: &str) -> Option<(u64, u64)> {
    let (first, last) = numbers.split_once("..").unwrap_or((numbers, numbers));
    Some((first.parse().ok()?, last.parse().ok()?))
}
