//! Runs the parts of a scenario against a topic at the same time, and holds what comes of it to the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use ringmain::base::TimestampMs;

use crate::batch::{Recipe, Template};
use crate::check::{Care, Checked, Checker};
use crate::crew::{self, Crew, Offsets, Parts, Range, ToRead, joined, start};
use crate::distribution::to_f64;
use crate::error::BenchError;
use crate::ledger::Ledger;
use crate::plan::{every, shares};
use crate::produce::{Asking, Pace as LinePace, Produce, pace, records_within};
use crate::reader::{Reader, Until};
use crate::scenario::{BatchPlan, FillPlan, Pace, ProducePlan, ReadPlan, Scenario, TailPlan};
use crate::session::FetchSettings;
use crate::stats::{Beat, Stats, Window};
use crate::topic::{End, Topic};

const FILL_DEPTH: usize = 4;
const FILL_CONNECTIONS_MAX: usize = 16;
const FILL_THREADS: usize = 2;
/// Long enough for any fill, and for reading it back.
const FILL_WITHIN: Duration = Duration::from_secs(1800);
/// The producers of a run are numbered from here on: those of its fill are below.
const PRODUCERS_FROM: u32 = 1 << 16;
const VERIFY_CONNECTIONS_MAX: usize = 8;

/// Parts in the order in which beats number them.
pub const PRODUCE: usize = 0;
pub const TAIL: usize = 1;
pub const READ: usize = 2;

/// Who is told while a run goes on.
pub trait Watch {
    fn begins(&mut self, window: Window);
    fn beat(&mut self, beat: &Beat);
    /// The part that counts has begun, or has ended.
    fn edge(&mut self);
}

/// What the parts measured.
#[derive(Default)]
pub struct Ran {
    pub produce: Option<Stats>,
    pub tail: Option<Stats>,
    pub read: Option<Stats>,
    /// How long the reading took, from its beginning on.
    pub read_seconds: f64,
    /// What each of the tail's groups verified.
    pub checked: Option<Checked>,
}

/// One run's load on one topic.
pub struct Load<'a> {
    topic: &'a Topic,
    scenario: &'a Scenario,
    ledger: Ledger,
    begun_at: Offsets,
    /// What there is to read: what the topic was filled with, or held anyway.
    filled: Range,
}

impl<'a> Load<'a> {
    pub fn new(topic: &'a Topic, scenario: &'a Scenario) -> Result<Load<'a>, BenchError> {
        let template = Template::new(&recipe(scenario), wall_clock())?;
        // Different for every run, so that what another left behind is never taken for this one's.
        let run = u64::from(std::process::id()) << 44 ^ wall_clock().0.unsigned_abs();
        let begun_at = topic.offsets(End::End)?;
        let filled = Range { from: topic.offsets(End::Start)?, to: begun_at.clone() };
        Ok(Load { topic, scenario, ledger: Ledger::new(run, Arc::new(template)), begun_at, filled })
    }

    /// Writes so many bytes over all partitions.
    pub fn fill(&mut self, plan: &FillPlan) -> Result<(), BenchError> {
        let connections = self.topic.partitions.len().min(FILL_CONNECTIONS_MAX);
        let shares = shares(self.topic, self.topic.partitions.len(), connections);
        let batch_bytes = self.ledger.template.batch_bytes(0) as u64;
        let requests_max = plan.bytes.div_ceil(batch_bytes * shares.len().max(1) as u64);
        let crew = Crew {
            window: Window::new(Duration::ZERO, FILL_WITHIN),
            part: PRODUCE,
            threads: FILL_THREADS,
            beats: channel().0,
        };
        let pace = |_, _| LinePace::Closed { depth: FILL_DEPTH };
        let parts = crew::producers(&crew, &shares, 0, self.asking(-1), requests_max, pace)?;
        let done = thread::scope(|scope| joined(start(scope, parts)))?;
        self.settle(done, false, true)?;
        self.filled = Range { from: self.begun_at.clone(), to: self.topic.offsets(End::End)? };
        Ok(())
    }

    /// Runs every part of the scenario at once.
    pub fn run(&mut self, watch: &mut impl Watch) -> Result<Ran, BenchError> {
        let (sender, beats) = channel();
        let seconds = Duration::from_secs_f64(self.scenario.seconds);
        let crew =
            |window, part| Crew { window, part, threads: self.scenario.threads, beats: sender.clone() };
        let warmup = Duration::from_secs_f64(self.scenario.warmup);
        let window = Window::after(lead(self.scenario), warmup, seconds);
        let read_window = self.read_window(window);
        let ends = Arc::new(OnceLock::new());
        let tail =
            self.scenario.tail.map_or(Ok(vec![]), |plan| self.tail(&crew(window, TAIL), &plan, &ends))?;
        let read =
            self.scenario.read.map_or(Ok(vec![]), |plan| self.read(&crew(read_window, READ), &plan))?;
        let produce =
            self.scenario.produce.map_or(Ok(vec![]), |plan| self.produce(&crew(window, PRODUCE), &plan))?;
        drop(sender);
        watch.begins(window);
        let topic = self.topic;
        let (produced, tailed, read, read_seconds) = thread::scope(|scope| {
            let (tail, read) = (start(scope, tail), start(scope, read));
            let produce = start(scope, produce);
            let produce = scope.spawn(move || {
                let produced = joined(produce);
                // Tails may end when all that was sent has arrived, and must when the producers failed.
                let found = produced.is_ok().then(|| topic.offsets(End::End));
                let found = found.unwrap_or_else(|| Ok(Offsets::new()));
                let _ = ends.set(found.as_ref().map(Offsets::clone).unwrap_or_default());
                found.and(produced)
            });
            let reading = Instant::now();
            let read = scope.spawn(move || (joined(read), reading.elapsed().as_secs_f64()));
            observe(&beats, window, watch);
            let produced = produce.join().map_err(|_| BenchError::Thread)?;
            let tailed = joined(tail);
            let (read, read_seconds) = read.join().map_err(|_| BenchError::Thread)?;
            Ok::<_, BenchError>((produced?, tailed?, read?, read_seconds))
        })?;
        let mut ran = Ran { read_seconds, ..Ran::default() };
        if let Some(plan) = self.scenario.produce {
            let is_open = matches!(plan.pace, Pace::Open { .. });
            ran.produce = Some(self.settle(produced, is_open, plan.acks != 0)?);
        }
        if self.scenario.tail.is_some() {
            let (stats, checked) = self.finish_tail(tailed)?;
            (ran.tail, ran.checked) = (Some(stats), checked);
        }
        if self.scenario.read.is_some() {
            ran.read = Some(read_stats(read)?);
        }
        Ok(ran)
    }

    /// What is read once counts whole, however long it takes.
    fn read_window(&self, window: Window) -> Window {
        match self.scenario.read {
            Some(ReadPlan { once: true, .. }) => {
                Window { start: window.begin, end: window.begin + FILL_WITHIN, ..window }
            }
            _ => window,
        }
    }

    fn asking(&self, acks: i16) -> Asking {
        Asking {
            run: self.ledger.run,
            topic: self.topic.name.clone(),
            template: Arc::clone(&self.ledger.template),
            version: 0,
            acks,
            wall_clock: wall_clock(),
        }
    }

    fn produce(&self, crew: &Crew, plan: &ProducePlan) -> Result<Parts<Produce>, BenchError> {
        let partitions = self.topic.partitions.len();
        // Keys may go anywhere, so every connection serves every partition.
        let shares = match plan.batch.keyed {
            true => every(self.topic, plan.connections),
            false => shares(self.topic, partitions, plan.connections),
        };
        let seed = self.ledger.run;
        let pace = |index, of| pace(&plan.pace, index, of, seed);
        crew::producers(crew, &shares, PRODUCERS_FROM, self.asking(plan.acks), u64::MAX, pace)
    }

    fn tail(
        &self,
        crew: &Crew,
        plan: &TailPlan,
        ends: &Arc<OnceLock<Offsets>>,
    ) -> Result<Parts<Reader>, BenchError> {
        let shares = shares(self.topic, self.topic.partitions.len(), plan.connections);
        let from = self.topic.offsets(End::End)?;
        let range = Range { to: from.clone(), from };
        let until = Until::Produced(Arc::clone(ends));
        let checker = || Some(self.checker(Care::Glance, BTreeSet::new()));
        let reading = ToRead { until: &until, range: &range, checker: &checker };
        crew::readers(crew, &shares, plan.groups, self.settings(&ReadPlan::default()), &reading)
    }

    fn read(&self, crew: &Crew, plan: &ReadPlan) -> Result<Parts<Reader>, BenchError> {
        let mut shares = shares(self.topic, self.topic.partitions.len(), plan.connections);
        for share in &mut shares {
            share
                .partitions
                .retain(|partition| self.filled.to.get(partition) > self.filled.from.get(partition));
        }
        shares.retain(|share| !share.partitions.is_empty());
        let until = if plan.once { Until::Read } else { Until::WindowEnds };
        // What another run left in the topic is nothing this one could check.
        let is_ours = self.scenario.fill.is_some();
        let checker = || is_ours.then(|| self.checker(Care::Glance, BTreeSet::new()));
        let reading = ToRead { until: &until, range: &self.filled, checker: &checker };
        crew::readers(crew, &shares, plan.groups, self.settings(plan), &reading)
    }

    fn settings(&self, plan: &ReadPlan) -> FetchSettings {
        FetchSettings {
            topic: self.topic.name.clone(),
            version: 0,
            bytes_max: plan.fetch_bytes,
            partition_bytes_max: plan.partition_bytes,
        }
    }

    fn checker(&self, care: Care, partial: BTreeSet<i32>) -> Checker {
        Checker::new(self.ledger.run, Arc::clone(&self.ledger.template), care, partial)
    }

    /// Enters what was sent into the ledger, and checks that the logs have grown by it. An open loop may leave requests
    /// unanswered; a closed one leaves so few that a broker which does not answer them is stuck, not slow.
    fn settle(
        &mut self,
        done: Vec<(Produce, usize)>,
        may_be_late: bool,
        is_acknowledged: bool,
    ) -> Result<Stats, BenchError> {
        let unanswered: usize = done.iter().map(|(_, unanswered)| unanswered).sum();
        if unanswered > 0 && !may_be_late {
            return Err(BenchError::Unanswered(unanswered));
        }
        let now = Instant::now();
        let mut stats = Stats::new();
        for (mut produce, _) in done {
            produce.give_up(now);
            stats.merge(&produce.into_parts(&mut self.ledger).merged());
        }
        if is_acknowledged {
            self.ledger.check_growth(&self.begun_at, &self.topic.offsets(End::End)?)?;
        }
        Ok(stats)
    }

    fn finish_tail(&self, done: Vec<(Reader, usize)>) -> Result<(Stats, Option<Checked>), BenchError> {
        // Without the fill, which was there before the tails were.
        let mut ledger = self.ledger.clone();
        ledger.lanes.retain(|id, _| id.connection >= PRODUCERS_FROM);
        let (mut stats, mut groups) = (Stats::new(), BTreeMap::new());
        for (reader, _) in done {
            let (meter, checkers) = reader.into_parts();
            stats.merge(&meter.merged());
            for (group, checker) in checkers {
                let new = || self.checker(Care::Glance, BTreeSet::new());
                groups.entry(group).or_insert_with(new).absorb(checker);
            }
        }
        // Every group has to have seen everything; what is said of one goes for all.
        let mut checked = None;
        for whole in groups.into_values() {
            checked = Some(whole.finish(&ledger)?);
        }
        Ok((stats, checked))
    }

    /// Reads back what was sent, the last `bytes_max` of it, and compares every byte.
    pub fn verify(&self, bytes_max: u64) -> Result<Checked, BenchError> {
        let touched: BTreeSet<i32> = self.ledger.lanes.keys().map(|id| id.partition).collect();
        if touched.is_empty() {
            return Ok(Checked::default());
        }
        let (start_offsets, to) = (self.topic.offsets(End::Start)?, self.topic.offsets(End::End)?);
        let batches = bytes_max / touched.len() as u64 / self.ledger.template.batch_bytes(0).max(1) as u64;
        let records = (batches.max(1) * u64::from(self.ledger.template.records)).cast_signed();
        let (mut from, mut partial) = (Offsets::new(), BTreeSet::new());
        for partition in &touched {
            let at = |offsets: &Offsets| offsets.get(partition).copied().unwrap_or(0);
            let first = at(&self.begun_at).max(at(&start_offsets)).max(at(&to) - records);
            if first > at(&self.begun_at) {
                partial.insert(*partition);
            }
            from.insert(*partition, first);
        }
        let connections = touched.len().min(VERIFY_CONNECTIONS_MAX);
        let mut shares = shares(self.topic, self.topic.partitions.len(), connections);
        for share in &mut shares {
            share.partitions.retain(|partition| touched.contains(partition));
        }
        shares.retain(|share| !share.partitions.is_empty());
        let window = Window::new(Duration::ZERO, FILL_WITHIN);
        let crew = Crew { window, part: READ, threads: FILL_THREADS, beats: channel().0 };
        let checker = || Some(self.checker(Care::Every, partial.clone()));
        let settings = self.settings(&ReadPlan::default());
        let range = Range { from, to };
        let reading = ToRead { until: &Until::Read, range: &range, checker: &checker };
        let parts = crew::readers(&crew, &shares, 1, settings, &reading)?;
        let done = thread::scope(|scope| joined(start(scope, parts)))?;
        let mut whole = self.checker(Care::Every, partial.clone());
        for (reader, _) in done {
            reader.into_parts().1.into_iter().for_each(|(_, checker)| whole.absorb(checker));
        }
        Ok(whole.finish(&self.ledger)?)
    }
}

/// What the readers of everything have met, together.
fn read_stats(done: Vec<(Reader, usize)>) -> Result<Stats, BenchError> {
    let mut stats = Stats::new();
    for (reader, unanswered) in done {
        if unanswered > 0 {
            return Err(BenchError::Unanswered(unanswered));
        }
        stats.merge(&reader.into_parts().0.merged());
    }
    Ok(stats)
}

/// Time for all connections to be made before the schedule begins.
fn lead(scenario: &Scenario) -> Duration {
    let tails = scenario.tail.map_or(0, |plan| plan.connections * plan.groups);
    let readers = scenario.read.map_or(0, |plan| plan.connections * plan.groups);
    let connections = scenario.produce.map_or(0, |plan| plan.connections) + tails + readers;
    Duration::from_millis(50) + Duration::from_millis(2) * u32::try_from(connections).unwrap_or(u32::MAX)
}

/// Passes beats on until every thread has ended, and tells where the window begins and ends.
fn observe(beats: &Receiver<Beat>, window: Window, watch: &mut impl Watch) {
    let mut edges = [window.start, window.end].into_iter().peekable();
    loop {
        while edges.next_if(|edge| *edge <= Instant::now()).is_some() {
            watch.edge();
        }
        let wait = edges.peek().map_or(window.beat, |edge| edge.saturating_duration_since(Instant::now()));
        match beats.recv_timeout(wait) {
            Ok(beat) => watch.beat(&beat),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    edges.for_each(|_| watch.edge());
}

/// What all batches of a scenario are made of.
fn recipe(scenario: &Scenario) -> Recipe {
    let produce = scenario.produce.map(|plan| plan.batch);
    let batch = produce.or(scenario.fill.map(|plan| plan.batch)).unwrap_or_default();
    let BatchPlan { bytes, record_bytes, linger_ms, keyed, codec } = batch;
    let records_max = match (linger_ms, scenario.produce) {
        (
            Some(linger),
            Some(ProducePlan { pace: Pace::Open { records_per_second, .. }, connections, .. }),
        ) => {
            let own = records_per_second / to_f64(connections as u64);
            records_within(Duration::from_secs_f64(linger / 1e3), own)
        }
        _ => u32::MAX,
    };
    Recipe { batch_bytes: bytes, record_bytes, records_max, keyed, codec }
}

fn wall_clock() -> TimestampMs {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    TimestampMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
