//! What this machine can do at best, measured with nothing of ours in the way: the denominator of every ratio.

mod disk;
mod echo;
mod net;
mod processor;

use std::path::Path;

use crate::distribution::to_f64;
use crate::error::BenchError;
use crate::outcome::Value;

pub use disk::Disk;
pub use echo::{CONNECTIONS as ECHO_CONNECTIONS, Echo};
pub use net::{Net, SMALL_BYTES};
pub use processor::Processor;

#[derive(Debug)]
pub struct Floor {
    pub net: Net,
    pub disk: Disk,
    pub echo: Echo,
    pub processor: Processor,
}

impl Floor {
    /// Takes about half a minute and a gibibyte in `dir`, which is given back.
    pub fn measure(dir: &Path) -> Result<Floor, BenchError> {
        Ok(Floor {
            net: Net::measure()?,
            disk: Disk::measure(dir)?,
            echo: Echo::measure(dir)?,
            processor: Processor::measure(),
        })
    }

    pub fn values(&self) -> Vec<Value> {
        let Floor { net, disk, echo, processor } = self;
        vec![
            megabytes_per_second("loopback, 1 stream", net.one_stream),
            megabytes_per_second("loopback, 2 streams", net.two_streams),
            megabytes_per_second("loopback, 4 streams", net.four_streams),
            Value::new("loopback requests of 250 B, 16 connections", net.requests, "1/s"),
            microseconds("loopback round trip 1 KiB p50", net.round_trip.p50),
            microseconds("loopback round trip 1 KiB p99", net.round_trip.p99),
            megabytes_per_second("direct write 1 MiB, depth 4", disk.written_4),
            megabytes_per_second("direct write 1 MiB, depth 16", disk.written_16),
            megabytes_per_second("direct read 1 MiB, depth 4", disk.read_4),
            megabytes_per_second("direct read 1 MiB, depth 16", disk.read_16),
            megabytes_per_second("synced write 1 MiB, depth 4, written before", disk.synced_written),
            megabytes_per_second("synced write 1 MiB, depth 4, fallocated", disk.synced_fresh),
            megabytes_per_second("synced write 1 MiB, depth 1, written before", disk.synced_1),
            megabytes_per_second("synced write 1 MiB, depth 16, written before", disk.synced_16),
            megabytes_per_second("synced write 128 KiB, depth 8, written before", disk.synced_small),
            megabytes_per_second("synced write 16 KiB each into 64 files, depth 32", disk.synced_each),
            microseconds("synced write 4 KiB, written before, p50", disk.block_written.p50),
            microseconds("synced write 4 KiB, written before, p99", disk.block_written.p99),
            microseconds("synced write 4 KiB, fallocated, p50", disk.block_fresh.p50),
            microseconds("synced write 4 KiB, fallocated, p99", disk.block_fresh.p99),
            Value::new("echo of 250 B, 50 connections, 1 in flight each", echo.plain, "1/s"),
            Value::new(
                "echo with a synced block per group, 50 connections, 1 in flight each",
                echo.committed,
                "1/s",
            ),
            megabytes_per_second("CRC-32C", processor.crc32c),
            megabytes_per_second("memcpy", processor.copy),
            megabytes_per_second("copy with CRC-32C", processor.copy_crc32c),
            megabytes_per_second("copy with CRC-32C, all cores", processor.copy_crc32c_all),
        ]
    }
}

/// Two points of a latency distribution, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Latency {
    pub p50: u64,
    pub p99: u64,
}

impl Latency {
    pub fn of(histogram: &hdrhistogram::Histogram<u64>) -> Latency {
        Latency { p50: histogram.value_at_quantile(0.5), p99: histogram.value_at_quantile(0.99) }
    }
}

fn megabytes_per_second(name: &str, bytes_per_second: f64) -> Value {
    Value::new(name, bytes_per_second / 1e6, "MB/s")
}

fn microseconds(name: &str, nanos: u64) -> Value {
    Value::new(name, to_f64(nanos) / 1e3, "us")
}
