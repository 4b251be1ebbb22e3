//! Lives of the machine: how each begins, and how it may end.

use std::path::Path;

use ringmain::base::ShardId;
use ringmain::config::CommitLimits;
use ringmain::controller::ControllerConfig;
use ringmain::log::LogLimits;
use ringmain::shard::{CompactionConfig, RetentionConfig, ScrubConfig, ShardConfig, SpareConfig};

use super::{PATIENCE, World};
use crate::disk::{Crash, Fault};
use crate::machine::Machine;

impl World {
    /// The last life ends as it happens to; what it leaves is recovered; everything acknowledged must be there.
    pub(super) fn begin_life(&mut self) {
        let crash = if self.chance(30) { Crash::Kill } else { Crash::Power };
        let directory = scratch();
        let under_way = self.machine.crash(crash, &mut self.rng, directory.path());
        self.note(|| format!("{crash:?} with {under_way} operations under way"));
        self.forget_waiting();
        self.start(directory.path());
        self.check_everything();
    }

    /// Nobody will ever answer.
    fn forget_waiting(&mut self) {
        self.asked.clear();
        self.told = None;
        self.producers.values_mut().for_each(|producer| producer.is_waiting = false);
    }

    fn start(&mut self, directory: &Path) {
        let shards = 1 + u16::try_from(self.rng.below(3)).unwrap();
        // Few, so that appends wait for them, or enough that they hardly ever do.
        let more = if self.chance(50) { self.rng.below(3) } else { 5 + self.rng.below(12) };
        let commit = CommitLimits { file_bytes: 2 << 20, files_max: 3 + usize::try_from(more).unwrap() };
        let own = ControllerConfig::new("0123456789abcdefghijkl".into(), &self.config);
        let recover = || Machine::recover(directory, commit, ControllerConfig { shards, ..own.clone() });
        if self.chance(20) {
            // A start that does not live to serve anything.
            recover();
        }
        let recovered = recover();
        let config = self.settings(shards);
        let rng = &mut self.rng;
        let of_shard = |shard| ShardConfig { shard, seed: rng.next_u64(), ..config.clone() };
        self.machine.boot(directory, recovered, of_shard);
        let damaged = self.machine.disk().damaged();
        assert_eq!(damaged, None, "nothing of a log was damaged\n{:#?}", self.last_events);
    }

    /// What all shards of a life have in common.
    fn settings(&mut self, shards: u16) -> ShardConfig {
        // Spares are used, and let go.
        let spares = SpareConfig { fills_within_ms: 60_000, kept_ms: 20 + self.rng.below(4000) };
        let spares = self.chance(90).then_some(spares);
        // Room for reading ahead, or so little that readers wait for each other.
        let read_cache_bytes = if self.chance(50) { 8 << 20 } else { 32 << 10 };
        self.index_bytes = if self.chance(50) { 1 << 20 } else { 200 };
        ShardConfig {
            shard: ShardId(0),
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
            seed: 0,
            cluster: None,
        }
    }

    /// Without new work and faults, everything asked is answered.
    pub(super) fn calm_down(&mut self) {
        let mut steps = 0;
        while !self.asked.is_empty() && !self.machine.has_failed() {
            self.go_on();
            steps += 1;
            assert!(steps < PATIENCE, "never answered: {:?}\n{:#?}", self.asked, self.last_events);
        }
    }

    pub(super) fn stop(&mut self) {
        self.note(|| "stop".to_owned());
        self.machine.stop(self.now);
        self.hear();
        let mut steps = 0;
        while !self.machine.is_stopped() && !self.machine.has_failed() {
            self.go_on();
            steps += 1;
            assert!(steps < PATIENCE, "never stopped\n{:#?}", self.last_events);
        }
        if !self.machine.has_failed() {
            self.check_quiet();
        }
    }

    /// One operation ends well, or time passes.
    pub(super) fn go_on(&mut self) {
        if self.machine.under_way().is_empty() || self.chance(20) {
            self.turn();
            self.pass_time();
        } else {
            let at = self.any_under_way();
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
