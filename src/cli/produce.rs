//! `ringmain produce`: each line of standard input becomes a record.

use std::io::{self, BufRead};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use clap::Args;

use crate::base::PartitionIndex;
use crate::client::{Acks, Delivery, Producer, ProducerOptions, ProducerRecord};
use crate::record::{Codec, Header};

use super::exit::Failure;
use super::remote::{RemoteArgs, key_value, unescape};

/// Most lines that are read ahead of the producer.
const LINES_AHEAD: usize = 1024;

#[derive(Args, Debug)]
pub struct ProduceArgs {
    #[arg(long, value_name = "NAME")]
    topic: String,
    /// Partition for all records [default: by key, as Java's producer chooses; any if there is no key]
    #[arg(long, value_name = "N")]
    partition: Option<i32>,
    /// Lines begin with a key and the key separator
    #[arg(long)]
    parse_key: bool,
    /// What ends a line's key; escapes as \t are understood
    #[arg(long, value_name = "TEXT", default_value = "\\t")]
    key_separator: String,
    /// A header for every record; repeat for more, or separate by commas
    #[arg(long, value_name = "KEY=VALUE", value_delimiter = ',', value_parser = key_value)]
    headers: Vec<(String, String)>,
    /// Keys and values with this text are null
    #[arg(long, value_name = "TEXT")]
    null_marker: Option<String>,
    /// Settings under the names of Kafka's console producer: parse.key, key.separator, null.marker
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    property: Vec<(String, String)>,
    /// none, gzip, snappy, lz4 or zstd
    #[arg(long, value_name = "CODEC", default_value = "none", num_args = 0..=1, default_missing_value = "gzip")]
    compression_codec: String,
    /// Replicas that must have a record: all, 1 or 0
    #[arg(long, value_name = "ACKS", default_value = "all", allow_hyphen_values = true)]
    acks: String,
    /// Bytes of records that close a batch
    #[arg(long, value_name = "BYTES", default_value_t = 256 * 1024)]
    batch_size: usize,
    /// How long a batch waits for more records
    #[arg(long, value_name = "MS", default_value_t = 5)]
    linger_ms: u64,
    /// How long a batch may take until it is acknowledged, retries included
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    timeout_ms: u64,
    /// Send without producer id: a retry may then duplicate records
    #[arg(long)]
    no_idempotence: bool,
    /// Print partition and offset of each acknowledged batch on standard error
    #[arg(long)]
    verbose: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

/// How lines become records.
#[derive(Debug)]
struct LineFormat {
    /// What ends a line's key; `None` = records have no keys.
    key_separator: Option<Vec<u8>>,
    null_marker: Option<Vec<u8>>,
}

pub fn run(args: ProduceArgs) -> Result<(), Failure> {
    let format = line_format(&args)?;
    let options = producer_options(&args)?;
    let linger = options.linger.max(Duration::from_millis(1));
    let mut producer = Producer::new(args.remote.connect()?, options);
    let lines = read_lines();
    loop {
        let deliveries = match lines.recv_timeout(linger) {
            Ok(Ok(line)) => send(&mut producer, &args, &format, &line)?,
            Ok(Err(error)) => {
                settle(producer.flush()?, &args)?;
                return Err(Failure::failed(format!("reading standard input failed: {error}")));
            }
            Err(RecvTimeoutError::Timeout) => producer.poll()?,
            Err(RecvTimeoutError::Disconnected) => return settle(producer.flush()?, &args),
        };
        settle(deliveries, &args)?;
    }
}

fn send(
    producer: &mut Producer,
    args: &ProduceArgs,
    format: &LineFormat,
    line: &[u8],
) -> Result<Vec<Delivery>, Failure> {
    let (key, value) = format.split(line).map_err(Failure::failed)?;
    let headers: Vec<Header<'_>> =
        args.headers.iter().map(|(key, value)| Header { key, value: Some(value.as_bytes()) }).collect();
    let record = ProducerRecord {
        topic: &args.topic,
        partition: args.partition.map(PartitionIndex),
        timestamp: None,
        key,
        value,
        headers: &headers,
    };
    Ok(producer.send(&record)?)
}

/// Handles deliveries. The first failed batch ends the command, because the records after it would be out of order.
fn settle(deliveries: Vec<Delivery>, args: &ProduceArgs) -> Result<(), Failure> {
    for delivery in deliveries {
        let offset = delivery.result?;
        if args.verbose {
            let (topic, partition, records) = (&delivery.topic, delivery.partition, delivery.records);
            eprintln!("{topic} partition {partition}: {records} records from offset {offset}");
        }
    }
    Ok(())
}

/// Reads standard input on a thread of its own, so that a batch is sent in time even while nobody types.
fn read_lines() -> Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = sync_channel(LINES_AHEAD);
    std::thread::spawn(move || forward_lines(&sender));
    receiver
}

fn forward_lines(sender: &SyncSender<io::Result<Vec<u8>>>) {
    for line in io::stdin().lock().split(b'\n') {
        let is_error = line.is_err();
        if sender.send(line).is_err() || is_error {
            return;
        }
    }
}

fn producer_options(args: &ProduceArgs) -> Result<ProducerOptions, Failure> {
    let codec = Codec::from_name(&args.compression_codec).ok_or_else(|| {
        Failure::usage(format!(
            "--compression-codec is none, gzip, snappy, lz4 or zstd, not {}",
            args.compression_codec
        ))
    })?;
    let acks = Acks::parse(&args.acks)
        .ok_or_else(|| Failure::usage(format!("--acks is all, 1 or 0, not {}", args.acks)))?;
    if args.batch_size == 0 {
        return Err(Failure::usage("--batch-size must be more than 0"));
    }
    let delivery_timeout = Duration::from_millis(args.timeout_ms);
    Ok(ProducerOptions {
        acks,
        codec,
        batch_bytes: args.batch_size,
        linger: Duration::from_millis(args.linger_ms),
        idempotent: !args.no_idempotence,
        delivery_timeout,
        request_timeout: args.remote.request_timeout().min(delivery_timeout),
        ..Default::default()
    })
}

fn line_format(args: &ProduceArgs) -> Result<LineFormat, Failure> {
    let mut parse_key = args.parse_key;
    let mut separator = args.key_separator.as_str();
    let mut null_marker = args.null_marker.as_deref();
    for (name, value) in &args.property {
        match name.as_str() {
            "parse.key" => parse_key = value == "true",
            "key.separator" => separator = value,
            "null.marker" => null_marker = Some(value),
            _ => return Err(Failure::usage(format!("--property {name} is unknown"))),
        }
    }
    let separator = unescape(separator).map_err(Failure::usage)?;
    if parse_key && separator.is_empty() {
        return Err(Failure::usage("the key separator must not be empty"));
    }
    let null_marker = null_marker.map(|marker| marker.as_bytes().to_vec());
    Ok(LineFormat { key_separator: parse_key.then_some(separator), null_marker })
}

type KeyAndValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

impl LineFormat {
    fn split<'a>(&self, line: &'a [u8]) -> Result<KeyAndValue<'a>, String> {
        let Some(separator) = &self.key_separator else { return Ok((None, self.unless_null(line))) };
        let at = line.windows(separator.len()).position(|window| window == separator.as_slice());
        let at = at.ok_or_else(|| {
            let (line, separator) = (String::from_utf8_lossy(line), String::from_utf8_lossy(separator));
            format!("the line {line:?} has no key separator {separator:?}")
        })?;
        let (key, rest) = line.split_at(at);
        Ok((self.unless_null(key), self.unless_null(&rest[separator.len()..])))
    }

    fn unless_null<'a>(&self, bytes: &'a [u8]) -> Option<&'a [u8]> {
        (self.null_marker.as_deref() != Some(bytes)).then_some(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_at_the_first_separator() {
        let format = |separator: Option<&[u8]>| LineFormat {
            key_separator: separator.map(<[u8]>::to_vec),
            null_marker: Some(b"NULL".to_vec()),
        };
        let check = |separator: Option<&[u8]>, line: &'static str, expected: Option<KeyAndValue<'_>>| {
            assert_eq!(format(separator).split(line.as_bytes()).ok(), expected, "{line}");
        };
        check(None, "a\tb", Some((None, Some(b"a\tb"))));
        check(Some(b"\t"), "a\tb\tc", Some((Some(b"a"), Some(b"b\tc"))));
        check(Some(b"::"), "a::", Some((Some(b"a"), Some(b""))));
        check(Some(b"\t"), "NULL\tNULL", Some((None, None)));
        check(Some(b"\t"), "no key", None);
    }
}
