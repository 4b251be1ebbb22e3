//! A report as one page that needs nothing but itself: tables, and plots over time and over percentiles. Pure.

use std::fmt::Write;

use super::svg::{Axis, Chart, Scale, Series, escape, render};
use super::terminal::{number, settings};
use super::{Judged, Report, Run};
use crate::check::Checked;
use crate::compare::{Row, Spread};
use crate::outcome::{Part, Value};
use crate::timeline::Step;

const STYLE: &str = include_str!("page.css");
const COLORS: usize = 6;

pub fn html(report: &Report) -> String {
    let mut out = String::new();
    let title = format!("ringmain-bench {}", report.command);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>\n{STYLE}</style></head><body>\n<h1>{title}</h1>\n\
         <p class=\"soft\">{} · version {}</p>\n",
        escape(&report.machine.text()),
        escape(&report.version)
    );
    for failure in &report.failures {
        let _ = writeln!(out, "<p class=\"bad\">Failed: {}</p>", escape(failure));
    }
    goals(&mut out, &report.judged);
    let mut names: Vec<&str> = Vec::new();
    for run in &report.runs {
        if !names.contains(&run.outcome.name.as_str()) {
            names.push(&run.outcome.name);
        }
    }
    for name in names {
        scenario(&mut out, report, name);
    }
    values(&mut out, "The machine's floor", &report.floor);
    values(&mut out, "Figures", &report.figures);
    out.push_str("</body></html>\n");
    out
}

fn goals(out: &mut String, judged: &[Judged]) {
    if judged.iter().all(|it| it.verdicts.is_empty()) {
        return;
    }
    out.push_str("<h2>Goals</h2><div class=\"wide\"><table class=\"words\"><tr><th>scenario</th><th>figure</th><th>goal</th><th>is</th></tr>");
    for it in judged {
        for verdict in &it.verdicts {
            let class = if verdict.met { "good" } else { "bad" };
            let _ = write!(
                out,
                "<tr><td>{}</td><td>{}</td><td>{}</td><td class=\"{class}\">{} {}</td></tr>",
                escape(&it.scenario),
                escape(&verdict.figure),
                escape(&verdict.goal),
                number(verdict.value),
                if verdict.met { "✓" } else { "✗" }
            );
        }
    }
    out.push_str("</table></div>\n");
}

fn scenario(out: &mut String, report: &Report, name: &str) {
    let runs: Vec<&Run> = report.runs.iter().filter(|run| run.outcome.name == name).collect();
    let Some(first) = runs.first() else { return };
    let mut peers: Vec<&str> = Vec::new();
    for run in &runs {
        if !peers.contains(&run.outcome.peer.as_str()) {
            peers.push(&run.outcome.peer);
        }
    }
    let plan = &first.outcome.scenario;
    let _ = write!(
        out,
        "<h2>{}</h2><p>{}</p><p class=\"soft\">{}{}</p>",
        escape(name),
        escape(&plan.about),
        escape(&settings(plan)),
        // A tool takes as long as it takes.
        if plan.tool.is_some() {
            String::new()
        } else {
            format!("; {} s measured after {} s of warm-up", plan.seconds, plan.warmup)
        }
    );
    out.push_str("<p>");
    for (index, peer) in peers.iter().enumerate() {
        let durability = runs.iter().find(|run| run.outcome.peer == *peer).map(|run| &run.outcome.durability);
        let durability = durability.map_or("", |it| it.as_str());
        let (color, peer) = (index % COLORS, escape(peer));
        let _ = write!(
            out,
            "<span class=\"key k{color}\"><i></i>{peer} <small class=\"soft\">{}</small></span>",
            escape(durability)
        );
    }
    out.push_str("</p>");
    let rows: Vec<&Row> = report.comparisons.iter().filter(|row| row.scenario == name).collect();
    comparison(out, &rows);
    if let Some(judged) = report.judged.iter().find(|judged| judged.scenario == name) {
        predictions(out, judged, report);
    }
    out.push_str("<div class=\"charts\">");
    for part in &first.outcome.parts {
        for chart in charts(part, &runs, &peers) {
            if let Some(svg) = render(&chart) {
                let _ = write!(out, "<figure><h3>{}</h3>{svg}</figure>", escape(&chart.title));
            }
        }
    }
    out.push_str("</div>");
    checks(out, &runs);
    all_figures(out, &runs);
}

/// A part's plots: throughput and percentiles over time, and the percentile curve.
fn charts(part: &Part, runs: &[&Run], peers: &[&str]) -> Vec<Chart> {
    let name = part.name.text();
    let seconds = Axis { scale: Scale::Linear, label: |value| format!("{} s", plain(value)) };
    let micros = Axis { scale: Scale::Log, label: duration };
    let time = |pick: fn(&Step) -> Option<f64>| {
        series(part, runs, peers, move |part| {
            part.steps.iter().filter_map(|step| Some((step.at, pick(step)?))).collect()
        })
    };
    let curve = series(part, runs, peers, |part| part.latency.curve.clone());
    let mut percentiles = time(|step| step.p99);
    percentiles.extend(time(|step| step.p50).into_iter().filter(|it| !it.is_faint).map(|it| Series {
        name: it.name.replace("round", "p50, round"),
        is_dashed: true,
        ..it
    }));
    let rate = Axis { scale: Scale::Linear, label: |value| format!("{} MB/s", plain(value)) };
    let nines = Axis { scale: Scale::Nines, label: quantile };
    vec![
        Chart {
            title: format!("{name}: throughput over time"),
            x: seconds,
            y: rate,
            series: time(|step| Some(step.megabytes_per_second)),
        },
        Chart {
            title: format!("{name}: p99 (line) and p50 (dashed) over time"),
            x: seconds,
            y: micros,
            series: percentiles,
        },
        Chart { title: format!("{name}: latency by percentile"), x: nines, y: micros, series: curve },
    ]
}

/// A line for each run of each peer; the first round stands out.
fn series(
    part: &Part,
    runs: &[&Run],
    peers: &[&str],
    points: impl Fn(&Part) -> Vec<(f64, f64)>,
) -> Vec<Series> {
    let mut all = Vec::new();
    for (index, peer) in peers.iter().enumerate() {
        let of_peer = runs.iter().filter(|run| run.outcome.peer == *peer);
        for (round, run) in of_peer.enumerate() {
            let Some(found) = run.outcome.parts.iter().find(|it| it.name == part.name) else { continue };
            all.push(Series {
                name: format!("{peer}, round {}", round + 1),
                color: index % COLORS,
                is_faint: round > 0,
                is_dashed: false,
                points: points(found),
            });
        }
    }
    all
}

fn comparison(out: &mut String, rows: &[&Row]) {
    let Some(first) = rows.first() else { return };
    out.push_str("<div class=\"wide\"><table><tr><th>median (least..most)</th>");
    for (peer, _) in &first.peers {
        let _ = write!(out, "<th>{}</th>", escape(peer));
    }
    for (peer, _) in &first.ratios {
        let _ = write!(out, "<th>÷ {}</th>", escape(peer));
    }
    out.push_str("</tr>");
    for row in rows.iter().filter(|row| row.peers.iter().any(|(_, spread)| spread.is_some())) {
        let _ = write!(out, "<tr><td>{} <small>{}</small></td>", escape(&row.figure), escape(&row.unit));
        for (_, spread) in row.peers.iter().chain(&row.ratios) {
            match spread {
                None => out.push_str("<td>–</td>"),
                Some(Spread { median, count: 1, .. }) => {
                    let _ = write!(out, "<td>{}</td>", number(*median));
                }
                Some(Spread { median, least, most, .. }) => {
                    let (least, most) = (number(*least), number(*most));
                    let _ = write!(out, "<td>{} <small>{least}..{most}</small></td>", number(*median));
                }
            }
        }
        out.push_str("</tr>");
    }
    out.push_str("</table></div>");
}

fn predictions(out: &mut String, judged: &Judged, report: &Report) {
    for prediction in &judged.predictions {
        let Some(found) = report.first_median(&judged.scenario, &prediction.figure) else { continue };
        let _ = write!(
            out,
            "<p class=\"soft\">{}: the floor predicts {} ({}), measured {}: {:.2} ×</p>",
            escape(&prediction.figure),
            number(prediction.value),
            escape(&prediction.because),
            number(found),
            found / prediction.value
        );
    }
}

/// What was verified, and no more than that.
fn checks(out: &mut String, runs: &[&Run]) {
    let how = runs.first().map_or("", |run| run.outcome.check.as_str());
    let _ = write!(out, "<p class=\"soft\">Checked {}", escape(how));
    let checked: Vec<_> = runs.iter().filter_map(|run| run.outcome.checked).collect();
    if !checked.is_empty() {
        let sum = |pick: fn(&Checked) -> u64| checked.iter().map(pick).sum::<u64>();
        let _ = write!(
            out,
            ": {} records acknowledged in {} runs, {} read, {} compared byte by byte; none lost, none twice, in order",
            sum(|it| it.acknowledged_records),
            checked.len(),
            sum(|it| it.read_records),
            sum(|it| it.compared_records)
        );
    }
    out.push_str(".</p>");
}

fn all_figures(out: &mut String, runs: &[&Run]) {
    out.push_str(
        "<details><summary>Every figure of every run</summary><div class=\"wide\"><table><tr><th></th>",
    );
    for run in runs {
        let _ = write!(out, "<th>{}</th>", escape(&run.outcome.peer));
    }
    out.push_str("</tr>");
    let mut names: Vec<(&str, &str)> = Vec::new();
    for value in runs.iter().flat_map(|run| &run.figures) {
        if !names.iter().any(|(name, _)| *name == value.name) {
            names.push((&value.name, &value.unit));
        }
    }
    for (name, unit) in names {
        let _ = write!(out, "<tr><td>{} <small>{}</small></td>", escape(name), escape(unit));
        for run in runs {
            let value = run.figures.iter().find(|value| value.name == name);
            let _ = write!(out, "<td>{}</td>", value.map_or("–".to_owned(), |it| number(it.value)));
        }
        out.push_str("</tr>");
    }
    out.push_str("</table></div></details>");
}

fn values(out: &mut String, title: &str, values: &[Value]) {
    if values.is_empty() {
        return;
    }
    let _ = write!(out, "<h2>{title}</h2><div class=\"wide\"><table>");
    for Value { name, value, unit } in values {
        let _ = write!(
            out,
            "<tr><td>{}</td><td>{} <small>{}</small></td></tr>",
            escape(name),
            number(*value),
            escape(unit)
        );
    }
    out.push_str("</table></div>");
}

/// A number on an axis.
fn plain(value: f64) -> String {
    if value.fract() == 0.0 { format!("{value:.0}") } else { format!("{value}") }
}

/// Microseconds in the unit that suits them.
fn duration(micros: f64) -> String {
    match micros {
        it if it >= 1e6 => format!("{} s", plain(it / 1e6)),
        it if it >= 1e3 => format!("{} ms", plain(it / 1e3)),
        it => format!("{} µs", plain(it)),
    }
}

fn quantile(value: f64) -> String {
    let text = format!("{:.5}", value * 100.0);
    format!("p{}", text.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_read_well() {
        assert_eq!([duration(100.0), duration(1e4), duration(1e7)], ["100 µs", "10 ms", "10 s"]);
        assert_eq!([quantile(0.0), quantile(0.5), quantile(0.999)], ["p0", "p50", "p99.9"]);
    }

    #[test]
    fn a_page_holds_what_was_found_and_asks_nobody_else() {
        let report = crate::report::tests::example();
        let page = html(&report);
        for expected in [
            "f2",
            "kafka",
            "produce: latency by percentile",
            "<svg",
            "flush.messages",
            "prefers-color-scheme",
        ] {
            assert!(page.contains(expected), "{expected}");
        }
        for forbidden in ["http:", "https:", "<script", "<link", "src="] {
            assert!(!page.contains(forbidden), "{forbidden}");
        }
        assert!(page.contains("none lost"));
        assert_eq!(page.matches("<table").count(), page.matches("</table>").count());
        assert_eq!(page.matches("<figure").count(), page.matches("</figure>").count());
    }

    #[test]
    fn nothing_is_claimed_of_runs_that_nobody_checked() {
        let mut report = crate::report::tests::example();
        report.runs.iter_mut().for_each(|run| run.outcome.checked = None);
        assert!(!html(&report).contains("none lost"));
    }
}
