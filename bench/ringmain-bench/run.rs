//! One run of one scenario against one broker: topic, fill, load, check, and what it came to.

use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::beside::Beside;
use crate::broker::Broker;
use crate::check::Checked;
use crate::error::BenchError;
use crate::host::{Ballast, Host, cool};
use crate::load::{Load, Ran, Watch};
use crate::observer::Observer;
use crate::outcome::{Outcome, Value};
use crate::progress::Progress;
use crate::scenario::Scenario;
use crate::tool::{self, Aim, Tools};
use crate::topic::{self, Topic};

/// Whom a run is against.
#[derive(Clone, Debug)]
pub struct Target {
    pub peer: String,
    pub bootstrap_server: String,
    pub topic: String,
}

/// What is done around a run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes read back and compared after a run.
    pub verify_bytes: u64,
    /// Keep the topic that the run created.
    pub keep: bool,
    pub progress: bool,
    pub syscalls: bool,
    pub tools: Tools,
}

/// Runs a scenario; a topic created for it goes with it.
pub fn run(
    target: &Target,
    host: &mut dyn Host,
    name: &str,
    scenario: &Scenario,
    options: &Options,
) -> Result<Outcome, BenchError> {
    let _ballast = scenario.disk_full_percent.map(|percent| Ballast::new(host.dir(), percent)).transpose()?;
    let mut broker = Broker::connect(&target.bootstrap_server)?;
    let plan = &scenario.topic;
    let configs: Vec<(String, String)> = plan.configs.clone().into_iter().collect();
    let created =
        topic::create(&mut broker, &target.topic, plan.partitions, plan.replication_factor, &configs)?;
    let found = topic::find(&mut broker, &target.topic, plan.partitions)?;
    let beside_name = format!("{}-beside", target.topic);
    let done = match &scenario.beside {
        Some(plan) => Beside::filled(&mut broker, &beside_name, plan)
            .and_then(|beside| with_topic(target, host, name, scenario, options, &found, Some(&beside))),
        None => with_topic(target, host, name, scenario, options, &found, None),
    };
    if created && !options.keep {
        let deleted = Broker::connect(&target.bootstrap_server).and_then(|mut broker| {
            topic::delete(&mut broker, &target.topic)?;
            scenario.beside.as_ref().map_or(Ok(()), |_| topic::delete(&mut broker, &beside_name))
        });
        // What the run itself met comes first.
        return done.and_then(|done| deleted.map(|()| done));
    }
    done
}

fn with_topic(
    target: &Target,
    host: &mut dyn Host,
    name: &str,
    scenario: &Scenario,
    options: &Options,
    topic: &Topic,
    beside: Option<&Beside<'_>>,
) -> Result<Outcome, BenchError> {
    let durability = topic::durability(&mut Broker::connect(&target.bootstrap_server)?, &topic.name)?;
    let mut load = Load::new(topic, scenario)?;
    if let Some(fill) = &scenario.fill {
        load.fill(fill)?;
    }
    let mut others = Vec::new();
    if scenario.idle {
        others.extend(begin_anew(target, host, topic)?);
    }
    if scenario.read.is_some_and(|plan| plan.cold) {
        cool(host)?;
        topic::find(&mut Broker::connect(&target.bootstrap_server)?, &topic.name, topic.partitions.len())?;
    }
    let progress = options.progress.then(|| Progress::new(name, &target.peer));
    if let Some(beside) = beside {
        beside.begin(&target.bootstrap_server)?;
    }
    let mut observer = Observer::new(host.process(), progress, options.syscalls);
    let aim = Aim { bootstrap_server: &target.bootstrap_server, topic: &topic.name };
    let (ran, values, seconds) = measured(&mut load, scenario, options, aim, &mut observer)?;
    others.extend(values);
    if let Some(beside) = beside {
        others.extend(beside.values(&mut Broker::connect(&target.bootstrap_server)?)?);
    }
    let usage = observer.usage(seconds);
    let (checked, check) = verify(&load, scenario, &ran, options.verify_bytes)?;
    Ok(Outcome {
        name: name.to_owned(),
        peer: target.peer.clone(),
        durability,
        scenario: scenario.clone(),
        parts: observer.parts(scenario, &ran),
        checked,
        check,
        server: usage.server,
        server_syscalls: observer.syscalls,
        loader: usage.loader,
        stolen: usage.stolen,
        others,
    })
}

/// What the scenario's parts have met, or what a tool in their place says; and in how many seconds.
fn measured(
    load: &mut Load<'_>,
    scenario: &Scenario,
    options: &Options,
    aim: Aim<'_>,
    observer: &mut Observer,
) -> Result<(Ran, Vec<Value>, f64), BenchError> {
    if let Some(plan) = &scenario.tool {
        let (values, seconds) = between_edges(observer, || tool::run(&options.tools, plan, aim))?;
        return Ok((Ran::default(), values, seconds));
    }
    if scenario.idle {
        let rest = Duration::from_secs_f64(scenario.seconds);
        let ((), seconds) = between_edges(observer, || {
            sleep(rest);
            Ok(())
        })?;
        return Ok((Ran::default(), Vec::new(), seconds));
    }
    Ok((load.run(observer)?, Vec::new(), scenario.seconds))
}

/// Observes what is not the load generator's own, and says how many seconds it took.
fn between_edges<T>(
    observer: &mut Observer,
    run: impl FnOnce() -> Result<T, BenchError>,
) -> Result<(T, f64), BenchError> {
    let begun = Instant::now();
    observer.edge();
    let done = run()?;
    observer.edge();
    Ok((done, begun.elapsed().as_secs_f64()))
}

/// How long the broker takes from its start until every partition answers, where it is ours to start.
fn begin_anew(target: &Target, host: &mut dyn Host, topic: &Topic) -> Result<Option<Value>, BenchError> {
    let Some(started) = host.restart()? else { return Ok(None) };
    topic::find(&mut Broker::connect(&target.bootstrap_server)?, &topic.name, topic.partitions.len())?;
    Ok(Some(Value::new("server start", started.elapsed().as_secs_f64(), "s")))
}

/// What was verified, and how.
fn verify(
    load: &Load<'_>,
    scenario: &Scenario,
    ran: &Ran,
    bytes_max: u64,
) -> Result<(Option<Checked>, String), BenchError> {
    let is_acknowledged = scenario.produce.is_some_and(|plan| plan.acks != 0);
    Ok(match ran.checked {
        Some(checked) => (Some(checked), "as they arrived".to_owned()),
        None if is_acknowledged && bytes_max > 0 => {
            (Some(load.verify(bytes_max)?), "by reading back after the run".to_owned())
        }
        // What a fill has written is compared as our own consumers read it; a tool's are not ours.
        None if scenario.fill.is_some() && scenario.read.is_some() => {
            (None, "every batch as it was read".to_owned())
        }
        None if scenario.produce.is_some() => (None, "the growth of the logs only".to_owned()),
        None => (None, "nothing: this load is not ours to read back".to_owned()),
    })
}
