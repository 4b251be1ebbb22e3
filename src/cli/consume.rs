//! `ringmain consume`: records to standard output.

use std::io::{self, BufWriter, Write};
use std::time::{Duration, Instant};

use clap::Args;

use crate::base::{Offset, PartitionIndex, TimestampMs};
use crate::client::{Consumer, ConsumerOptions, FetchedBatch, OutOfRange, Position};

use super::exit::Failure;
use super::format::{Format, write_json};
use super::remote::{RemoteArgs, Written, key_value, unescape, written};

/// How long a round waits before it looks at the clock.
const ROUND: Duration = Duration::from_millis(500);

#[derive(Args, Debug)]
pub struct ConsumeArgs {
    #[arg(long, value_name = "NAME")]
    topic: String,
    /// Partitions, separated by commas [default: all]
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    partition: Vec<i32>,
    /// Where to begin: earliest, latest, an offset, -N for the last N records, or @MS for a time
    #[arg(
        long,
        value_name = "OFFSET",
        default_value = "latest",
        allow_hyphen_values = true,
        conflicts_with = "from_beginning"
    )]
    offset: String,
    /// Begin with the first record
    #[arg(long)]
    from_beginning: bool,
    /// End after so many records
    #[arg(long, value_name = "N")]
    max_messages: Option<u64>,
    /// End when no record came for so long
    #[arg(long, value_name = "MS")]
    timeout_ms: Option<u64>,
    /// End at the end of all partitions
    #[arg(short = 'e', long)]
    exit: bool,
    /// How to write a record, as kcat's: %t topic, %p partition, %o offset, %k key, %s value, %K %S their lengths,
    /// %T timestamp, %h headers, \n \t \xHH [default: %s\n]
    #[arg(short = 'f', long, value_name = "FORMAT", conflicts_with_all = ["json", "print_key", "headers"])]
    format: Option<String>,
    /// Write a record as a line of JSON
    #[arg(long)]
    json: bool,
    /// Write the key and the key separator before the value
    #[arg(long)]
    print_key: bool,
    /// Write the headers and a tab before key and value
    #[arg(long)]
    headers: bool,
    /// What stands between key and value
    #[arg(long, value_name = "TEXT", default_value = "\\t")]
    key_separator: String,
    /// What stands for a key or value that is null
    #[arg(long, value_name = "TEXT", default_value = "")]
    null_marker: String,
    /// Settings under the names of Kafka's console consumer: print.key, print.value, print.partition, print.offset,
    /// print.timestamp, print.headers, key.separator, line.separator, null.literal
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    property: Vec<(String, String)>,
    #[command(flatten)]
    remote: RemoteArgs,
}

enum Output {
    Format(Format),
    Json,
}

pub fn run(args: ConsumeArgs) -> Result<(), Failure> {
    let output = if args.json { Output::Json } else { Output::Format(format(&args)?) };
    let position = if args.from_beginning { Position::Earliest } else { position(&args.offset)? };
    let options = ConsumerOptions {
        out_of_range: if args.from_beginning { OutOfRange::Earliest } else { OutOfRange::Fail },
        recovery_timeout: args.remote.request_timeout(),
        ..Default::default()
    };
    let mut consumer = Consumer::new(args.remote.connect()?, options);
    let partitions: Vec<PartitionIndex> = args.partition.iter().copied().map(PartitionIndex).collect();
    consumer.assign(&args.topic, (!partitions.is_empty()).then_some(&*partitions), position)?;
    consume(&args, &output, &mut consumer)
}

fn consume(args: &ConsumeArgs, output: &Output, consumer: &mut Consumer) -> Result<(), Failure> {
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let mut left = args.max_messages.unwrap_or(u64::MAX);
    let silence_max = args.timeout_ms.map_or(Duration::MAX, Duration::from_millis);
    let mut last_record = Instant::now();
    while left > 0 {
        let patience = silence_max.saturating_sub(last_record.elapsed());
        if patience.is_zero() {
            break;
        }
        let batches = consumer.poll(patience.min(ROUND))?;
        if !batches.is_empty() {
            last_record = Instant::now();
        }
        for batch in &batches {
            if let Written::ReaderGone = write_batch(output, batch, &mut left, &mut out)? {
                return Ok(());
            }
        }
        if let Written::ReaderGone = written(out.flush())? {
            return Ok(());
        }
        if args.exit && consumer.is_at_end() {
            break;
        }
    }
    Ok(())
}

fn write_batch(
    output: &Output,
    batch: &FetchedBatch,
    left: &mut u64,
    out: &mut impl Write,
) -> Result<Written, Failure> {
    let mut result = Ok(());
    batch.records(|record| {
        if *left == 0 {
            return false;
        }
        *left -= 1;
        result = match output {
            Output::Format(format) => format.write(record, out),
            Output::Json => write_json(record, out),
        };
        result.is_ok()
    })?;
    written(result)
}

/// Reads where to begin, in kcat's or Kafka's way.
fn position(text: &str) -> Result<Position, Failure> {
    let wrong = || Failure::usage(format!("--offset is earliest, latest, an offset, -N or @MS, not {text}"));
    match text {
        "earliest" | "beginning" => Ok(Position::Earliest),
        "latest" | "end" => Ok(Position::Latest),
        _ => {
            if let Some(time) = text.strip_prefix('@') {
                let time = time.parse::<i64>().ok().filter(|ms| *ms >= 0).ok_or_else(wrong)?;
                return Ok(Position::Timestamp(TimestampMs(time)));
            }
            if let Some(count) = text.strip_prefix('-') {
                return count.parse().map(Position::BeforeEnd).map_err(|_| wrong());
            }
            text.parse().map(|offset| Position::Offset(Offset(offset))).map_err(|_| wrong())
        }
    }
}

/// The format asked for, or the one that the flags and Kafka's properties describe.
fn format(args: &ConsumeArgs) -> Result<Format, Failure> {
    let mut null = args.null_marker.as_str();
    let mut layout = Layout {
        key: args.print_key,
        headers: args.headers,
        separator: &args.key_separator,
        ..Layout::default()
    };
    for (name, value) in &args.property {
        let is_on = value == "true";
        match name.as_str() {
            "print.key" => layout.key = is_on,
            "print.value" => layout.value = is_on,
            "print.partition" => layout.partition = is_on,
            "print.offset" => layout.offset = is_on,
            "print.timestamp" => layout.timestamp = is_on,
            "print.headers" => layout.headers = is_on,
            "key.separator" => layout.separator = value,
            "line.separator" => layout.line_end = value,
            "null.literal" => null = value,
            _ => return Err(Failure::usage(format!("--property {name} is unknown"))),
        }
    }
    let null = unescape(null).map_err(Failure::usage)?;
    let described = layout.describe();
    Format::parse(args.format.as_deref().unwrap_or(&described), &null).map_err(Failure::usage)
}

/// Which parts of a record are written, in the order of Kafka's console consumer.
struct Layout<'a> {
    timestamp: bool,
    partition: bool,
    offset: bool,
    headers: bool,
    key: bool,
    value: bool,
    separator: &'a str,
    line_end: &'a str,
}

impl Default for Layout<'_> {
    fn default() -> Self {
        Layout {
            timestamp: false,
            partition: false,
            offset: false,
            headers: false,
            key: false,
            value: true,
            separator: "\\t",
            line_end: "\\n",
        }
    }
}

impl Layout<'_> {
    fn describe(&self) -> String {
        let parts: Vec<&str> = [
            (self.timestamp, "CreateTime:%T"),
            (self.partition, "Partition:%p"),
            (self.offset, "Offset:%o"),
            (self.headers, "%h"),
            (self.key, "%k"),
            (self.value, "%s"),
        ]
        .into_iter()
        .filter_map(|(is_on, part)| is_on.then_some(part))
        .collect();
        let separator = self.separator.replace('%', "%%");
        let line_end = self.line_end.replace('%', "%%");
        format!("{}{line_end}", parts.join(&separator))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_those_of_kcat_and_kafka() {
        for (text, expected) in [
            ("earliest", Some(Position::Earliest)),
            ("beginning", Some(Position::Earliest)),
            ("end", Some(Position::Latest)),
            ("17", Some(Position::Offset(Offset(17)))),
            ("-5", Some(Position::BeforeEnd(5))),
            ("@1700000000000", Some(Position::Timestamp(TimestampMs(1_700_000_000_000)))),
            ("@-1", None),
            ("soon", None),
            ("--5", None),
        ] {
            assert_eq!(position(text).ok(), expected, "{text}");
        }
    }

    #[test]
    fn layouts_are_those_of_the_console_consumer() {
        let layout = Layout { offset: true, key: true, separator: " % ", ..Layout::default() };
        assert_eq!(layout.describe(), "Offset:%o %% %k %% %s\\n");
        assert_eq!(Layout::default().describe(), "%s\\n");
    }
}
