//! A report as text. Pure.

use std::fmt::Write;

use super::{Judged, Report, Run};
use crate::compare::{Row, Spread};
use crate::distribution::PERCENTILES;
use crate::model::Prediction;
use crate::outcome::{Part, Value};
use crate::scenario::{Pace, Scenario};
use crate::schedule::Arrivals;

/// The whole report.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "ringmain-bench {} {}", report.version, report.command);
    let _ = writeln!(out, "{}", report.machine.text());
    for (title, values) in [("floor", &report.floor), (report.command.as_str(), &report.figures)] {
        if !values.is_empty() {
            let _ = writeln!(out, "\n{title}");
            values.iter().for_each(|value| row(&mut out, value));
        }
    }
    // Of a comparison the single runs are in the JSON and on the page.
    if report.comparisons.is_empty() {
        report.runs.iter().for_each(|run| self::run(&mut out, run));
    }
    compared(&mut out, &report.comparisons);
    report.judged.iter().for_each(|it| judged(&mut out, it, report));
    for failure in &report.failures {
        let _ = writeln!(out, "failed: {failure}");
    }
    out
}

/// Medians with their spread, a table for each scenario.
fn compared(out: &mut String, rows: &[Row]) {
    for rows in rows.chunk_by(|a, b| a.scenario == b.scenario) {
        let Some(first) = rows.first() else { continue };
        let mut table = vec![vec![first.scenario.clone()]];
        if let Some(head) = table.first_mut() {
            head.extend(first.peers.iter().map(|(peer, _)| peer.clone()));
            head.extend(first.ratios.iter().map(|(peer, _)| format!("÷ {peer}")));
        }
        for row in rows.iter().filter(|row| row.peers.iter().any(|(_, spread)| spread.is_some())) {
            let cells = row.peers.iter().chain(&row.ratios).map(|(_, spread)| self::spread(*spread));
            table.push([format!("{} {}", row.figure, row.unit)].into_iter().chain(cells).collect());
        }
        let _ = writeln!(out);
        columns(out, &table);
    }
}

fn spread(spread: Option<Spread>) -> String {
    match spread {
        None => "-".to_owned(),
        Some(Spread { median, count: 1, .. }) => number(median),
        Some(Spread { median, least, most, .. }) => {
            format!("{} ({}..{})", number(median), number(least), number(most))
        }
    }
}

fn columns(out: &mut String, table: &[Vec<String>]) {
    let count = table.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        table.iter().filter_map(|row| Some(row.get(column)?.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..count).map(width).collect();
    for row in table {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
        let _ = writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

/// Predictions beside what was measured on the first peer, and the goals.
fn judged(out: &mut String, judged: &Judged, report: &Report) {
    let measured = |figure: &str| report.first_median(&judged.scenario, figure);
    for Prediction { figure, value, because } in &judged.predictions {
        let Some(found) = measured(figure) else { continue };
        let _ = writeln!(
            out,
            "{}: {figure}: the floor predicts {} ({because}), measured {}: {:.2} x",
            judged.scenario,
            number(*value),
            number(found),
            found / value
        );
    }
    for verdict in &judged.verdicts {
        let met = if verdict.met { "reached" } else { "MISSED" };
        let _ = writeln!(
            out,
            "{}: {} {}: {} ({met})",
            judged.scenario,
            verdict.figure,
            verdict.goal,
            number(verdict.value)
        );
    }
}

fn run(out: &mut String, run: &Run) {
    let outcome = &run.outcome;
    let _ = writeln!(out, "\n{} on {}: {}", outcome.name, outcome.peer, outcome.scenario.about);
    let _ = writeln!(out, "  {}; {}", settings(&outcome.scenario), outcome.durability);
    run.figures.iter().for_each(|value| row(out, value));
    for missing in outcome.parts.iter().filter_map(thin) {
        let _ = writeln!(out, "  {missing}");
    }
    match &outcome.checked {
        Some(checked) => {
            let _ = writeln!(
                out,
                "  checked {}: {} records acknowledged, {} read, {} compared byte by byte; none lost, none twice, in order",
                outcome.check, checked.acknowledged_records, checked.read_records, checked.compared_records
            );
        }
        None => {
            let _ = writeln!(out, "  checked {}", outcome.check);
        }
    }
}

/// Says which percentiles have too few samples.
fn thin(part: &Part) -> Option<String> {
    let latency = &part.latency;
    let missing: Vec<&str> = PERCENTILES
        .iter()
        .filter(|(label, _)| latency.samples > 0 && latency.percentile(label).is_none())
        .map(|(label, _)| *label)
        .collect();
    let (name, samples) = (part.name.text(), latency.samples);
    (!missing.is_empty())
        .then(|| format!("{name}: {samples} samples are too few for {}", missing.join(" and ")))
}

/// The client's side in a line.
pub fn settings(scenario: &Scenario) -> String {
    let mut parts = vec![some(scenario.topic.partitions, "partition")];
    if let Some(produce) = scenario.produce {
        let acks = if produce.acks == -1 { "all".to_owned() } else { produce.acks.to_string() };
        let pace = match produce.pace {
            Pace::Closed { depth } => format!("{depth} in flight each"),
            Pace::Open { records_per_second, arrivals } => {
                format!("{records_per_second:.0} records/s, {}", self::arrivals(arrivals))
            }
        };
        let batch = produce.batch;
        let linger = batch.linger_ms.map(|linger| format!(", linger {linger} ms")).unwrap_or_default();
        parts.push(format!(
            "{}, {pace}, batches to {} B of {} B records{}{linger}, codec {}, acks {acks}",
            some(produce.connections, "producer"),
            batch.bytes,
            batch.record_bytes,
            if batch.keyed { ", keyed" } else { "" },
            batch.codec.name()
        ));
    }
    if let Some(tail) = scenario.tail {
        parts.push(format!(
            "{} at the tail in {}",
            some(tail.connections, "consumer"),
            some(tail.groups, "group")
        ));
    }
    if let Some(read) = scenario.read {
        parts.push(format!(
            "{} from the start in {}{}",
            some(read.connections, "consumer"),
            some(read.groups, "group"),
            if read.cold { ", cold" } else { "" }
        ));
    }
    if let Some(tool) = &scenario.tool {
        let properties = tool.properties.iter().map(|(key, value)| format!(", {key}={value}"));
        let throughput = tool.throughput.map(|it| format!(" at {it} records/s")).unwrap_or_default();
        parts.push(format!(
            "{:?}: {} records of {} B{throughput}{}",
            tool.name,
            tool.records,
            tool.record_bytes,
            properties.collect::<String>()
        ));
    }
    parts.extend(scenario.topic.configs.iter().map(|(key, value)| format!("{key}={value}")));
    parts.join("; ")
}

fn some(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn arrivals(arrivals: Arrivals) -> String {
    match arrivals {
        Arrivals::Uniform => "evenly spread".to_owned(),
        Arrivals::Poisson => "Poisson arrivals".to_owned(),
        Arrivals::Bursts(size) => format!("in bursts of {size}"),
    }
}

fn row(out: &mut String, value: &Value) {
    let Value { name, value, unit } = value;
    let _ = writeln!(out, "  {name:<48} {:>12} {unit}", number(*value));
}

/// Three digits that say something.
pub fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        size if size >= 0.1 || size == 0.0 => format!("{value:.2}"),
        _ => format!("{value:.4}"),
    }
}
