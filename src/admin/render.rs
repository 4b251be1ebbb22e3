//! Metrics as Prometheus reads them: one table of names, helps and where the number is.
//!
//! Per-shard numbers carry the label `shard`. Latencies are merged over shards, because quantiles cannot be added.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Display, Write};

use crate::base::ShardId;
use crate::base::metrics::{Latency, ShardMetrics};

use super::process::ProcessSample;
use super::{Scraped, names};

/// Name, help, and the number.
type Row = (&'static str, &'static str, fn(&ShardMetrics) -> u64);

const COUNTERS: [Row; 46] = [
    ("ringmain_client_telemetry_pushes_total", "Sets of metrics taken from clients.", |m| m.telemetry.pushes),
    ("ringmain_client_telemetry_refused_total", "Sets of metrics from clients that were refused.", |m| {
        m.telemetry.refused
    }),
    (
        "ringmain_client_telemetry_values_dropped_total",
        "Numbers from clients that were left out because there were too many.",
        |m| m.telemetry.values_dropped,
    ),
    ("ringmain_compactions_total", "Compaction rounds.", |m| m.log.compactions),
    (
        "ringmain_compactions_failed_total",
        "Compaction rounds that ended with a segment that cannot be read.",
        |m| m.log.compactions_failed,
    ),
    ("ringmain_compacted_bytes_total", "Bytes that compaction left out.", |m| m.log.compacted_bytes),
    ("ringmain_scrub_passes_total", "Passes of scrubbing that have verified every finished segment.", |m| {
        m.log.scrub_passes
    }),
    ("ringmain_scrub_segments_total", "Segments verified by scrubbing.", |m| m.log.scrub_segments),
    ("ringmain_scrub_bytes_total", "Bytes verified by scrubbing.", |m| m.log.scrub_bytes),
    ("ringmain_scrub_damaged_total", "Segments that scrubbing found damaged.", |m| m.log.scrub_damaged),
    ("ringmain_segments_deleted_total", "Segments deleted by retention and DeleteRecords.", |m| {
        m.log.segments_deleted
    }),
    (
        "ringmain_segments_recycled_total",
        "Segments begun in the file of an old one of their partition.",
        |m| m.log.segments_recycled,
    ),
    ("ringmain_records_appended_total", "Records appended.", |m| m.log.records_appended),
    ("ringmain_batches_appended_total", "Record batches appended.", |m| m.log.batches_appended),
    ("ringmain_appended_bytes_total", "Bytes of record batches appended.", |m| m.log.bytes_appended),
    (
        "ringmain_batches_inflated_total",
        "Record batches whose compressed records were read before they were appended.",
        |m| m.log.batches_inflated,
    ),
    ("ringmain_inflated_bytes_total", "What these batches' records inflated to.", |m| m.log.inflated_bytes),
    (
        "ringmain_batches_recompressed_total",
        "Record batches stored in another codec than they came in (compression.type).",
        |m| m.log.batches_recompressed,
    ),
    ("ringmain_batches_refused_total", "Record batches not appended.", |m| m.log.batches_refused),
    ("ringmain_batches_duplicate_total", "Batches sent again that were there already.", |m| {
        m.log.batches_duplicate
    }),
    ("ringmain_produce_errors_total", "Partitions of produce requests answered with an error.", |m| {
        m.network.produce_errors
    }),
    ("ringmain_commit_groups_total", "Groups written to the commit log.", |m| m.log.commit_groups),
    ("ringmain_commit_bytes_total", "Bytes written to the commit log, padding included.", |m| {
        m.log.commit_bytes
    }),
    ("ringmain_direct_runs_total", "Runs written straight to their segment.", |m| m.log.direct_runs),
    ("ringmain_direct_bytes_total", "Bytes written straight to their segment.", |m| m.log.direct_bytes),
    ("ringmain_segment_writes_total", "Writes to segment files.", |m| m.log.segment_writes),
    ("ringmain_segment_syncs_total", "Syncs of segment files.", |m| m.log.segment_syncs),
    ("ringmain_syncs_of_all_total", "Syncs of the whole data directory, for many segments.", |m| {
        m.log.syncs_of_all
    }),
    ("ringmain_checkpoints_total", "Checkpoints taken.", |m| m.log.checkpoints),
    ("ringmain_fetches_from_memory_total", "Fetches answered from memory.", |m| m.log.fetches_from_memory),
    ("ringmain_read_cache_hits_total", "Readers of segments for whom the disk was not asked again.", |m| {
        m.log.read_cache_hits
    }),
    ("ringmain_cold_reads_total", "Reads of segments from disk.", |m| m.log.cold_reads),
    ("ringmain_cold_read_bytes_total", "Bytes read from segments on disk.", |m| m.log.cold_read_bytes),
    ("ringmain_corrupt_reads_total", "Reads whose bytes did not match their checksum.", |m| {
        m.log.corrupt_reads
    }),
    ("ringmain_indexes_mended_total", "Indexes that led astray and were made anew.", |m| {
        m.log.indexes_mended
    }),
    ("ringmain_evicted_bytes_total", "Bytes of tails let go from memory.", |m| m.log.evicted_bytes),
    ("ringmain_connections_accepted_total", "Connections accepted.", |m| m.network.connections_accepted),
    ("ringmain_connections_moved_total", "Connections moved to the shard that owns their partitions.", |m| {
        m.network.connections_moved
    }),
    ("ringmain_connections_rejected_total", "Connections closed because a limit was reached.", |m| {
        m.network.connections_rejected
    }),
    (
        "ringmain_connections_malformed_total",
        "Connections closed because the peer broke the protocol.",
        |m| m.network.connections_malformed,
    ),
    ("ringmain_fetch_sessions_opened_total", "Fetch sessions opened.", |m| m.sessions.opened),
    ("ringmain_fetch_sessions_evicted_total", "Fetch sessions let go to make room for others.", |m| {
        m.sessions.evicted
    }),
    ("ringmain_connections_idle_closed_total", "Connections closed because they were silent.", |m| {
        m.network.connections_idle_closed
    }),
    ("ringmain_received_bytes_total", "Bytes received from clients.", |m| m.network.bytes_received),
    ("ringmain_sent_bytes_total", "Bytes sent to clients.", |m| m.network.bytes_sent),
    (
        "ringmain_fetch_payload_bytes_copied_total",
        "Payload bytes of fetch answers copied in user space.",
        |m| m.network.fetch_payload_bytes_copied,
    ),
];

const GAUGES: [Row; 18] = [
    (
        "ringmain_spare_segments",
        "Files of old segments kept to be used again, one of a busy partition at most.",
        |m| m.gauges.spares,
    ),
    ("ringmain_spare_segment_bytes", "What these take of the disk.", |m| m.gauges.spare_bytes),
    ("ringmain_quarantined_offsets", "Offsets refused to readers because they are damaged or gone.", |m| {
        m.gauges.quarantined
    }),
    ("ringmain_scrub_segments_left", "Segments that the scrubbing pass under way has yet to verify.", |m| {
        m.gauges.scrub_left
    }),
    ("ringmain_client_telemetry_clients", "Clients that push metrics or may do so.", |m| m.telemetry.clients),
    ("ringmain_connections", "Open connections.", |m| m.gauges.connections),
    ("ringmain_partitions", "Partitions this shard owns.", |m| m.gauges.partitions),
    ("ringmain_producers", "Idempotent producers remembered, by all logs together, at most.", |m| {
        m.gauges.producers
    }),
    ("ringmain_fetch_waiters", "Fetches waiting for data.", |m| m.gauges.fetch_waiters),
    ("ringmain_fetch_sessions", "Open fetch sessions.", |m| m.sessions.sessions),
    ("ringmain_fetch_session_partitions", "Partitions in fetch sessions.", |m| m.sessions.partitions),
    ("ringmain_groups", "Groups coordinated by this shard.", |m| m.gauges.groups),
    ("ringmain_group_members", "Members of the groups this shard coordinates.", |m| m.gauges.group_members),
    ("ringmain_commit_pending_bytes", "Appended and not yet handed to the commit log.", |m| {
        m.gauges.commit_pending_bytes
    }),
    ("ringmain_commit_files", "Files of the commit log.", |m| m.gauges.commit_files),
    ("ringmain_commit_files_free", "Files of the commit log that hold nothing needed.", |m| {
        m.gauges.commit_files_free
    }),
    (
        "ringmain_writeback_waiting",
        "Background writes to segments, with their files and blocks, not done yet.",
        |m| m.gauges.writeback_waiting,
    ),
    ("ringmain_requests_in_flight", "Requests read and not yet answered.", |m| m.gauges.requests_in_flight),
];

type Labelled = (&'static str, fn(&ShardMetrics) -> u64);

const CROSS_SHARD: [Labelled; 3] = [
    ("produce", |m| m.cross_shard.produce),
    ("fetch", |m| m.cross_shard.fetch),
    ("other", |m| m.cross_shard.other),
];

const MEMORY: [Labelled; 5] = [
    ("chunks", |m| m.gauges.chunk_bytes),
    ("frames", |m| m.gauges.frame_bytes),
    ("answers", |m| m.gauges.answer_bytes),
    ("read_cache", |m| m.gauges.read_cache_bytes),
    ("indexes", |m| m.gauges.index_bytes),
];

type LatencyRow = (&'static str, fn(&ShardMetrics) -> &Latency);

const REQUESTS: [LatencyRow; 3] =
    [("produce", |m| &m.latency.produce), ("fetch", |m| &m.latency.fetch), ("other", |m| &m.latency.other)];

const STAGES: [LatencyRow; 6] = [
    ("dispatch", |m| &m.latency.dispatch),
    ("commit_wait", |m| &m.latency.commit_wait),
    ("commit_write", |m| &m.latency.commit_write),
    ("segment_read", |m| &m.latency.segment_read),
    ("cross_shard", |m| &m.latency.cross_shard),
    ("send", |m| &m.latency.send),
];

/// Upper bounds of the buckets, in seconds and in nanoseconds: from a write to NVMe to a long poll.
const BUCKETS: [(&str, u64); 18] = [
    ("0.00001", 10_000),
    ("0.000025", 25_000),
    ("0.00005", 50_000),
    ("0.0001", 100_000),
    ("0.00025", 250_000),
    ("0.0005", 500_000),
    ("0.001", 1_000_000),
    ("0.0025", 2_500_000),
    ("0.005", 5_000_000),
    ("0.01", 10_000_000),
    ("0.025", 25_000_000),
    ("0.05", 50_000_000),
    ("0.1", 100_000_000),
    ("0.25", 250_000_000),
    ("0.5", 500_000_000),
    ("1", 1_000_000_000),
    ("5", 5_000_000_000),
    ("30", 30_000_000_000),
];

pub(super) fn text(scraped: &[Scraped], process: &ProcessSample) -> String {
    let mut page = Page::default();
    page.head("ringmain_build_info", "gauge", "The version that runs.");
    page.line("ringmain_build_info", &[("version", &env!("CARGO_PKG_VERSION"))], 1);
    page.process(process);
    page.head("ringmain_shard_up", "gauge", "Whether the shard answered this scrape.");
    for one in scraped {
        page.line("ringmain_shard_up", &[("shard", &one.shard)], u8::from(one.metrics.is_some()));
    }
    let shards: Vec<(ShardId, &ShardMetrics)> =
        scraped.iter().filter_map(|one| Some((one.shard, one.metrics.as_ref()?))).collect();
    COUNTERS.iter().for_each(|row| page.rows("counter", row, &shards));
    GAUGES.iter().for_each(|row| page.rows("gauge", row, &shards));
    page.labelled("ringmain_memory_bytes", "gauge", "Memory by pool.", "pool", &MEMORY, &shards);
    let (name, help) = ("ringmain_cross_shard_messages_total", "Requests sent to another shard.");
    page.labelled(name, "counter", help, "api", &CROSS_SHARD, &shards);
    page.hops(&shards);
    page.requests(&shards);
    let (name, help) =
        ("ringmain_request_seconds", "Time from a request's last byte to its answer, waiting included.");
    page.latencies(name, help, "api", &REQUESTS, &shards);
    let (name, help) = ("ringmain_stage_seconds", "Time that requests spend in each stage.");
    page.latencies(name, help, "stage", &STAGES, &shards);
    page.lag(&shards);
    page.clients(&shards);
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    /// Label values are numbers, names of our own, or [`escaped`].
    fn line(&mut self, name: &str, labels: &[(&str, &dyn Display)], value: impl Display) {
        self.write(format_args!("{name}"));
        for (index, (label, text)) in labels.iter().enumerate() {
            let open = if index == 0 { '{' } else { ',' };
            self.write(format_args!("{open}{label}=\"{text}\""));
        }
        let close = if labels.is_empty() { "" } else { "}" };
        self.write(format_args!("{close} {value}\n"));
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.text.write_fmt(text).expect("writing to a String cannot fail");
    }

    fn rows(&mut self, kind: &str, (name, help, number): &Row, shards: &[(ShardId, &ShardMetrics)]) {
        self.head(name, kind, help);
        for (shard, metrics) in shards {
            self.line(name, &[("shard", shard)], number(metrics));
        }
    }

    fn labelled(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        label: &str,
        rows: &[Labelled],
        shards: &[(ShardId, &ShardMetrics)],
    ) {
        self.head(name, kind, help);
        for (shard, metrics) in shards {
            for (value, number) in rows {
                self.line(name, &[("shard", shard), (label, value)], number(metrics));
            }
        }
    }

    fn hops(&mut self, shards: &[(ShardId, &ShardMetrics)]) {
        const NAME: &str = "ringmain_hops_total";
        self.head(
            NAME,
            "counter",
            "Requests of clients that had to ask another shard, by client and by how it sees the server.",
        );
        for (shard, metrics) in shards {
            for (hop, count) in metrics.hops.seen() {
                let client = escaped(&hop.client);
                let labels: [(&str, &dyn Display); 4] =
                    [("shard", shard), ("api", &hop.api), ("view", &hop.view), ("client", &client)];
                self.line(NAME, &labels, count);
            }
        }
    }

    fn requests(&mut self, shards: &[(ShardId, &ShardMetrics)]) {
        const NAME: &str = "ringmain_requests_total";
        self.head(NAME, "counter", "Requests received.");
        for (shard, metrics) in shards {
            for (key, count) in metrics.requests.seen() {
                let api = names::api(key).map_or_else(|| key.to_string(), str::to_owned);
                self.line(NAME, &[("shard", shard), ("api", &api)], count);
            }
            if metrics.requests.unknown() > 0 {
                self.line(NAME, &[("shard", shard), ("api", &"unknown")], metrics.requests.unknown());
            }
        }
    }

    /// Distributions, merged over shards.
    fn latencies(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        rows: &[LatencyRow],
        shards: &[(ShardId, &ShardMetrics)],
    ) {
        self.head(name, "histogram", help);
        for (value, latency) in rows {
            let mut merged = Latency::default();
            shards.iter().for_each(|(_, metrics)| merged.merge(latency(metrics)));
            let bucket = format!("{name}_bucket");
            let counts = merged.counts_up_to(&BUCKETS.map(|(_, bound)| bound));
            for ((bound, _), count) in BUCKETS.iter().zip(counts) {
                self.line(&bucket, &[(label, value), ("le", bound)], count);
            }
            self.line(&bucket, &[(label, value), ("le", &"+Inf")], merged.count());
            self.line(&format!("{name}_sum"), &[(label, value)], seconds(merged.sum_ns()));
            self.line(&format!("{name}_count"), &[(label, value)], merged.count());
        }
    }

    /// What groups have committed, and how far that is behind: committed on one shard, written on another.
    fn lag(&mut self, shards: &[(ShardId, &ShardMetrics)]) {
        const COMMITTED: &str = "ringmain_group_committed_offset";
        const LAG: &str = "ringmain_group_lag_records";
        let logs: HashMap<(&str, i32), (i64, i64)> = shards
            .iter()
            .flat_map(|(_, metrics)| &metrics.ends)
            .map(|it| ((&*it.topic, it.partition), (it.start, it.end)))
            .collect();
        let committed: Vec<_> = shards.iter().flat_map(|(_, metrics)| &metrics.committed).collect();
        self.head(COMMITTED, "gauge", "The offset a group has committed: the next record it wants.");
        for it in &committed {
            let (group, topic) = (escaped(&it.group), escaped(&it.topic));
            let labels: [(&str, &dyn Display); 3] =
                [("group", &group), ("topic", &topic), ("partition", &it.partition)];
            self.line(COMMITTED, &labels, it.offset);
        }
        let help = "Records between what a group has committed, or the first one there is, and the end of the partition.";
        self.head(LAG, "gauge", help);
        for it in &committed {
            let Some((start, end)) = logs.get(&(&*it.topic, it.partition)) else { continue };
            let (group, topic) = (escaped(&it.group), escaped(&it.topic));
            let labels: [(&str, &dyn Display); 3] =
                [("group", &group), ("topic", &topic), ("partition", &it.partition)];
            self.line(LAG, &labels, (end - it.offset.max(*start)).max(0));
        }
    }

    /// What clients have pushed. Their names and labels are labels here: a metric's name must not be a client's choice.
    fn clients(&mut self, shards: &[(ShardId, &ShardMetrics)]) {
        const CLIENT: &str = "ringmain_client_metric";
        self.head(CLIENT, "gauge", "A metric that a client has pushed of itself (KIP-714).");
        for it in shards.iter().flat_map(|(_, metrics)| &metrics.clients) {
            let fixed = [
                ("client_id", escaped(&it.client_id)),
                ("client_instance_id", escaped(&it.instance)),
                ("client_software", escaped(&it.software)),
                ("name", escaped(&it.name)),
            ];
            let own =
                it.labels.iter().map(|(name, value)| (format!("label_{}", label(name)), escaped(value)));
            let own: BTreeMap<String, String> = own.collect();
            let fixed = fixed.iter().map(|(name, value)| (*name, value as &dyn Display));
            let own = own.iter().map(|(name, value)| (name.as_str(), value as &dyn Display));
            let labels: Vec<(&str, &dyn Display)> = fixed.chain(own).collect();
            self.line(CLIENT, &labels, it.value);
        }
    }

    fn process(&mut self, process: &ProcessSample) {
        let mut one = |name: &str, kind: &str, help: &str, value: &dyn Display| {
            self.head(name, kind, help);
            self.line(name, &[], value);
        };
        one("process_resident_memory_bytes", "gauge", "Resident memory.", &process.resident_bytes);
        one("process_cpu_seconds_total", "counter", "Processor time, user and system.", &process.cpu_seconds);
        one("process_open_fds", "gauge", "Open file descriptors.", &process.open_fds);
        one("process_start_time_seconds", "gauge", "Unix time of the start.", &process.start_seconds);
    }
}

/// A text of a client's choice as the name of a label.
fn label(text: &str) -> String {
    text.chars().map(|it| if it.is_ascii_alphanumeric() { it } else { '_' }).collect()
}

/// A text of a client's choice as a label value.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn seconds(nanos: u64) -> f64 {
    nanos as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::base::metrics::{ClientMetric, CommittedMetric, EndMetric};

    use super::*;

    #[test]
    fn the_page_is_well_formed() {
        let mut metrics = ShardMetrics { shard: ShardId(1), ..ShardMetrics::default() };
        metrics.log.records_appended = 12;
        metrics.latency.produce.record(2_000_000);
        let (group, topic) = ("a\"b".into(), "t".into());
        metrics.committed.push(CommittedMetric { group, topic, partition: 3, offset: 5 });
        metrics.committed.push(CommittedMetric {
            group: "a".into(),
            topic: "t".into(),
            partition: 4,
            offset: 5,
        });
        metrics.ends.push(EndMetric { topic: "t".into(), partition: 3, start: 0, end: 9 });
        metrics.ends.push(EndMetric { topic: "t".into(), partition: 4, start: 8, end: 9 });
        metrics.clients.push(ClientMetric {
            client_id: "c".into(),
            instance: "i".into(),
            software: "s".into(),
            name: "org.a".into(),
            labels: vec![("node.id".into(), "1\"".into())],
            value: 2.5,
        });
        [0, 18, 18, 99, -4].into_iter().for_each(|key| metrics.requests.note(key));
        let scraped = [Scraped { shard: ShardId(1), metrics: Some(metrics) }];
        let text = text(&scraped, &ProcessSample::default());
        for expected in [
            "ringmain_records_appended_total{shard=\"1\"} 12\n",
            "ringmain_requests_total{shard=\"1\",api=\"api_versions\"} 2\n",
            "ringmain_requests_total{shard=\"1\",api=\"99\"} 1\n",
            "ringmain_requests_total{shard=\"1\",api=\"unknown\"} 1\n",
            "ringmain_memory_bytes{shard=\"1\",pool=\"chunks\"} 0\n",
            "ringmain_request_seconds_bucket{api=\"produce\",le=\"0.001\"} 0\n",
            "ringmain_request_seconds_bucket{api=\"produce\",le=\"0.0025\"} 1\n",
            "ringmain_request_seconds_bucket{api=\"produce\",le=\"+Inf\"} 1\n",
            "ringmain_request_seconds_sum{api=\"produce\"} 0.002\n",
            "ringmain_stage_seconds_count{stage=\"send\"} 0\n",
            "ringmain_group_committed_offset{group=\"a\\\"b\",topic=\"t\",partition=\"3\"} 5\n",
            "ringmain_client_metric{client_id=\"c\",client_instance_id=\"i\",client_software=\"s\",name=\"org.a\",\
             label_node_id=\"1\\\"\"} 2.5\n",
            "ringmain_group_lag_records{group=\"a\\\"b\",topic=\"t\",partition=\"3\"} 4\n",
            "ringmain_group_lag_records{group=\"a\",topic=\"t\",partition=\"4\"} 1\n",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        let dashboard = include_str!("dashboard.json");
        for name in dashboard.split(|it: char| !(it.is_ascii_alphanumeric() || it == '_')) {
            let is_metric = ["ringmain_", "process_"].iter().any(|prefix| name.starts_with(prefix));
            assert!(
                !is_metric || text.contains(&format!("# HELP {} ", name.trim_end_matches("_bucket"))),
                "the dashboard draws {name}"
            );
        }
        let mut helped = BTreeSet::new();
        for line in text.lines() {
            match line.strip_prefix("# HELP ") {
                Some(help) => {
                    assert!(helped.insert(help.split(' ').next().expect("a name").to_owned()), "{line} twice")
                }
                None => assert!(line.starts_with("# TYPE ") || line.split(' ').count() == 2, "{line}"),
            }
        }
    }
}
