//! `ringmain topic create|list|describe|alter|delete`.

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::client::{ClientError, ConfigEntry, NewTopic, TopicView};
use crate::protocol::ErrorCode;

use super::exit::Failure;
use super::remote::{OutputArgs, counted, key_value, shown, table};

/// How long a freshly created topic may take to have leaders everywhere.
const READY_WITHIN: Duration = Duration::from_secs(10);

#[derive(Args, Debug)]
pub struct TopicArgs {
    #[command(subcommand)]
    command: TopicCommand,
}

#[derive(Subcommand, Debug)]
enum TopicCommand {
    /// Create a topic.
    Create(CreateArgs),
    /// List the topics.
    List(ListArgs),
    /// Show a topic's partitions and settings.
    Describe(DescribeArgs),
    /// Add partitions, set and remove settings.
    Alter(AlterArgs),
    /// Delete a topic and its records.
    Delete(DeleteArgs),
}

#[derive(Args, Debug)]
struct CreateArgs {
    name: String,
    /// Partitions [default: the broker's num.partitions]
    #[arg(long, value_name = "N")]
    partitions: Option<i32>,
    /// Replicas of each partition [default: the broker's default.replication.factor]
    #[arg(long, value_name = "N")]
    replication_factor: Option<i16>,
    /// A topic setting by Kafka's name; repeat for more
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    config: Vec<(String, String)>,
    /// Succeed if the topic exists already
    #[arg(long)]
    if_not_exists: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args, Debug)]
struct ListArgs {
    /// Leave out topics that brokers keep for themselves
    #[arg(long)]
    exclude_internal: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args, Debug)]
struct DescribeArgs {
    name: String,
    /// Show settings that nobody set, too
    #[arg(long)]
    all_configs: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args, Debug)]
struct AlterArgs {
    name: String,
    /// Partitions to have from now on; there can only be more
    #[arg(long, value_name = "N")]
    partitions: Option<i32>,
    /// A topic setting by Kafka's name; repeat for more
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    config: Vec<(String, String)>,
    /// A topic setting to go back to its default; repeat for more
    #[arg(long, value_name = "KEY")]
    delete_config: Vec<String>,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args, Debug)]
struct DeleteArgs {
    name: String,
    /// Succeed if there is no such topic
    #[arg(long)]
    if_exists: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub fn run(args: TopicArgs) -> Result<(), Failure> {
    match args.command {
        TopicCommand::Create(args) => create(&args),
        TopicCommand::List(args) => list(&args),
        TopicCommand::Describe(args) => describe(&args),
        TopicCommand::Alter(args) => alter(&args),
        TopicCommand::Delete(args) => delete(&args),
    }
}

fn create(args: &CreateArgs) -> Result<(), Failure> {
    let mut admin = args.output.admin()?;
    let topic = NewTopic {
        name: args.name.clone(),
        partitions: args.partitions,
        replication_factor: args.replication_factor,
        configs: args.config.clone(),
    };
    let created = match admin.create_topic(&topic) {
        Ok(created) => created,
        Err(error) if args.if_not_exists && is(&error, ErrorCode::TopicAlreadyExists) => {
            let people = format!("Topic {} exists already.\n", args.name);
            return args.output.say(&people, &json!({ "name": args.name, "created": false }));
        }
        Err(error) => return Err(error.into()),
    };
    // The topic is asked for, because old brokers do not say what they created, and because a script's next command should
    // find leaders.
    let view = admin.ready_topic(&args.name, READY_WITHIN)?;
    let partitions = view.partitions.len();
    let people = format!("Created topic {} with {}.\n", args.name, counted(partitions, "partition"));
    let programs = json!({
        "name": created.name,
        "created": true,
        "topic_id": view.id.to_string(),
        "partitions": partitions,
        "replication_factor": replication_factor(&view),
    });
    args.output.say(&people, &programs)
}

fn list(args: &ListArgs) -> Result<(), Failure> {
    let mut topics = args.output.admin()?.list_topics()?;
    topics.retain(|topic| !(args.exclude_internal && topic.is_internal));
    let rows: Vec<Vec<String>> = topics
        .iter()
        .map(|topic| {
            let partitions = topic.partitions.len().to_string();
            vec![topic.name.clone(), partitions, replication_factor(topic).to_string()]
        })
        .collect();
    let programs: Vec<Value> = topics
        .iter()
        .map(|topic| {
            json!({
                "name": topic.name,
                "topic_id": topic.id.to_string(),
                "partitions": topic.partitions.len(),
                "replication_factor": replication_factor(topic),
                "internal": topic.is_internal,
            })
        })
        .collect();
    args.output.say(&table(&["TOPIC", "PARTITIONS", "REPLICAS"], &rows), &programs.into())
}

fn describe(args: &DescribeArgs) -> Result<(), Failure> {
    let mut admin = args.output.admin()?;
    let topic = admin.describe_topic(&args.name)?;
    let mut configs = admin.topic_configs(&args.name)?;
    configs.retain(|config| args.all_configs || config.is_topic_override);
    args.output.say(&description(&topic, &configs), &description_json(&topic, &configs))
}

fn description(topic: &TopicView, configs: &[ConfigEntry]) -> String {
    let nodes = |nodes: &[crate::base::NodeId]| {
        nodes.iter().map(ToString::to_string).collect::<Vec<String>>().join(",")
    };
    let rows: Vec<Vec<String>> = topic
        .partitions
        .iter()
        .map(|partition| {
            vec![
                partition.index.to_string(),
                partition.leader.map_or_else(|| "none".to_owned(), |leader| leader.to_string()),
                partition.leader_epoch.to_string(),
                nodes(&partition.replicas),
                nodes(&partition.isr),
            ]
        })
        .collect();
    let mut text = format!(
        "Topic {}, id {}, {}, replication factor {}\n",
        topic.name,
        topic.id,
        counted(topic.partitions.len(), "partition"),
        replication_factor(topic)
    );
    for config in configs {
        text.push_str(&format!("  {}={}\n", config.name, shown(config)));
    }
    text.push('\n');
    text.push_str(&table(&["PARTITION", "LEADER", "EPOCH", "REPLICAS", "IN SYNC"], &rows));
    text
}

fn description_json(topic: &TopicView, configs: &[ConfigEntry]) -> Value {
    let ids = |nodes: &[crate::base::NodeId]| nodes.iter().map(|node| node.0).collect::<Vec<i32>>();
    let partitions: Vec<Value> = topic
        .partitions
        .iter()
        .map(|partition| {
            json!({
                "partition": partition.index.0,
                "leader": partition.leader.map(|leader| leader.0),
                "leader_epoch": partition.leader_epoch.0,
                "replicas": ids(&partition.replicas),
                "isr": ids(&partition.isr),
                "error": partition.error.map(ErrorCode::name),
            })
        })
        .collect();
    let configs: serde_json::Map<String, Value> =
        configs.iter().map(|config| (config.name.clone(), json!(config.value))).collect();
    json!({
        "name": topic.name,
        "topic_id": topic.id.to_string(),
        "internal": topic.is_internal,
        "replication_factor": replication_factor(topic),
        "configs": configs,
        "partitions": partitions,
    })
}

fn alter(args: &AlterArgs) -> Result<(), Failure> {
    let mut admin = args.output.admin()?;
    let set = args.config.iter().map(|(key, value)| (key.clone(), Some(value.clone())));
    let changes: Vec<_> = set.chain(args.delete_config.iter().map(|key| (key.clone(), None))).collect();
    if !changes.is_empty() {
        admin.alter_topic_configs(&args.name, &changes)?;
    }
    if let Some(partitions) = args.partitions {
        admin.create_partitions(&args.name, partitions)?;
    }
    let topic = admin.describe_topic(&args.name)?;
    let mut configs = admin.topic_configs(&args.name)?;
    configs.retain(|config| config.is_topic_override);
    args.output.say(&description(&topic, &configs), &description_json(&topic, &configs))
}

fn delete(args: &DeleteArgs) -> Result<(), Failure> {
    let deleted = match args.output.admin()?.delete_topic(&args.name) {
        Ok(()) => true,
        Err(error) if args.if_exists && is(&error, ErrorCode::UnknownTopicOrPartition) => false,
        Err(error) => return Err(error.into()),
    };
    let people = if deleted {
        format!("Deleted topic {}.\n", args.name)
    } else {
        format!("No topic {}.\n", args.name)
    };
    args.output.say(&people, &json!({ "name": args.name, "deleted": deleted }))
}

fn is(error: &ClientError, code: ErrorCode) -> bool {
    error.code() == Some(code)
}

fn replication_factor(topic: &TopicView) -> usize {
    topic.partitions.first().map_or(0, |partition| partition.replicas.len())
}
