//! Telling a client that knows the server as one node which core leads what (KIP-951).
//!
//! A client that looks for the cluster is shown one node, connects to it, and names it (ApiVersions v5): from then on the
//! server knows what each of its connections is meant for, and may show it the cores. It learns of them when it asks for
//! metadata on such a connection, which may be minutes later. So the first Produce of an idempotent producer, and the first
//! Fetch, that want a partition of another core than the connection lives on are answered NOT_LEADER_OR_FOLLOWER, with the
//! leader and its address, once for each partition and connection; whoever comes again all the same is served through the
//! mesh.
//!
//! Only clients that act on it are told ([`CLIENTS`]). A client takes a hint only if its leader epoch is newer than what it
//! knows, and a partition has one epoch in every view; therefore who may be told more later is shown no epochs at first
//! ([`epoch_shown`]).
//!
//! # Order
//!
//! A refused batch must not be overtaken by those behind it. An idempotent producer sends several before it hears of the first,
//! and a partition that does not know the producer yet takes whatever sequence it begins with. So once a batch is refused, all
//! with later sequences of the same producer and epoch are refused too, until the refused one comes again: the connection
//! carries requests in the order in which they were sent, so what comes before that was sent before the refusal was heard, and
//! what comes after it is in its place. Such a producer that goes to the new leader comes there with the refused one first.
//! Batches without sequences are not refused: their producer may be set to retry nothing (an idempotent one cannot be), and any
//! error may change the order of what it has in flight. Nothing is ever appended of what is refused. Without acks nothing is
//! refused: nobody would hear it.
//!
//! Limits: [`given::PARTITIONS_MAX`] partitions of a connection; those beyond are served through the mesh without a word.

mod given;

use std::collections::BTreeMap;

use crate::base::{PartitionIndex, ShardId, TopicId, TopicPartition};
use crate::controller::{MetadataImage, PartitionImage, Place, View};
use crate::protocol::messages::{FetchRequest, fetch_response, produce_response};
use crate::record::BatchHeader;

use super::nodes::{Node, node, rack};
use super::view::{NodeMeant, view_of};
use crate::api::{ConnectionState, Context};
pub use given::Hints;

/// Clients that name nodes and act on hints, by the names they give themselves, with the first version (major, minor) that
/// does. Tried: kafka-clients 4.4.0 takes the leader from the answer; franz-go 1.22 asks for metadata at once, because it
/// was shown no epoch before.
const CLIENTS: [(&str, (u32, u32)); 2] = [("apache-kafka-java", (3, 7)), ("kgo", (1, 17))];

/// First versions whose answers have room for a hint.
const PRODUCE_FROM: i16 = 10;
/// Topics go by id in these.
const FETCH_FROM: i16 = 16;

/// Kafka's word for "no epoch".
const NO_EPOCH: i32 = -1;

/// Refused partitions of one request and where they are led.
#[derive(Debug, Default)]
pub(in crate::api) struct Refused {
    leaders: BTreeMap<TopicPartition, Leader>,
    nodes: BTreeMap<ShardId, Node>,
    host: String,
    rack: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::api) struct Leader {
    pub node: i32,
    pub epoch: i32,
}

impl Refused {
    pub fn is_empty(&self) -> bool {
        self.leaders.is_empty()
    }

    /// The leader of a partition that this request was refused.
    pub fn leader(&self, topic: TopicId, index: i32) -> Option<Leader> {
        self.leaders.get(&TopicPartition { topic, partition: PartitionIndex(index) }).copied()
    }

    pub fn fetch_endpoints(&self) -> Vec<fetch_response::NodeEndpoint<'_>> {
        let endpoint = |node: &Node| fetch_response::NodeEndpoint {
            node_id: node.id,
            host: self.host.as_str().into(),
            port: node.port,
            rack: Some(self.rack.as_str().into()),
        };
        self.nodes.values().map(endpoint).collect()
    }

    pub fn produce_endpoints(&self) -> Vec<produce_response::NodeEndpoint<'_>> {
        let endpoint = |node: &Node| produce_response::NodeEndpoint {
            node_id: node.id,
            host: self.host.as_str().into(),
            port: node.port,
            rack: Some(self.rack.as_str().into()),
        };
        self.nodes.values().map(endpoint).collect()
    }

    fn add(&mut self, context: &Context<'_>, partition: TopicPartition, place: OwnedElsewhere<'_>) {
        let node = node(context, place.shard);
        self.leaders.insert(partition, Leader { node: node.id, epoch: place.image.leader_epoch().0 });
        if self.nodes.is_empty() {
            self.host.clone_from(&context.connection.advertised_host);
            self.rack = rack(context);
        }
        self.nodes.insert(place.shard, node);
    }
}

/// A partition that another shard than the connection's owns.
#[derive(Clone, Copy)]
struct OwnedElsewhere<'a> {
    shard: ShardId,
    image: &'a PartitionImage,
}

fn elsewhere(image: &MetadataImage, partition: TopicPartition, here: ShardId) -> Option<OwnedElsewhere<'_>> {
    let topic = image.topic_by_id(partition.topic)?;
    let partition = topic.partition(partition.partition)?;
    match image.place(partition) {
        Place::Here(shard) if shard != here => Some(OwnedElsewhere { shard, image: partition }),
        Place::Here(_) | Place::Elsewhere(_) | Place::Nobody => None,
    }
}

/// The partitions of a Fetch that are refused, each for the first time on its connection.
pub(in crate::api) fn of_fetch(
    context: &mut Context<'_>,
    version: i16,
    request: &FetchRequest<'_>,
) -> Refused {
    let (image, mut refused) = (context.image, Refused::default());
    if version < FETCH_FROM || !takes_hints(context.connection) {
        return refused;
    }
    for topic in &request.topics {
        for asked in &topic.partitions {
            let partition =
                TopicPartition { topic: topic.topic_id, partition: PartitionIndex(asked.partition) };
            let Some(place) = elsewhere(image, partition, context.shard) else { continue };
            if context.connection.hints.refuses_fetch(partition) {
                refused.add(context, partition, place);
            }
        }
    }
    refused
}

/// The refusals of a Produce request.
pub(in crate::api) struct OfProduce {
    is_asked: bool,
    pub refused: Refused,
}

impl OfProduce {
    pub fn new(context: &Context<'_>, version: i16, acks: i16) -> OfProduce {
        let is_asked = version >= PRODUCE_FROM && acks != 0 && takes_hints(context.connection);
        OfProduce { is_asked, refused: Refused::default() }
    }

    /// Whether a batch is to be refused. What is no batch is left to its partition to refuse.
    pub fn refuses(&mut self, context: &mut Context<'_>, partition: TopicPartition, records: &[u8]) -> bool {
        if !self.is_asked {
            return false;
        }
        let image = context.image;
        let place = elsewhere(image, partition, context.shard);
        let (Some(place), Ok(batch)) = (place, BatchHeader::parse(records)) else { return false };
        let refuses = context.connection.hints.refuses_produce(partition, &batch);
        if refuses {
            self.refused.add(context, partition, place);
        }
        refuses
    }
}

/// A client that has named the server's one node, is shown the cores' from then on, and acts on hints.
fn takes_hints(connection: &ConnectionState) -> bool {
    connection.node == NodeMeant::Server && connection.view != View::Server && is_known(connection)
}

/// The epoch that Metadata shows of a partition: none to who may be given hints later.
pub(in crate::api) fn epoch_shown(context: &Context<'_>, partition: &PartitionImage) -> i32 {
    let connection = &*context.connection;
    let later = view_of(context.config, context.image.here.shards, NodeMeant::Server);
    let may_be_told = connection.node == NodeMeant::Unnamed && later != connection.view;
    if may_be_told && is_known(connection) { NO_EPOCH } else { partition.leader_epoch().0 }
}

fn is_known(connection: &ConnectionState) -> bool {
    let client = CLIENTS.iter().find(|(name, _)| *name == connection.software_name);
    client.is_some_and(|(_, from)| version_of(&connection.software_version).is_some_and(|it| it >= *from))
}

/// Major and minor of a version such as `4.4.0` or `v1.22.3`.
fn version_of(text: &str) -> Option<(u32, u32)> {
    let mut numbers =
        text.strip_prefix('v').unwrap_or(text).split(['.', '-']).map(|number| number.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

#[cfg(test)]
mod tests {
    use crate::api::data::{fetch, produce};
    use crate::api::testing::{Server, image, read};
    use crate::api::topics::metadata;
    use crate::base::{Offset, TimestampMs};
    use crate::protocol::Records;
    use crate::protocol::messages::fetch_request::{FetchPartition, FetchTopic};
    use crate::protocol::messages::metadata_request::MetadataRequestTopic;
    use crate::protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
    use crate::protocol::messages::{
        FetchResponse, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
    };
    use crate::record::BatchBuilder;

    use crate::base::{ProducerEpoch, ProducerId};

    use super::*;

    /// A server whose connection, on shard 1, has named the server's node.
    fn server(client: &str, version: &str) -> Server {
        let mut server = Server::new();
        // It takes the first home, so that the next one, on shard 0, is partition 0's.
        server.create("before", 1);
        server.create("a", 4);
        server.connection.software_name = client.into();
        server.connection.software_version = version.into();
        server.connection.node = NodeMeant::Server;
        server.connection.view = View::Shards;
        let image = server.controller.image();
        let place = TopicPartition { topic: topic(&server), partition: PartitionIndex(ELSEWHERE) };
        assert!(elsewhere(&image, place, ShardId(1)).is_some());
        server
    }

    fn topic(server: &Server) -> TopicId {
        server.controller.image().topic("a").expect("created").id
    }

    /// A partition that shard 0 owns and that the canned shards have not lost.
    const ELSEWHERE: i32 = 0;

    fn batch(producer: i64, epoch: i16, sequence: i32) -> Vec<u8> {
        let mut batch = BatchBuilder::new(TimestampMs(1)).placed(Offset(0), crate::base::LeaderEpoch(0));
        if producer >= 0 {
            batch = batch.producer(ProducerId(producer), ProducerEpoch(epoch), sequence);
        }
        batch.append(None, Some(b"v"));
        batch.finish().expect("a small batch")
    }

    /// What a batch of the partition elsewhere is answered: its error and who leads.
    fn produce(server: &mut Server, version: i16, acks: i16, batch: &[u8]) -> (i16, i32) {
        let data = PartitionProduceData { index: ELSEWHERE, records: Records::Borrowed(batch) };
        let mut topic_data = TopicProduceData { partition_data: vec![data], ..TopicProduceData::default() };
        if version >= 13 {
            topic_data.topic_id = topic(server);
        } else {
            topic_data.name = "a".into();
        }
        let request = ProduceRequest { acks, topic_data: vec![topic_data], ..ProduceRequest::default() };
        let body = server.call(produce::start, version, &request);
        let answer: ProduceResponse<'_> = read(&body, version);
        let partition = &answer.responses[0].partition_responses[0];
        let leader = partition.current_leader.leader_id;
        let endpoints: Vec<_> = answer.node_endpoints.iter().map(|it| (it.node_id, it.port)).collect();
        assert_eq!(endpoints, if leader >= 0 { vec![(leader, 9092)] } else { vec![] });
        assert_eq!(partition.current_leader.leader_epoch >= 0, leader >= 0);
        assert_eq!(partition.base_offset >= 0, partition.error_code == 0);
        (partition.error_code, leader)
    }

    const REFUSED: (i16, i32) = (6, 1001);
    const TAKEN: (i16, i32) = (0, -1);

    #[test]
    fn a_partition_is_refused_once() {
        for version in [10, 12, 13] {
            let mut server = server("apache-kafka-java", "4.4.0");
            assert_eq!(produce(&mut server, version, -1, &batch(7, 0, 0)), REFUSED, "version {version}");
            assert_eq!(produce(&mut server, version, -1, &batch(7, 0, 0)), TAKEN);
        }
    }

    #[test]
    fn only_those_are_refused_that_act_on_it() {
        let check = |mut server: Server, version| {
            assert_eq!(produce(&mut server, version, 1, &batch(7, 0, 0)), TAKEN);
        };
        check(server("apache-kafka-java", "4.4.0"), 9);
        check(server("apache-kafka-java", "3.6.2"), 12);
        check(server("kgo", "unknown"), 12);
        check(server("somebody", "4.4.0"), 12);
        for (node, view) in [
            (NodeMeant::Unnamed, View::Server),
            (NodeMeant::Server, View::Server),
            (NodeMeant::Shard(ShardId(1)), View::Shards),
        ] {
            let mut other = server("kgo", "v1.22.3");
            (other.connection.node, other.connection.view) = (node, view);
            check(other, 12);
        }
        assert_eq!(produce(&mut server("kgo", "v1.22.3"), 12, 1, &batch(7, 0, 0)), REFUSED);
        // Without idempotence it may be set to retry nothing, and its order would not survive it.
        assert_eq!(produce(&mut server("kgo", "v1.22.3"), 12, 1, &batch(-1, -1, -1)), TAKEN);
        assert_eq!(produce(&mut server("kgo", "v1.22.3"), 12, 1, b"no batch"), TAKEN);
    }

    #[test]
    fn what_was_sent_behind_a_refused_batch_is_refused_until_that_comes_again() {
        let mut server = server("apache-kafka-java", "4.4.0");
        let ask = |server: &mut Server, epoch, sequence| produce(server, 12, -1, &batch(7, epoch, sequence));
        assert_eq!(ask(&mut server, 0, 0), REFUSED);
        assert_eq!(ask(&mut server, 0, 5), REFUSED);
        assert_eq!(ask(&mut server, 0, 9), REFUSED);
        for sequence in [0, 5, 9] {
            assert_eq!(ask(&mut server, 0, sequence), TAKEN, "sequence {sequence}");
        }
        let mut bumped = super::tests::server("apache-kafka-java", "4.4.0");
        assert_eq!(ask(&mut bumped, 0, 3), REFUSED);
        assert_eq!(ask(&mut bumped, 1, 0), TAKEN);
    }

    #[test]
    fn fetches_are_refused_once_and_not_held_up() {
        for (version, first) in [(15, (0, -1)), (16, REFUSED), (18, REFUSED)] {
            let mut server = server("apache-kafka-java", "4.4.0");
            let ask = |server: &mut Server| {
                let asked = FetchPartition {
                    partition: ELSEWHERE,
                    fetch_offset: 6,
                    partition_max_bytes: 100,
                    ..FetchPartition::default()
                };
                let topic =
                    FetchTopic { topic_id: topic(server), partitions: vec![asked], ..FetchTopic::default() };
                let request = FetchRequest {
                    topics: vec![topic],
                    max_bytes: 1000,
                    max_wait_ms: 500,
                    session_epoch: -1,
                    ..FetchRequest::default()
                };
                let body = server.call(fetch::start, version, &request);
                let answer: FetchResponse<'_> = read(&body, version);
                let partition = &answer.responses[0].partitions[0];
                let endpoints: Vec<_> = answer.node_endpoints.iter().map(|it| it.node_id).collect();
                let leader = partition.current_leader.leader_id;
                assert_eq!(endpoints, if leader >= 0 { vec![leader] } else { vec![] });
                (partition.error_code, leader)
            };
            assert_eq!(ask(&mut server), first, "version {version}");
            assert_eq!(ask(&mut server), TAKEN, "version {version}");
        }
    }

    #[test]
    fn who_may_be_told_more_is_shown_no_epoch() {
        let check = |client: &str, node, view, shown: bool| {
            let mut server = server(client, "4.4.0");
            (server.connection.node, server.connection.view) = (node, view);
            let topic = MetadataRequestTopic { name: Some("a".into()), ..MetadataRequestTopic::default() };
            let request = MetadataRequest { topics: Some(vec![topic]), ..MetadataRequest::default() };
            let body = server.call(metadata::start, 13, &request);
            let answer: MetadataResponse<'_> = read(&body, 13);
            let epochs = answer.topics[0].partitions.iter().map(|it| it.leader_epoch >= 0);
            assert!(
                epochs.clone().all(|it| it == shown),
                "{client} {node:?} {:?}",
                epochs.collect::<Vec<_>>()
            );
        };
        check("apache-kafka-java", NodeMeant::Unnamed, View::Server, false);
        check("kgo", NodeMeant::Unnamed, View::Server, false);
        check("somebody", NodeMeant::Unnamed, View::Server, true);
        check("apache-kafka-java", NodeMeant::Unknown, View::Server, true);
        check("apache-kafka-java", NodeMeant::Server, View::Shards, true);
        check("apache-kafka-java", NodeMeant::Shard(ShardId(0)), View::Shards, true);
    }

    #[test]
    fn a_connection_is_told_of_so_many_partitions() {
        let count = i32::try_from(given::PARTITIONS_MAX).expect("a small number") + 1;
        let image = image(2, &[("a", count)]);
        let topic = image.topic("a").expect("created").id;
        let mut hints = Hints::default();
        let partitions = (0..count).map(|index| TopicPartition { topic, partition: PartitionIndex(index) });
        let refused = partitions.filter(|partition| hints.refuses_fetch(*partition)).count();
        assert_eq!(refused, given::PARTITIONS_MAX);
    }

    #[test]
    fn versions_are_read_with_what_surrounds_them() {
        let check = |text, version| assert_eq!(version_of(text), version, "{text}");
        check("4.4.0", Some((4, 4)));
        check("v1.22.3", Some((1, 22)));
        check("3.7-rc1", Some((3, 7)));
        check("unknown", None);
        check("4", None);
    }
}
