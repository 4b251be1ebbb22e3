//! What the server counts on one shard, with one row for each number.
//!
//! Counters are plain numbers of one thread, bumped where something happens. Levels are declared where they are held: in
//! [`super::services`] and [`super::registry`].

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;

use crate::api::{ConnectionState, Step};
use crate::base::MonoNanos;
use crate::base::metrics::{Family, Latency, Metric, Timing};
use crate::controller::View;
use crate::protocol::ApiKey;

use super::peer::NotKafka;
use super::tallies::{HopCounters, RequestCounters};

/// Longest name of a client's software in the counters.
const CLIENT_NAME_MAX: usize = 64;
/// Peers that are no Kafka clients get at most one line in this time, all together.
const MALFORMED_PAUSE_NS: u64 = 100_000_000;

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) network: RefCell<NetworkCounters>,
    requests: RefCell<RequestCounters>,
    hops: RefCell<HopCounters>,
    latencies: RefCell<Latencies>,
    last_malformed: Cell<Option<MonoNanos>>,
}

/// Connections and their bytes.
#[derive(Debug, Default)]
pub(super) struct NetworkCounters {
    pub(super) connections_accepted: u64,
    /// Connections handed to the shard that owns their partitions.
    pub(super) connections_moved: u64,
    /// Connections closed at once because a limit was reached.
    pub(super) connections_rejected: u64,
    /// Connections closed because the peer broke the protocol.
    pub(super) connections_malformed: u64,
    pub(super) connections_idle_closed: u64,
    pub(super) bytes_received: u64,
    pub(super) bytes_sent: u64,
    /// Partitions of produce requests answered with an error.
    pub(super) produce_errors: u64,
}

/// Where the time goes.
#[derive(Debug, Default)]
struct Latencies {
    /// Time from the last byte of a produce request to its answer being ready.
    produce: Latency,
    /// The time of a fetch; long polls count their waiting.
    fetch: Latency,
    /// The time of any other request; those that wait for other members of a group count that.
    other: Latency,
    /// Reading a request and starting it: checks, appends, lookups.
    dispatch: Latency,
    /// A question to another shard, until its reply; what the other waits for counts.
    cross_shard: Latency,
    /// Answers, until the socket has taken them.
    send: Latency,
}

pub(super) static METRICS: [Metric<Counters>; 8] = [
    Metric::counter(
        "ringmain_produce_errors_total",
        "Partitions of produce requests answered with an error.",
        |it| it.network.borrow().produce_errors,
    ),
    Metric::counter("ringmain_connections_accepted_total", "Connections accepted.", |it| {
        it.network.borrow().connections_accepted
    }),
    Metric::counter(
        "ringmain_connections_moved_total",
        "Connections moved to the shard that owns their partitions.",
        |it| it.network.borrow().connections_moved,
    ),
    Metric::counter(
        "ringmain_connections_rejected_total",
        "Connections closed because a limit was reached.",
        |it| it.network.borrow().connections_rejected,
    ),
    Metric::counter(
        "ringmain_connections_malformed_total",
        "Connections closed because the peer broke the protocol.",
        |it| it.network.borrow().connections_malformed,
    ),
    Metric::counter(
        "ringmain_connections_idle_closed_total",
        "Connections closed because they were silent.",
        |it| it.network.borrow().connections_idle_closed,
    ),
    Metric::counter("ringmain_received_bytes_total", "Bytes received from clients.", |it| {
        it.network.borrow().bytes_received
    }),
    Metric::counter("ringmain_sent_bytes_total", "Bytes sent to clients.", |it| {
        it.network.borrow().bytes_sent
    }),
];

pub(super) static TIMINGS: [Timing<Counters>; 6] = [
    Timing::request("produce", |it| it.latencies.borrow().produce.clone()),
    Timing::request("fetch", |it| it.latencies.borrow().fetch.clone()),
    Timing::request("other", |it| it.latencies.borrow().other.clone()),
    Timing::stage("dispatch", |it| it.latencies.borrow().dispatch.clone()),
    Timing::stage("cross_shard", |it| it.latencies.borrow().cross_shard.clone()),
    Timing::stage("send", |it| it.latencies.borrow().send.clone()),
];

impl Counters {
    /// Numbers that are labelled by what came.
    pub(super) fn tallies(&self) -> [Family; 2] {
        [self.hops.borrow().family(), self.requests.borrow().family()]
    }

    /// A request has arrived.
    pub(super) fn request(&self, api_key: i16) {
        self.requests.borrow_mut().note(api_key);
    }

    /// A request was begun, which has led to this step.
    pub(super) fn dispatched(&self, nanos: u64, step: &Step) {
        let mut latencies = self.latencies.borrow_mut();
        latencies.dispatch.record(nanos);
        if matches!(step, Step::Reply(_)) {
            latencies.other.record(nanos);
        }
    }

    /// A request leaves the core of its connection.
    pub(super) fn hop(&self, state: &ConnectionState, api_key: i16) {
        let api = match ApiKey::from_code(api_key) {
            Some(ApiKey::Produce) => "produce",
            Some(ApiKey::Fetch) => "fetch",
            _ => "other",
        };
        let view = match state.view {
            View::Server => "server",
            View::Shards => "shards",
            View::ShardPorts => "shard-ports",
        };
        let client = state.software_name.get(..CLIENT_NAME_MAX).unwrap_or(&state.software_name);
        self.hops.borrow_mut().note(api, view, client);
    }

    /// All shards that a request asked have replied.
    pub(super) fn replied(&self, api_key: i16, nanos: u64, has_crossed: bool) {
        let mut latencies = self.latencies.borrow_mut();
        let latency = match ApiKey::from_code(api_key) {
            Some(ApiKey::Produce) => &mut latencies.produce,
            Some(ApiKey::Fetch) => &mut latencies.fetch,
            _ => &mut latencies.other,
        };
        latency.record(nanos);
        if has_crossed {
            latencies.cross_shard.record(nanos);
        }
    }

    /// A socket has taken answers, in so much time.
    pub(super) fn sent(&self, nanos: u64, bytes: usize) {
        self.latencies.borrow_mut().send.record(nanos);
        self.network.borrow_mut().bytes_sent += bytes as u64;
    }

    pub(super) fn received(&self, bytes: usize) {
        self.network.borrow_mut().bytes_received += bytes as u64;
    }

    /// Counts a peer that is no Kafka client, and writes one line for it unless there has just been one.
    pub(super) fn malformed(&self, now: MonoNanos, peer: SocketAddr, error: &NotKafka) {
        self.network.borrow_mut().connections_malformed += 1;
        if self.last_malformed.get().is_none_or(|last| now.since(last) > MALFORMED_PAUSE_NS) {
            self.last_malformed.set(Some(now));
            tracing::warn!(%peer, %error, "connection closed");
        }
    }

    /// Counts a connection that the limits do not allow; writes a line for the first, the second, the fourth and so on.
    pub(super) fn rejected(&self, peer: SocketAddr) {
        let mut network = self.network.borrow_mut();
        network.connections_rejected += 1;
        let rejected = network.connections_rejected;
        if rejected.is_power_of_two() {
            tracing::warn!(%peer, rejected, "connection refused: max.connections or max.connections.per.ip reached");
        }
    }
}
