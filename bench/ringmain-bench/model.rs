//! What the machine's floor says a broker could reach under a scenario if it did nothing but what must be done: the
//! prediction that a measured figure is held against. Pure.
//!
//! The broker of the model makes every record durable before it acknowledges, with group commit: one synced write at a
//! time for all that waits. It shares the machine with the loader, as the measured one does.

use serde::{Deserialize, Serialize};

use crate::distribution::to_f64;
use crate::floor::{ECHO_CONNECTIONS, Floor, SMALL_BYTES};
use crate::scenario::{BatchPlan, Pace, ProducePlan, ReadPlan, Scenario};

/// What a record takes in a batch of many, and a request around a batch of one, beside the value.
const RECORD_OVERHEAD_BYTES: usize = 10;
const REQUEST_OVERHEAD_BYTES: usize = 150;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    pub figure: String,
    pub value: f64,
    /// Which of the floor's figures decided.
    pub because: String,
}

/// Every figure of a scenario that the floor says something about.
pub fn predict(scenario: &Scenario, floor: &Floor) -> Vec<Prediction> {
    let mut found = Vec::new();
    let mut add = |figure: &str, value: f64, because: &str| {
        found.push(Prediction { figure: figure.to_owned(), value, because: because.to_owned() });
    };
    if let Some(plan) = &scenario.produce {
        match plan.pace {
            Pace::Closed { depth } => {
                let (requests, because) = closed(plan, depth, floor);
                add("produce requests", requests, because);
                add("produce throughput", requests * to_f64(batch_bytes(plan) as u64) / 1e6, because);
                if plan.connections == 1 && depth == 1 {
                    let (p50, p99) = round(floor);
                    add("produce latency p50", p50, "round trip + one synced block");
                    add("produce latency p99", p99, "round trip + one synced block, at p99");
                }
            }
            Pace::Open { records_per_second, .. } => {
                let (p50, p99) = queued(plan, records_per_second, floor);
                add("produce latency p50", p50, "round trip + synced write + what is left of the one before");
                if scenario.tail.is_some() {
                    let onward = to_f64(floor.net.round_trip.p50) / 2e3;
                    add("end-to-end latency p50", p50 + onward, "the same and half a round trip");
                    let onward = to_f64(floor.net.round_trip.p99) / 2e3;
                    add("end-to-end latency p99", p99 + onward, "the same at p99");
                }
            }
        }
    }
    if let (Some(plan), None) = (&scenario.read, &scenario.produce) {
        let (bytes, because) = read(plan, floor);
        add("fetch throughput", bytes / 1e6, because);
    }
    found
}

/// Records of a full batch.
pub fn batch_records(batch: &BatchPlan) -> usize {
    (batch.bytes / (batch.record_bytes + RECORD_OVERHEAD_BYTES)).max(1)
}

fn batch_bytes(plan: &ProducePlan) -> usize {
    batch_records(&plan.batch) * (plan.batch.record_bytes + RECORD_OVERHEAD_BYTES)
}

/// Requests a second of a closed loop: the least of what each resource allows.
fn closed(plan: &ProducePlan, depth: usize, floor: &Floor) -> (f64, &'static str) {
    let request_bytes = to_f64((batch_bytes(plan) + REQUEST_OVERHEAD_BYTES) as u64);
    let in_flight = to_f64((plan.connections * depth) as u64);
    let disk = floor.disk.synced_written.max(floor.disk.synced_16).max(floor.disk.written_16);
    let block_seconds = to_f64(floor.disk.block_written.p50) / 1e9;
    let trip_seconds = to_f64(floor.net.round_trip.p50) / 1e9;
    // Measured for such a load and no other.
    let is_echo =
        depth == 1 && plan.connections == ECHO_CONNECTIONS && request_bytes < to_f64(2 * SMALL_BYTES as u64);
    let bounds = [
        (if is_echo { floor.echo.committed } else { f64::INFINITY }, "echo with a synced block per group"),
        (floor.net.bytes_per_second(plan.connections) / request_bytes, "loopback"),
        (disk / request_bytes, "disk"),
        (floor.processor.copy_crc32c_all / request_bytes, "copying with a checksum"),
        (floor.net.requests, "small requests over loopback"),
        // Who has just missed a commit waits for it and the next: one and a half on average. With one in flight, none.
        (
            in_flight / (trip_seconds + block_seconds * if in_flight > 1.0 { 1.5 } else { 1.0 }),
            "latency x depth",
        ),
    ];
    bounds.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).unwrap_or((0.0, "nothing"))
}

/// Microseconds of one request alone, p50 and p99.
fn round(floor: &Floor) -> (f64, f64) {
    let sum = |trip: u64, block: u64| to_f64(trip + block) / 1e3;
    let (trip, block) = (floor.net.round_trip, floor.disk.block_written);
    (sum(trip.p50, block.p50), sum(trip.p99, block.p99))
}

/// Microseconds of a request on a schedule: it may find a commit under way, the more likely the more there are.
fn queued(plan: &ProducePlan, records_per_second: f64, floor: &Floor) -> (f64, f64) {
    let linger_us = plan.batch.linger_ms.unwrap_or(0.0) * 1e3;
    let own = records_per_second / to_f64(plan.connections.max(1) as u64);
    let room = to_f64(batch_records(&plan.batch) as u64);
    // A record waits until its batch is full or has lingered: half of that on average, all of it at worst.
    let records = room.min((own * linger_us / 1e6).max(1.0)).max(1.0);
    let fill_us = (records - 1.0) / own * 1e6;
    let bytes_per_second = records_per_second * to_f64(plan.batch.record_bytes as u64);
    let block_us = to_f64(floor.disk.block_written.p50) / 1e3;
    let is_busy =
        (records_per_second / records * block_us / 1e6).max(bytes_per_second / floor.disk.synced_written);
    let (p50, p99) = round(floor);
    (p50 + fill_us / 2.0 + block_us / 2.0 * is_busy.min(1.0), p99 + fill_us + block_us * is_busy.min(1.0))
}

/// Bytes a second that can be fetched.
fn read(plan: &ReadPlan, floor: &Floor) -> (f64, &'static str) {
    let loopback = floor.net.bytes_per_second(plan.connections * plan.groups);
    // Groups that read the same share one disk read.
    let disk = floor.disk.read_4.max(floor.disk.read_16) * to_f64(plan.groups as u64);
    if plan.cold && disk < loopback { (disk, "disk") } else { (loopback, "loopback") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::find;
    use crate::floor::{Disk, Echo, Latency, Net, Processor};

    fn floor() -> Floor {
        let latency = |p50: u64, p99: u64| Latency { p50: p50 * 1000, p99: p99 * 1000 };
        Floor {
            net: Net {
                one_stream: 4e9,
                two_streams: 6e9,
                four_streams: 6e9,
                round_trip: latency(20, 40),
                requests: 300e3,
            },
            disk: Disk {
                written_4: 2.0e9,
                written_16: 2.4e9,
                read_4: 1.2e9,
                read_16: 1.5e9,
                synced_written: 2.1e9,
                synced_fresh: 1.6e9,
                synced_1: 1e9,
                synced_16: 2.5e9,
                synced_small: 1.5e9,
                synced_each: 0.1e9,
                block_written: latency(100, 200),
                block_fresh: latency(200, 400),
            },
            echo: Echo { plain: 200e3, committed: 150e3 },
            processor: Processor { crc32c: 20e9, copy: 10e9, copy_crc32c: 8e9, copy_crc32c_all: 14e9 },
        }
    }

    fn check(name: &str, figure: &str, expected: f64, because: &str) {
        let scenario = find(name).expect("is there").remove(0).scenario;
        let found = predict(&scenario, &floor());
        let found = found.iter().find(|it| it.figure == figure).expect("is predicted");
        assert!((found.value / expected - 1.0).abs() < 0.02, "{name} {figure}: {found:?}");
        assert!(found.because.contains(because), "{name} {figure}: {found:?}");
    }

    #[test]
    fn the_scarcest_resource_decides() {
        check("f1/4x1m", "produce throughput", 2500.0, "disk");
        check("f2", "produce latency p50", 120.0, "synced block");
        check("f2", "produce requests", 8333.0, "latency");
        check("f6/depth-1", "produce requests", 150_000.0, "echo");
        check("f6/depth-4", "produce requests", 300_000.0, "small requests");
        check("f3/single", "end-to-end latency p50", 180.0, "half a round trip");
        check("f4/1-connection", "fetch throughput", 4000.0, "loopback");
        check("f4/cold", "fetch throughput", 1500.0, "disk");
        check("f4/10-groups", "fetch throughput", 6000.0, "loopback");
    }
}
