//! Figures as a table for people and as JSON for scripts, each beside what this machine could do in the same run.

use std::fs;
use std::path::Path;

use hdrhistogram::Histogram;
use serde::Serialize;
use serde_json::Value;

use crate::error::BenchError;

/// One measured number.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    pub unit: &'static str,
    /// The floor it is compared with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<String>,
    /// Value ÷ floor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
}

impl Figure {
    pub fn new(name: impl Into<String>, value: f64, unit: &'static str) -> Figure {
        Figure { name: name.into(), value, unit, floor: None, ratio: None }
    }

    /// Beside a floor's value.
    pub fn against(mut self, floor: &str, of: f64) -> Figure {
        self.floor = Some(floor.to_owned());
        self.ratio = Some(self.value / of);
        self
    }
}

pub fn megabytes_per_second(name: impl Into<String>, bytes_per_second: f64) -> Figure {
    Figure::new(name, bytes_per_second / 1e6, "MB/s")
}

pub fn microseconds(name: impl Into<String>, nanos: u64) -> Figure {
    Figure::new(name, to_f64(nanos) / 1e3, "us")
}

/// The percentiles of a distribution of nanoseconds.
pub fn percentiles(name: &str, histogram: &Histogram<u64>) -> Vec<Figure> {
    let at = |label: &str, quantile: f64| {
        microseconds(format!("{name} {label}"), histogram.value_at_quantile(quantile))
    };
    vec![
        at("p50", 0.5),
        at("p90", 0.9),
        at("p99", 0.99),
        at("p99.9", 0.999),
        microseconds(format!("{name} max"), histogram.max()),
    ]
}

/// Counts here stay far below 2^53.
#[allow(clippy::cast_precision_loss, reason = "counts of a run stay below 2^53")]
pub fn to_f64(count: u64) -> f64 {
    count as f64
}

#[derive(Debug, Serialize)]
pub struct Report {
    pub command: &'static str,
    pub version: &'static str,
    pub machine: Machine,
    pub settings: Value,
    pub figures: Vec<Figure>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub floor: Vec<Figure>,
}

#[derive(Debug, Serialize)]
pub struct Machine {
    pub cores: usize,
    pub kernel: String,
    pub processor: String,
}

impl Machine {
    pub fn this() -> Machine {
        let line = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let processor = line("/proc/cpuinfo")
            .lines()
            .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
            .map(|(_, name)| name.to_owned());
        Machine {
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: line("/proc/sys/kernel/osrelease").trim().to_owned(),
            processor: processor.unwrap_or_default(),
        }
    }
}

impl Report {
    pub fn new(command: &'static str, settings: Value) -> Report {
        let version = env!("CARGO_PKG_VERSION");
        Report { command, version, machine: Machine::this(), settings, figures: vec![], floor: vec![] }
    }

    pub fn print(&self) {
        let Machine { cores, kernel, processor } = &self.machine;
        println!("ringmain-bench {} on {cores} x {processor}, kernel {kernel}", self.command);
        println!("{}", self.settings);
        for (title, figures) in [("floor", &self.floor), (self.command, &self.figures)] {
            if !figures.is_empty() {
                println!("\n{title}");
            }
            for figure in figures {
                println!("{}", row(figure));
            }
        }
    }

    pub fn write(&self, file: &Path) -> Result<(), BenchError> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(file, text + "\n").map_err(BenchError::io("write the report"))
    }
}

fn row(figure: &Figure) -> String {
    let Figure { name, value, unit, floor, ratio } = figure;
    let number = if *value >= 1000.0 { format!("{value:.0}") } else { format!("{value:.2}") };
    let beside = match (floor, ratio) {
        (Some(floor), Some(ratio)) => format!("  {ratio:.2} x {floor}"),
        _ => String::new(),
    };
    format!("  {name:<40} {number:>12} {unit:<10}{beside}")
}
