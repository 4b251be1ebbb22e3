//! One function per subcommand: settings in, report out.

use std::path::Path;
use std::time::{Duration, SystemTime};

use ringmain::base::TimestampMs;
use serde_json::json;

use crate::args::{CommitArgs, FetchArgs, FloorArgs, GroupsArgs, ProduceArgs, TargetArgs};
use crate::broker::Broker;
use crate::error::BenchError;
use crate::fetch::FetchSettings;
use crate::floor::Floor;
use crate::groups;
use crate::load::{self, Length, Loop, ProduceLoad, Shape};
use crate::produce;
use crate::report::{Figure, Report, megabytes_per_second, percentiles, to_f64};
use crate::stats::{Stats, processor_time};
use crate::topic::{self, End, Topic};

/// Long enough for any fill.
const FILL_SECONDS: u64 = 600;
const FILL_DEPTH: usize = 4;

pub fn floor(args: &FloorArgs) -> Result<(), BenchError> {
    let mut report = Report::new("floor", json!({ "dir": args.dir }));
    report.figures = Floor::measure(&args.dir)?.figures();
    finish(&report, args.json.as_deref())
}

pub fn produce(args: &ProduceArgs) -> Result<(), BenchError> {
    let mut report = Report::new("produce", serde_json::to_value(args)?);
    let floor = floor_of(&args.target)?;
    let stats = with_topic(&args.target, |topic| {
        let load = ProduceLoad {
            shape: shape(&args.target),
            length: length(&args.target),
            pace: match args.rate {
                Some(requests_per_second) => Loop::Open { requests_per_second },
                None => Loop::Closed { depth: args.depth },
            },
            acks: args.acks.wire(),
            batch: produce::batch(args.batch_bytes, args.record_bytes, wall_clock())?,
            requests_max: u64::MAX,
        };
        let before = processor_time();
        let stats = load::produce(topic, &load)?;
        Ok((stats, processor_time().saturating_sub(before)))
    })?;
    let (stats, loader) = stats;
    report.figures = figures(&stats, &args.target, loader);
    if args.rate.is_some() {
        report.figures.push(Figure::new("unanswered", to_f64(stats.unanswered), "requests"));
        report.figures.extend(percentiles("service time", &stats.service));
    }
    if let Some(floor) = floor {
        let round_trip = to_f64(floor.durable_round_trip_ns()) / 1e3;
        beside(
            &mut report.figures,
            "throughput",
            "min(loopback, disk)",
            floor.durable_bytes_per_second() / 1e6,
        );
        beside(&mut report.figures, "latency p50", "(round trip + synced block)", round_trip);
        report.floor = floor.figures();
    }
    finish(&report, args.target.json.as_deref())
}

pub fn groups(args: &GroupsArgs) -> Result<(), BenchError> {
    let mut report = Report::new("groups", serde_json::to_value(args)?);
    report.figures = groups::groups(args)?;
    finish(&report, args.json.as_deref())
}

pub fn commit(args: &CommitArgs) -> Result<(), BenchError> {
    let mut report = Report::new("commit", serde_json::to_value(args)?);
    report.figures = groups::commits(args)?;
    finish(&report, args.json.as_deref())
}

pub fn fetch(args: &FetchArgs) -> Result<(), BenchError> {
    let mut report = Report::new("fetch", serde_json::to_value(args)?);
    let floor = floor_of(&args.target)?;
    let (stats, loader) = with_topic(&args.target, |topic| {
        fill(topic, args)?;
        let settings = FetchSettings {
            topic: topic.name.clone(),
            version: 0,
            bytes_max: args.fetch_bytes,
            partition_bytes_max: args.partition_bytes,
            verify: args.verify,
        };
        let before = processor_time();
        let stats = load::fetch(topic, shape(&args.target), length(&args.target), settings)?;
        Ok((stats, processor_time().saturating_sub(before)))
    })?;
    report.figures = figures(&stats, &args.target, loader);
    if let Some(floor) = floor {
        beside(&mut report.figures, "throughput", "loopback", floor.net.bytes_per_second() / 1e6);
        report.floor = floor.figures();
    }
    finish(&report, args.target.json.as_deref())
}

/// Writes `fill_bytes` over all partitions, unless some hold records already.
fn fill(topic: &Topic, args: &FetchArgs) -> Result<(), BenchError> {
    if topic.offsets(End::Start)? != topic.offsets(End::End)? {
        return Ok(());
    }
    let batch = produce::batch(args.batch_bytes, args.record_bytes, wall_clock())?;
    let partitions = args.target.partitions;
    let requests = args.fill_bytes.div_ceil(batch.bytes.len() as u64 * partitions as u64);
    let load = ProduceLoad {
        // A connection for each partition, so that all are filled alike.
        shape: Shape { partitions, connections: partitions, threads: args.target.threads },
        length: Length { warmup: Duration::ZERO, seconds: Duration::from_secs(FILL_SECONDS) },
        pace: Loop::Closed { depth: FILL_DEPTH },
        acks: -1,
        batch,
        requests_max: requests,
    };
    load::produce(topic, &load).map(|_| ())
}

/// Runs against the topic; one created for the run goes with it.
fn with_topic<T>(
    target: &TargetArgs,
    work: impl FnOnce(&Topic) -> Result<T, BenchError>,
) -> Result<T, BenchError> {
    let mut broker = Broker::connect(&target.bootstrap_server)?;
    let created = topic::create(
        &mut broker,
        &target.topic,
        target.partitions,
        target.replication_factor,
        &target.topic_configs,
    )?;
    let found = topic::find(&mut broker, &target.topic, target.partitions)?;
    let done = work(&found);
    if created && !target.keep {
        let deleted = Broker::connect(&target.bootstrap_server)
            .and_then(|mut broker| topic::delete(&mut broker, &target.topic));
        // What the run itself met comes first.
        return done.and_then(|done| deleted.map(|()| done));
    }
    done
}

fn figures(stats: &Stats, target: &TargetArgs, loader: Duration) -> Vec<Figure> {
    let seconds = target.seconds;
    let mut figures = vec![
        megabytes_per_second("throughput", to_f64(stats.bytes) / seconds),
        Figure::new("requests", to_f64(stats.requests) / seconds, "1/s"),
        Figure::new("records", to_f64(stats.records) / seconds, "1/s"),
        Figure::new("loader cores busy", loader.as_secs_f64() / (seconds + target.warmup), "cores"),
    ];
    figures.extend(percentiles("latency", &stats.latency));
    figures
}

fn beside(figures: &mut [Figure], name: &str, floor: &str, of: f64) {
    for figure in figures.iter_mut().filter(|figure| figure.name == name) {
        *figure = figure.clone().against(floor, of);
    }
}

fn floor_of(target: &TargetArgs) -> Result<Option<Floor>, BenchError> {
    target.floor.then(|| Floor::measure(&target.dir)).transpose()
}

fn shape(target: &TargetArgs) -> Shape {
    let TargetArgs { partitions, connections, threads, .. } = *target;
    Shape { partitions, connections, threads }
}

fn length(target: &TargetArgs) -> Length {
    Length {
        warmup: Duration::from_secs_f64(target.warmup),
        seconds: Duration::from_secs_f64(target.seconds),
    }
}

fn wall_clock() -> TimestampMs {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    TimestampMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

fn finish(report: &Report, json: Option<&Path>) -> Result<(), BenchError> {
    report.print();
    json.map_or(Ok(()), |file| report.write(file))
}
