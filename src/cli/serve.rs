//! `ringmain serve`: the arguments as typed.

use std::path::PathBuf;

use clap::Args;

use super::exit::{Exit, Failure};

/// Every flag is also an environment variable (RINGMAIN_DATA_DIR, RINGMAIN_LISTEN, …; RINGMAIN_SET holds a
/// comma-separated list) and, under the name given in its help, a setting for the file or `--set`.
/// A flag wins over the environment, the environment over the file, the file over the default.
#[derive(Args, Debug)]
#[command(after_long_help = Exit::table())]
pub struct ServeArgs {
    /// Where data lives [log.dirs] [default: ./ringmain-data]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Address for Kafka clients [listeners] [default: 0.0.0.0:9092]
    #[arg(long, value_name = "HOST:PORT")]
    pub listen: Option<String>,
    /// Address for metrics and health [ringmain.admin] [default: 127.0.0.1:9644]
    #[arg(long, value_name = "HOST:PORT")]
    pub admin: Option<String>,
    /// How clients see this server's shards [ringmain.advertise] [default: auto]
    #[arg(long, value_name = "VIEW", value_parser = ["auto", "shard-ports", "server", "shards"])]
    pub advertise: Option<String>,
    /// Host name told to clients [ringmain.advertised.host] [default: the address each client connected to]
    #[arg(long, value_name = "NAME")]
    pub advertised_host: Option<String>,
    /// A number of shards, or the CPUs to run one on each, such as 0,2,4-7 [ringmain.shards] [default: all CPUs]
    #[arg(long, value_name = "N|CPU-LIST")]
    pub shards: Option<String>,
    /// Settings file: TOML, Kafka's names
    #[arg(long, value_name = "FILE.toml")]
    pub config: Option<PathBuf>,
    /// One setting; repeat for more
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

pub fn run(_args: ServeArgs) -> Result<(), Failure> {
    Err(Failure::failed("this build has no server yet"))
}
