//! How a server's lives begin and end.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::{fs, mem};

use ringmain::base::io::IoOp;
use ringmain::base::{Chunk, DirectoryId, ShardId, VoterId};
use ringmain::runtime::recovery::{Origin, Recovered, Recovery};
use ringmain::shard::Shard;

use super::membership::{self, Membership};
use super::settings::{GROUP_BYTES, adapted};
use super::{Seat, Server, State};
use crate::disk::{Crash, Disk};
use crate::event::{Event, Stage};
use crate::queue::Instant;
use ringmain::base::rng::Rng;

/// How a life ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The process is gone, the kernel lives: everything that was written is there.
    Kill,
    /// Any part of what was not synced.
    Power,
}

/// What is on the disk between two lives.
#[derive(Debug)]
pub struct Left {
    directory: tempfile::TempDir,
    /// The id of the data directory, which its commit groups are marked with.
    id: [u8; 16],
}

impl Left {
    /// An empty disk.
    pub fn nothing(rng: &mut Rng) -> Left {
        Left { directory: scratch(), id: rng.uuid() }
    }
}

/// All files of a data directory.
#[derive(Clone, Debug)]
pub struct Copy {
    files: BTreeMap<PathBuf, Vec<u8>>,
    id: [u8; 16],
    membership: Option<Membership>,
}

impl Server {
    /// Ends this life. Tells how many operations had not ended.
    pub fn end(&mut self, end: End, rng: &mut Rng) -> usize {
        assert!(self.state != State::Down, "a life that has begun");
        let under_way: Vec<(ShardId, IoOp)> =
            mem::take(&mut self.under_way).into_iter().map(|((shard, _), op)| (shard, op)).collect();
        let crash = match end {
            End::Kill => Crash::Kill,
            End::Power => Crash::Power,
        };
        self.disk.crash(crash, &under_way, rng, self.left.directory.path());
        self.disk = Disk::default();
        self.seats.clear();
        self.held.clear();
        self.out.clear();
        (self.fails_next, self.state) = (false, State::Down);
        self.life += 1;
        under_way.len()
    }

    /// The disk of a server that is down is lost.
    pub fn reformat(&mut self, rng: &mut Rng) {
        assert!(self.state == State::Down, "nobody takes a disk away from under a process here");
        self.left = Left::nothing(rng);
        self.membership = self.membership.map(|_| Membership::Stranger);
    }

    pub fn directory(&self) -> DirectoryId {
        DirectoryId(self.left.id)
    }

    /// Begins a life with what is on the disk, by the real recovery.
    pub fn boot(&mut self, stage: &mut Stage<'_>) {
        assert!(self.state == State::Down, "one process on a directory");
        if stage.rng.below(8) == 0 {
            // A start that does not live to serve anything.
            self.recover(stage.rng);
        }
        let recovered = self.recover(stage.rng);
        self.disk = Disk::load(self.left.directory.path());
        empty(self.left.directory.path());
        self.clock.restart(stage.now());
        self.state = State::Up;
        let cluster = self.membership.map(|_| {
            let ballot = recovered.shards[0].directory.as_ref().and_then(|directory| directory.ballot);
            let voter = ballot.map_or_else(|| VoterId(stage.rng.uuid()), |ballot| ballot.voter);
            let (id, incarnation) = (&self.settings.controller.cluster_id, stage.rng.uuid());
            membership::cluster((self.at, self.servers), id, self.left.id, incarnation, voter)
        });
        for (shard, mut recovered) in (0..).map(ShardId).zip(recovered.shards) {
            recovered.image = adapted(&recovered.image);
            recovered.commit.group_bytes_max = GROUP_BYTES;
            // Counted, so that shards let tails go as they do in a server.
            let memory: Rc<Cell<usize>> = Rc::default();
            let counted = Rc::clone(&memory);
            let allocate = Box::new(move |bytes| Chunk::heap(bytes).counted(&counted));
            let config = self.settings.of_shard(shard, stage.rng.next_u64(), cluster.clone());
            let shard = Shard::new(config, recovered, allocate, memory);
            self.seats.push(Seat { shard, turn_at: None, mesh_at: Instant(0) });
        }
        for shard in self.shard_ids() {
            self.want_turn(shard, stage.now(), stage);
        }
    }

    pub fn pause(&mut self) {
        if self.state == State::Up {
            self.state = State::Paused;
        }
    }

    /// Goes on. What has come meanwhile happens now.
    pub fn resume(&mut self) -> Vec<Event> {
        if self.state == State::Paused {
            self.state = State::Up;
        }
        mem::take(&mut self.held)
    }

    /// Keeps what comes while the process is paused.
    pub fn hold(&mut self, event: Event) {
        assert!(self.state == State::Paused, "only what is paused holds anything");
        self.held.push(event);
    }

    /// Asks that others take over what is led here.
    pub fn hand_over(&mut self, stage: &mut Stage<'_>) {
        self.input(ShardId(0), stage, Shard::hand_over);
    }

    pub fn has_handed_over(&self) -> bool {
        self.seats.first().is_some_and(|seat| seat.shard.has_handed_over())
    }

    /// Begins the orderly stop.
    pub fn stop(&mut self, stage: &mut Stage<'_>) {
        for shard in self.shard_ids() {
            self.input(shard, stage, Shard::resign);
        }
        for shard in self.shard_ids() {
            self.input(shard, stage, Shard::stop);
        }
    }

    pub fn is_stopped(&self) -> bool {
        self.seats.iter().all(|seat| seat.shard.is_stopped())
    }

    /// What a copy of the directory of a server that is down has.
    pub fn copy(&self) -> Copy {
        assert!(self.state == State::Down, "a copy of files that nobody changes");
        let files = files_of(self.left.directory.path());
        Copy { files, id: self.left.id, membership: self.membership }
    }

    /// Puts a copy in the place of what a server that is down has.
    pub fn restore(&mut self, copy: &Copy) {
        let directory = self.left.directory.path();
        empty(directory);
        for (path, bytes) in &copy.files {
            let path = directory.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        }
        (self.left.id, self.membership) = (copy.id, copy.membership);
    }

    fn recover(&self, rng: &mut Rng) -> Recovered {
        let recovery = Recovery {
            origin: self.membership.map_or(Origin::Founded, Membership::origin),
            voter: VoterId(rng.uuid()),
            data_dir: self.left.directory.path(),
            directory: self.left.id,
            commit: self.settings.commit,
            controller: self.settings.controller.clone(),
        };
        recovery.run().unwrap_or_else(|error| panic!("server {} cannot start: {error}", self.id))
    }
}

fn files_of(directory: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![directory.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(directory).unwrap().to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn empty(directory: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { fs::remove_dir_all(path).unwrap() } else { fs::remove_file(path).unwrap() }
    }
}

fn scratch() -> tempfile::TempDir {
    // Memory will do: what the disk under recovery does is not what is tried here.
    let memory = Path::new("/dev/shm");
    let place = if memory.is_dir() { memory } else { Path::new(env!("CARGO_TARGET_TMPDIR")) };
    tempfile::tempdir_in(place).unwrap()
}
