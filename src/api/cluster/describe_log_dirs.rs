//! DescribeLogDirs (35), versions 1-5: one data directory, with what each partition takes that the connection answers for.
//!
//! Tools ask all nodes and add up.
//!
//! - v3: a top-level error, never used. v4: size and room of the file system. v5: directories that take no new replicas;
//!   there are none. Partitions nobody knows are left out, as in Kafka.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::base::PartitionIndex;
use crate::controller::TopicImage;
use crate::protocol::messages::describe_log_dirs_response::{
    DescribeLogDirsPartition, DescribeLogDirsResult, DescribeLogDirsTopic,
};
use crate::protocol::messages::{DescribeLogDirsRequest, DescribeLogDirsResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};
use crate::shard::ShardRequest;

use super::nodes::answers_for;
use crate::api::answer::{AnswerForm, decode};
use crate::api::split::{Split, ask_all};
use crate::api::topic_key::TopicKey;
use crate::api::{Api, ApiError, Context, Step, Wait};

const SPACE_FROM: i16 = 4;
/// Kafka's word for "not known".
const UNKNOWN_BYTES: i64 = -1;

pub const API: Api = Api::new(ApiKey::DescribeLogDirs, 1..=5, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: DescribeLogDirsRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let mut split = Split::new(context.image);
    for (name, indexes) in asked(context, &request) {
        split.topic(TopicKey::Name(&name), indexes.len());
        for index in indexes {
            split.partition(index, Ok);
        }
    }
    let (calls, slots) = split.finish();
    Ok(ask_all(context, calls, Wait::All, ShardRequest::describe_partitions, move |context, results| {
        let topics = slots.merge(results, |partition_index, result| {
            let facts = result.ok()?.ok()?;
            let partition_size = i64::try_from(facts.size_bytes).unwrap_or(i64::MAX);
            Some(DescribeLogDirsPartition {
                partition_index,
                partition_size,
                offset_lag: 0,
                is_future_key: false,
            })
        });
        let topics = topics.map(|(topic, partitions)| DescribeLogDirsTopic {
            name: (&*topic.name).into(),
            partitions: partitions.into_iter().flatten().collect(),
        });
        let topics = topics.filter(|topic| !topic.partitions.is_empty()).collect();
        let log_dir = context.config.data_dir.display().to_string();
        let known = answer.version >= SPACE_FROM;
        let directory = DescribeLogDirsResult {
            error_code: ErrorCode::None.code(),
            log_dir: log_dir.into(),
            topics,
            total_bytes: if known { context.disk.total_bytes } else { UNKNOWN_BYTES },
            usable_bytes: if known { context.disk.usable_bytes } else { UNKNOWN_BYTES },
            is_cordoned: false,
        };
        answer.send(&DescribeLogDirsResponse { throttle_time_ms: 0, error_code: 0, results: vec![directory] })
    }))
}

/// Existing partitions that are asked for and answered for, by topic, each once.
fn asked(context: &Context<'_>, request: &DescribeLogDirsRequest<'_>) -> BTreeMap<String, BTreeSet<i32>> {
    let mut wanted: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    let is_ours = |topic: &TopicImage, index: i32| {
        let partition = topic.partition(PartitionIndex(index));
        let shard = partition.and_then(|partition| context.image.replica_here(partition));
        shard.is_some_and(|shard| answers_for(context, shard))
    };
    match &request.topics {
        None => {
            for topic in context.image.topics.values() {
                let indexes = topic.partition_ids().map(|partition| partition.partition.0);
                wanted
                    .insert(topic.name.to_string(), indexes.filter(|index| is_ours(topic, *index)).collect());
            }
        }
        Some(topics) => {
            for topic in topics {
                let Some(known) = context.image.topic(&topic.topic) else { continue };
                let exists = |index: &i32| known.partition(PartitionIndex(*index)).is_some();
                let indexes = topic.partitions.iter().copied().filter(exists);
                let indexes = indexes.filter(|index| is_ours(known, *index));
                wanted.entry(topic.topic.to_string()).or_default().extend(indexes);
            }
        }
    }
    wanted
}

#[cfg(test)]
mod tests {
    use crate::api::NodeMeant;
    use crate::api::testing::{Server, read};
    use crate::base::ShardId;
    use crate::controller::View;
    use crate::protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;

    use super::*;

    #[test]
    fn a_core_tells_of_its_own_partitions() {
        let sizes = |core: Option<u16>| {
            let mut server = Server::new();
            server.create("a", 4);
            if let Some(core) = core {
                server.connection.view = View::ShardPorts;
                server.connection.node = NodeMeant::Shard(ShardId(core));
            }
            let body = server.call(start, 4, &DescribeLogDirsRequest { topics: None });
            let answer: DescribeLogDirsResponse<'_> = read(&body, 4);
            let topics = answer.results[0].topics.iter();
            topics.flat_map(|topic| &topic.partitions).map(|it| it.partition_index).collect::<Vec<_>>()
        };
        // The canned shards have lost odd partitions, which are those of the first core: homes begin at 3.
        assert_eq!(sizes(None), [0, 2]);
        assert_eq!(sizes(Some(0)), Vec::<i32>::new());
        assert_eq!(sizes(Some(1)), [0, 2]);
        assert_eq!(sizes(Some(2)), Vec::<i32>::new());
    }

    #[test]
    fn sizes_are_told_in_all_versions() {
        for version in 1..=5 {
            let mut server = Server::new();
            server.create("a", 3);
            server.create("b", 1);
            let mut ask = |topics| {
                let body = server.call(start, version, &DescribeLogDirsRequest { topics });
                let answer: DescribeLogDirsResponse<'_> = read(&body, version);
                let [directory] = &answer.results[..] else { panic!("one directory") };
                let space = (directory.total_bytes, directory.usable_bytes);
                assert_eq!(space, if version >= 4 { (1000, 400) } else { (-1, -1) });
                let topics = directory.topics.iter().map(|topic| {
                    let partitions =
                        topic.partitions.iter().map(|it| (it.partition_index, it.partition_size));
                    (topic.name.to_string(), partitions.collect::<Vec<_>>())
                });
                topics.collect::<Vec<_>>()
            };
            // The canned shards have lost odd partitions.
            let all = [("a".to_owned(), vec![(0, 500), (2, 500)]), ("b".to_owned(), vec![(0, 500)])];
            assert_eq!(ask(None), all);
            let some = ["a", "nothing", "a"]
                .map(|topic| DescribableLogDirTopic { topic: topic.into(), partitions: vec![2, 9, 2] });
            assert_eq!(ask(Some(some.into())), [("a".to_owned(), vec![(2, 500)])]);
        }
    }
}
