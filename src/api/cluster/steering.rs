//! Where a connection should live: on the core whose node it names (ApiVersions v5), or else on the shard that owns what its
//! first Produce or Fetch is about. A connection that is meant for the server's one node may be one to a
//! coordinator that the client was told of before it was shown the cores: its first group request steers as well.
//!
//! Only a hint: any shard answers any request.

use bytes::Bytes;

use crate::base::{PartitionIndex, ShardId};
use crate::config::Config;
use crate::controller::{MetadataImage, Place, View};
use crate::protocol::messages::{
    ApiVersionsRequest, ConsumerGroupHeartbeatRequest, FetchRequest, HeartbeatRequest, JoinGroupRequest,
    OffsetCommitRequest, OffsetFetchRequest, ProduceRequest,
};
use crate::protocol::{ApiKey, Message, Reader, RequestHeader};

use super::api_versions::judge;
use super::view::{NodeMeant, view_of};
use crate::api::groups::coordinator::coordinator_shard;
use crate::api::table::served;
use crate::api::topic_key::TopicKey;

/// First versions with topic ids.
const PRODUCE_IDS_FROM: i16 = 13;
const FETCH_IDS_FROM: i16 = 13;

/// The shard that an ApiVersions request names by its node, if this server has it and shows it; `None` for every other
/// request. `frame` is the request without its size prefix.
#[must_use]
pub fn named_shard(frame: &Bytes, image: &MetadataImage, config: &Config) -> Option<ShardId> {
    let mut reader = Reader::new(frame);
    let header = RequestHeader::decode(&mut reader).ok()?;
    if served(&header)?.key != ApiKey::ApiVersions {
        return None;
    }
    let request = ApiVersionsRequest::decode(&mut reader, header.api_version).ok()?;
    let meant = judge(image, header.api_version, &request).ok()?;
    let NodeMeant::Shard(shard) = meant else { return None };
    (shard.0 < image.here.shards && view_of(config, image.here.shards, meant) != View::Server)
        .then_some(shard)
}

/// The one shard that has all that a request is about: the partitions of a Produce or Fetch, the group of a request to a
/// coordinator when the connection leads to the server's one node; `None` for every other request. `frame` is the request
/// without its size prefix.
#[must_use]
pub fn wants_shard(frame: &Bytes, image: &MetadataImage, meant: NodeMeant) -> Option<ShardId> {
    let mut reader = Reader::new(frame);
    let header = RequestHeader::decode(&mut reader).ok()?;
    let mut common = Common { image, shard: None };
    match served(&header)?.key {
        ApiKey::Produce => common.produce(&mut reader, header.api_version)?,
        ApiKey::Fetch => common.fetch(&mut reader, header.api_version)?,
        key if meant == NodeMeant::Server => common.group(&mut reader, key, header.api_version)?,
        _ => return None,
    }
    common.shard
}

/// The shard that all partitions seen so far live on.
struct Common<'a> {
    image: &'a MetadataImage,
    shard: Option<ShardId>,
}

impl Common<'_> {
    fn produce(&mut self, reader: &mut Reader<'_>, version: i16) -> Option<()> {
        let request = ProduceRequest::decode(reader, version).ok()?;
        for topic in &request.topic_data {
            let by_id = version >= PRODUCE_IDS_FROM;
            let key = if by_id { TopicKey::Id(topic.topic_id) } else { TopicKey::Name(&topic.name) };
            self.topic(key, topic.partition_data.iter().map(|data| data.index))?;
        }
        Some(())
    }

    fn fetch(&mut self, reader: &mut Reader<'_>, version: i16) -> Option<()> {
        let request = FetchRequest::decode(reader, version).ok()?;
        for topic in &request.topics {
            let by_id = version >= FETCH_IDS_FROM;
            let key = if by_id { TopicKey::Id(topic.topic_id) } else { TopicKey::Name(&topic.topic) };
            self.topic(key, topic.partitions.iter().map(|asked| asked.partition))?;
        }
        Some(())
    }

    fn group(&mut self, reader: &mut Reader<'_>, key: ApiKey, version: i16) -> Option<()> {
        let group = match key {
            ApiKey::JoinGroup => JoinGroupRequest::decode(reader, version).ok()?.group_id,
            ApiKey::Heartbeat => HeartbeatRequest::decode(reader, version).ok()?.group_id,
            ApiKey::OffsetCommit => OffsetCommitRequest::decode(reader, version).ok()?.group_id,
            ApiKey::ConsumerGroupHeartbeat => {
                ConsumerGroupHeartbeatRequest::decode(reader, version).ok()?.group_id
            }
            ApiKey::OffsetFetch => {
                let mut request = OffsetFetchRequest::decode(reader, version).ok()?;
                request.groups.pop().map_or(request.group_id, |group| group.group_id)
            }
            _ => return None,
        };
        self.shard = Some(coordinator_shard(self.image, &group)?.0);
        Some(())
    }

    /// `None` as soon as a partition is unknown, is led by another server, or lives on another shard than those before.
    fn topic(&mut self, key: TopicKey<'_>, partitions: impl Iterator<Item = i32>) -> Option<()> {
        let topic = match key {
            TopicKey::Name(name) => self.image.topic(name)?,
            TopicKey::Id(id) => self.image.topic_by_id(id)?,
        };
        for index in partitions {
            let Place::Here(owner) = self.image.place(topic.partition(PartitionIndex(index))?) else {
                return None;
            };
            if *self.shard.get_or_insert(owner) != owner {
                return None;
            }
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{home_of, image};
    use crate::protocol::messages::fetch_request::{FetchPartition, FetchTopic};
    use crate::protocol::{encode_request, messages};

    use super::*;

    fn check(partitions: &[i32], want: Option<u16>) {
        let image = image(2, &[("a", 4)]);
        let first = home_of(&image, "a", 0).0;
        let asked = |partition: &i32| FetchPartition { partition: *partition, ..FetchPartition::default() };
        for version in [4, 18] {
            let mut topic =
                FetchTopic { partitions: partitions.iter().map(asked).collect(), ..Default::default() };
            if version < FETCH_IDS_FROM {
                topic.topic = "a".into();
            } else {
                topic.topic_id = image.topic("a").expect("there").id;
            }
            let request = messages::FetchRequest { topics: vec![topic], ..Default::default() };
            let frame = encode_request(ApiKey::Fetch, version, 1, Some("c"), &request).expect("encodes");
            let frame = Bytes::from(frame.to_vec()).slice(4..);
            let wanted = wants_shard(&frame, &image, NodeMeant::Unknown);
            assert_eq!(wanted, want.map(|shard| ShardId(shard ^ first)), "{partitions:?}");
        }
    }

    /// Shards are counted from the one that owns partition 0.
    #[test]
    fn only_requests_for_one_shard_steer() {
        check(&[0, 2], Some(0));
        check(&[1, 3], Some(1));
        check(&[0, 1], None);
        check(&[1, 9], None);
        check(&[], None);
    }

    #[test]
    fn garbage_steers_nowhere() {
        let image = image(2, &[]);
        for frame in [&b""[..], &[0; 7], &[255; 40], &[0, 1, 0, 4, 0, 0, 0, 0, 0, 0, 1]] {
            let frame = Bytes::from_static(frame);
            assert_eq!(wants_shard(&frame, &image, NodeMeant::Server), None);
            assert_eq!(named_shard(&frame, &image, &Config::default()), None);
        }
    }
}
