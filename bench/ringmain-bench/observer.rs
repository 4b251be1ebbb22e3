//! What is noted while a run goes on: time lines, the broker's use of the machine and our own, system calls.

use crate::distribution::{Distribution, to_f64};
use crate::load::{Ran, Watch};
use crate::outcome::{Part, PartName};
use crate::progress::Progress;
use crate::scenario::{Pace, Scenario};
use crate::stats::{Beat, Stats, Window};
use crate::stolen::{self, Stolen};
use crate::syscalls::Counter;
use crate::timeline::Timeline;
use crate::usage::{Process, Usage, Used};

/// Notes what the parts of a load do.
pub struct Observer {
    process: Option<Process>,
    progress: Option<Progress>,
    count_syscalls: bool,
    window: Option<Window>,
    timelines: [Timeline; 3],
    /// At the beginning and the end of the window.
    edges: Vec<Edge>,
    stolen: Stolen,
    counter: Option<Counter>,
    pub syscalls: Option<u64>,
}

/// What the broker and we ourselves had used by then, and what was stolen of the machine.
struct Edge {
    server: Option<Used>,
    loader: Used,
    stolen_seconds: f64,
}

/// What was used between two edges.
#[derive(Default)]
pub struct Shares {
    pub server: Option<Usage>,
    pub loader: Usage,
    /// Share of the machine's processor time.
    pub stolen: f64,
}

impl Observer {
    pub fn new(process: Option<Process>, progress: Option<Progress>, count_syscalls: bool) -> Observer {
        Observer {
            process,
            progress,
            count_syscalls,
            window: None,
            timelines: Default::default(),
            edges: Vec::new(),
            stolen: Stolen::begin(),
            counter: None,
            syscalls: None,
        }
    }

    pub fn usage(&self, seconds: f64) -> Shares {
        let [before, after] = &self.edges[..] else { return Shares::default() };
        let server = before.server.zip(after.server);
        Shares {
            server: server.map(|(before, after)| Usage::between(&before, &after, seconds)),
            loader: Usage::between(&before.loader, &after.loader, seconds),
            stolen: stolen::share(after.stolen_seconds - before.stolen_seconds, seconds),
        }
    }

    /// What the parts came to.
    pub fn parts(&self, scenario: &Scenario, ran: &Ran) -> Vec<Part> {
        let Some(window) = self.window else { return vec![] };
        let measured = [
            (PartName::Produce, &ran.produce),
            (PartName::EndToEnd, &ran.tail),
            (PartName::Fetch, &ran.read),
        ];
        let mut parts = Vec::new();
        for ((name, stats), timeline) in measured.into_iter().zip(&self.timelines) {
            let Some(stats) = stats else { continue };
            let once = name == PartName::Fetch && scenario.read.is_some_and(|plan| plan.once);
            let seconds = if once { ran.read_seconds } else { window.seconds() };
            let mut part = part(name, stats, timeline, scenario, window, seconds);
            self.stolen.enter(&mut part.steps, part.beat_seconds);
            parts.push(part);
        }
        parts
    }
}

fn part(
    name: PartName,
    stats: &Stats,
    timeline: &Timeline,
    scenario: &Scenario,
    window: Window,
    seconds: f64,
) -> Part {
    let groups = scenario.tail.map_or(1, |plan| plan.groups);
    let of = match name {
        PartName::Produce => 1,
        PartName::EndToEnd => groups,
        PartName::Fetch => 0,
    };
    let offered = match scenario.produce.map(|plan| plan.pace) {
        Some(Pace::Open { records_per_second, .. }) if of > 0 => Some(records_per_second * to_f64(of as u64)),
        _ => None,
    };
    let is_open = name == PartName::Produce && offered.is_some();
    let beat_seconds = window.beat.as_secs_f64();
    let end = (window.end - window.begin).as_secs_f64().max(seconds);
    let connections = match name {
        PartName::Produce => scenario.produce.map_or(0, |plan| plan.connections),
        PartName::EndToEnd => scenario.tail.map_or(0, |plan| plan.connections * plan.groups),
        PartName::Fetch => scenario.read.map_or(0, |plan| plan.connections * plan.groups),
    };
    Part {
        name,
        seconds,
        connections,
        requests: stats.requests,
        records: stats.records,
        bytes: stats.bytes,
        unanswered: stats.unanswered,
        offered,
        latency: Distribution::of(&stats.latency, stats.timed),
        service: is_open.then(|| Distribution::of(&stats.service, stats.timed)),
        delay: is_open.then(|| Distribution::of(&stats.delay, stats.timed)),
        beat_seconds,
        steps: timeline.steps(beat_seconds, end),
    }
}

impl Watch for Observer {
    fn begins(&mut self, window: Window) {
        self.window = Some(window);
    }

    fn beat(&mut self, beat: &Beat) {
        self.stolen.note(beat.number);
        if let Some(timeline) = self.timelines.get_mut(beat.part) {
            timeline.add(beat);
        }
        if let (Some(progress), Some(window)) = (&mut self.progress, self.window) {
            progress.beat(beat, &self.timelines, window.beat.as_secs_f64());
        }
    }

    fn edge(&mut self) {
        self.edges.push(Edge {
            server: self.process.and_then(Process::used),
            loader: Process::this().used().unwrap_or_default(),
            stolen_seconds: stolen::seconds(),
        });
        match self.counter.take() {
            Some(counter) => self.syscalls = counter.stop(),
            None if self.count_syscalls && self.edges.len() == 1 => {
                self.counter = self.process.and_then(Counter::start);
            }
            None => {}
        }
    }
}
