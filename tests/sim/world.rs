//! Shards, their disk, their clients and the time, all in one thread.

mod alone;
mod checks;
mod full_log;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use ringmain::base::io::IoOp;
use ringmain::base::rng::Rng;
use ringmain::base::{
    Chunk, MonoNanos, Now, Offset, PartitionIndex, ProducerEpoch, ProducerId, ShardId, TimestampMs,
    TopicPartition,
};
use ringmain::config::{CommitLimits, Config};
use ringmain::controller::{ControllerConfig, ControllerReply, ControllerRequest, MetadataImage, TopicName};
use ringmain::log::LogLimits;
use ringmain::record::{BatchBuilder, Inside};
use ringmain::runtime::recovery::Recovery;
use ringmain::shard::{
    CompactionConfig, DeleteRecordsPartition, Effect, IoId, OffsetLookup, PartitionError, ProducePartition,
    ProduceRequest, RequestId, RetentionConfig, ScrubConfig, Shard, ShardConfig, ShardReply, ShardRequest,
    SpareConfig,
};

use crate::client::{fetch, joined, lookup, read_batches};
use crate::disk::{Crash, Disk, Fault};
use crate::events::named;
use crate::model::Model;
use crate::topics::{Kind, with_busy_topics};

const LIVES: usize = 6;
const STEPS_MAX: u64 = 3000;
/// Anything that takes more steps than this hangs.
const PATIENCE: usize = 200_000;
const WAITING_MAX: usize = 40;
const DIRECTORY: [u8; 16] = [9; 16];
const WALL: i64 = 1_700_000_000_000;
const KEYS: u64 = 7;

/// What a course of events came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Course {
    /// Stands for everything that has happened.
    pub trace: u64,
    /// Segments begun in an old one's file.
    pub recycled: u64,
}

/// What a client has asked and not been told.
#[derive(Clone, Debug)]
enum Asked {
    Produce { partition: TopicPartition, records: Vec<u64>, is_idempotent: bool },
    Fetch { partition: TopicPartition },
    Ends { partition: TopicPartition },
    Delete { partition: TopicPartition },
    Create { kind: Kind },
    Drop { partitions: Vec<TopicPartition> },
}

/// A producer that sends a batch again until it knows what became of it.
#[derive(Clone, Debug, Default)]
struct Producer {
    next_sequence: i32,
    /// Not acknowledged yet, with its sequence.
    unknown: Option<(i32, Vec<u64>)>,
    is_waiting: bool,
}

pub struct World {
    rng: Rng,
    now: Now,
    disk: Disk,
    config: Config,
    shards: Vec<Shard>,
    under_way: Vec<(ShardId, IoId, IoOp)>,
    /// Shards that something has been given to since their last turn.
    given: BTreeSet<ShardId>,
    asked: BTreeMap<u64, Asked>,
    next_ask: u64,
    next_record: u64,
    next_topic: u64,
    producers: BTreeMap<TopicPartition, Producer>,
    busy: BTreeSet<TopicPartition>,
    recycled: u64,
    /// Of each shard, for indexes.
    index_bytes: usize,
    model: Model,
    /// The answer to what only the checks ask.
    told: Option<ShardReply>,
    has_failed: bool,
    trace: DefaultHasher,
    last_events: VecDeque<String>,
}

impl World {
    pub fn new(seed: u64) -> World {
        World {
            rng: Rng::seeded(seed),
            now: Now { mono: MonoNanos(1), wall: TimestampMs(WALL) },
            disk: Disk::default(),
            config: Config::default(),
            shards: Vec::new(),
            under_way: Vec::new(),
            given: BTreeSet::new(),
            asked: BTreeMap::new(),
            next_ask: 1,
            next_record: 1,
            next_topic: 1,
            producers: BTreeMap::new(),
            busy: BTreeSet::new(),
            recycled: 0,
            index_bytes: 0,
            model: Model::default(),
            told: None,
            has_failed: false,
            trace: DefaultHasher::new(),
            last_events: VecDeque::new(),
        }
    }

    /// Several lives.
    pub fn run(mut self) -> Course {
        for life in 0..LIVES {
            self.begin_life();
            if life == 0 {
                (0..3).for_each(|_| self.create_topic());
                self.create(Kind::Busy);
            }
            let steps = self.rng.below(STEPS_MAX);
            for _ in 0..steps {
                if self.has_failed {
                    break;
                }
                self.step();
            }
            match self.rng.below(10) {
                0..3 if !self.has_failed => self.stop(),
                3..5 if !self.has_failed => self.calm_down(),
                5..7 if !self.has_failed => {
                    let segments_lag = self.chance(50);
                    self.go_on_without_time(1500, segments_lag);
                }
                _ => {}
            }
        }
        self.begin_life();
        Course { trace: self.trace.finish(), recycled: self.recycled }
    }

    fn note(&mut self, event: impl FnOnce() -> String) {
        let event = event();
        if std::env::var_os("RINGMAIN_SIM_TRACE").is_some() {
            println!("{event}");
        }
        event.hash(&mut self.trace);
        if self.last_events.len() == 60 {
            self.last_events.pop_front();
        }
        self.last_events.push_back(event);
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.rng.below(100) < percent
    }

    /// The last life ends as it happens to; what it leaves is recovered; everything acknowledged must be there.
    fn begin_life(&mut self) {
        let crash = if self.chance(30) { Crash::Kill } else { Crash::Power };
        let directory = scratch();
        let under_way: Vec<(ShardId, IoOp)> =
            self.under_way.drain(..).map(|(shard, _, op)| (shard, op)).collect();
        self.disk.crash(crash, &under_way, &mut self.rng, directory.path());
        self.note(|| format!("{crash:?} with {} operations under way", under_way.len()));
        self.forget_waiting();
        self.start(directory.path());
        self.check_everything();
    }

    /// Nobody will ever answer.
    fn forget_waiting(&mut self) {
        self.recycled += self.shards.iter().map(|shard| shard.counters().segments_recycled).sum::<u64>();
        self.shards.clear();
        self.given.clear();
        self.asked.clear();
        self.told = None;
        self.has_failed = false;
        self.producers.values_mut().for_each(|producer| producer.is_waiting = false);
    }

    fn start(&mut self, directory: &Path) {
        let shards = 1 + u16::try_from(self.rng.below(3)).unwrap();
        // Few, so that appends wait for them, or enough that they hardly ever do.
        let more = if self.chance(50) { self.rng.below(3) } else { 5 + self.rng.below(12) };
        let commit = CommitLimits { file_bytes: 2 << 20, files_max: 3 + usize::try_from(more).unwrap() };
        let own = ControllerConfig::new("0123456789abcdefghijkl".into(), &self.config);
        let controller = ControllerConfig { shards, ..own };
        let recovery = Recovery { data_dir: directory, directory: DIRECTORY, commit, controller };
        if self.chance(20) {
            // A start that does not live to serve anything.
            recovery.run().unwrap();
        }
        let recovered = recovery.run().unwrap();
        self.disk = Disk::load(directory);
        assert_eq!(self.disk.damaged(), None, "nothing of a log was damaged\n{:#?}", self.last_events);
        // Spares are used, and let go.
        let spares = SpareConfig { fills_within_ms: 60_000, kept_ms: 20 + self.rng.below(4000) };
        let spares = self.chance(90).then_some(spares);
        // Room for reading ahead, or so little that readers wait for each other.
        let read_cache_bytes = if self.chance(50) { 8 << 20 } else { 32 << 10 };
        self.index_bytes = if self.chance(50) { 1 << 20 } else { 200 };
        for (shard, mut recovered) in (0..).map(ShardId).zip(recovered.shards) {
            recovered.image = with_busy_topics(&recovered.image);
            let config = ShardConfig {
                shard,
                shards,
                limits: LogLimits {
                    direct_run_bytes: 32 << 10,
                    chunk_bytes_max: 16 << 10,
                    create_allocate_bytes: 64 << 10,
                    marks_step_bytes: 4 << 10,
                },
                cache_bytes: 64 << 10,
                read_cache_bytes,
                index_bytes: self.index_bytes,
                read_bytes_max: 2 * read_cache_bytes,
                producers_max: 1000,
                unflushed_bytes_max: 64 << 10,
                groups: self.config.groups.clone(),
                retention: RetentionConfig { check_ms: 400, producer_expiration_ms: u64::MAX, spares },
                compaction: CompactionConfig {
                    enabled: true,
                    backoff_ms: 300,
                    keys_max: 1000,
                    bytes_per_second: u64::MAX,
                },
                scrub: ScrubConfig { period_ms: Some(3000), bytes_per_second: 100 << 20 },
                seed: self.rng.next_u64(),
            };
            self.shards.push(Shard::new(config, recovered, Box::new(Chunk::heap), Rc::default()));
        }
    }

    fn image(&self) -> Arc<MetadataImage> {
        Arc::clone(self.shards[0].current_image())
    }

    fn owner(&self, partition: TopicPartition) -> Option<ShardId> {
        let image = self.image();
        let topic = image.topic_by_id(partition.topic)?;
        Some(image.shard_of(topic, partition.partition))
    }

    // Inputs and effects

    fn input(&mut self, shard: ShardId, give: impl FnOnce(&mut Shard, Now, &mut Vec<Effect>)) {
        self.given.insert(shard);
        self.call(shard, give);
    }

    fn call(&mut self, shard: ShardId, of: impl FnOnce(&mut Shard, Now, &mut Vec<Effect>)) {
        let mut effects = Vec::new();
        of(&mut self.shards[usize::from(shard.0)], self.now, &mut effects);
        for effect in effects {
            self.perform(shard, effect);
        }
    }

    fn perform(&mut self, shard: ShardId, effect: Effect) {
        match effect {
            Effect::Reply { to, reply } => self.replied(to.number, reply),
            Effect::Io(request) => self.under_way.push((shard, request.id, request.op)),
            // Time costs nothing here.
            Effect::CleanerRate { .. } => {}
            Effect::Swap(segment) => {
                self.disk.swap(segment);
                self.input(shard, |it, now, effects| it.swapped(now, segment, Ok(()), effects));
            }
            Effect::Publish(image) => {
                let image = with_busy_topics(&image);
                for at in (0..image.shards).map(ShardId) {
                    let (image, version) = (Arc::clone(&image), image.version);
                    self.input(at, |it, now, effects| it.image(now, image, effects));
                    self.input(ShardId(0), |it, now, effects| it.image_applied(now, at, version, effects));
                }
            }
            Effect::Notice(_) => {}
            Effect::Fatal { reason } => {
                self.note(|| format!("fatal: {reason}"));
                self.has_failed = true;
            }
        }
    }

    fn ask(&mut self, shard: ShardId, asked: Option<Asked>, request: ShardRequest) {
        let number = self.next_ask;
        self.next_ask += 1;
        if let Some(asked) = asked {
            self.note(|| format!("ask {number}: {asked:?}"));
            self.asked.insert(number, asked);
        }
        let id = RequestId { origin: ShardId(0), number };
        self.input(shard, |it, now, effects| it.request(now, id, request, effects));
    }

    fn replied(&mut self, number: u64, reply: ShardReply) {
        let Some(asked) = self.asked.remove(&number) else {
            self.told = Some(reply);
            return;
        };
        match (asked, reply) {
            (Asked::Produce { partition, records, is_idempotent }, ShardReply::Produce(results)) => {
                let outcome = results[0].outcome.clone();
                self.note(|| format!("{number} produced: {outcome:?}"));
                self.produced(partition, &records, is_idempotent, outcome.map(|it| it.base_offset.0));
            }
            (Asked::Fetch { partition }, ShardReply::Fetch(results)) => match &results[0].outcome {
                Ok(fetched) => {
                    let bytes = joined(&fetched.records);
                    let found = read_batches(&bytes);
                    self.note(|| format!("{number} fetched {} records", found.len()));
                    if let Some(known) = self.model.get(partition) {
                        found.iter().for_each(|(offset, record)| known.found(*offset, *record));
                        known.bounds(fetched.log_start.0, fetched.high_watermark.0);
                    }
                }
                Err(PartitionError::OffsetOutOfRange { .. } | PartitionError::NotHere) => {}
                // The notice of it follows.
                Err(PartitionError::StorageFailed) => {}
                Err(error) => panic!("a fetch: {error}"),
            },
            (Asked::Ends { partition }, ShardReply::ListOffsets(results)) => {
                if let (Ok(listed), Some(known)) = (&results[0], self.model.get(partition)) {
                    known.bounds(0, listed.offset.0);
                }
            }
            (Asked::Delete { partition }, ShardReply::DeleteRecords(results)) => {
                if let (Ok(start), Some(known)) = (&results[0], self.model.get(partition)) {
                    known.deleted_before(start.0);
                }
            }
            (Asked::Create { kind }, ShardReply::Controller(ControllerReply::CreateTopics(created))) => {
                if let Ok(created) = &created[0] {
                    for index in 0..created.partitions {
                        let partition =
                            TopicPartition { topic: created.id, partition: PartitionIndex(index) };
                        self.model.born(partition, kind == Kind::Compacted);
                        if kind == Kind::Busy {
                            self.busy.insert(partition);
                        }
                    }
                }
            }
            (Asked::Drop { partitions }, ShardReply::Controller(ControllerReply::DeleteTopics(_))) => {
                partitions.iter().for_each(|partition| self.model.gone(*partition));
            }
            (asked, reply) => panic!("{asked:?} was answered {reply:?}"),
        }
    }

    fn produced(
        &mut self,
        partition: TopicPartition,
        sent: &[u64],
        is_idempotent: bool,
        outcome: Result<i64, PartitionError>,
    ) {
        if let (Ok(base), Some(known)) = (&outcome, self.model.get(partition)) {
            known.acknowledged(*base, sent);
        }
        if is_idempotent {
            let producer = self.producers.get_mut(&partition).unwrap();
            producer.is_waiting = false;
            if outcome.is_ok() {
                producer.unknown = None;
            }
        }
        match outcome {
            Ok(_) | Err(PartitionError::NotHere | PartitionError::DiskFull) => {}
            Err(PartitionError::StorageFailed) => {}
            Err(error) => panic!("a batch was refused: {error}"),
        }
    }

    // What happens

    fn step(&mut self) {
        match self.rng.below(100) {
            0..25 => self.produce(),
            25..70 => self.finish_one(),
            70..86 => self.turn(),
            86..91 => self.pass_time(),
            91..97 => self.look(),
            97 => self.delete_records(),
            98 if self.rng.below(6) == 0 => self.create_topic(),
            99 if self.rng.below(15) == 0 => self.drop_topic(),
            _ => {}
        }
    }

    fn turn(&mut self) {
        let at = self.rng.below(self.shards.len() as u64);
        self.turn_of(usize::try_from(at).unwrap());
    }

    fn turn_of(&mut self, at: usize) {
        let at = ShardId(u16::try_from(at).unwrap());
        self.given.remove(&at);
        self.call(at, |it, now, effects| it.turn(now, effects));
    }

    fn pass_time(&mut self) {
        let ms = self.rng.below(100);
        self.now.mono = self.now.mono.plus_ms(ms);
        self.now.wall = TimestampMs(self.now.wall.0 + i64::try_from(ms).unwrap());
        for at in (0..self.shards.len()).map(|at| ShardId(u16::try_from(at).unwrap())) {
            if self.shards[usize::from(at.0)].next_deadline() <= self.now.mono {
                self.input(at, |it, now, effects| it.turn(now, effects));
            }
        }
    }

    /// Ends any one of the operations under way, well or not.
    fn finish_one(&mut self) {
        if self.under_way.is_empty() {
            return;
        }
        let at = usize::try_from(self.rng.below(self.under_way.len() as u64)).unwrap();
        let fault = match self.rng.below(4000) {
            0 => Fault::Error,
            1..16 => Fault::Full,
            _ => Fault::None,
        };
        self.finish(at, fault);
    }

    fn finish(&mut self, at: usize, fault: Fault) {
        let (shard, id, op) = self.under_way.swap_remove(at);
        // The commit log's space was written when it was made, and reads need none.
        let needs_space = !matches!(
            op,
            IoOp::WriteCommit { .. }
                | IoOp::ReadSegment { .. }
                | IoOp::ReadIndex { .. }
                | IoOp::IndexSegment { .. }
                | IoOp::MapKeys { .. }
                | IoOp::VerifySegment { .. }
        );
        let fault = if fault == Fault::Full && !needs_space { Fault::None } else { fault };
        self.note(|| format!("{shard} {} {fault:?}", named(&op)));
        let done = self.disk.perform(shard, op, fault, &mut self.rng);
        self.input(shard, |it, now, effects| it.io_done(now, id, done, effects));
    }

    fn any_partition(&mut self) -> Option<TopicPartition> {
        let all: Vec<TopicPartition> = self.model.partitions().collect();
        let at = self.rng.below(all.len().max(1) as u64);
        all.get(usize::try_from(at).unwrap()).copied()
    }

    fn produce(&mut self) {
        if self.asked.len() >= WAITING_MAX {
            return;
        }
        let busy = self.busy.iter().next_back().copied().filter(|it| self.model.get(*it).is_some());
        let busy = busy.filter(|_| self.chance(20));
        let Some(partition) = busy.or_else(|| self.any_partition()) else { return };
        let Some(owner) = self.owner(partition) else { return };
        // The first partition of each topic belongs to an idempotent producer, who waits for each answer.
        let is_idempotent = partition.partition == PartitionIndex(0) && !self.busy.contains(&partition);
        let (sequence, numbers) = match is_idempotent {
            true => {
                let fresh = self.fresh_records(partition);
                let producer = self.producers.entry(partition).or_default();
                if producer.is_waiting {
                    return;
                }
                producer.is_waiting = true;
                let next = producer.next_sequence;
                if producer.unknown.is_none() {
                    producer.next_sequence += i32::try_from(fresh.len()).unwrap();
                }
                producer.unknown.get_or_insert((next, fresh)).clone()
            }
            false => (-1, self.fresh_records(partition)),
        };
        let batch = self.batch(partition, &numbers, sequence);
        let request = ProduceRequest {
            partitions: vec![ProducePartition { partition, records: batch, inside: Inside::Unread }],
            zstd_allowed: true,
            answer_at_append: false,
        };
        let asked = Asked::Produce { partition, records: numbers, is_idempotent };
        self.ask(owner, Some(asked), ShardRequest::Produce(request));
    }

    fn fresh_records(&mut self, partition: TopicPartition) -> Vec<u64> {
        let count = 1 + self.rng.below(4);
        let numbers: Vec<u64> = (self.next_record..self.next_record + count).collect();
        self.next_record += count;
        let known = self.model.get(partition).unwrap();
        numbers.iter().for_each(|number| known.send(*number, number % KEYS));
        numbers
    }

    /// A batch of these records; of the same size whenever it is made.
    fn batch(&mut self, partition: TopicPartition, numbers: &[u64], sequence: i32) -> Bytes {
        let mut sizes = Rng::seeded(numbers[0]);
        let mut builder = BatchBuilder::new(self.now.wall);
        if sequence >= 0 {
            let id = ProducerId(1 + i64::from(partition.topic.0[0]));
            builder = builder.producer(id, ProducerEpoch(0), sequence);
        }
        for number in numbers {
            let is_busy = self.busy.contains(&partition);
            let size = match sizes.below(10) {
                0..4 if is_busy => 5000 + sizes.below(40_000),
                0 => 40_000 + sizes.below(60_000),
                1..4 => sizes.below(6000),
                _ => sizes.below(300),
            };
            let key = format!("k{}", number % KEYS);
            let value = format!("{number}:{}", "x".repeat(usize::try_from(size).unwrap()));
            builder.append(Some(key.as_bytes()), Some(value.as_bytes()));
        }
        builder.finish().unwrap().into()
    }

    /// Reads from somewhere, or asks for the end.
    fn look(&mut self) {
        let Some(partition) = self.any_partition() else { return };
        let Some(owner) = self.owner(partition) else { return };
        let known = self.model.get(partition).unwrap();
        let (start, end) = (known.seen_start(), known.end());
        if self.chance(20) {
            let request = ShardRequest::ListOffsets(vec![lookup(partition, OffsetLookup::Latest)]);
            return self.ask(owner, Some(Asked::Ends { partition }), request);
        }
        let span = u64::try_from(end - start).unwrap() + 1;
        let offset = start + i64::try_from(self.rng.below(span)).unwrap();
        self.ask(owner, Some(Asked::Fetch { partition }), fetch(partition, offset));
    }

    fn delete_records(&mut self) {
        let Some(partition) = self.any_partition() else { return };
        let Some(owner) = self.owner(partition) else { return };
        let known = self.model.get(partition).unwrap();
        let (start, end) = (known.seen_start(), known.end());
        let span = u64::try_from(end - start).unwrap() / 2 + 1;
        let before = Some(Offset(start + i64::try_from(self.rng.below(span)).unwrap()));
        let request = ShardRequest::DeleteRecords(vec![DeleteRecordsPartition { partition, before }]);
        self.ask(owner, Some(Asked::Delete { partition }), request);
    }

    fn create_topic(&mut self) {
        let kind = Kind::any(&mut self.rng);
        self.create(kind);
    }

    fn create(&mut self, kind: Kind) {
        let topic = kind.topic(self.next_topic, &mut self.rng);
        self.next_topic += 1;
        let request = ControllerRequest::CreateTopics { topics: vec![topic], validate_only: false };
        self.ask(ShardId(0), Some(Asked::Create { kind }), ShardRequest::Controller(request));
    }

    fn drop_topic(&mut self) {
        let Some(partition) = self.any_partition() else { return };
        let of_topic = self.model.partitions().filter(|it| it.topic == partition.topic);
        let partitions: Vec<TopicPartition> = of_topic.collect();
        let topics = vec![TopicName::Id(partition.topic)];
        let request = ShardRequest::Controller(ControllerRequest::DeleteTopics { topics });
        self.ask(ShardId(0), Some(Asked::Drop { partitions }), request);
    }

    // Ends of lives

    /// Without new work and faults, everything asked is answered.
    fn calm_down(&mut self) {
        let mut steps = 0;
        while !self.asked.is_empty() && !self.has_failed {
            self.go_on();
            steps += 1;
            assert!(steps < PATIENCE, "never answered: {:?}\n{:#?}", self.asked, self.last_events);
        }
    }

    fn stop(&mut self) {
        self.note(|| "stop".to_owned());
        for at in 0..self.shards.len() {
            self.input(ShardId(u16::try_from(at).unwrap()), |it, now, effects| it.stop(now, effects));
        }
        let mut steps = 0;
        while self.shards.iter().any(|it| !it.is_stopped()) && !self.has_failed {
            self.go_on();
            steps += 1;
            assert!(steps < PATIENCE, "never stopped\n{:#?}", self.last_events);
        }
    }

    /// One operation ends well, or time passes.
    fn go_on(&mut self) {
        if self.under_way.is_empty() || self.chance(20) {
            self.turn();
            self.pass_time();
        } else {
            let at = usize::try_from(self.rng.below(self.under_way.len() as u64)).unwrap();
            self.finish(at, Fault::None);
        }
    }
}

fn scratch() -> tempfile::TempDir {
    // Memory will do: what the disk under recovery does is not what is tried here.
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory } else { Path::new(env!("CARGO_TARGET_TMPDIR")) };
    tempfile::tempdir_in(place).unwrap()
}
