//! The page of metrics as Prometheus reads it, of what shards show.
//!
//! Rooms declare names, helps and how a number is read; here they are written out, each family once with the numbers of all
//! shards. Per-shard numbers carry the label `shard`. Latencies are merged over shards, because quantiles cannot be added, and
//! so is what groups have committed, because one shard knows that and another the end of the partition.

use std::collections::{BTreeMap, HashMap};
use std::fmt::{Display, Write};

use crate::base::ShardId;
use crate::base::metrics::{Distribution, Family, Kind, Latency, ShardMetrics};

use super::process::ProcessSample;

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

/// A shard's numbers, or nothing when it did not answer in time.
pub(super) struct Scraped {
    pub(super) shard: ShardId,
    pub(super) metrics: Option<ShardMetrics>,
}

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
    page.families(&shards);
    page.latencies(&shards);
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

    /// Numbers of every shard, with all of one name together.
    fn families(&mut self, shards: &[(ShardId, &ShardMetrics)]) {
        let all =
            shards.iter().flat_map(|(shard, metrics)| metrics.families.iter().map(move |it| (*shard, it)));
        for families in by_name(all, |(_, family)| family.name) {
            let [(_, Family { name, help, kind, .. }), ..] = families[..] else { continue };
            self.head(name, kind_name(*kind), help);
            for (shard, family) in &families {
                for series in &family.series {
                    let values: Vec<String> = series.labels.iter().map(|(_, value)| escaped(value)).collect();
                    let own = series.labels.iter().zip(&values);
                    let own = own.map(|((label, _), value)| (*label, value as &dyn Display));
                    let labels: Vec<(&str, &dyn Display)> =
                        std::iter::once(("shard", shard as &dyn Display)).chain(own).collect();
                    self.line(name, &labels, series.value);
                }
            }
        }
    }

    /// Distributions, with all of one name and label merged.
    fn latencies(&mut self, shards: &[(ShardId, &ShardMetrics)]) {
        let all = shards.iter().flat_map(|(_, metrics)| &metrics.distributions);
        for named in by_name(all, |it| it.name) {
            let [Distribution { name, help, .. }, ..] = named[..] else { continue };
            self.head(name, "histogram", help);
            for labelled in by_name(named.iter().copied(), |it| it.label.1) {
                self.latency(&labelled);
            }
        }
    }

    fn latency(&mut self, parts: &[&Distribution]) {
        let [Distribution { name, label: (label, value), .. }, ..] = parts else { return };
        let mut merged = Latency::default();
        parts.iter().for_each(|it| merged.merge(&it.latency));
        let bucket = format!("{name}_bucket");
        let counts = merged.counts_up_to(&BUCKETS.map(|(_, bound)| bound));
        for ((bound, _), count) in BUCKETS.iter().zip(counts) {
            self.line(&bucket, &[(label, value), ("le", bound)], count);
        }
        self.line(&bucket, &[(label, value), ("le", &"+Inf")], merged.count());
        self.line(&format!("{name}_sum"), &[(label, value)], seconds(merged.sum_ns()));
        self.line(&format!("{name}_count"), &[(label, value)], merged.count());
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

fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
    }
}

/// What has a name in common together, in the order in which names come first.
fn by_name<T>(all: impl Iterator<Item = T>, name: impl Fn(&T) -> &'static str) -> Vec<Vec<T>> {
    let mut found: Vec<(&str, Vec<T>)> = Vec::new();
    for it in all {
        let name = name(&it);
        match found.iter_mut().find(|(known, _)| *known == name) {
            Some((_, named)) => named.push(it),
            None => found.push((name, vec![it])),
        }
    }
    found.into_iter().map(|(_, named)| named).collect()
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

    use crate::base::metrics::{ClientMetric, CommittedMetric, EndMetric, Metric, Series, Timing};

    use super::*;

    /// A room that shows one number in many ways.
    struct Room(u64);

    static METRICS: [Metric<Room>; 4] = [
        Metric::memory("chunks", |room| room.0),
        Metric::counter("ringmain_records_appended_total", "Records appended.", |room| room.0),
        Metric::counter("ringmain_messages_total", "Messages.", |room: &Room| room.0)
            .labelled("api", "fetch"),
        Metric::memory("frames", |room| room.0 + 1),
    ];
    static TIMINGS: [Timing<Room>; 2] = [
        Timing::request("produce", |room| {
            let mut latency = Latency::default();
            latency.record(room.0 * 1_000_000 - 400_000);
            latency
        }),
        Timing::stage("send", |_| Latency::default()),
    ];

    #[test]
    fn numbers_of_one_name_stand_together_and_distributions_are_merged() {
        let scraped = [0, 1].map(|shard| {
            let mut metrics = ShardMetrics::default();
            metrics.show(&METRICS, &Room(u64::from(shard) + 1));
            metrics.time(&TIMINGS, &Room(u64::from(shard) + 1));
            Scraped { shard: ShardId(shard), metrics: Some(metrics) }
        });
        let text = text(&scraped, &ProcessSample::default());
        for expected in [
            "# HELP ringmain_memory_bytes Memory by pool.\n# TYPE ringmain_memory_bytes gauge\n\
             ringmain_memory_bytes{shard=\"0\",pool=\"chunks\"} 1\nringmain_memory_bytes{shard=\"0\",pool=\"frames\"} 2\n\
             ringmain_memory_bytes{shard=\"1\",pool=\"chunks\"} 2\nringmain_memory_bytes{shard=\"1\",pool=\"frames\"} 3\n# HELP",
            "# TYPE ringmain_messages_total counter\nringmain_messages_total{shard=\"0\",api=\"fetch\"} 1\n",
            "ringmain_request_seconds_bucket{api=\"produce\",le=\"0.001\"} 1\n",
            "ringmain_request_seconds_bucket{api=\"produce\",le=\"0.0025\"} 2\n",
            "ringmain_request_seconds_sum{api=\"produce\"} 0.0022\n",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
    }

    #[test]
    fn the_page_is_well_formed() {
        let mut metrics = ShardMetrics::default();
        metrics.show(&METRICS, &Room(12));
        metrics.time(&TIMINGS, &Room(2));
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
        metrics.families.push(Family {
            name: "ringmain_hops_total",
            help: "Hops.",
            kind: Kind::Counter,
            series: vec![Series { labels: vec![("client", "q\"".into())], value: 2 }],
        });
        let scraped = [Scraped { shard: ShardId(1), metrics: Some(metrics) }];
        let text = text(&scraped, &ProcessSample::default());
        for expected in [
            "ringmain_records_appended_total{shard=\"1\"} 12\n",
            "ringmain_hops_total{shard=\"1\",client=\"q\\\"\"} 2\n",
            "ringmain_memory_bytes{shard=\"1\",pool=\"chunks\"} 12\n",
            "ringmain_request_seconds_bucket{api=\"produce\",le=\"0.001\"} 0\n",
            "ringmain_request_seconds_bucket{api=\"produce\",le=\"0.0025\"} 1\n",
            "ringmain_request_seconds_bucket{api=\"produce\",le=\"+Inf\"} 1\n",
            "ringmain_request_seconds_sum{api=\"produce\"} 0.0016\n",
            "ringmain_stage_seconds_count{stage=\"send\"} 0\n",
            "ringmain_group_committed_offset{group=\"a\\\"b\",topic=\"t\",partition=\"3\"} 5\n",
            "ringmain_client_metric{client_id=\"c\",client_instance_id=\"i\",client_software=\"s\",name=\"org.a\",\
             label_node_id=\"1\\\"\"} 2.5\n",
            "ringmain_group_lag_records{group=\"a\\\"b\",topic=\"t\",partition=\"3\"} 4\n",
            "ringmain_group_lag_records{group=\"a\",topic=\"t\",partition=\"4\"} 1\n",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
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
