//! A machine, its clients and the time, all in one thread.

mod alone;
mod answers;
mod checks;
mod full_log;
mod lives;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use ringmain::base::rng::Rng;
use ringmain::base::{MonoNanos, Now, ShardId, TimestampMs, TopicPartition};
use ringmain::config::Config;
use ringmain::shard::ShardReply;

use crate::disk::Fault;
use crate::events::named;
use crate::machine::Machine;
use crate::model::Model;
use crate::topics::{Kind, with_busy_topics};

const LIVES: usize = 6;
const STEPS_MAX: u64 = 3000;
/// Anything that takes more steps than this hangs.
const PATIENCE: usize = 200_000;
const WAITING_MAX: usize = 40;
const WALL: i64 = 1_700_000_000_000;

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
    machine: Machine,
    config: Config,
    asked: BTreeMap<u64, Asked>,
    next_ask: u64,
    next_record: u64,
    next_topic: u64,
    producers: BTreeMap<TopicPartition, Producer>,
    busy: BTreeSet<TopicPartition>,
    /// The memory that each shard has for indexes.
    index_bytes: usize,
    model: Model,
    /// The answer to what only the checks ask.
    told: Option<ShardReply>,
    trace: DefaultHasher,
    last_events: VecDeque<String>,
}

impl World {
    pub fn new(seed: u64) -> World {
        World {
            rng: Rng::seeded(seed),
            now: Now { mono: MonoNanos(1), wall: TimestampMs(WALL) },
            machine: Machine::new(with_busy_topics),
            config: Config::default(),
            asked: BTreeMap::new(),
            next_ask: 1,
            next_record: 1,
            next_topic: 1,
            producers: BTreeMap::new(),
            busy: BTreeSet::new(),
            index_bytes: 0,
            model: Model::default(),
            told: None,
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
                if self.machine.has_failed() {
                    break;
                }
                self.step();
            }
            match self.rng.below(10) {
                0..3 if !self.machine.has_failed() => self.stop(),
                3..5 if !self.machine.has_failed() => self.calm_down(),
                5..7 if !self.machine.has_failed() => {
                    let segments_lag = self.chance(50);
                    self.go_on_without_time(1500, segments_lag);
                }
                _ => {}
            }
        }
        self.begin_life();
        Course { trace: self.trace.finish(), recycled: self.machine.recycled() }
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
        let at = self.rng.below(self.machine.shards().len() as u64);
        self.turn_of(ShardId(u16::try_from(at).unwrap()));
    }

    fn turn_of(&mut self, at: ShardId) {
        self.machine.turn(self.now, at);
        self.hear();
    }

    fn pass_time(&mut self) {
        let ms = self.rng.below(100);
        self.now.mono = self.now.mono.plus_ms(ms);
        self.now.wall = TimestampMs(self.now.wall.0 + i64::try_from(ms).unwrap());
        self.machine.wake(self.now);
        self.hear();
    }

    /// Ends any one of the operations under way, well or not.
    fn finish_one(&mut self) {
        if self.machine.under_way().is_empty() {
            return;
        }
        let at = self.any_under_way();
        let fault = match self.rng.below(4000) {
            0 => Fault::Error,
            1..16 => Fault::Full,
            _ => Fault::None,
        };
        self.finish(at, fault);
    }

    fn any_under_way(&mut self) -> usize {
        usize::try_from(self.rng.below(self.machine.under_way().len() as u64)).unwrap()
    }

    fn finish(&mut self, at: usize, fault: Fault) {
        let ending = self.machine.take(at);
        let fault = if fault == Fault::Full && !ending.needs_space() { Fault::None } else { fault };
        self.note(|| format!("{} {} {fault:?}", ending.shard, named(&ending.op)));
        self.machine.finish(self.now, ending, fault, &mut self.rng);
        self.hear();
    }
}
