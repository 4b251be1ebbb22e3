//! `ringmain cluster info`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::protocol::ApiKey;

use super::exit::Failure;
use super::remote::{OutputArgs, counted, table};

#[derive(Args, Debug)]
pub struct ClusterArgs {
    #[command(subcommand)]
    command: ClusterCommand,
}

#[derive(Subcommand, Debug)]
enum ClusterCommand {
    /// Show brokers, features and APIs.
    Info(InfoArgs),
}

#[derive(Args, Debug)]
struct InfoArgs {
    /// Show every API with its versions, too
    #[arg(long)]
    apis: bool,
    #[command(flatten)]
    output: OutputArgs,
}

pub fn run(args: ClusterArgs) -> Result<(), Failure> {
    match args.command {
        ClusterCommand::Info(args) => info(&args),
    }
}

fn info(args: &InfoArgs) -> Result<(), Failure> {
    let mut admin = args.output.admin()?;
    let topics = admin.list_topics()?;
    let served = admin.served()?;
    let cluster = admin.cluster();
    let partitions: usize = topics.iter().map(|topic| topic.partitions.len()).sum();
    let leads =
        |node| topics.iter().flat_map(|topic| &topic.partitions).filter(|it| it.leader == Some(node)).count();
    let rows: Vec<Vec<String>> = cluster
        .brokers()
        .iter()
        .map(|it| vec![it.node.to_string(), format!("{}:{}", it.host, it.port), leads(it.node).to_string()])
        .collect();
    let mut people = format!(
        "Cluster {}: {}, {} with {}\n",
        cluster.id().unwrap_or("without a name"),
        counted(rows.len(), "node"),
        counted(topics.len(), "topic"),
        counted(partitions, "partition"),
    );
    for (name, level) in &served.features {
        people.push_str(&format!("  {name}={level}\n"));
    }
    people.push('\n');
    people.push_str(&table(&["NODE", "ADDRESS", "LEADS"], &rows));
    let api = |key: i16| ApiKey::from_code(key).map_or_else(|| key.to_string(), |api| format!("{api:?}"));
    if args.apis {
        let versions = |(key, min, max): &(i16, i16, i16)| vec![api(*key), format!("{min}-{max}")];
        people.push('\n');
        people.push_str(&table(&["API", "VERSIONS"], &served.apis.iter().map(versions).collect::<Vec<_>>()));
    }
    let nodes: Vec<Value> = cluster
        .brokers()
        .iter()
        .map(|it| json!({ "node": it.node.0, "host": it.host, "port": it.port, "leads": leads(it.node) }))
        .collect();
    let features: serde_json::Map<String, Value> =
        served.features.iter().map(|(name, level)| (name.clone(), json!(level))).collect();
    let apis: Vec<Value> = served
        .apis
        .iter()
        .map(|(key, min, max)| json!({ "key": key, "name": api(*key), "min_version": min, "max_version": max }))
        .collect();
    let programs = json!({
        "cluster_id": cluster.id(),
        "nodes": nodes,
        "topics": topics.len(),
        "partitions": partitions,
        "features": features,
        "apis": apis,
    });
    args.output.say(&people, &programs)
}
