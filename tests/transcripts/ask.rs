//! Questions to the shard, as transcripts write them, and its answers in words.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use ringmain::base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs, TopicPartition};
use ringmain::controller::{ControllerReply, ControllerRequest, NewTopic, TopicName};
use ringmain::group::{
    CommitPartition, CommitRequest, FetchOffsetsRequest, GroupReply, GroupRequest, JoinRequest, MemberRef,
    OFFSETS_TOPIC, SyncRequest,
};
use ringmain::record::{BatchBuilder, BatchHeader, Inside};
use ringmain::shard::{
    Acks, DeleteRecordsPartition, FetchPartition, FetchRequest, FetchResult, Fetched, FetchedBy, GroupCall,
    Known, ListOffsetsPartition, OffsetLookup, ProducePartition, ProduceRequest, ShardReply, ShardRequest,
};

use crate::names::Names;
use crate::words::Words;

/// Bytes of a record's value unless a transcript says otherwise.
const VALUE_BYTES: usize = 100;
const FETCH_BYTES: u32 = 100_000;

/// What is remembered of the questions for their answers, and of the members of groups.
#[derive(Default)]
pub struct Questions {
    /// The partitions that each question is about, in its order.
    partitions: BTreeMap<u64, Vec<TopicPartition>>,
    /// Who joins with a question.
    joins: BTreeMap<u64, String>,
    members: BTreeMap<String, MemberRef>,
}

impl Questions {
    /// The question that a line asks.
    pub fn read(
        &mut self,
        number: u64,
        words: &mut Words<'_>,
        names: &Names,
        wall: TimestampMs,
    ) -> ShardRequest {
        match words.word() {
            "produce" => self.produce(number, words, names, wall),
            "fetch" => self.fetch(number, words, names),
            "offset" => list_offset(words, names),
            "delete" if words.has("records") => {
                words.expect("of");
                let partition = names.partition(words.word());
                words.expect("before");
                let before = Some(Offset(words.parse()));
                self.partitions.insert(number, vec![partition]);
                ShardRequest::DeleteRecords(vec![DeleteRecordsPartition { partition, before }])
            }
            "delete" => {
                words.expect("topic");
                let topics = vec![TopicName::Name(words.word().to_owned())];
                ShardRequest::Controller(ControllerRequest::DeleteTopics { topics })
            }
            "create" => {
                words.expect("topic");
                let topics = vec![new_topic(words)];
                ShardRequest::Controller(ControllerRequest::CreateTopics { topics, validate_only: false })
            }
            "describe" => {
                let partition = names.partition(words.word());
                self.partitions.insert(number, vec![partition]);
                ShardRequest::DescribePartitions(vec![partition])
            }
            "list" => {
                words.expect("groups");
                ShardRequest::ListGroups
            }
            "group" => {
                let request = self.group(number, words, names);
                let partition = names.partition(&format!("{OFFSETS_TOPIC}-0"));
                ShardRequest::Groups(vec![GroupCall { partition, request }])
            }
            other => panic!("'{other}' is no question"),
        }
    }

    /// `produce 3 records [of 100 bytes] to t-0 [and 2 records to t-1] [with acks 0] [as producer 7 from sequence 0]`
    fn produce(
        &mut self,
        number: u64,
        words: &mut Words<'_>,
        names: &Names,
        wall: TimestampMs,
    ) -> ShardRequest {
        let mut request = ProduceRequest {
            partitions: Vec::new(),
            zstd_allowed: true,
            acks: Acks::All,
            timeout_ms: 30_000,
        };
        let mut batches = Vec::new();
        loop {
            let count: usize = words.parse();
            let _ = words.has("records") || words.has("record");
            let bytes = if words.has("of") { words.parse() } else { VALUE_BYTES };
            let _ = words.has("bytes");
            words.expect("to");
            batches.push((names.partition(words.word()), count, bytes));
            if !words.has("and") {
                break;
            }
        }
        if words.has("with acks 0") {
            request.acks = Acks::None;
        }
        let producer = words.has("as producer").then(|| {
            let id = ProducerId(words.parse());
            words.expect("from sequence");
            (id, words.parse())
        });
        for (partition, count, bytes) in &batches {
            let records = batch(*count, *bytes, wall, producer);
            let part = ProducePartition { partition: *partition, records, inside: Inside::Unread };
            request.partitions.push(part);
        }
        self.partitions.insert(number, batches.into_iter().map(|(partition, ..)| partition).collect());
        ShardRequest::Produce(request)
    }

    /// `fetch t-0 from 3 [and t-1 from 0] [up to 5000 bytes] [wait 500 ms [for 200 bytes]]`
    fn fetch(&mut self, number: u64, words: &mut Words<'_>, names: &Names) -> ShardRequest {
        let mut asked = Vec::new();
        loop {
            let partition = names.partition(words.word());
            words.expect("from");
            asked.push((partition, Offset(words.parse())));
            if !words.has("and") {
                break;
            }
        }
        let bytes_max = if words.has("up to") { words.parse() } else { FETCH_BYTES };
        let _ = words.has("bytes");
        let wait_ms_max = if words.has("wait") { words.parse() } else { 0 };
        let _ = words.has("ms");
        let bytes_min = if words.has("for") { words.parse() } else { 1 };
        let _ = words.has("bytes");
        let partitions = asked.iter().map(|(partition, offset)| FetchPartition {
            partition: *partition,
            offset: *offset,
            current_leader_epoch: LeaderEpoch(-1),
            last_fetched_epoch: LeaderEpoch(-1),
            bytes_max,
            known: Known::NOTHING,
        });
        let partitions: Arc<Vec<FetchPartition>> = Arc::new(partitions.collect());
        let count = u32::try_from(partitions.len()).expect("few");
        self.partitions.insert(number, asked.into_iter().map(|(partition, _)| partition).collect());
        ShardRequest::Fetch(FetchRequest {
            partitions,
            first: 0,
            wait_ms_max,
            bytes_min,
            bytes_max: count * bytes_max,
            read_committed: false,
            by: FetchedBy::Client,
        })
    }

    /// `group g: join as anna | sync as anna | heartbeat as anna | commit 5 for t-0 [as anna] | show offsets`
    fn group(&mut self, number: u64, words: &mut Words<'_>, names: &Names) -> GroupRequest {
        let group: Arc<str> = words.word().trim_end_matches(':').into();
        match words.word() {
            "join" => {
                words.expect("as");
                let name = words.word().to_owned();
                let member_id = self.members.get(&name).map_or("".into(), |it| Arc::clone(&it.member_id));
                self.joins.insert(number, name);
                GroupRequest::Join(JoinRequest {
                    group,
                    member_id,
                    instance_id: None,
                    client_id: "client".into(),
                    client_host: "/127.0.0.1".into(),
                    session_timeout_ms: 10_000,
                    rebalance_timeout_ms: 10_000,
                    protocol_type: "consumer".into(),
                    protocols: vec![("range".into(), Bytes::new())],
                    id_required: false,
                    can_skip_assignment: false,
                })
            }
            "sync" => GroupRequest::Sync(SyncRequest {
                group,
                member: self.member(words),
                protocol_type: None,
                protocol: None,
                assignments: self
                    .members
                    .values()
                    .map(|it| (Arc::clone(&it.member_id), Bytes::new()))
                    .collect(),
            }),
            "heartbeat" => GroupRequest::Heartbeat { group, member: self.member(words) },
            "commit" => {
                let offset = words.parse();
                words.expect("for");
                let partition = words.word();
                let id = names.partition(partition);
                let topic = partition.rsplit_once('-').map_or(partition, |(topic, _)| topic);
                GroupRequest::CommitOffsets(CommitRequest {
                    group,
                    member: self.member(words),
                    retention_ms: None,
                    knows_group_id_not_found: true,
                    partitions: vec![CommitPartition {
                        topic: topic.into(),
                        topic_id: id.topic,
                        partition: id.partition.0,
                        offset,
                        leader_epoch: -1,
                        metadata: "".into(),
                    }],
                })
            }
            "show" => {
                words.expect("offsets");
                GroupRequest::FetchOffsets(FetchOffsetsRequest { group, member: None, partitions: None })
            }
            other => panic!("'{other}' is nothing to ask of a group"),
        }
    }

    /// Who asks: a member by its name, or somebody from outside.
    fn member(&self, words: &mut Words<'_>) -> MemberRef {
        if words.has("as") {
            let name = words.word();
            return self.members.get(name).unwrap_or_else(|| panic!("'{name}' has not joined")).clone();
        }
        MemberRef { generation: -1, member_id: "".into(), instance_id: None }
    }

    /// An answer in words, a line for each thing that was asked.
    pub fn show(&mut self, number: u64, reply: &ShardReply, names: &Names) -> Vec<String> {
        let partitions = self.partitions.remove(&number).unwrap_or_default();
        let name = |index: usize| partitions.get(index).map(|it| names.of(*it)).unwrap_or_default();
        match reply {
            ShardReply::Produce(results) => lines(results.iter().map(|result| match &result.outcome {
                Ok(appended) => {
                    format!("{} has them from offset {}", names.of(result.partition), appended.base_offset)
                }
                Err(error) => format!("{} refuses: {error}", names.of(result.partition)),
            })),
            ShardReply::Fetch(results) if results.is_empty() => vec!["nothing new".to_owned()],
            ShardReply::Fetch(results) => {
                lines(results.iter().map(|it| fetched(it, &name(it.index as usize))))
            }
            ShardReply::ListOffsets(results) => lines(results.iter().map(|result| match result {
                Ok(listed) => format!("offset {}", listed.offset),
                Err(error) => format!("refused: {error}"),
            })),
            ShardReply::DeleteRecords(results) => {
                lines(results.iter().enumerate().map(|(index, result)| match result {
                    Ok(start) => format!("{} starts at {start}", name(index)),
                    Err(error) => format!("{} refuses: {error}", name(index)),
                }))
            }
            ShardReply::DescribePartitions(results) => {
                lines(results.iter().enumerate().map(|(index, result)| match result {
                    Ok(facts) => format!("{} holds {} bytes", name(index), facts.size_bytes),
                    Err(error) => format!("{} refuses: {error}", name(index)),
                }))
            }
            ShardReply::Groups(replies) => lines(replies.iter().map(|it| self.of_group(number, it))),
            ShardReply::ListGroups(Ok(listed)) => {
                vec![format!("groups: {}", listed.iter().map(|it| &*it.group).collect::<Vec<_>>().join(", "))]
            }
            ShardReply::ListGroups(Err(error)) => vec![format!("refused: {error}")],
            ShardReply::Controller(reply) => controlled(reply),
            #[allow(unreachable_patterns, reason = "kinds that nothing here asks for")]
            other => panic!("{other:?}"),
        }
    }

    fn of_group(&mut self, number: u64, reply: &GroupReply) -> String {
        let refused = |error: &dyn std::fmt::Display| format!("refused: {error}");
        match reply {
            GroupReply::Join(Ok(joined)) => {
                let name = self.joins.remove(&number).expect("somebody joins");
                let member = MemberRef {
                    generation: joined.generation,
                    member_id: Arc::clone(&joined.member_id),
                    instance_id: None,
                };
                self.members.insert(name.clone(), member);
                let leads = if joined.leader == joined.member_id { " and leads it" } else { "" };
                format!("{name} is in generation {}{leads}", joined.generation)
            }
            GroupReply::Join(Err(error)) => refused(&error.error),
            GroupReply::Sync(Ok(_)) => "the assignment".to_owned(),
            GroupReply::Heartbeat(Ok(())) => "in order".to_owned(),
            GroupReply::CommitOffsets(Ok(results)) => match &results[0] {
                Ok(()) => "committed".to_owned(),
                Err(error) => refused(error),
            },
            GroupReply::FetchOffsets(Ok(offsets)) => {
                let shown =
                    offsets.iter().map(|it| format!("{}-{} at {}", it.topic, it.partition, it.offset));
                format!("committed: {}", shown.collect::<Vec<_>>().join(", "))
            }
            GroupReply::Sync(Err(error))
            | GroupReply::Heartbeat(Err(error))
            | GroupReply::CommitOffsets(Err(error))
            | GroupReply::FetchOffsets(Err(error)) => refused(error),
            other => panic!("{other:?}"),
        }
    }
}

/// `t [of 2 partitions] [with key value]*`
pub fn new_topic(words: &mut Words<'_>) -> NewTopic {
    let name = words.word().to_owned();
    let partitions = if words.has("of") { words.parse() } else { 1 };
    let _ = words.has("partitions");
    let _ = words.has("partition");
    let mut configs = BTreeMap::new();
    while words.has("with") {
        configs.insert(words.word().to_owned(), Some(words.word().to_owned()));
    }
    let internal = name == OFFSETS_TOPIC;
    NewTopic { name, partitions, replication_factor: 1, assignments: Vec::new(), configs, internal }
}

fn list_offset(words: &mut Words<'_>, names: &Names) -> ShardRequest {
    words.expect("of");
    let partition = names.partition(words.word());
    let lookup = match words.word() {
        "latest" => OffsetLookup::Latest,
        "earliest" => OffsetLookup::Earliest,
        "since" => OffsetLookup::AtOrAfter(TimestampMs(words.parse())),
        other => panic!("'{other}' is no offset"),
    };
    let current_leader_epoch = LeaderEpoch(-1);
    let asked = ListOffsetsPartition { partition, current_leader_epoch, lookup, read_committed: false };
    ShardRequest::ListOffsets(vec![asked])
}

/// Records with the keys `k0`, `k1`, and so on, the same each time.
fn batch(count: usize, bytes: usize, wall: TimestampMs, producer: Option<(ProducerId, i32)>) -> Bytes {
    let mut builder = BatchBuilder::new(wall);
    if let Some((id, sequence)) = producer {
        builder = builder.producer(id, ProducerEpoch(0), sequence);
    }
    for index in 0..count {
        builder.append(Some(format!("k{index}").as_bytes()), Some(&vec![b'x'; bytes]));
    }
    builder.finish().expect("not empty").into()
}

fn fetched(result: &FetchResult, name: &str) -> String {
    match &result.outcome {
        Ok(fetched) => {
            let bounds = format!("the log goes from {} to {}", fetched.log_start, fetched.high_watermark);
            format!("{name}: {}; {bounds}", offsets_of(fetched))
        }
        Err(error) => format!("{name} refuses: {error}"),
    }
}

fn offsets_of(fetched: &Fetched) -> String {
    let bytes: Vec<u8> = fetched.records.iter().flat_map(|piece| piece.iter().copied()).collect();
    let mut rest = &bytes[..];
    let mut batches = Vec::new();
    while let Ok(header) = BatchHeader::parse(rest) {
        batches.push((header.base_offset, header.last_offset()));
        rest = rest.get(header.total_bytes()..).unwrap_or_default();
    }
    match (batches.first(), batches.last()) {
        (Some((first, _)), Some((_, last))) => format!("offsets {first} to {last}"),
        _ => "no records".to_owned(),
    }
}

fn controlled(reply: &ControllerReply) -> Vec<String> {
    match reply {
        ControllerReply::CreateTopics(results) => lines(results.iter().map(|result| match result {
            Ok(created) => format!("created, {} partitions", created.partitions),
            Err(error) => format!("refused: {error}"),
        })),
        ControllerReply::DeleteTopics(results) => lines(results.iter().map(|result| match result {
            Ok(deleted) => format!("deleted {}", deleted.name),
            Err(error) => format!("refused: {error}"),
        })),
        other => panic!("{other:?}"),
    }
}

fn lines(of: impl Iterator<Item = String>) -> Vec<String> {
    of.collect()
}
