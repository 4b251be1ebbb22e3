//! What a shard counts: plain numbers that it owns and increments. They are copied as a whole when someone asks for them.
//!
//! Lives on every shard, one each; the administration thread gets copies by channel. Knows neither HTTP nor names.

use std::sync::Arc;

use hdrhistogram::Histogram;

use super::ShardId;

/// Everything one shard reports. Counters never go down; gauges are set when a copy is made.
#[derive(Clone, Debug, Default)]
pub struct ShardMetrics {
    pub shard: ShardId,
    pub log: LogCounters,
    pub network: NetworkCounters,
    pub sessions: SessionCounters,
    pub cross_shard: CrossShardCounters,
    pub hops: HopCounters,
    pub requests: RequestCounters,
    pub gauges: ShardGauges,
    pub latency: Latencies,
    /// Committed offsets of the groups coordinated here, at most [`SERIES_MAX`].
    pub committed: Vec<CommittedMetric>,
    /// High watermarks of the partitions owned here, at most [`SERIES_MAX`].
    pub ends: Vec<EndMetric>,
    pub telemetry: TelemetryCounters,
    /// Metrics that clients have pushed, at most [`SERIES_MAX`].
    pub clients: Vec<ClientMetric>,
}

/// Most time series of one kind per shard: a scrape stays bounded, whatever names clients give their groups.
pub const SERIES_MAX: usize = 10_000;

/// A group's committed offset in a partition.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CommittedMetric {
    pub group: Arc<str>,
    pub topic: Arc<str>,
    pub partition: i32,
    pub offset: i64,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndMetric {
    pub topic: Arc<str>,
    pub partition: i32,
    /// The log start offset: records before it cannot be read any more.
    pub start: i64,
    pub end: i64,
}

/// A number that a client has pushed (KIP-714).
#[derive(Clone, PartialEq, Debug)]
pub struct ClientMetric {
    pub client_id: Arc<str>,
    pub instance: Arc<str>,
    /// Name and version of the client's software.
    pub software: Arc<str>,
    /// OpenTelemetry's name of the metric, with dots.
    pub name: Arc<str>,
    pub labels: Vec<(Arc<str>, Arc<str>)>,
    pub value: f64,
}

/// Metrics pushed by clients.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct TelemetryCounters {
    /// Clients that are remembered now.
    pub clients: u64,
    pub pushes: u64,
    pub refused: u64,
    /// Pushed numbers for which there was no room.
    pub values_dropped: u64,
}

/// Counters of storage.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct LogCounters {
    pub batches_appended: u64,
    pub bytes_appended: u64,
    pub records_appended: u64,
    /// Batches that were refused, for any reason except that they were duplicates.
    pub batches_refused: u64,
    /// Batches that a producer sent again although they were appended already.
    pub batches_duplicate: u64,
    /// Batches whose records were inflated before they were appended, and the bytes they inflated to.
    pub batches_inflated: u64,
    pub inflated_bytes: u64,
    /// Batches stored in another codec than they came in.
    pub batches_recompressed: u64,
    pub commit_groups: u64,
    /// Bytes written to the commit log: whole blocks, padding included.
    pub commit_bytes: u64,
    /// Runs that went directly to their segment.
    pub direct_runs: u64,
    pub direct_bytes: u64,
    pub segment_writes: u64,
    pub segment_syncs: u64,
    /// Syncs of everything, which many segments shared.
    pub syncs_of_all: u64,
    pub checkpoints: u64,
    /// Segments deleted by retention and DeleteRecords.
    pub segments_deleted: u64,
    /// Segments begun in an old segment's file.
    pub segments_recycled: u64,
    /// Compaction rounds, and those that ended with a segment that cannot be read.
    pub compactions: u64,
    pub compactions_failed: u64,
    pub scrub_passes: u64,
    pub scrub_segments: u64,
    pub scrub_bytes: u64,
    pub scrub_damaged: u64,
    /// Bytes that compaction left out.
    pub compacted_bytes: u64,
    pub fetches_from_memory: u64,
    pub cold_reads: u64,
    /// Reads that found their bytes in the cache, or already being read for another reader.
    pub read_cache_hits: u64,
    pub cold_read_bytes: u64,
    /// Reads whose bytes did not match their checksum.
    pub corrupt_reads: u64,
    /// Indexes whose entries did not lead to the batches they named, and that were built again.
    pub indexes_mended: u64,
    /// Chunk bytes freed because their segments have them.
    pub evicted_bytes: u64,
}

/// Connections and their bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct NetworkCounters {
    pub connections_accepted: u64,
    /// Connections handed to the shard that owns their partitions.
    pub connections_moved: u64,
    /// Connections closed at once because a limit was reached.
    pub connections_rejected: u64,
    /// Connections closed because the peer broke the protocol.
    pub connections_malformed: u64,
    pub connections_idle_closed: u64,
    pub bytes_received: u64,
    pub bytes_sent: u64,
    /// Payload bytes of fetch answers that were copied in user space.
    pub fetch_payload_bytes_copied: u64,
    /// Partitions of produce requests answered with an error.
    pub produce_errors: u64,
}

/// Fetch sessions (KIP-227).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SessionCounters {
    /// Fetch sessions open now.
    pub sessions: u64,
    /// Partitions in all open fetch sessions.
    pub partitions: u64,
    pub opened: u64,
    /// Sessions closed to make room for others.
    pub evicted: u64,
}

/// Requests this shard sent to another.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CrossShardCounters {
    pub produce: u64,
    pub fetch: u64,
    pub other: u64,
}

/// Requests of clients that had to ask another shard, by API, view and client software.
#[derive(Clone, Debug, Default)]
pub struct HopCounters {
    counts: Vec<(Hop, u64)>,
}

/// The kinds of request that asked another shard. All three fields have few values, except that a client may call itself
/// anything.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hop {
    pub api: &'static str,
    /// How the server presents itself to the client.
    pub view: &'static str,
    /// The client's name for its software.
    pub client: String,
}

impl HopCounters {
    /// Most combinations of API, view and client. Later clients are counted together, under one name.
    const SERIES_MAX: usize = 64;
    const OTHERS: &'static str = "others";

    /// Counts a request.
    pub fn note(&mut self, api: &'static str, view: &'static str, client: &str) {
        let is_full = self.counts.len() >= Self::SERIES_MAX;
        let same = |hop: &Hop, client: &str| hop.api == api && hop.view == view && hop.client == client;
        let known = self.counts.iter().any(|(hop, _)| same(hop, client));
        let client = if known || !is_full { client } else { Self::OTHERS };
        match self.counts.iter_mut().find(|(hop, _)| same(hop, client)) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((Hop { api, view, client: client.to_owned() }, 1)),
        }
    }

    pub fn seen(&self) -> impl Iterator<Item = (&Hop, u64)> + '_ {
        self.counts.iter().map(|(hop, count)| (hop, *count))
    }
}

/// Gauges: values at the moment of asking.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ShardGauges {
    pub connections: u64,
    pub partitions: u64,
    pub producers: u64,
    pub groups: u64,
    pub group_members: u64,
    pub fetch_waiters: u64,
    pub requests_in_flight: u64,
    /// Bytes appended and not yet in a commit group.
    pub commit_pending_bytes: u64,
    pub commit_files: u64,
    pub commit_files_free: u64,
    /// Segment writes that the commit log covers, and the files and blocks they need, not done yet.
    pub writeback_waiting: u64,
    /// Memory of partitions' tails.
    pub chunk_bytes: u64,
    /// Memory of requests read and not yet answered.
    pub frame_bytes: u64,
    /// Memory of answers that sockets have not yet accepted.
    pub answer_bytes: u64,
    /// Memory of blocks read from disk, kept for the next reader or held by answers.
    pub read_cache_bytes: u64,
    /// Memory of indexes of finished segments.
    pub index_bytes: u64,
    pub scrub_left: u64,
    pub quarantined: u64,
    /// Old segments' files kept to be used again.
    pub spares: u64,
    pub spare_bytes: u64,
}

/// How many requests of each API arrived.
#[derive(Clone, Debug)]
pub struct RequestCounters {
    counts: [u64; RequestCounters::KEYS],
    unknown: u64,
}

impl RequestCounters {
    /// Number of counters; more than Kafka has API keys.
    const KEYS: usize = 128;

    /// Counts a request by its API key, whatever a peer put there.
    pub fn note(&mut self, api_key: i16) {
        match usize::try_from(api_key).ok().and_then(|key| self.counts.get_mut(key)) {
            Some(count) => *count += 1,
            None => self.unknown += 1,
        }
    }

    /// API keys that were asked for, with their counts.
    pub fn seen(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.counts.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }

    /// Requests whose API key no Kafka has.
    #[must_use]
    pub fn unknown(&self) -> u64 {
        self.unknown
    }
}

impl Default for RequestCounters {
    fn default() -> RequestCounters {
        RequestCounters { counts: [0; RequestCounters::KEYS], unknown: 0 }
    }
}

/// How long things took.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    /// From the last byte of the request to its answer being ready.
    pub produce: Latency,
    /// As for produce. The waiting of long polls counts.
    pub fetch: Latency,
    /// As for produce, of all other requests. Waiting for a group's other members counts.
    pub other: Latency,
    /// Reading a request and starting it: checks, appends, lookups.
    pub dispatch: Latency,
    /// From the first append that waits for a commit group to the group's submission.
    pub commit_wait: Latency,
    /// Write of one commit group, from submission to completion.
    pub commit_write: Latency,
    /// Reads of old records from a segment.
    pub segment_read: Latency,
    /// A question to another shard, until its reply. What the other shard waits for counts.
    pub cross_shard: Latency,
    /// From an answer being ready until the socket has accepted it.
    pub send: Latency,
}

/// A distribution of durations. Bounds: 1 µs to 100 s, two significant digits; what is outside counts as the bound.
#[derive(Clone, Debug)]
pub struct Latency {
    histogram: Histogram<u64>,
    sum_ns: u64,
}

impl Latency {
    /// Adds one duration.
    pub fn record(&mut self, nanos: u64) {
        self.histogram.saturating_record(nanos);
        self.sum_ns = self.sum_ns.saturating_add(nanos);
    }

    /// Adds another distribution to this one; nothing is averaged.
    pub fn merge(&mut self, other: &Latency) {
        self.histogram.add(&other.histogram).expect("all distributions have the same bounds");
        self.sum_ns = self.sum_ns.saturating_add(other.sum_ns);
    }

    #[must_use]
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    #[must_use]
    pub fn sum_ns(&self) -> u64 {
        self.sum_ns
    }

    /// How many durations lie at or below each of `bounds_ns`, which ascend. A duration closer to a bound than the resolution
    /// may be counted on either side.
    #[must_use]
    pub fn counts_up_to(&self, bounds_ns: &[u64]) -> Vec<u64> {
        let mut counts = vec![0; bounds_ns.len()];
        for recorded in self.histogram.iter_recorded() {
            let at = bounds_ns.partition_point(|bound| *bound < recorded.value_iterated_to());
            if let Some(count) = counts.get_mut(at) {
                *count += recorded.count_at_value();
            }
        }
        let mut sum = 0;
        counts
            .into_iter()
            .map(|count| {
                sum += count;
                sum
            })
            .collect()
    }

    /// The duration below which a share `quantile` (0 to 1) of all lie; 0 when there are none.
    #[must_use]
    pub fn quantile_ns(&self, quantile: f64) -> u64 {
        self.histogram.value_at_quantile(quantile)
    }
}

impl Default for Latency {
    fn default() -> Latency {
        let histogram = Histogram::new_with_bounds(1_000, 100_000_000_000, 2).expect("valid bounds");
        Latency { histogram, sum_ns: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn api_keys_of_any_value_are_counted() {
        let mut requests = RequestCounters::default();
        [0, 0, 3, -1, i16::MAX].into_iter().for_each(|key| requests.note(key));
        assert_eq!(requests.seen().collect::<Vec<_>>(), [(0, 2), (3, 1)]);
        assert_eq!(requests.unknown(), 2);
    }

    #[test]
    fn hops_are_counted_by_a_bounded_number_of_clients() {
        let mut hops = HopCounters::default();
        hops.note("produce", "server", "sarama");
        hops.note("produce", "server", "sarama");
        (0..1000).for_each(|number| hops.note("fetch", "server", &format!("client-{number}")));
        let of = |client: &str| hops.seen().find(|(hop, _)| hop.client == client).map(|(_, count)| count);
        assert_eq!((of("sarama"), of("client-0"), of("others")), (Some(2), Some(1), Some(937)));
        assert_eq!(hops.seen().count(), 65);
    }

    #[test]
    fn distributions_merge_without_averaging() {
        let (mut fast, mut slow) = (Latency::default(), Latency::default());
        (0..99).for_each(|_| fast.record(100_000));
        slow.record(u64::MAX);
        fast.merge(&slow);
        assert_eq!(fast.count(), 100);
        assert_eq!(fast.counts_up_to(&[50_000, 200_000, 1_000_000_000]), [0, 99, 99]);
        assert!(fast.quantile_ns(0.5) < 102_000 && fast.quantile_ns(1.0) > 99_000_000_000);
    }
}
