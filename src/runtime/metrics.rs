//! What the host of a shard counts: requests to other shards, bytes copied for them, and how long the disk takes.

use std::cell::{Cell, RefCell};

use crate::base::metrics::{Latency, Metric, Timing};
use crate::shard::ShardRequest;

#[derive(Debug, Default)]
pub struct HostCounters {
    cross_shard: Cell<CrossShard>,
    /// Fetched bytes copied for other shards.
    bytes_copied: Cell<u64>,
    /// Time of the write of a commit group, from submission to completion.
    pub(super) commit_write: RefCell<Latency>,
    pub(super) segment_read: RefCell<Latency>,
}

/// Requests sent to another shard.
#[derive(Clone, Copy, Debug, Default)]
struct CrossShard {
    produce: u64,
    fetch: u64,
    other: u64,
}

impl HostCounters {
    /// A request goes to another shard.
    pub(super) fn cross(&self, request: &ShardRequest) {
        let mut counters = self.cross_shard.get();
        match request {
            ShardRequest::Produce(_) => counters.produce += 1,
            ShardRequest::Fetch(_) | ShardRequest::FetchNow(_) => counters.fetch += 1,
            _ => counters.other += 1,
        }
        self.cross_shard.set(counters);
    }

    pub(super) fn copied(&self, bytes: u64) {
        self.bytes_copied.set(self.bytes_copied.get() + bytes);
    }
}

/// Messages about requests of an API, or of all others.
const fn messages(api: &'static str, read: fn(&HostCounters) -> u64) -> Metric<HostCounters> {
    Metric::counter("ringmain_cross_shard_messages_total", "Requests sent to another shard.", read)
        .labelled("api", api)
}

pub static METRICS: [Metric<HostCounters>; 4] = [
    Metric::counter(
        "ringmain_fetch_payload_bytes_copied_total",
        "Payload bytes of fetch answers copied in user space.",
        |it| it.bytes_copied.get(),
    ),
    messages("produce", |it| it.cross_shard.get().produce),
    messages("fetch", |it| it.cross_shard.get().fetch),
    messages("other", |it| it.cross_shard.get().other),
];

pub static TIMINGS: [Timing<HostCounters>; 2] = [
    Timing::stage("commit_write", |it| it.commit_write.borrow().clone()),
    Timing::stage("segment_read", |it| it.segment_read.borrow().clone()),
];
