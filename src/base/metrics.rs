//! Numbers that a shard shows: how a room declares one, and what carries them to the administration thread.
//!
//! A room declares each of its numbers once, as a [`Metric`] or a [`Timing`]: name, help, kind, and how it is read. When
//! somebody asks, a shard reads them all into a [`ShardMetrics`], which is sent as a whole. Counters are plain numbers of the
//! shard that bumps them. Knows neither HTTP nor any room.

use std::borrow::Cow;
use std::sync::Arc;

use hdrhistogram::Histogram;

/// Time series of one kind per shard: whatever clients call their groups, a scrape stays bounded.
pub const SERIES_MAX: usize = 10_000;

/// How a number behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Never goes down while the process lives.
    Counter,
    /// A level, as of the moment of asking.
    Gauge,
}

/// One number of a room `T`.
#[derive(Debug)]
pub struct Metric<T: 'static> {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    /// What tells this number from others of its name.
    pub label: Option<(&'static str, &'static str)>,
    read: fn(&T) -> u64,
}

impl<T> Metric<T> {
    pub const fn counter(name: &'static str, help: &'static str, read: fn(&T) -> u64) -> Metric<T> {
        Metric { name, help, kind: Kind::Counter, label: None, read }
    }

    pub const fn gauge(name: &'static str, help: &'static str, read: fn(&T) -> u64) -> Metric<T> {
        Metric { name, help, kind: Kind::Gauge, label: None, read }
    }

    /// Memory that this room holds or counts; several rooms do.
    pub const fn memory(pool: &'static str, read: fn(&T) -> u64) -> Metric<T> {
        let (name, help) = ("ringmain_memory_bytes", "Memory by pool.");
        Metric { name, help, kind: Kind::Gauge, label: Some(("pool", pool)), read }
    }

    /// One of several numbers that have a name in common.
    pub const fn labelled(self, label: &'static str, value: &'static str) -> Metric<T> {
        Metric { label: Some((label, value)), ..self }
    }

    /// The number, as of now.
    #[must_use]
    pub fn read(&self, of: &T) -> u64 {
        (self.read)(of)
    }
}

/// One distribution of durations of a room `T`. Those of all shards are shown as one, because quantiles cannot be added.
#[derive(Debug)]
pub struct Timing<T: 'static> {
    pub name: &'static str,
    pub help: &'static str,
    pub label: (&'static str, &'static str),
    read: fn(&T) -> Latency,
}

impl<T> Timing<T> {
    /// Requests of an API, or of all others.
    pub const fn request(api: &'static str, read: fn(&T) -> Latency) -> Timing<T> {
        let help = "Time from a request's last byte to its answer, waiting included.";
        Timing { name: "ringmain_request_seconds", help, label: ("api", api), read }
    }

    /// A part of the way of a request; several rooms have one.
    pub const fn stage(stage: &'static str, read: fn(&T) -> Latency) -> Timing<T> {
        let help = "Time that requests spend in each stage.";
        Timing { name: "ringmain_stage_seconds", help, label: ("stage", stage), read }
    }
}

/// Everything that one shard shows.
#[derive(Clone, Debug, Default)]
pub struct ShardMetrics {
    /// In the order in which they were declared; several may have a name in common.
    pub families: Vec<Family>,
    pub distributions: Vec<Distribution>,
    /// Committed offsets of the groups coordinated here, at most [`SERIES_MAX`].
    pub committed: Vec<CommittedMetric>,
    /// High watermarks of the partitions led here, at most [`SERIES_MAX`].
    pub ends: Vec<EndMetric>,
    /// Metrics that clients have pushed, at most [`SERIES_MAX`].
    pub clients: Vec<ClientMetric>,
}

/// Numbers of one name and kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Family {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: Kind,
    pub series: Vec<Series>,
}

/// One of a family's numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Series {
    /// Values may be a client's choice.
    pub labels: Vec<(&'static str, Cow<'static, str>)>,
    pub value: u64,
}

/// A distribution as it was read.
#[derive(Clone, Debug)]
pub struct Distribution {
    pub name: &'static str,
    pub help: &'static str,
    pub label: (&'static str, &'static str),
    pub latency: Latency,
}

impl ShardMetrics {
    /// Adds a room's numbers, as of now.
    pub fn show<T>(&mut self, metrics: &[Metric<T>], of: &T) {
        self.families.extend(metrics.iter().map(|metric| {
            let labels = metric.label.iter().map(|(label, value)| (*label, Cow::Borrowed(*value)));
            let series = Series { labels: labels.collect(), value: metric.read(of) };
            Family { name: metric.name, help: metric.help, kind: metric.kind, series: vec![series] }
        }));
    }

    /// Adds a room's distributions, as of now.
    pub fn time<T>(&mut self, timings: &[Timing<T>], of: &T) {
        self.distributions.extend(timings.iter().map(|timing| {
            let Timing { name, help, label, read } = timing;
            Distribution { name, help, label: *label, latency: read(of) }
        }));
    }
}

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
