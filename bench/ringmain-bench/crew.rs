//! The threads of a load: connections opened and dealt out, workloads started and joined.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::thread::{Scope, ScopedJoinHandle};

use ringmain::protocol::ApiKey;

use crate::broker::Broker;
use crate::check::Checker;
use crate::cursor::Cursor;
use crate::engine::{self, Workload};
use crate::error::BenchError;
use crate::plan::Share;
use crate::produce::{Asking, Line, PRODUCE_VERSION_MAX, Pace, Produce};
use crate::reader::{Reader, Reading, Until};
use crate::session::{FETCH_VERSION_MAX, FetchSettings};
use crate::socket::Socket;
use crate::stats::{Beat, Meter, Window};

/// Offsets by partition.
pub type Offsets = BTreeMap<i32, i64>;

/// What each thread drives.
pub type Parts<W> = Vec<(Vec<Socket>, W)>;

/// How a part is measured and by how many threads it is driven.
#[derive(Clone)]
pub struct Crew {
    pub window: Window,
    /// Number of the part in beats.
    pub part: usize,
    pub threads: usize,
    pub beats: Sender<Beat>,
}

/// Producers: one connection for each share, numbered from `first`.
pub fn producers(
    crew: &Crew,
    shares: &[Share],
    first: u32,
    mut asking: Asking,
    requests_max: u64,
    pace: impl Fn(usize, usize) -> Pace,
) -> Result<Parts<Produce>, BenchError> {
    asking.version = version(shares, ApiKey::Produce, PRODUCE_VERSION_MAX)?;
    let asking = Arc::new(asking);
    let line = |index: usize, share: &Share| {
        let connection = first + u32::try_from(index).unwrap_or(u32::MAX);
        Line::new(&asking, connection, &share.partitions, pace(index, shares.len()), requests_max)
    };
    let dealt = deal(shares, crew.threads, line)?.into_iter().map(|(sockets, lines)| {
        let meter = Meter::new(crew.window, crew.part, lines.len(), crew.beats.clone());
        (sockets, Produce::new(meter, lines, Arc::clone(&asking)))
    });
    Ok(dealt.collect())
}

/// From where to where logs are read.
#[derive(Clone, Debug, Default)]
pub struct Range {
    pub from: Offsets,
    pub to: Offsets,
}

/// Consumers: in each of `groups`, one connection for each share.
pub fn readers(
    crew: &Crew,
    shares: &[Share],
    groups: usize,
    mut settings: FetchSettings,
    reading: &ToRead<'_>,
) -> Result<Parts<Reader>, BenchError> {
    settings.version = version(shares, ApiKey::Fetch, FETCH_VERSION_MAX)?;
    let ToRead { until, range, checker } = reading;
    let cursor = |partition: &i32| {
        let at = |offsets: &Offsets| offsets.get(partition).copied().unwrap_or(0);
        let (start, end) = (at(&range.from), at(&range.to));
        Cursor { partition: *partition, start, end, position: start }
    };
    let all: Vec<Share> = (0..groups).flat_map(|_| shares.iter().cloned()).collect();
    let reading = |index: usize, share: &Share| {
        let cursors = share.partitions.iter().map(cursor).collect();
        Ok(Reading::new(index / shares.len(), cursors, checker()))
    };
    let dealt = deal(&all, crew.threads, reading)?.into_iter().map(|(sockets, readings)| {
        let meter = Meter::new(crew.window, crew.part, readings.len(), crew.beats.clone());
        (sockets, Reader::new(meter, settings.clone(), (*until).clone(), readings))
    });
    Ok(dealt.collect())
}

/// What consumers read, how far, and who looks at it.
pub struct ToRead<'a> {
    pub until: &'a Until,
    pub range: &'a Range,
    pub checker: &'a dyn Fn() -> Option<Checker>,
}

fn version(shares: &[Share], api: ApiKey, ours: i16) -> Result<i16, BenchError> {
    let first = shares.first().ok_or(BenchError::NothingToRead)?;
    Broker::connect(&first.address)?.versions().common(api, ours)
}

/// Connections of a thread, and what each of them does.
type Dealt<T> = Vec<(Vec<Socket>, Vec<T>)>;

/// Connects for every share and deals connections and what they do out to the threads.
fn deal<T>(
    shares: &[Share],
    threads: usize,
    make: impl Fn(usize, &Share) -> Result<T, BenchError>,
) -> Result<Dealt<T>, BenchError> {
    let threads = threads.clamp(1, shares.len().max(1));
    let mut parts: Dealt<T> = (0..threads).map(|_| Default::default()).collect();
    for (index, share) in shares.iter().enumerate() {
        let socket = Socket::new(Broker::connect(&share.address)?.into_stream())?;
        if let Some((sockets, items)) = parts.get_mut(index % threads) {
            sockets.push(socket);
            items.push(make(index, share)?);
        }
    }
    Ok(parts)
}

/// A workload's thread: what it did, and how many requests nobody answered.
pub type Running<'scope, W> = ScopedJoinHandle<'scope, Result<(W, usize), BenchError>>;

/// Starts a thread for each part.
pub fn start<'scope, W: Workload + Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    parts: Parts<W>,
) -> Vec<Running<'scope, W>> {
    let run = |(sockets, mut workload): (Vec<Socket>, W)| {
        scope.spawn(move || {
            let unanswered = engine::run(sockets, &mut workload);
            workload.ended();
            unanswered.map(|unanswered| (workload, unanswered))
        })
    };
    parts.into_iter().map(run).collect()
}

/// Waits for all threads, also after one has failed.
pub fn joined<W>(running: Vec<Running<'_, W>>) -> Result<Vec<(W, usize)>, BenchError> {
    let done: Vec<_> =
        running.into_iter().map(|thread| thread.join().map_err(|_| BenchError::Thread)?).collect();
    done.into_iter().collect()
}
