//! From the settings of a run to its figures: topic, connections, threads, and the check that what was acknowledged is
//! there.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use ringmain::protocol::ApiKey;

use crate::broker::Broker;
use crate::engine::{self, Workload};
use crate::error::BenchError;
use crate::fetch::{Cursor, FETCH_VERSION_MAX, Fetch, FetchSettings, Reading};
use crate::plan::{Share, shares};
use crate::produce::{Batch, Line, PRODUCE_VERSION_MAX, Pace, Produce};
use crate::socket::Socket;
use crate::stats::{Stats, Window};
use crate::topic::{End, Topic};

/// Connections of a run and how they are driven.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    pub partitions: usize,
    pub connections: usize,
    pub threads: usize,
}

/// How long a run takes.
#[derive(Clone, Copy, Debug)]
pub struct Length {
    pub warmup: Duration,
    pub seconds: Duration,
}

#[derive(Clone, Copy, Debug)]
pub enum Loop {
    Closed { depth: usize },
    Open { requests_per_second: f64 },
}

#[derive(Clone, Debug)]
pub struct ProduceLoad {
    pub shape: Shape,
    pub length: Length,
    pub pace: Loop,
    pub acks: i16,
    pub batch: Batch,
    /// Requests on each connection at most.
    pub requests_max: u64,
}

/// Connects as a client of the topic's leaders.
fn open(shares: &[Share]) -> Result<(Vec<Socket>, Broker), BenchError> {
    let first = shares.first().ok_or(BenchError::Answer)?;
    let broker = Broker::connect(&first.address)?;
    let connect = |share: &Share| Socket::new(Broker::connect(&share.address)?.into_stream());
    Ok((shares.iter().map(connect).collect::<Result<_, _>>()?, broker))
}

/// Runs a produce load, and checks afterwards that each log has grown by what was acknowledged.
pub fn produce(topic: &Topic, load: &ProduceLoad) -> Result<Stats, BenchError> {
    let before = topic.offsets(End::End)?;
    let shares = shares(topic, load.shape.partitions, load.shape.connections);
    let (sockets, broker) = open(&shares)?;
    let version = broker.versions().common(ApiKey::Produce, PRODUCE_VERSION_MAX)?;
    let window = Window::new(load.length.warmup, load.length.seconds);
    let threads = load.shape.threads.clamp(1, shares.len());
    let mut parts: Vec<(Vec<Socket>, Vec<Line>)> = (0..threads).map(|_| Default::default()).collect();
    for (index, (share, socket)) in shares.iter().zip(sockets).enumerate() {
        let pace = pace(load, window, index, shares.len());
        let line = Line::new(
            &topic.name,
            &share.partitions,
            &load.batch,
            version,
            load.acks,
            pace,
            load.requests_max,
        )?;
        if let Some((sockets, lines)) = parts.get_mut(index % threads) {
            sockets.push(socket);
            lines.push(line);
        }
    }
    let parts = parts
        .into_iter()
        .map(|(sockets, lines)| (sockets, Produce::new(window, lines, load.batch.clone(), load.acks)));
    let (mut done, unanswered) = drive(parts.collect())?;
    match load.pace {
        // A closed loop leaves so few that a broker which does not answer them is stuck, not slow.
        Loop::Closed { .. } if unanswered > 0 => return Err(BenchError::Unanswered(unanswered)),
        _ => done.iter_mut().for_each(|workload| workload.give_up(Instant::now())),
    }
    if load.acks != 0 {
        check_kept(&before, &topic.offsets(End::End)?, &done)?;
    }
    Ok(merged(window, done.iter().map(|workload| &workload.stats)))
}

fn pace(load: &ProduceLoad, window: Window, connection: usize, connections: usize) -> Pace {
    match load.pace {
        Loop::Closed { depth } => Pace::Closed { depth },
        Loop::Open { requests_per_second } => {
            let connections = u32::try_from(connections).unwrap_or(u32::MAX);
            let between = Duration::from_secs_f64(1.0 / requests_per_second);
            let offset = between * u32::try_from(connection).unwrap_or(u32::MAX);
            Pace::Open { first: window.start - load.length.warmup + offset, interval: between * connections }
        }
    }
}

fn check_kept(
    before: &BTreeMap<i32, i64>,
    after: &BTreeMap<i32, i64>,
    done: &[Produce],
) -> Result<(), BenchError> {
    let mut acknowledged: BTreeMap<i32, (i64, i64)> = BTreeMap::new();
    for (partition, (records, end)) in done.iter().flat_map(Produce::acknowledged) {
        let entry = acknowledged.entry(partition).or_default();
        *entry = (entry.0 + records, entry.1.max(end));
    }
    for (partition, (records, last)) in acknowledged {
        let start = before.get(&partition).copied().unwrap_or(0);
        let end = after.get(&partition).copied().unwrap_or(0);
        let acknowledged = last.max(start + records);
        if end < acknowledged {
            return Err(BenchError::Lost { partition, end, acknowledged });
        }
    }
    Ok(())
}

/// Runs a fetch load over everything the topic holds.
pub fn fetch(
    topic: &Topic,
    shape: Shape,
    length: Length,
    mut settings: FetchSettings,
) -> Result<Stats, BenchError> {
    let (start, end) = (topic.offsets(End::Start)?, topic.offsets(End::End)?);
    let mut shares = shares(topic, shape.partitions, shape.connections);
    for share in &mut shares {
        share.partitions.retain(|partition| end.get(partition) > start.get(partition));
    }
    shares.retain(|share| !share.partitions.is_empty());
    let (sockets, broker) = open(&shares)?;
    settings.version = broker.versions().common(ApiKey::Fetch, FETCH_VERSION_MAX)?;
    let window = Window::new(length.warmup, length.seconds);
    let threads = shape.threads.clamp(1, shares.len());
    let mut parts: Vec<(Vec<Socket>, Vec<Reading>)> = (0..threads).map(|_| Default::default()).collect();
    for (index, (share, socket)) in shares.iter().zip(sockets).enumerate() {
        let cursor = |partition: &i32| {
            let start = start.get(partition).copied().unwrap_or(0);
            let end = end.get(partition).copied().unwrap_or(0);
            Cursor { partition: *partition, start, end, position: start }
        };
        if let Some((sockets, readings)) = parts.get_mut(index % threads) {
            sockets.push(socket);
            readings.push(Reading::new(share.partitions.iter().map(cursor).collect()));
        }
    }
    let parts = parts
        .into_iter()
        .map(|(sockets, readings)| (sockets, Fetch::new(window, settings.clone(), readings)))
        .collect();
    let (done, unanswered) = drive(parts)?;
    if unanswered > 0 {
        return Err(BenchError::Unanswered(unanswered));
    }
    Ok(merged(window, done.iter().map(|workload| &workload.stats)))
}

/// One thread per part. Returns the parts and how many requests nobody answered.
fn drive<W: Workload + Send>(parts: Vec<(Vec<Socket>, W)>) -> Result<(Vec<W>, usize), BenchError> {
    thread::scope(|scope| {
        let run = |(sockets, mut workload): (Vec<Socket>, W)| {
            scope.spawn(move || engine::run(sockets, &mut workload).map(|unanswered| (workload, unanswered)))
        };
        let threads: Vec<_> = parts.into_iter().map(run).collect();
        let (mut workloads, mut unanswered) = (Vec::new(), 0);
        for thread in threads {
            let (workload, left) = thread.join().map_err(|_| BenchError::Thread)??;
            workloads.push(workload);
            unanswered += left;
        }
        Ok((workloads, unanswered))
    })
}

fn merged<'a>(window: Window, parts: impl Iterator<Item = &'a Stats>) -> Stats {
    let mut all = Stats::new(window);
    for part in parts {
        all.merge(part);
    }
    all
}
