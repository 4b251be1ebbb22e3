//! `ringmain config get|set`.

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};

use crate::base::NodeId;
use crate::client::{Admin, ConfigEntry, ConfigResource, Documentation, Intent};
use crate::config::broker;

use super::exit::Failure;
use super::remote::{OutputArgs, counted, key_value, shown, table};

#[derive(Args, Debug)]
pub struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Show settings: those somebody set, or those named.
    Get(GetArgs),
    /// Change settings, all of them or none.
    Set(SetArgs),
}

/// The resource whose settings are shown or changed.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("resource").required(true).args(["topic", "broker", "all_brokers", "group", "client_metrics"])))]
struct ResourceArgs {
    /// Settings of this topic
    #[arg(long, value_name = "NAME")]
    topic: Option<String>,
    /// Settings of this broker; without a number, of any broker
    #[arg(long, value_name = "NODE", num_args = 0..=1, default_missing_value = "-1", allow_negative_numbers = true)]
    broker: Option<i32>,
    /// Settings of all brokers; settings of a single broker win over them
    #[arg(long)]
    all_brokers: bool,
    /// Settings of this consumer group
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Settings of this subscription to clients' metrics
    #[arg(long, value_name = "NAME")]
    client_metrics: Option<String>,
}

impl ResourceArgs {
    fn resource(&self, admin: &Admin) -> Result<ConfigResource<'_>, Failure> {
        Ok(match (&self.topic, &self.group, &self.client_metrics) {
            (Some(topic), ..) => ConfigResource::Topic(topic),
            (None, Some(group), _) => ConfigResource::Group(group),
            (None, None, Some(name)) => ConfigResource::ClientMetrics(name),
            _ if self.all_brokers => ConfigResource::AllBrokers,
            _ => ConfigResource::Broker(node(admin, self.broker.unwrap_or(-1))?),
        })
    }
}

#[derive(Args, Debug)]
struct GetArgs {
    /// Settings to show, by Kafka's names
    #[arg(value_name = "KEY")]
    keys: Vec<String>,
    #[command(flatten)]
    of: ResourceArgs,
    /// Show settings that nobody set, too
    #[arg(long)]
    all: bool,
    /// Say what each setting means
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args, Debug)]
struct SetArgs {
    /// New values, by Kafka's names
    #[arg(value_name = "KEY=VALUE", value_parser = key_value, required_unless_present = "delete")]
    set: Vec<(String, String)>,
    /// A setting to go back to its default; repeat for more
    #[arg(long, value_name = "KEY")]
    delete: Vec<String>,
    #[command(flatten)]
    of: ResourceArgs,
    /// Only say whether the change could be made (a shorter retention deletes records soon after it is made)
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub fn run(args: ConfigArgs) -> Result<(), Failure> {
    match args.command {
        ConfigCommand::Get(args) => get(&args),
        ConfigCommand::Set(args) => set(&args),
    }
}

fn get(args: &GetArgs) -> Result<(), Failure> {
    let mut admin = args.output.admin()?;
    let resource = args.of.resource(&admin)?;
    let documentation = if args.explain { Documentation::Included } else { Documentation::LeftOut };
    let mut configs = admin.configs(resource, documentation)?;
    if let Some(unknown) = args.keys.iter().find(|key| !configs.iter().any(|config| config.name == **key)) {
        return Err(Failure::failed(format!("{resource} has no setting {unknown}")));
    }
    configs.retain(|config| match args.keys.is_empty() {
        true => args.all || !config.is_default,
        false => args.keys.contains(&config.name),
    });
    args.output.say(&listing(&configs, documentation), &Value::Array(configs.iter().map(entry).collect()))
}

fn set(args: &SetArgs) -> Result<(), Failure> {
    let mut admin = args.output.admin()?;
    let set = args.set.iter().map(|(key, value)| (key.clone(), Some(value.clone())));
    let changes: Vec<_> = set.chain(args.delete.iter().map(|key| (key.clone(), None))).collect();
    let resource = args.of.resource(&admin)?;
    let intent = if args.dry_run { Intent::Validate } else { Intent::Apply };
    admin.alter_configs(resource, &changes, intent)?;
    let what = counted(changes.len(), "setting");
    let mut people = match args.dry_run {
        true => format!("{what} of {resource} could be changed; nothing is.\n"),
        false => format!("Changed {what} of {resource}.\n"),
    };
    if matches!(resource, ConfigResource::Broker(_) | ConfigResource::AllBrokers) {
        args.set.iter().filter_map(|(key, _)| unread(key)).for_each(|warning| people.push_str(&warning));
    }
    let names: Vec<&str> = changes.iter().map(|(key, _)| key.as_str()).collect();
    args.output.say(
        &people,
        &json!({ "resource": resource.to_string(), "changed": !args.dry_run, "settings": names }),
    )
}

/// A warning for a name that the table does not have. Brokers accept any name, as Kafka's do, so a mistyped one would go
/// unnoticed.
fn unread(key: &str) -> Option<String> {
    if broker::find(key).is_some() {
        return None;
    }
    let meant = broker::nearest(key).map(|name| format!(" Is {name} meant?")).unwrap_or_default();
    Some(format!("No setting is called {key}; it is kept and does nothing.{meant}\n"))
}

/// The broker with this number; any for -1.
fn node(admin: &Admin, node: i32) -> Result<NodeId, Failure> {
    let mut brokers = admin.cluster().brokers().iter().map(|broker| broker.node);
    let found = if node == -1 { brokers.next() } else { brokers.find(|candidate| candidate.0 == node) };
    found.ok_or_else(|| Failure::failed(format!("the cluster has no broker {node}")))
}

fn listing(configs: &[ConfigEntry], documentation: Documentation) -> String {
    let explains = documentation == Documentation::Included;
    let row = |config: &ConfigEntry| {
        let mut row = vec![config.name.clone(), shown(config).to_owned(), config.source.to_owned()];
        if explains {
            row.push(config.documentation.clone().unwrap_or_default());
        }
        row
    };
    let heading = ["SETTING", "VALUE", "FROM", "MEANING"];
    let columns = if explains { 4 } else { 3 };
    table(&heading[..columns], &configs.iter().map(row).collect::<Vec<_>>())
}

fn entry(config: &ConfigEntry) -> Value {
    json!({
        "name": config.name,
        "value": config.value,
        "source": config.source,
        "read_only": config.is_read_only,
        "sensitive": config.is_sensitive,
        "documentation": config.documentation,
    })
}
