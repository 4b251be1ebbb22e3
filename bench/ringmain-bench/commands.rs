//! One function per subcommand: settings in, report out.

use std::io::{self, Write as _};
use std::path::Path;

use crate::args::{
    BrokerArgs, CommitArgs, CompareArgs, FetchArgs, FloorArgs, GroupsArgs, InstructionsArgs, PageArgs,
    ProduceArgs, ReportArgs, RunArgs, ShapeArgs,
};
use crate::broker::Broker;
use crate::catalog::{self, Named};
use crate::compare::{self, Table};
use crate::error::BenchError;
use crate::floor::Floor;
use crate::goals::judge;
use crate::groups;
use crate::host::Found;
use crate::instructions::Counter;
use crate::model::predict;
use crate::report::{Judged, Report};
use crate::run::{Options, Target, run};
use crate::scenario::{BatchPlan, FillPlan, Pace, ProducePlan, ReadPlan, Scenario, TailPlan, TopicPlan};
use crate::tool::Tools;
use crate::topic::{self, End};
use crate::usage::Process;

pub fn floor(args: &FloorArgs) -> Result<(), BenchError> {
    let mut report = Report::new("floor", &args.dir);
    report.figures = Floor::measure(&args.dir)?.values();
    finish(&report, &args.report)
}

pub fn instructions(args: &InstructionsArgs) -> Result<(), BenchError> {
    let mut report = Report::new("instructions", Path::new("."));
    report.figures = Counter::find()?.shapes(&args.names, args.requests)?;
    finish(&report, &args.report)
}

pub fn scenarios(args: &RunArgs) -> Result<(), BenchError> {
    if args.list {
        return list();
    }
    if args.scenarios.is_empty() {
        return Err(BenchError::Needs("name a scenario; `ringmain-bench run --list` shows them all".into()));
    }
    let mut chosen = Vec::new();
    for wanted in &args.scenarios {
        chosen.extend(catalog::find(wanted)?);
    }
    for named in &mut chosen {
        args.lengths.apply(&mut named.scenario);
    }
    run_all("run", &args.broker, &chosen, args.goals)
}

fn list() -> Result<(), BenchError> {
    let mut out = io::stdout().lock();
    for Named { name, scenario } in catalog::all()? {
        // A reader that has had enough (`| head`) is no error.
        if writeln!(out, "{name:<44} {}", scenario.about).is_err() {
            break;
        }
    }
    Ok(())
}

pub fn produce(args: &ProduceArgs) -> Result<(), BenchError> {
    let mut scenario = plain("produce", &args.shape);
    let batch = BatchPlan {
        bytes: args.shape.batch_bytes,
        record_bytes: args.shape.record_bytes,
        linger_ms: args.linger_ms,
        keyed: args.keyed,
        codec: args.codec,
    };
    let pace = match args.rate {
        Some(records_per_second) => Pace::Open { records_per_second, arrivals: args.arrivals },
        None => Pace::Closed { depth: args.depth },
    };
    let (connections, acks) = (args.shape.connections, args.acks.wire());
    scenario.produce = Some(ProducePlan { connections, batch, pace, acks });
    scenario.tail = args.tail.map(|connections| TailPlan { connections, groups: 1 });
    args.lengths.apply(&mut scenario);
    run_all("produce", &args.broker, &[Named { name: "produce".into(), scenario }], false)
}

pub fn fetch(args: &FetchArgs) -> Result<(), BenchError> {
    let mut scenario = plain("fetch", &args.shape);
    let ShapeArgs { batch_bytes: bytes, record_bytes, connections, .. } = args.shape;
    if is_empty(&args.broker, &scenario.topic)? {
        let batch = BatchPlan { bytes, record_bytes, ..BatchPlan::default() };
        scenario.fill = Some(FillPlan { bytes: args.fill_bytes, batch });
    }
    scenario.read = Some(ReadPlan {
        connections,
        groups: args.groups,
        fetch_bytes: args.fetch_bytes,
        partition_bytes: args.partition_bytes,
        ..ReadPlan::default()
    });
    args.lengths.apply(&mut scenario);
    run_all("fetch", &args.broker, &[Named { name: "fetch".into(), scenario }], false)
}

/// Whether the topic is not there yet or holds nothing.
fn is_empty(args: &BrokerArgs, plan: &TopicPlan) -> Result<bool, BenchError> {
    let mut broker = Broker::connect(&args.bootstrap_server)?;
    if !topic::exists(&mut broker, &args.topic)? {
        return Ok(true);
    }
    let topic = topic::find(&mut broker, &args.topic, plan.partitions)?;
    Ok(topic.offsets(End::Start)? == topic.offsets(End::End)?)
}

pub fn groups(args: &GroupsArgs) -> Result<(), BenchError> {
    let mut report = Report::new("groups", Path::new("."));
    report.figures = groups::groups(args)?;
    finish(&report, &ReportArgs { json: args.json.clone(), ..ReportArgs::default() })
}

pub fn commit(args: &CommitArgs) -> Result<(), BenchError> {
    let mut report = Report::new("commit", Path::new("."));
    report.figures = groups::commits(args)?;
    finish(&report, &ReportArgs { json: args.json.clone(), ..ReportArgs::default() })
}

/// A scenario that does nothing yet.
fn plain(about: &str, shape: &ShapeArgs) -> Scenario {
    Scenario {
        about: about.to_owned(),
        seconds: 5.0,
        warmup: 1.0,
        threads: shape.threads,
        topic: TopicPlan {
            partitions: shape.partitions,
            replication_factor: shape.replication_factor,
            configs: shape.topic_configs.iter().cloned().collect(),
        },
        ..Scenario::default()
    }
}

/// Runs scenarios one after another on one broker.
fn run_all(command: &str, args: &BrokerArgs, chosen: &[Named], goals: bool) -> Result<(), BenchError> {
    let mut report = Report::new(command, &args.dir);
    let floor = args.floor.then(|| Floor::measure(&args.dir)).transpose()?;
    let process = args.pid.map(Process).or_else(|| Process::listening(&args.bootstrap_server));
    let mut host = Found { process, dir: args.dir.clone() };
    let options = Options {
        verify_bytes: args.verify_bytes,
        keep: args.keep,
        progress: !args.report.quiet,
        syscalls: args.syscalls,
        tools: Tools { kafka_libs: args.kafka_libs.clone(), rdkafka: args.rdkafka.clone() },
    };
    let counter = args.instructions.then(Counter::find).transpose()?;
    let mut table = Table::default();
    for Named { name, scenario } in chosen {
        scenario.check().map_err(|why| BenchError::Scenario { name: name.clone(), why })?;
        // Several scenarios need several topics; one goes by the name it was given.
        let suffix = if chosen.len() > 1 { format!("-{}", name.replace('/', "-")) } else { String::new() };
        let target = Target {
            peer: args.bootstrap_server.clone(),
            bootstrap_server: args.bootstrap_server.clone(),
            topic: format!("{}{suffix}", args.topic),
        };
        let mut outcome = run(&target, &mut host, name, scenario, &options)?;
        counter.as_ref().map_or(Ok(()), |counter| counter.note(&mut outcome))?;
        table.add(0, &outcome);
        report.runs.push(outcome.into());
    }
    for Named { name, scenario } in chosen {
        let predictions = floor.as_ref().map(|floor| predict(scenario, floor)).unwrap_or_default();
        let peer = &args.bootstrap_server;
        let verdicts = scenario.goals.iter().filter_map(|goal| judge(goal, name, peer, &predictions, &table));
        report.judged.push(Judged { scenario: name.clone(), verdicts: verdicts.collect(), predictions });
    }
    report.floor = floor.map(|floor| floor.values()).unwrap_or_default();
    finish(&report, &args.report)?;
    if goals { report.missed() } else { Ok(()) }
}

pub fn compare(args: &CompareArgs) -> Result<(), BenchError> {
    let report = compare::compare(args)?;
    finish(&report, &args.report)?;
    if args.goals { report.missed() } else { Ok(()) }
}

/// Joins reports into one page.
pub fn page(args: &PageArgs) -> Result<(), BenchError> {
    let mut reports = args.reports.iter().map(|file| Report::read(file));
    let mut whole = reports.next().ok_or(BenchError::NothingToRead)??;
    for report in reports {
        whole.absorb(report?);
    }
    whole.write_page(&args.html)
}

fn finish(report: &Report, args: &ReportArgs) -> Result<(), BenchError> {
    report.print();
    if let Some(file) = &args.json {
        report.write(file)?;
    }
    args.html.as_ref().map_or(Ok(()), |file| report.write_page(file))
}
