//! Clients that are not ours as load: Kafka's own performance tools and librdkafka's. They are run as anyone would run
//! them, and what they print is read.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::error::BenchError;
use crate::outcome::Value;
use crate::scenario::{ToolName, ToolPlan};

/// Where the tools are.
#[derive(Clone, Debug, Default)]
pub struct Tools {
    /// A directory with Kafka's jars.
    pub kafka_libs: Option<PathBuf>,
    /// librdkafka's rdkafka_performance.
    pub rdkafka: Option<PathBuf>,
}

/// Whom a tool is to load.
#[derive(Clone, Copy, Debug)]
pub struct Aim<'a> {
    pub bootstrap_server: &'a str,
    pub topic: &'a str,
}

const MEBIBYTE: f64 = 1_048_576.0;

/// Runs a tool to its end and returns its figures, in the units of ours.
pub fn run(tools: &Tools, plan: &ToolPlan, aim: Aim<'_>) -> Result<Vec<Value>, BenchError> {
    let mut command = command(tools, plan, aim)?;
    let program = format!("{:?}", plan.name);
    let failed = |why: String| BenchError::Tool { program: program.clone(), why };
    let output = command.stdin(Stdio::null()).output().map_err(|error| failed(error.to_string()))?;
    let text =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    let figures = match plan.name {
        ToolName::KafkaProducerPerfTest => producer_perf(&text),
        ToolName::KafkaConsumerPerfTest => consumer_perf(&text),
        ToolName::RdkafkaProducer | ToolName::RdkafkaConsumer => rdkafka(&text),
    };
    let last = || text.lines().rev().take(3).collect::<Vec<_>>().join("; ");
    match figures {
        Some(figures) if output.status.success() => Ok(figures),
        _ => Err(failed(format!("{}: {}", output.status, last()))),
    }
}

fn command(tools: &Tools, plan: &ToolPlan, aim: Aim<'_>) -> Result<Command, BenchError> {
    let needs = |what: &str| BenchError::Needs(format!("{what} is needed for {:?}", plan.name));
    let (records, bytes) = (plan.records.to_string(), plan.record_bytes.to_string());
    let server = format!("bootstrap.servers={}", aim.bootstrap_server);
    match plan.name {
        ToolName::KafkaProducerPerfTest => {
            let mut command = java(tools.kafka_libs.as_ref().ok_or_else(|| needs("Kafka (--kafka-libs)"))?);
            let throughput = plan.throughput.map_or_else(|| "-1".to_owned(), |it| it.to_string());
            command.args(["org.apache.kafka.tools.ProducerPerformance", "--topic", aim.topic]);
            command.args(["--num-records", &records, "--record-size", &bytes, "--throughput", &throughput]);
            if plan.warmup_records > 0 {
                command.args(["--warmup-records", &plan.warmup_records.to_string()]);
            }
            command.arg("--producer-props").args([&server, "acks=all"]);
            command.args(plan.properties.iter().map(|(key, value)| format!("{key}={value}")));
            Ok(command)
        }
        ToolName::KafkaConsumerPerfTest => {
            let mut command = java(tools.kafka_libs.as_ref().ok_or_else(|| needs("Kafka (--kafka-libs)"))?);
            command.args(["org.apache.kafka.tools.ConsumerPerformance", "--topic", aim.topic]);
            command.args(["--bootstrap-server", aim.bootstrap_server, "--num-records", &records]);
            command.args(["--timeout", "60000"]);
            Ok(command)
        }
        ToolName::RdkafkaProducer | ToolName::RdkafkaConsumer => {
            let program = tools.rdkafka.as_ref().ok_or_else(|| needs("rdkafka_performance (--rdkafka)"))?;
            let mut command = Command::new(program);
            command.args(["-b", aim.bootstrap_server, "-t", aim.topic, "-c", &records]);
            match plan.name {
                ToolName::RdkafkaProducer => command.args(["-P", "-a", "-1", "-s", &bytes]),
                // The group is new with the topic, and every topic of a run is.
                _ => command.args(["-G", aim.topic, "-X", "auto.offset.reset=earliest"]),
            };
            command.args(
                plan.properties.iter().flat_map(|(key, value)| ["-X".into(), format!("{key}={value}")]),
            );
            Ok(command)
        }
    }
}

fn java(libs: &std::path::Path) -> Command {
    let mut command = Command::new("java");
    command.args(["-Xmx1g", "-cp", &format!("{}/*", libs.display())]);
    command
}

/// `N records sent, R records/sec (M MB/sec), A ms avg latency, X ms max latency, … ms 50th, … ms 99th, …`
fn producer_perf(text: &str) -> Option<Vec<Value>> {
    let line = text.lines().rfind(|line| line.contains("ms 99th"))?;
    let before = |mark: &str| number_before(line, mark);
    let millis = |name: &str, mark: &str| Some(Value::new(name, before(mark)? * 1e3, "us"));
    Some(vec![
        Value::new("tool throughput", before(" MB/sec")? * MEBIBYTE / 1e6, "MB/s"),
        Value::new("tool records", before(" records/sec")?, "1/s"),
        millis("tool latency p50", " ms 50th")?,
        millis("tool latency p99", " ms 99th")?,
        millis("tool latency p99.9", " ms 99.9th")?,
        millis("tool latency max", " ms max latency")?,
    ])
}

/// A line of column names, a line of values.
fn consumer_perf(text: &str) -> Option<Vec<Value>> {
    let mut lines = text.lines().skip_while(|line| !line.starts_with("start.time"));
    let (names, values) = (lines.next()?, lines.next()?);
    let column = |name: &str| {
        let at = names.split(',').position(|it| it.trim() == name)?;
        values.split(',').nth(at)?.trim().parse::<f64>().ok()
    };
    Some(vec![
        Value::new("tool throughput", column("MB.sec")? * MEBIBYTE / 1e6, "MB/s"),
        Value::new("tool records", column("nMsg.sec")?, "1/s"),
        Value::new("tool fetch throughput", column("fetch.MB.sec")? * MEBIBYTE / 1e6, "MB/s"),
    ])
}

/// `% … in Nms: R msgs/s and M MB/s, …` of a producer, `% … consumed in Nms: R msgs/s (M MB/s)` of a consumer.
fn rdkafka(text: &str) -> Option<Vec<Value>> {
    let line = text.lines().rfind(|line| line.contains(" msgs/s"))?;
    Some(vec![
        Value::new("tool throughput", number_before(line, " MB/s")?, "MB/s"),
        Value::new("tool records", number_before(line, " msgs/s")?, "1/s"),
    ])
}

/// The number that ends where `mark` begins.
fn number_before(line: &str, mark: &str) -> Option<f64> {
    let (before, _) = line.split_once(mark)?;
    before.rsplit([' ', '(']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(found: Option<Vec<Value>>, name: &str, expected: f64) {
        let found = found.expect("is understood");
        let value = found.iter().find(|it| it.name == name).expect("is there").value;
        assert!((value - expected).abs() < 0.01, "{name}: {value}");
    }

    #[test]
    fn what_the_tools_print_is_understood() {
        let text = "1000 records sent, 10.0 records/sec (1.00 MB/sec), 1.0 ms avg latency, 2.0 ms max latency.\n\
            2000000 records sent, 123456.5 records/sec (120.56 MB/sec), 12.30 ms avg latency, 500.00 ms max latency, \
            10 ms 50th, 50 ms 95th, 100 ms 99th, 200 ms 99.9th.\n";
        check(producer_perf(text), "tool throughput", 126.42);
        check(producer_perf(text), "tool latency p99", 100_000.0);
        check(producer_perf(text), "tool latency max", 500_000.0);
        let text = "start.time, end.time, data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, \
            rebalance.time.ms, fetch.time.ms, fetch.MB.sec, fetch.nMsg.sec\n\
            2026-01-01 00:00:00:000, 2026-01-01 00:00:05:000, 2000.0, 400.0, 2048000, 409600.0, 30, 4000, 500.0, 512000.0\n";
        check(consumer_perf(text), "tool throughput", 419.43);
        check(consumer_perf(text), "tool records", 409_600.0);
        let text = "% 500000 messages produced (512000000 bytes), 500000 delivered (offset 0, 0 failed) in 1223ms: \
            408757 msgs/s and 418.57 MB/s, 0 produce failures, 0 in queue, no compression\n";
        check(rdkafka(text), "tool throughput", 418.57);
        check(rdkafka(text), "tool records", 408_757.0);
        let text = "% 500000 messages (512000000 bytes) consumed in 521ms: 959692 msgs/s (982.72 MB/s)\n";
        check(rdkafka(text), "tool throughput", 982.72);
        assert!(producer_perf("").is_none() && consumer_perf("").is_none() && rdkafka("").is_none());
    }
}
