//! `ringmain group list|describe|reset-offsets|delete`. A command that changes something only says what it would do, unless
//! it has `--execute`.

use clap::{ArgGroup, Args, Subcommand};
use serde_json::{Value, json};

use crate::base::{Offset, TimestampMs};
use crate::client::{
    CommittedOffset, Consumer, ConsumerOptions, GroupView, Groups, MemberView, Missing, Position,
};

use super::exit::Failure;
use super::remote::{RemoteArgs, print, table};

#[derive(Args, Debug)]
pub struct GroupArgs {
    #[command(subcommand)]
    command: GroupCommand,
}

#[derive(Subcommand, Debug)]
enum GroupCommand {
    /// List the groups.
    List(ListArgs),
    /// Show a group's members, committed offsets and how far they are behind.
    #[command(visible_alias = "lag")]
    Describe(NamedArgs),
    /// Move the committed offsets of a group without members.
    ResetOffsets(ResetArgs),
    /// Delete a group without members and what it has committed.
    Delete(DeleteArgs),
}

#[derive(Args, Debug)]
struct OutputArgs {
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: RemoteArgs,
}

#[derive(Args, Debug)]
struct ListArgs {
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args, Debug)]
struct NamedArgs {
    group: String,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args, Debug)]
#[command(group(ArgGroup::new("where").required(true).multiple(false)))]
struct ResetArgs {
    group: String,
    /// Only this topic, and all its partitions [default: all the group has committed offsets of]
    #[arg(long)]
    topic: Option<String>,
    /// The first record there is
    #[arg(long, group = "where")]
    to_earliest: bool,
    /// The end of the log
    #[arg(long, group = "where")]
    to_latest: bool,
    /// This offset
    #[arg(long, group = "where", value_name = "OFFSET")]
    to_offset: Option<i64>,
    /// The first record at or after this time, in milliseconds since 1970
    #[arg(long, group = "where", value_name = "MS")]
    to_timestamp: Option<i64>,
    /// Do it; without this, only say what would be done
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    output: OutputArgs,
}

#[derive(Args, Debug)]
struct DeleteArgs {
    group: String,
    /// Do it; without this, only say what would be done
    #[arg(long)]
    execute: bool,
    #[command(flatten)]
    output: OutputArgs,
}

impl OutputArgs {
    fn groups(&self) -> Result<Groups, Failure> {
        Ok(Groups::new(self.remote.connect()?, self.remote.request_timeout()))
    }

    fn consumer(&self) -> Result<Consumer, Failure> {
        Ok(Consumer::new(self.remote.connect()?, ConsumerOptions::default()))
    }

    fn say(&self, people: &str, programs: &Value) -> Result<(), Failure> {
        if self.json { print(&format!("{programs}\n")) } else { print(people) }
    }
}

pub fn run(args: GroupArgs) -> Result<(), Failure> {
    match args.command {
        GroupCommand::List(args) => list(&args),
        GroupCommand::Describe(args) => describe(&args),
        GroupCommand::ResetOffsets(args) => reset(&args),
        GroupCommand::Delete(args) => delete(&args),
    }
}

fn list(args: &ListArgs) -> Result<(), Failure> {
    let groups = args.output.groups()?.list()?;
    let row = |it: &crate::client::GroupListing| {
        vec![it.group.clone(), it.kind.clone(), it.protocol_type.clone(), it.state.clone()]
    };
    let rows: Vec<Vec<String>> = groups.iter().map(row).collect();
    let programs = groups.iter().map(|it| {
        json!({ "group": it.group, "type": it.kind, "protocol_type": it.protocol_type, "state": it.state })
    });
    args.output.say(&table(&["GROUP", "TYPE", "PROTOCOL", "STATE"], &rows), &programs.collect())
}

/// A committed offset beside its log.
struct Behind {
    committed: CommittedOffset,
    start: Offset,
    end: Offset,
}

impl Behind {
    /// How many records the group has not read. Records before the log's start do not count: they cannot be read any more.
    fn lag(&self) -> i64 {
        (self.end.0 - self.committed.offset.max(self.start).0).max(0)
    }
}

fn behind(output: &OutputArgs, committed: Vec<CommittedOffset>) -> Result<Vec<Behind>, Failure> {
    let mut consumer = output.consumer()?;
    committed
        .into_iter()
        .map(|committed| {
            let mut at = |position| find(output, &mut consumer, &committed, position);
            let (start, end) = (at(Position::Earliest)?, at(Position::Latest)?);
            Ok(Behind { committed, start, end })
        })
        .collect()
}

fn find(
    output: &OutputArgs,
    consumer: &mut Consumer,
    of: &CommittedOffset,
    position: Position,
) -> Result<Offset, Failure> {
    match consumer.find(&of.topic, of.partition, position) {
        Ok(offset) => Ok(offset),
        // The consumer has not heard of the topic yet.
        Err(_) => {
            let mut cluster = output.remote.connect()?;
            cluster.refresh(Some(&[of.topic.as_str()]), Missing::Fail)?;
            *consumer = Consumer::new(cluster, ConsumerOptions::default());
            Ok(consumer.find(&of.topic, of.partition, position)?)
        }
    }
}

fn describe(args: &NamedArgs) -> Result<(), Failure> {
    let mut groups = args.output.groups()?;
    let view = groups.describe(&args.group)?;
    let offsets = behind(&args.output, groups.committed(&args.group)?)?;
    args.output.say(&description(&view, &offsets), &description_json(&view, &offsets))
}

fn description(view: &GroupView, offsets: &[Behind]) -> String {
    let protocol =
        if view.protocol.is_empty() { String::new() } else { format!(", protocol {}", view.protocol) };
    let total: i64 = offsets.iter().map(Behind::lag).sum();
    let mut text = format!(
        "Group {}: {}, {} members{protocol}, {total} records behind\n\n",
        view.group,
        view.state,
        view.members.len()
    );
    let rows: Vec<Vec<String>> = offsets
        .iter()
        .map(|it| {
            vec![
                it.committed.topic.clone(),
                it.committed.partition.to_string(),
                it.committed.offset.to_string(),
                it.end.to_string(),
                it.lag().to_string(),
            ]
        })
        .collect();
    text.push_str(&table(&["TOPIC", "PARTITION", "COMMITTED", "END", "LAG"], &rows));
    if !view.members.is_empty() {
        let rows: Vec<Vec<String>> = view
            .members
            .iter()
            .map(|it| {
                let instance = it.instance_id.clone().unwrap_or_else(|| "-".to_owned());
                vec![it.member_id.clone(), instance, it.client_id.clone(), it.host.clone(), assigned(it)]
            })
            .collect();
        text.push('\n');
        text.push_str(&table(&["MEMBER", "INSTANCE", "CLIENT", "HOST", "ASSIGNED"], &rows));
    }
    text
}

/// `flights:0,2 orders:1`
fn assigned(member: &MemberView) -> String {
    let topics = member.assigned.iter().map(|(topic, partitions)| {
        let partitions: Vec<String> = partitions.iter().map(ToString::to_string).collect();
        format!("{topic}:{}", partitions.join(","))
    });
    let topics: Vec<String> = topics.collect();
    if topics.is_empty() { "-".to_owned() } else { topics.join(" ") }
}

fn description_json(view: &GroupView, offsets: &[Behind]) -> Value {
    let members = view.members.iter().map(|it| {
        let assigned = it.assigned.iter().map(|(topic, partitions)| (topic.clone(), json!(partitions)));
        let assigned: serde_json::Map<String, Value> = assigned.collect();
        json!({
            "member": it.member_id,
            "instance": it.instance_id,
            "client": it.client_id,
            "host": it.host,
            "assigned": assigned,
        })
    });
    let offsets = offsets.iter().map(|it| {
        json!({
            "topic": it.committed.topic,
            "partition": it.committed.partition.0,
            "committed": it.committed.offset.0,
            "start": it.start.0,
            "end": it.end.0,
            "lag": it.lag(),
        })
    });
    json!({
        "group": view.group,
        "state": view.state,
        "protocol_type": view.protocol_type,
        "protocol": view.protocol,
        "members": members.collect::<Vec<Value>>(),
        "offsets": offsets.collect::<Vec<Value>>(),
    })
}

fn reset(args: &ResetArgs) -> Result<(), Failure> {
    let mut groups = args.output.groups()?;
    let mut consumer = args.output.consumer()?;
    let mut moved = Vec::new();
    for old in to_move(args, &mut groups)? {
        let mut at = |position| find(&args.output, &mut consumer, &old, position);
        let offset = match (args.to_offset, args.to_timestamp) {
            // The offset is kept between both ends of the log: a consumer beyond them would begin as one without an offset.
            (Some(offset), _) => Offset(offset).min(at(Position::Latest)?).max(at(Position::Earliest)?),
            (None, Some(ms)) => at(Position::Timestamp(TimestampMs(ms)))?,
            (None, None) if args.to_earliest => at(Position::Earliest)?,
            (None, None) => at(Position::Latest)?,
        };
        moved.push((old.offset, CommittedOffset { offset, ..old }));
    }
    if args.execute {
        let offsets: Vec<CommittedOffset> = moved.iter().map(|(_, new)| new.clone()).collect();
        groups.commit(&args.group, &offsets)?;
    }
    let rows: Vec<Vec<String>> = moved
        .iter()
        .map(|(old, new)| {
            vec![new.topic.clone(), new.partition.to_string(), old.to_string(), new.offset.to_string()]
        })
        .collect();
    let mut people = table(&["TOPIC", "PARTITION", "COMMITTED", "NEW"], &rows);
    if !args.execute {
        people.push_str("\nNothing was changed: repeat with --execute.\n");
    }
    let offsets = moved.iter().map(|(old, new)| {
        json!({ "topic": new.topic, "partition": new.partition.0, "committed": old.0, "new": new.offset.0 })
    });
    let offsets: Vec<Value> = offsets.collect();
    args.output.say(&people, &json!({ "group": args.group, "executed": args.execute, "offsets": offsets }))
}

/// The offsets to move: those the group has committed, or of a named topic those of all its partitions (-1 where none is
/// committed).
fn to_move(args: &ResetArgs, groups: &mut Groups) -> Result<Vec<CommittedOffset>, Failure> {
    let committed = groups.committed(&args.group)?;
    let Some(name) = &args.topic else { return Ok(committed) };
    let topic = groups.cluster().ready_topic(name, Missing::Fail, args.output.remote.request_timeout())?;
    let mut offsets: Vec<CommittedOffset> = topic
        .partitions
        .iter()
        .map(|partition| partition.index)
        .map(|partition| {
            let known = committed.iter().find(|it| it.topic == *name && it.partition == partition);
            let offset = known.map_or(Offset(-1), |it| it.offset);
            CommittedOffset { topic: name.clone(), partition, offset }
        })
        .collect();
    offsets.sort_by_key(|it| it.partition.0);
    Ok(offsets)
}

fn delete(args: &DeleteArgs) -> Result<(), Failure> {
    let mut groups = args.output.groups()?;
    let people = if args.execute {
        groups.delete(&args.group)?;
        format!("Deleted group {}.\n", args.group)
    } else {
        let view = groups.describe(&args.group)?;
        let offsets = groups.committed(&args.group)?.len();
        format!(
            "Group {} is {}, has {} members and {offsets} committed offsets.\nNothing was changed: repeat with --execute.\n",
            view.group,
            view.state,
            view.members.len()
        )
    };
    args.output.say(&people, &json!({ "group": args.group, "deleted": args.execute }))
}
