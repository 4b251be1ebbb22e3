//! Arguments and output that all subcommands share which talk to a broker.

use std::io::{self, Write};
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::client::{Admin, ClientError, Cluster, ConfigEntry, ConnectionOptions};

use super::exit::Failure;

/// Which cluster to talk to, and for how long.
#[derive(Args, Debug)]
pub struct RemoteArgs {
    /// Brokers to learn of the cluster from: HOST:PORT, or several separated by commas
    #[arg(
        long,
        value_name = "HOST:PORT,…",
        default_value = "localhost:9092",
        env = "RINGMAIN_BOOTSTRAP_SERVER"
    )]
    pub bootstrap_server: String,
    /// How long a broker may take to answer
    #[arg(long, value_name = "MS", default_value_t = 30_000)]
    pub request_timeout_ms: u64,
}

impl RemoteArgs {
    pub fn connect(&self) -> Result<Cluster, Failure> {
        let request_timeout = self.request_timeout();
        let options = ConnectionOptions {
            request_timeout,
            connect_timeout: request_timeout.min(Duration::from_secs(10)),
            ..Default::default()
        };
        Ok(Cluster::connect(&self.bootstrap_server, options)?)
    }

    pub fn request_timeout(&self) -> Duration {
        Duration::from_millis(self.request_timeout_ms)
    }
}

/// How a command that asks once answers: a table for people, `--json` for programs.
#[derive(Args, Debug)]
pub struct OutputArgs {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub remote: RemoteArgs,
}

impl OutputArgs {
    pub fn admin(&self) -> Result<Admin, Failure> {
        Ok(Admin::new(self.remote.connect()?, self.remote.request_timeout()))
    }

    pub fn say(&self, people: &str, programs: &Value) -> Result<(), Failure> {
        if self.json { print(&format!("{programs}\n")) } else { print(people) }
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Failure {
        match &error {
            ClientError::Connect { .. } => Failure::failed(format!(
                "{error}; start a server with `ringmain serve`, or name another one with --bootstrap-server"
            )),
            ClientError::FrameSize { .. } | ClientError::Lost { .. } => {
                Failure::failed(format!("{error}; is that the address of a Kafka broker without TLS?"))
            }
            _ => Failure::failed(error),
        }
    }
}

/// The result of writing to standard output.
pub enum Written {
    Done,
    /// The reader has closed the pipe (`| head`). That ends the command and is no error.
    ReaderGone,
}

/// Sorts out the result of writing to standard output.
pub fn written(result: io::Result<()>) -> Result<Written, Failure> {
    match result {
        Ok(()) => Ok(Written::Done),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Written::ReaderGone),
        Err(error) => Err(Failure::failed(format!("writing to standard output failed: {error}"))),
    }
}

/// Prints the whole output of a command.
pub fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.flush())).map(|_| ())
}

/// Rows under a heading, columns aligned; the last column is not padded.
pub fn table(heading: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heading.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let heading: Vec<String> = heading.iter().map(|cell| (*cell).to_owned()).collect();
    let mut text = String::new();
    for row in std::iter::once(&heading).chain(rows) {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            line.push_str(&format!("{cell:<width$}  "));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A setting's value as it is printed.
pub fn shown(config: &ConfigEntry) -> &str {
    if config.is_sensitive { "(hidden)" } else { config.value.as_deref().unwrap_or("") }
}

pub fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// `KEY=VALUE`, as clap parses it.
pub fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("`{text}` is not KEY=VALUE"))?;
    if key.is_empty() { Err(format!("`{text}` has no key")) } else { Ok((key.to_owned(), value.to_owned())) }
}

/// Reads a separator as typed: `\t`, `\n`, `\r`, `\\`, `\0` and `\xHH` have their usual meaning.
pub fn unescape(text: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let (byte, used) = escape(&rest[at..])?;
        out.push(byte);
        rest = &rest[at + used..];
    }
    out.extend_from_slice(rest.as_bytes());
    Ok(out)
}

/// The byte that the escape at the front of `text` stands for, and the length of the escape.
pub fn escape(text: &str) -> Result<(u8, usize), String> {
    let unknown = || format!("`{text}` does not begin with an escape such as \\n, \\t or \\x1f");
    match text.as_bytes().get(1) {
        Some(b'n') => Ok((b'\n', 2)),
        Some(b't') => Ok((b'\t', 2)),
        Some(b'r') => Ok((b'\r', 2)),
        Some(b'0') => Ok((0, 2)),
        Some(b'\\') => Ok((b'\\', 2)),
        Some(b'x') => {
            let digits = text.get(2..4).ok_or_else(unknown)?;
            u8::from_str_radix(digits, 16).map(|byte| (byte, 4)).map_err(|_| unknown())
        }
        _ => Err(unknown()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_read() {
        for (text, expected) in [
            ("\\t", Some(&b"\t"[..])),
            ("a\\x1fb\\n", Some(b"a\x1fb\n")),
            (": ", Some(b": ")),
            ("\\\\", Some(b"\\")),
            ("\\x1", None),
            ("\\q", None),
            ("\\", None),
        ] {
            assert_eq!(unescape(text).ok().as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn tables_align() {
        let rows = [vec!["a".to_owned(), "1".to_owned()], vec!["longer".to_owned(), "2".to_owned()]];
        assert_eq!(table(&["NAME", "N"], &rows), "NAME    N\na       1\nlonger  2\n");
    }

    #[test]
    fn settings_have_a_key() {
        assert_eq!(key_value("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert!(key_value("a").is_err());
        assert!(key_value("=b").is_err());
    }
}
