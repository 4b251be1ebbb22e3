//! Fetch sessions (KIP-227): a client that fetches the same partitions again and again names only those that change, and
//! is told only of those that have something new.
//!
//! Owned by the shard a connection lives on; a client that comes back elsewhere is told FETCH_SESSION_ID_NOT_FOUND and
//! starts over, as it does with any broker that has forgotten it. Partitions are resolved once, and again when the cluster's
//! state has changed: a session that names its topics follows a topic that was deleted and created anew.
//!
//! Limits: the shard's share of `max.incremental.fetch.session.cache.slots`, and [`PARTITIONS_MAX`] partitions over all
//! sessions. A full cache lets a session go that nobody has used for [`EVICTION_NS`], or a smaller one that has existed for
//! so long; otherwise the newcomer goes without.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::base::MonoNanos;
use crate::base::hash::IdMap;
use crate::base::metrics::Metric;
use crate::base::rng::Rng;
use crate::controller::MetadataImage;
use crate::protocol::ErrorCode;

use super::plan::{Key, NamedPartition, Placed, Plan, Wanted};

/// Partitions in all sessions of a shard: about 40 MiB.
const PARTITIONS_MAX: usize = 256 * 1024;
/// Kafka's `min.incremental.fetch.session.eviction.ms`, which is no setting there either.
const EVICTION_NS: u64 = 120_000_000_000;

/// All sessions of a shard.
#[derive(Debug)]
pub struct FetchSessions {
    slots: usize,
    sessions: IdMap<i32, Session>,
    partitions: usize,
    rng: Rng,
    counters: SessionCounters,
}

pub static METRICS: [Metric<FetchSessions>; 4] = [
    Metric::counter("ringmain_fetch_sessions_opened_total", "Fetch sessions opened.", |it| {
        it.counters().opened
    }),
    Metric::counter(
        "ringmain_fetch_sessions_evicted_total",
        "Fetch sessions let go to make room for others.",
        |it| it.counters().evicted,
    ),
    Metric::gauge("ringmain_fetch_sessions", "Open fetch sessions.", |it| it.counters().sessions),
    Metric::gauge("ringmain_fetch_session_partitions", "Partitions in fetch sessions.", |it| {
        it.counters().partitions
    }),
];

/// How many there are, and what has become of others.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct SessionCounters {
    /// Sessions that are open now.
    pub sessions: u64,
    /// Partitions in all open sessions.
    pub partitions: u64,
    pub opened: u64,
    /// Sessions let go to make room for others.
    pub evicted: u64,
}

/// What one client fetches.
#[derive(Debug)]
pub(super) struct Session {
    pub plan: Plan,
    /// The epoch of the request that is to come.
    pub epoch: i32,
    /// Whether its requests name topics by id.
    by_id: bool,
    places: HashMap<(u32, i32), Placed>,
    /// Each topic's number in the plan, and how many of its partitions are here.
    topics: HashMap<Key, (u32, u32)>,
    /// Numbers in the plan whose topics have no partition left.
    free: Vec<u32>,
    image_version: i64,
    created: MonoNanos,
    used: MonoNanos,
}

/// The epoch that follows: 0 opens a session and -1 asks for none, so numbers start over at 1.
pub(super) fn next_epoch(epoch: i32) -> i32 {
    epoch.checked_add(1).unwrap_or(1)
}

impl FetchSessions {
    /// No sessions yet, at most `slots` later.
    #[must_use]
    pub fn new(slots: usize, seed: u64) -> FetchSessions {
        FetchSessions {
            slots,
            sessions: IdMap::default(),
            partitions: 0,
            rng: Rng::seeded(seed),
            counters: SessionCounters::default(),
        }
    }

    #[must_use]
    pub(super) fn counters(&self) -> SessionCounters {
        SessionCounters {
            sessions: self.sessions.len() as u64,
            partitions: self.partitions as u64,
            ..self.counters
        }
    }

    /// Keeps what a full fetch asks for; the session's id, or what it asked for back if there is no room.
    pub(super) fn open(
        &mut self,
        now: MonoNanos,
        image: &MetadataImage,
        by_id: bool,
        plan: Plan,
    ) -> Result<i32, Plan> {
        let size = plan.len();
        if size == 0 || self.partitions + size > PARTITIONS_MAX || !self.make_room(now, size) {
            return Err(plan);
        }
        let session = Session::new(now, image, by_id, plan)?;
        let id = loop {
            let id = i32::try_from(self.rng.next_u64() >> 33).expect("31 bits");
            if id != 0 && !self.sessions.contains_key(&id) {
                break id;
            }
        };
        self.partitions += session.plan.len();
        self.counters.opened += 1;
        self.sessions.insert(id, session);
        Ok(id)
    }

    pub(super) fn close(&mut self, id: i32) {
        if let Some(session) = self.sessions.remove(&id) {
            self.partitions -= session.plan.len();
        }
    }

    /// The session that a request continues, moved on by one epoch.
    ///
    /// # Errors
    /// FETCH_SESSION_ID_NOT_FOUND, FETCH_SESSION_TOPIC_ID_ERROR, INVALID_FETCH_SESSION_EPOCH.
    pub(super) fn resume(
        &mut self,
        now: MonoNanos,
        image: &MetadataImage,
        id: i32,
        epoch: i32,
        by_id: bool,
    ) -> Result<&mut Session, ErrorCode> {
        let session = self.sessions.get_mut(&id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.by_id != by_id {
            return Err(ErrorCode::FetchSessionTopicIdError);
        }
        if session.epoch != epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        session.epoch = next_epoch(epoch);
        session.used = now;
        session.resolve(image);
        Ok(session)
    }

    /// Adds a partition to a session or changes what is asked of it; false once there is no room.
    pub(super) fn set(
        &mut self,
        id: i32,
        image: &MetadataImage,
        key: Key,
        index: i32,
        wanted: Wanted,
    ) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        if session.set(image, key, index, wanted) {
            self.partitions += 1;
        }
        self.partitions <= PARTITIONS_MAX
    }

    pub(super) fn forget(&mut self, id: i32, key: &Key, index: i32) {
        if let Some(session) = self.sessions.get_mut(&id)
            && session.forget(key, index)
        {
            self.partitions -= 1;
        }
    }

    /// The session whose answer is being made: it must not have been asked anything since.
    ///
    /// # Errors
    /// FETCH_SESSION_ID_NOT_FOUND, INVALID_FETCH_SESSION_EPOCH.
    pub(super) fn answering(&mut self, id: i32, next_epoch: i32) -> Result<&mut Session, ErrorCode> {
        let session = self.sessions.get_mut(&id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.epoch != next_epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        Ok(session)
    }

    /// Whether one more session of this size has a place, perhaps another's.
    fn make_room(&mut self, now: MonoNanos, size: usize) -> bool {
        if self.sessions.len() < self.slots {
            return true;
        }
        let old = |since: MonoNanos| now.since(since) > EVICTION_NS;
        let oldest = self.sessions.iter().min_by_key(|(_, it)| it.used).filter(|(_, it)| old(it.used));
        let smaller = |it: &Session| it.plan.len() < size && old(it.created);
        let evicted = oldest.or_else(|| {
            self.sessions.iter().filter(|(_, it)| smaller(it)).min_by_key(|(_, it)| it.plan.len())
        });
        let Some((id, _)) = evicted.map(|(id, session)| (*id, session)) else { return false };
        self.close(id);
        self.counters.evicted += 1;
        true
    }
}

impl Session {
    /// Gives the plan back if it names a partition twice: what its answers should be is anybody's guess.
    fn new(now: MonoNanos, image: &MetadataImage, by_id: bool, plan: Plan) -> Result<Session, Plan> {
        let mut session = Session {
            plan: Plan::default(),
            epoch: 1,
            by_id,
            places: HashMap::with_capacity(plan.len()),
            topics: HashMap::with_capacity(plan.topics.len()),
            free: Vec::new(),
            image_version: image.version,
            created: now,
            used: now,
        };
        let placed = plan
            .calls
            .iter()
            .flat_map(|call| (0..).zip(&call.named).map(|(at, named)| (*named, Placed::Call(call.shard, at))))
            .chain(plan.failed.iter().enumerate().map(|(at, failed)| (failed.named, Placed::Failed(at))));
        let mut counts = vec![0; plan.topics.len()];
        for (named, place) in placed {
            counts[named.topic as usize] += 1;
            if session.places.insert((named.topic, named.index), place).is_some() {
                return Err(plan);
            }
        }
        for ((number, topic), count) in (0..).zip(&plan.topics).zip(counts) {
            if session.topics.insert(topic.key.clone(), (number, count)).is_some() {
                return Err(plan);
            }
        }
        session.plan = plan;
        Ok(session)
    }

    /// Whether the session asks for nothing any more.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Finds all partitions again if the cluster's state is not what it was.
    fn resolve(&mut self, image: &MetadataImage) {
        if self.image_version == image.version {
            return;
        }
        self.image_version = image.version;
        let old = std::mem::take(&mut self.plan);
        self.plan.topics = old.topics.into_iter().map(|topic| topic.key.resolve(image)).collect();
        let asked = old.calls.into_iter().flat_map(|call| {
            let wanted = call.partitions.iter().copied().collect::<Vec<_>>();
            call.named.into_iter().zip(wanted)
        });
        let failed = old.failed.into_iter().map(|failed| (failed.named, failed.wanted));
        for (named, wanted) in asked.chain(failed) {
            let place = self.plan.add(image, named, wanted, None);
            self.places.insert((named.topic, named.index), place);
        }
    }

    /// True if the partition is new here.
    fn set(&mut self, image: &MetadataImage, key: Key, index: i32, wanted: Wanted) -> bool {
        let topic = self.topic(image, key);
        if let Some(place) = self.places.get(&(topic, index)) {
            if let Some(before) = self.plan.wanted(*place) {
                *before = Wanted { partition: before.partition, known: before.known, ..wanted };
            }
            return false;
        }
        let named = NamedPartition { topic, index, order: 0 };
        let place = self.plan.add(image, named, wanted, None);
        self.places.insert((topic, index), place);
        if let Some((_, count)) = self.topics.get_mut(&self.plan.topics[topic as usize].key) {
            *count += 1;
        }
        true
    }

    /// The topic's number, which it gets if it has none.
    fn topic(&mut self, image: &MetadataImage, key: Key) -> u32 {
        match self.topics.entry(key) {
            Entry::Occupied(found) => found.get().0,
            Entry::Vacant(vacant) => {
                let topic = vacant.key().clone().resolve(image);
                let number = match self.free.pop() {
                    Some(number) => {
                        self.plan.topics[number as usize] = topic;
                        number
                    }
                    None => {
                        self.plan.topics.push(topic);
                        u32::try_from(self.plan.topics.len() - 1).expect("fewer topics than partitions")
                    }
                };
                vacant.insert((number, 0)).0
            }
        }
    }

    /// True if the partition was here.
    fn forget(&mut self, key: &Key, index: i32) -> bool {
        let Some((topic, count)) = self.topics.get_mut(key) else { return false };
        let topic = *topic;
        let Some(place) = self.places.remove(&(topic, index)) else { return false };
        *count -= 1;
        if *count == 0 {
            self.topics.remove(key);
            self.free.push(topic);
        }
        if let Some(moved) = self.plan.remove(place) {
            self.places.insert((moved.topic, moved.index), place);
        }
        true
    }
}
