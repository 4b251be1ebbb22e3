//! What the server's hot path takes in instructions, which unlike times are the same on a busy machine as on an idle one.
//! Virtual machines have no counters for them, but callgrind counts them one by one. It runs `ringmain-hotpath`
//! (bench/hotpath) twice, once with twice the requests: what the longer run takes more, the additional requests take.
//!
//! Receiving, sending, tasks and clocks are not in it, nor what the kernel does. And callgrind's processor knows AVX2 but
//! not AVX-512: checksums of large batches take fewer instructions than that on one that does.

use std::io::ErrorKind;
use std::path::PathBuf;
use std::process::Command;

use ringmain::record::Codec;

use crate::distribution::to_f64;
use crate::error::BenchError;
use crate::model::batch_records;
use crate::outcome::{Outcome, Part, PartName, Value};
use crate::scenario::Pace;

const PROGRAM: &str = "ringmain-hotpath";
/// `rep movsb` is one instruction, which callgrind counts once for each byte: it is shown a libc that does without.
const LIBC: (&str, &str) = ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-ERMS");
/// The shorter run makes at most so many requests: enough for what happens now and then, such as a new chunk.
const REQUESTS_MAX: usize = 2000;
const BYTES_MAX: usize = 64 << 20;
const REQUESTS_MIN: usize = 50;
/// More requests than this hardly meet in one commit group.
const TOGETHER_MAX: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    way: &'static str,
    /// Requests that share a commit group, or batches of an answer.
    together: usize,
    records: usize,
    record_bytes: usize,
}

const SHAPES: [Shape; 7] = [
    Shape::produce(1, 1, 100),
    Shape::produce(TOGETHER_MAX, 1, 100),
    Shape::produce(1, 16, 1024),
    Shape::produce(1, 128, 1024),
    Shape::produce(1, 1000, 1024),
    Shape::fetch(4, 16, 1024),
    Shape::fetch(64, 16, 1024),
];

impl Shape {
    const fn produce(together: usize, records: usize, record_bytes: usize) -> Shape {
        Shape { way: "produce", together, records, record_bytes }
    }

    const fn fetch(together: usize, records: usize, record_bytes: usize) -> Shape {
        Shape { way: "fetch", together, records, record_bytes }
    }

    /// What a part of a run has asked for on average, unless its batches are compressed.
    fn of(outcome: &Outcome, part: &Part) -> Option<Shape> {
        let scenario = &outcome.scenario;
        let produced = scenario.produce.map(|plan| plan.batch);
        let records = part.records.checked_div(part.requests)?.max(1);
        let records = usize::try_from(records).ok()?;
        let batch = produced.or(scenario.fill.map(|plan| plan.batch))?;
        let shape = match part.name {
            PartName::Produce => {
                Shape::produce(together(scenario.produce?.pace, part), records, batch.record_bytes)
            }
            PartName::Fetch => {
                let of_batch = batch_records(&batch);
                Shape::fetch(records.div_ceil(of_batch), of_batch, batch.record_bytes)
            }
            // Most of what consumers at the tail ask waits for data.
            PartName::EndToEnd => return None,
        };
        (batch.codec == Codec::None).then_some(shape)
    }

    fn text(&self) -> String {
        let Shape { way, together, records, record_bytes } = self;
        match (*way, together) {
            ("fetch", _) => format!("{way} {together} batches of {records} x {record_bytes} B"),
            (_, 1) => format!("{way} {records} x {record_bytes} B"),
            _ => format!("{way} {records} x {record_bytes} B, {together} at once"),
        }
    }

    fn records_per_request(&self) -> usize {
        if self.way == "fetch" { self.records * self.together } else { self.records }
    }

    fn requests(&self) -> usize {
        let bytes = self.records_per_request() * self.record_bytes;
        (BYTES_MAX / bytes.max(1)).clamp(REQUESTS_MIN, REQUESTS_MAX).next_multiple_of(self.together)
    }
}

fn together(pace: Pace, part: &Part) -> usize {
    match pace {
        Pace::Closed { depth } => (part.connections * depth).clamp(1, TOGETHER_MAX),
        Pace::Open { .. } => 1,
    }
}

/// The program to count, and valgrind to count with.
#[derive(Clone, Debug)]
pub struct Counter {
    program: PathBuf,
}

impl Counter {
    /// An error if one of them is not there.
    pub fn find() -> Result<Counter, BenchError> {
        let beside = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.join(PROGRAM)));
        let program = beside.filter(|program| program.exists()).ok_or_else(|| {
            BenchError::Needs(format!(
                "instructions are those of {PROGRAM}, which is not beside this program; build it"
            ))
        })?;
        let counter = Counter { program };
        counter.valgrind(&["--version"])?;
        Ok(counter)
    }

    /// The shapes that say most, each with so many requests or as many as suit it; of all, those whose names hold one of
    /// these words.
    pub fn shapes(&self, words: &[String], requests: Option<usize>) -> Result<Vec<Value>, BenchError> {
        let mut values = Vec::new();
        for (shape, name) in SHAPES.iter().map(|shape| (shape, shape.text())) {
            if words.is_empty() || words.iter().any(|word| name.contains(word)) {
                let requests = requests.unwrap_or(shape.requests());
                values.extend(self.values(shape, &format!("{name}:"), requests)?);
            }
        }
        Ok(values)
    }

    /// What the parts of a run ask of the hot path, beside its own figures.
    pub fn note(&self, outcome: &mut Outcome) -> Result<(), BenchError> {
        for part in &outcome.parts {
            if let Some(shape) = Shape::of(outcome, part) {
                let name = format!("{} hot path", part.name.text());
                outcome.others.extend(self.values(&shape, &name, shape.requests())?);
            }
        }
        Ok(())
    }

    fn values(&self, shape: &Shape, name: &str, requests: usize) -> Result<[Value; 2], BenchError> {
        let requests = requests.next_multiple_of(shape.together);
        let (once, twice) = (self.count(shape, requests)?, self.count(shape, 2 * requests)?);
        let each = to_f64(twice.saturating_sub(once)) / to_f64(requests as u64);
        Ok([
            Value::new(format!("{name} instructions per request"), each, ""),
            Value::new(
                format!("{name} instructions per record"),
                each / to_f64(shape.records_per_request() as u64),
                "",
            ),
        ])
    }

    /// Instructions of a whole run of the program.
    fn count(&self, shape: &Shape, requests: usize) -> Result<u64, BenchError> {
        let program = self.program.display().to_string();
        let numbers = [requests, shape.together, shape.records, shape.record_bytes].map(|it| it.to_string());
        let names = ["--requests", "--together", "--records", "--record-bytes"];
        let mut arguments = vec!["--tool=callgrind", "--callgrind-out-file=/dev/null", &program, shape.way];
        arguments.extend(names.into_iter().zip(&numbers).flat_map(|(name, number)| [name, number]));
        let said = self.valgrind(&arguments)?;
        collected(&said).ok_or_else(|| failed(&said))
    }

    fn valgrind(&self, arguments: &[&str]) -> Result<String, BenchError> {
        let output = Command::new("valgrind").args(arguments).env(LIBC.0, LIBC.1).output();
        let output = output.map_err(|error| match error.kind() {
            ErrorKind::NotFound => BenchError::Needs(
                "instructions are counted by valgrind; on Debian: apt-get install valgrind".into(),
            ),
            _ => failed(&error.to_string()),
        })?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() { Ok(said) } else { Err(failed(&said)) }
    }
}

fn failed(said: &str) -> BenchError {
    // What valgrind says of itself begins with ==, what the program says does not.
    let why = said.lines().filter(|line| !line.starts_with("==")).take(3).collect::<Vec<_>>().join("; ");
    BenchError::Tool { program: "valgrind".into(), why }
}

/// `==PID== Collected : N`
fn collected(said: &str) -> Option<u64> {
    let (_, rest) = said.split_once("Collected :")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_is_read_from_what_callgrind_says() {
        let said = "==7== Callgrind, a call-graph generating cache profiler\n==7== Events    : Ir\n\
            ==7== Collected : 24522894\n==7==\n==7== I   refs:      24,522,894\n";
        assert_eq!(collected(said), Some(24_522_894));
        assert_eq!(collected("valgrind: ringmain-hotpath: No such file or directory"), None);
    }

    #[test]
    fn a_shape_is_what_a_run_has_asked_for() {
        let report = crate::report::tests::example();
        let outcome = &report.runs[0].outcome;
        assert_eq!(Shape::of(outcome, &outcome.parts[0]), Some(Shape::produce(1, 1, 1024)));
    }

    #[test]
    fn runs_are_of_whole_groups_and_not_too_long() {
        for shape in &SHAPES {
            let bytes = shape.requests() * shape.records_per_request() * shape.record_bytes;
            assert!(bytes <= 2 * BYTES_MAX && shape.requests() % shape.together == 0, "{shape:?}");
        }
    }
}
