//! What one run of a scenario against one broker came to, and its figures by name.

use serde::{Deserialize, Serialize};

use crate::check::Checked;
use crate::distribution::{Distribution, PERCENTILES, to_f64};
use crate::scenario::Scenario;
use crate::timeline::{Step, drift, median_p99};
use crate::usage::Usage;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Outcome {
    /// Name of the scenario.
    pub name: String,
    /// Whom it ran against: a peer's name, or an address.
    pub peer: String,
    /// How the broker says it keeps what it acknowledges.
    pub durability: String,
    pub scenario: Scenario,
    pub parts: Vec<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checked: Option<Checked>,
    /// How that was verified, or why not.
    pub check: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<Usage>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_syscalls: Option<u64>,
    pub loader: Usage,
    /// Share of the machine's processor time that its host gave to others meanwhile.
    #[serde(default)]
    pub stolen: f64,
    /// Figures that no part has: of a start, of a tool.
    #[serde(default)]
    pub others: Vec<Value>,
}

/// A number and what it is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Value {
    pub name: String,
    pub value: f64,
    pub unit: String,
}

impl Value {
    pub fn new(name: impl Into<String>, value: f64, unit: &str) -> Value {
        Value { name: name.into(), value, unit: unit.to_owned() }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PartName {
    Produce,
    EndToEnd,
    Fetch,
}

impl PartName {
    pub fn text(self) -> &'static str {
        match self {
            PartName::Produce => "produce",
            PartName::EndToEnd => "end-to-end",
            PartName::Fetch => "fetch",
        }
    }
}

/// What one part of the load came to.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Part {
    pub name: PartName,
    /// Seconds in which the counts were counted.
    pub seconds: f64,
    pub connections: usize,
    pub requests: u64,
    pub records: u64,
    pub bytes: u64,
    pub unanswered: u64,
    /// Records a second that the schedule asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offered: Option<f64>,
    pub latency: Distribution,
    /// In an open loop, the time from when a request is sent until it is answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Distribution>,
    /// In an open loop, the time from when a request is due until it is sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub delay: Option<Distribution>,
    pub beat_seconds: f64,
    pub steps: Vec<Step>,
}

impl Part {
    fn values(&self) -> Vec<Value> {
        let name = self.name.text();
        let per_second = |count: u64| to_f64(count) / self.seconds.max(1e-9);
        let mut values = vec![
            Value::new(format!("{name} throughput"), per_second(self.bytes) / 1e6, "MB/s"),
            Value::new(format!("{name} records"), per_second(self.records), "1/s"),
            Value::new(format!("{name} requests"), per_second(self.requests), "1/s"),
        ];
        if self.requests > 0 {
            let of = |count: u64| to_f64(count) / to_f64(self.requests);
            values.push(Value::new(format!("{name} records per request"), of(self.records), ""));
            values.push(Value::new(format!("{name} bytes per request"), of(self.bytes), "B"));
        }
        if let Some(offered) = self.offered {
            values.push(Value::new(format!("{name} offered"), offered, "1/s"));
            values.push(Value::new(format!("{name} unanswered"), to_f64(self.unanswered), "requests"));
        }
        for (what, distribution) in [
            ("latency", Some(&self.latency)),
            ("service", self.service.as_ref()),
            ("delay", self.delay.as_ref()),
        ] {
            let Some(distribution) = distribution.filter(|it| it.samples > 0) else { continue };
            for (label, _) in PERCENTILES {
                if let Some(value) = distribution.percentile(label) {
                    values.push(Value::new(format!("{name} {what} {label}"), value, "us"));
                }
            }
            values.push(Value::new(format!("{name} {what} max"), distribution.max, "us"));
        }
        let what = format!("{name} p99 of the last third / first");
        let undisturbed = drift(&self.steps, Step::is_undisturbed);
        values.extend(drift(&self.steps, |_| true).map(|drift| Value::new(&*what, drift, "")));
        values.extend(undisturbed.map(|drift| Value::new(format!("{what}, undisturbed steps"), drift, "")));
        let median = median_p99(&self.steps, Step::is_undisturbed);
        let what = format!("{name} p99 of a step, median of undisturbed");
        values.extend(median.map(|median| Value::new(what, median, "us")));
        values
    }
}

impl Outcome {
    /// Every figure, those the scenario is about first.
    pub fn values(&self) -> Vec<Value> {
        let mut values: Vec<Value> = self.parts.iter().flat_map(Part::values).collect();
        values.extend(self.others.iter().cloned());
        values.extend(self.usage());
        let rank = |value: &Value| {
            let found = self.scenario.figures.iter().position(|name| *name == value.name);
            found.unwrap_or(usize::MAX)
        };
        values.sort_by_key(rank);
        values
    }

    fn usage(&self) -> Vec<Value> {
        let mut values = vec![
            Value::new("loader cores", self.loader.cores(), "cores"),
            Value::new("processor time stolen", self.stolen * 100.0, "%"),
        ];
        let Some(server) = self.server else { return values };
        values.push(Value::new("server cores", server.cores(), "cores"));
        values.push(Value::new("server memory", to_f64(server.resident_bytes) / 1e6, "MB"));
        values.push(Value::new(
            "server disk writes",
            per(server.disk_written_bytes, server.seconds) / 1e6,
            "MB/s",
        ));
        values.push(Value::new(
            "server disk reads",
            per(server.disk_read_bytes, server.seconds) / 1e6,
            "MB/s",
        ));
        let sum = |of: fn(&Part) -> u64| self.parts.iter().map(of).sum::<u64>();
        let (records, requests) = (sum(|part| part.records), sum(|part| part.requests));
        let busy = server.processor_seconds();
        if busy > 0.0 && requests > 0 {
            values.push(Value::new("server records per processor second", to_f64(records) / busy, "1/s"));
            values.push(Value::new(
                "server processor time per record",
                busy * 1e6 / to_f64(records.max(1)),
                "us",
            ));
            values.push(Value::new("server processor time per request", busy * 1e6 / to_f64(requests), "us"));
            values.push(Value::new(
                "server switches per request",
                per(server.switches, to_f64(requests)),
                "",
            ));
        }
        if let Some(calls) = self.server_syscalls.filter(|_| requests > 0) {
            values.push(Value::new("server syscalls per request", per(calls, to_f64(requests)), ""));
        }
        values
    }
}

fn per(count: u64, of: f64) -> f64 {
    to_f64(count) / of.max(1e-9)
}
