//! Several brokers under the same scenarios on one machine, turn by turn, so that what changes with time hits all alike.

mod kafka;
mod peer;
mod ratio;
mod server;
mod settle;

use std::path::PathBuf;
use std::time::SystemTime;

use crate::args::CompareArgs;
use crate::catalog::{self, Named};
use crate::error::BenchError;
use crate::floor::Floor;
use crate::goals::judge;
use crate::instructions::Counter;
use crate::model::predict;
use crate::report::{Judged, Report};
use crate::run::{Options, Target, run};
use crate::scenario::{Scenario, ToolName};
use crate::tool::Tools;

pub use peer::Kind;
pub use ratio::{Row, Spread, Table};

use peer::{Ground, Peer};
use settle::settle;

/// Runs every scenario on every peer, round by round.
pub fn compare(args: &CompareArgs) -> Result<Report, BenchError> {
    let mut chosen = Vec::new();
    for wanted in &args.scenarios {
        chosen.extend(catalog::find(wanted)?);
    }
    for named in &mut chosen {
        args.lengths.apply(&mut named.scenario);
    }
    let ground = ground(args)?;
    let options = options(args, &ground, &chosen)?;
    let mut report = Report::new("compare", &ground.dir);
    let floor = (!args.without_floor).then(|| Floor::measure(&ground.dir)).transpose()?;
    let mut peers = peer::start(&args.peers, &ground)?;
    let done = rounds(args, &chosen, &mut peers, &options, &mut report);
    if !args.keep {
        peers.into_iter().for_each(Peer::clear);
    }
    let table = done?;
    let names: Vec<String> = args.peers.iter().map(Kind::name).collect();
    for Named { name, scenario } in &chosen {
        report.comparisons.extend(table.rows(name, &figures(scenario), &names));
        let predictions = floor.as_ref().map(|floor| predict(scenario, floor)).unwrap_or_default();
        let Some(ours) = names.first() else { continue };
        let verdicts = scenario.goals.iter().filter_map(|goal| judge(goal, name, ours, &predictions, &table));
        report.judged.push(Judged { scenario: name.clone(), verdicts: verdicts.collect(), predictions });
    }
    report.floor = floor.map(|floor| floor.values()).unwrap_or_default();
    Ok(report)
}

fn ground(args: &CompareArgs) -> Result<Ground, BenchError> {
    // Servers are started elsewhere than we are: their paths must not depend on it.
    let absolute = |path: &PathBuf| std::path::absolute(path).map_err(BenchError::io("find a directory"));
    let dir = absolute(&args.dir)?;
    std::fs::create_dir_all(&dir).map_err(BenchError::io("create --dir"))?;
    let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join("ringmain")));
    let ringmain = args.ringmain.clone().or(beside).unwrap_or_else(|| PathBuf::from("ringmain"));
    Ok(Ground {
        install_dir: absolute(&args.install_dir)?,
        dir,
        port: args.port,
        ringmain,
        settings: args.settings.clone(),
    })
}

fn options(args: &CompareArgs, ground: &Ground, chosen: &[Named]) -> Result<Options, BenchError> {
    let is_java = |named: &Named| {
        let name = named.scenario.tool.as_ref().map(|tool| tool.name);
        matches!(name, Some(ToolName::KafkaProducerPerfTest | ToolName::KafkaConsumerPerfTest))
    };
    let kafka_libs = match chosen.iter().any(is_java) {
        true => Some(kafka::install(&ground.install_dir)?),
        false => None,
    };
    let built = ground.install_dir.join("librdkafka/rdkafka_performance");
    let rdkafka = args.rdkafka.clone().or_else(|| built.exists().then_some(built));
    Ok(Options {
        verify_bytes: args.verify_bytes,
        keep: false,
        progress: !args.report.quiet,
        syscalls: args.syscalls,
        tools: Tools { kafka_libs, rdkafka },
    })
}

fn rounds(
    args: &CompareArgs,
    chosen: &[Named],
    peers: &mut [Peer],
    options: &Options,
    report: &mut Report,
) -> Result<Table, BenchError> {
    let counter = args.instructions.then(Counter::find).transpose()?;
    let mut table = Table::default();
    let stamp = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    for round in 0..args.rounds {
        for Named { name, scenario } in chosen {
            // Every round begins with another peer: whoever comes second must not always be the same.
            for turn in 0..args.peers.len() {
                let Some(kind) = args.peers.get((turn + round) % args.peers.len()) else { continue };
                let Some(peer) = peers.iter_mut().find(|peer| peer.kinds.contains(kind)) else { continue };
                settle(&args.dir, !args.report.quiet);
                let mut scenario = scenario.clone();
                scenario.topic.configs.extend(kind.topic_config());
                let topic = format!(
                    "bench-{}-{}-{stamp}-{round}",
                    name.replace('/', "-"),
                    kind.name().replace(':', "-")
                );
                let target = Target { peer: kind.name(), bootstrap_server: peer.address.clone(), topic };
                match run(&target, peer, name, &scenario, options) {
                    Ok(mut outcome) => {
                        if let Some(counter) = counter.as_ref().filter(|_| kind.is_ours()) {
                            counter.note(&mut outcome)?;
                        }
                        table.add(round, &outcome);
                        report.runs.push(outcome.into());
                    }
                    // That a broker cannot do one thing is a result; that it lost data is the end.
                    Err(error @ BenchError::Check(_)) => return Err(error),
                    Err(error) => {
                        eprintln!("ringmain-bench: {name} on {}: {error}", kind.name());
                        report.failures.push(format!(
                            "{name} on {}, round {}: {error}",
                            kind.name(),
                            round + 1
                        ));
                    }
                }
            }
        }
    }
    Ok(table)
}

/// What is compared: what the scenario is about, and what is always of interest.
fn figures(scenario: &Scenario) -> Vec<String> {
    let mut figures = scenario.figures.clone();
    let goals = scenario.goals.iter().map(|goal| goal.figure.clone());
    let always = [
        "produce records per request",
        "server processor time per record",
        "server syscalls per request",
        "produce hot path instructions per request",
        "fetch hot path instructions per request",
        "server memory",
        "processor time stolen",
    ];
    for figure in goals.chain(always.map(str::to_owned)) {
        if !figures.contains(&figure) {
            figures.push(figure);
        }
    }
    figures
}
