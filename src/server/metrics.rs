//! What the server counts on one shard, and what a scrape of the shard is made of.
//!
//! Counters are plain numbers of one thread, bumped where something happens. Knows no HTTP.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;

use crate::api::{ConnectionState, Step};
use crate::base::MonoNanos;
use crate::base::metrics::{HopCounters, Latencies, NetworkCounters, RequestCounters};
use crate::controller::View;
use crate::protocol::ApiKey;

use super::peer::NotKafka;

/// Longest name of a client's software in the counters.
const CLIENT_NAME_MAX: usize = 64;
/// At most one line in so much time about peers that are no Kafka clients.
const MALFORMED_PAUSE_NS: u64 = 100_000_000;

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) network: RefCell<NetworkCounters>,
    pub(super) requests: RefCell<RequestCounters>,
    pub(super) hops: RefCell<HopCounters>,
    pub(super) latencies: RefCell<Latencies>,
    last_malformed: Cell<Option<MonoNanos>>,
}

impl Counters {
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
