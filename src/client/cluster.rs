//! The cluster as its Metadata shows it, and a connection per node.
//!
//! Connections are kept by node id, never by address. The shards of one Ringmain server are nodes of their own at one host
//! and port, and with a connection per node each shard gets only requests for its own partitions. Each connection says which
//! node it is meant for (KIP-1242): a server with one port cannot know that otherwise, and shows its shards only to clients
//! that say it. So Metadata is asked for twice at first: the first answer gives the id of the node that the second
//! connection names.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::base::{LeaderEpoch, NodeId, PartitionIndex, TopicId};
use crate::protocol::messages::metadata_request::MetadataRequestTopic;
use crate::protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::protocol::messages::{MetadataRequest, MetadataResponse};
use crate::protocol::{ApiKey, ErrorCode, Message};

use super::connection::{Connection, ConnectionOptions, Response};
use super::error::{ClientError, check_code};

/// First version of ApiVersions in which a client says which node it means.
const NODES_NAMED_FROM: i16 = 5;
/// Pause between attempts while a topic has no leader yet.
const RETRY_PAUSE: Duration = Duration::from_millis(50);

/// A broker as the cluster names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    pub node: NodeId,
    pub host: String,
    pub port: u16,
    pub rack: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicView {
    pub name: String,
    /// The topic's id; zero if the broker is too old to say it.
    pub id: TopicId,
    pub is_internal: bool,
    /// Ascending, dense from 0 once the topic is complete.
    pub partitions: Vec<PartitionView>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionView {
    pub index: PartitionIndex,
    pub error: Option<ErrorCode>,
    pub leader: Option<NodeId>,
    pub leader_epoch: LeaderEpoch,
    pub replicas: Vec<NodeId>,
    pub isr: Vec<NodeId>,
}

/// What the broker should do about a topic that is asked for and does not exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// Answer with an error.
    Fail,
    /// Create the topic, if the broker's settings allow it.
    Create,
}

/// The last known state of a cluster, and the way to its brokers.
#[derive(Debug)]
pub struct Cluster {
    bootstrap: Vec<String>,
    options: ConnectionOptions,
    /// The connection for requests that any broker answers. The first Metadata is asked for over it.
    seed: Option<Connection>,
    connections: HashMap<NodeId, Connection>,
    id: Option<String>,
    controller: Option<NodeId>,
    brokers: Vec<Broker>,
    topics: HashMap<String, TopicView>,
}

impl Cluster {
    /// Connects to the first of `HOST:PORT[,HOST:PORT…]` that answers.
    pub fn connect(bootstrap: &str, options: ConnectionOptions) -> Result<Cluster, ClientError> {
        let bootstrap: Vec<String> = bootstrap.split(',').map(|address| address.trim().to_owned()).collect();
        if let Some(bad) = bootstrap.iter().find(|address| !is_address(address)) {
            return Err(ClientError::Address(bad.clone()));
        }
        let mut cluster = Cluster {
            bootstrap,
            options,
            seed: None,
            connections: HashMap::new(),
            id: None,
            controller: None,
            brokers: Vec::new(),
            topics: HashMap::new(),
        };
        cluster.refresh(Some(&[]), Missing::Fail)?;
        let names_nodes = cluster.seed.as_ref().and_then(|seed| seed.served(ApiKey::ApiVersions));
        if names_nodes.is_some_and(|(_, newest)| newest >= NODES_NAMED_FROM) {
            cluster.seed = None;
            cluster.refresh(Some(&[]), Missing::Fail)?;
        }
        Ok(cluster)
    }

    #[must_use]
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    #[must_use]
    pub fn brokers(&self) -> &[Broker] {
        &self.brokers
    }

    /// A topic as it was when last asked for.
    #[must_use]
    pub fn topic(&self, name: &str) -> Option<&TopicView> {
        self.topics.get(name)
    }

    /// The leader of a partition as last known.
    #[must_use]
    pub fn leader(&self, topic: &str, partition: PartitionIndex) -> Option<NodeId> {
        self.partition(topic, partition)?.leader
    }

    #[must_use]
    pub fn partition(&self, topic: &str, partition: PartitionIndex) -> Option<&PartitionView> {
        self.topics.get(topic)?.partitions.iter().find(|view| view.index == partition)
    }

    /// Every topic, in order of name.
    pub fn all_topics(&mut self) -> Result<Vec<TopicView>, ClientError> {
        self.refresh(None, Missing::Fail)?;
        let mut topics: Vec<TopicView> = self.topics.values().cloned().collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// Asks for one topic until all its partitions have leaders. A topic that does not exist is an error at once, unless the
    /// broker is asked to create it and does so.
    pub fn ready_topic(
        &mut self,
        name: &str,
        missing: Missing,
        within: Duration,
    ) -> Result<TopicView, ClientError> {
        let deadline = Instant::now() + within;
        loop {
            let error = match self.refresh(Some(&[name]), missing) {
                Ok(()) => match self.complete(name) {
                    Ok(view) => return Ok(view),
                    Err(error) => error,
                },
                Err(error) => error,
            };
            let is_missing =
                error.code() == Some(ErrorCode::UnknownTopicOrPartition) && missing == Missing::Fail;
            if is_missing || !error.is_retriable() || Instant::now() >= deadline {
                return Err(error);
            }
            std::thread::sleep(RETRY_PAUSE);
        }
    }

    /// Asks for the cluster and the named topics (`None`: all). An error about one of the topics is returned after the
    /// rest was taken in.
    pub fn refresh(&mut self, names: Option<&[&str]>, missing: Missing) -> Result<(), ClientError> {
        let topic = |name: &&str| MetadataRequestTopic {
            name: Some((*name).to_owned().into()),
            ..Default::default()
        };
        let request = MetadataRequest {
            topics: names.map(|names| names.iter().map(topic).collect()),
            allow_auto_topic_creation: missing == Missing::Create,
            ..Default::default()
        };
        let answer = self.ask_any(&request)?;
        let response: MetadataResponse<'_> = answer.decode()?;
        check_code(response.error_code, None, || "the cluster".to_owned())?;
        self.take_brokers(&response)?;
        if names.is_none() {
            self.topics.clear();
        }
        let mut first_error = Ok(());
        for topic in &response.topics {
            let taken = self.take_topic(topic);
            first_error = first_error.and(taken);
        }
        first_error
    }

    /// Sends a request to whichever broker answers and returns its answer.
    pub fn ask_any<'a, M: Message<'a>>(&mut self, request: &M) -> Result<Response, ClientError> {
        let had_connection = self.seed.is_some();
        let asked = self.seed_connection()?.call(request);
        match asked {
            Err(error) if breaks_connection(&error) => {
                self.seed = None;
                // A connection may have been closed since it was last used. Only the failure of a new one is an error.
                if !had_connection {
                    return Err(error);
                }
                let fresh = self.seed_connection()?.call(request);
                if fresh.as_ref().is_err_and(breaks_connection) {
                    self.seed = None;
                }
                fresh
            }
            asked => asked,
        }
    }

    /// Sends a request to the controller as last known.
    pub fn ask_controller<'a, M: Message<'a>>(&mut self, request: &M) -> Result<Response, ClientError> {
        let Some(node) = self.controller else { return self.ask_any(request) };
        self.ask(node, request)
    }

    pub(super) fn controller_connection(&mut self) -> Result<&mut Connection, ClientError> {
        match self.controller {
            Some(node) => self.connection(node),
            None => self.seed_connection(),
        }
    }

    /// Sends a request to one node and returns its answer. Nothing else may be in flight there.
    pub fn ask<'a, M: Message<'a>>(&mut self, node: NodeId, request: &M) -> Result<Response, ClientError> {
        let asked = self.connection(node)?.call(request);
        if asked.as_ref().is_err_and(breaks_connection) {
            self.disconnect(node);
        }
        asked
    }

    /// The connection to a node, made if need be.
    pub fn connection(&mut self, node: NodeId) -> Result<&mut Connection, ClientError> {
        if !self.connections.contains_key(&node) {
            let broker = self.brokers.iter().find(|broker| broker.node == node);
            let broker = broker.ok_or_else(|| ClientError::Incomplete {
                api: ApiKey::Metadata,
                what: format!("the address of node {node}"),
            })?;
            let connected = self.connect_to(&broker.clone());
            self.connections.insert(node, connected?);
        }
        Ok(self.connections.get_mut(&node).expect("it was just made if it was missing"))
    }

    /// A connection that exists already.
    pub fn connected(&mut self, node: NodeId) -> Option<&mut Connection> {
        self.connections.get_mut(&node)
    }

    /// Forgets a connection that failed.
    pub fn disconnect(&mut self, node: NodeId) {
        self.connections.remove(&node);
    }

    /// Makes a connection to a broker of this cluster. If its address leads to another cluster by now, all that is known is
    /// forgotten, and the next request goes to the first addresses again.
    fn connect_to(&mut self, broker: &Broker) -> Result<Connection, ClientError> {
        let meant = self.id.as_deref().map(|cluster| (cluster, broker.node));
        let connected = Connection::connect_to(meant, &address_of(broker), &self.options);
        if connected.as_ref().is_err_and(|error| error.code() == Some(ErrorCode::RebootstrapRequired)) {
            self.brokers.clear();
            self.connections.clear();
        }
        connected
    }

    fn seed_connection(&mut self) -> Result<&mut Connection, ClientError> {
        if self.seed.is_none() {
            let known = self.brokers.clone();
            let connected = known.iter().find_map(|broker| self.connect_to(broker).ok());
            self.seed = Some(match connected {
                Some(connected) => connected,
                None => first_answering(self.bootstrap.iter(), &self.options)?,
            });
        }
        Ok(self.seed.as_mut().expect("it was just made if it was missing"))
    }

    fn take_brokers(&mut self, response: &MetadataResponse<'_>) -> Result<(), ClientError> {
        let brokers = response.brokers.iter().map(broker_of).collect::<Result<Vec<Broker>, _>>()?;
        // The connection to a node that has another address now is closed.
        self.connections.retain(|node, connection| {
            brokers.iter().any(|broker| broker.node == *node && address_of(broker) == connection.address())
        });
        self.brokers = brokers;
        self.id = response.cluster_id.as_deref().map(str::to_owned);
        self.controller = (response.controller_id >= 0).then_some(NodeId(response.controller_id));
        Ok(())
    }

    fn take_topic(&mut self, topic: &MetadataResponseTopic<'_>) -> Result<(), ClientError> {
        let name = topic.name.as_deref().unwrap_or_default().to_owned();
        if let Err(error) = check_code(topic.error_code, None, || format!("topic {name}")) {
            self.topics.remove(&name);
            return Err(error);
        }
        let mut partitions: Vec<PartitionView> = topic.partitions.iter().map(partition_of).collect();
        partitions.sort_by_key(|partition| partition.index);
        let view =
            TopicView { name: name.clone(), id: topic.topic_id, is_internal: topic.is_internal, partitions };
        self.topics.insert(name, view);
        Ok(())
    }

    fn complete(&self, name: &str) -> Result<TopicView, ClientError> {
        let unready = |code: ErrorCode, subject: String| ClientError::Kafka { code, subject, message: None };
        let view = self
            .topics
            .get(name)
            .ok_or_else(|| unready(ErrorCode::UnknownTopicOrPartition, format!("topic {name}")))?;
        for partition in &view.partitions {
            if partition.leader.is_none() {
                let subject = format!("{name} partition {}", partition.index);
                return Err(unready(partition.error.unwrap_or(ErrorCode::LeaderNotAvailable), subject));
            }
        }
        if view.partitions.is_empty() {
            return Err(unready(ErrorCode::LeaderNotAvailable, format!("topic {name}")));
        }
        Ok(view.clone())
    }
}

/// Whether an error leaves a connection's stream in an unknown position.
pub(super) fn breaks_connection(error: &ClientError) -> bool {
    matches!(
        error,
        ClientError::Lost { .. }
            | ClientError::Timeout { .. }
            | ClientError::FrameSize { .. }
            | ClientError::Correlation { .. }
            | ClientError::Decode { .. }
    )
}

fn first_answering<'a>(
    addresses: impl Iterator<Item = &'a String>,
    options: &ConnectionOptions,
) -> Result<Connection, ClientError> {
    let mut first_error = None;
    for address in addresses {
        match Connection::connect(address, options) {
            Ok(connection) => return Ok(connection),
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    Err(first_error.unwrap_or_else(|| ClientError::Address(String::new())))
}

/// `HOST:PORT`, where the host may be an IPv6 address in brackets.
fn is_address(text: &str) -> bool {
    text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

fn address_of(broker: &Broker) -> String {
    if broker.host.contains(':') {
        format!("[{}]:{}", broker.host, broker.port)
    } else {
        format!("{}:{}", broker.host, broker.port)
    }
}

fn broker_of(broker: &MetadataResponseBroker<'_>) -> Result<Broker, ClientError> {
    let port = u16::try_from(broker.port).map_err(|_| ClientError::Incomplete {
        api: ApiKey::Metadata,
        what: format!("a port that makes sense; {} does not", broker.port),
    })?;
    Ok(Broker {
        node: NodeId(broker.node_id),
        host: broker.host.clone().into_owned(),
        port,
        rack: broker.rack.as_deref().map(str::to_owned),
    })
}

fn partition_of(partition: &MetadataResponsePartition) -> PartitionView {
    let nodes = |ids: &[i32]| ids.iter().copied().map(NodeId).collect();
    PartitionView {
        index: PartitionIndex(partition.partition_index),
        error: ErrorCode::from_code(partition.error_code).filter(|code| *code != ErrorCode::None),
        leader: (partition.leader_id >= 0).then_some(NodeId(partition.leader_id)),
        leader_epoch: LeaderEpoch(partition.leader_epoch),
        replicas: nodes(&partition.replica_nodes),
        isr: nodes(&partition.isr_nodes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for (text, expected) in [
            ("localhost:9092", true),
            ("[::1]:9092", true),
            ("localhost", false),
            (":9092", false),
            ("localhost:99999", false),
            ("", false),
        ] {
            assert_eq!(is_address(text), expected, "{text}");
        }
        let error = Cluster::connect("localhost", ConnectionOptions::default()).expect_err("no port");
        assert!(error.to_string().contains("HOST:PORT"), "{error}");
    }

    #[test]
    fn a_closed_port_is_named() {
        let address = {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
            listener.local_addr().expect("bound").to_string()
        };
        let error = Cluster::connect(&address, ConnectionOptions::default()).expect_err("nobody listens");
        assert!(
            matches!(&error, ClientError::Connect { address: named, .. } if *named == address),
            "{error}"
        );
    }
}
