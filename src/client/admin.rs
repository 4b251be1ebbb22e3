//! Topics and their configs.

use std::borrow::Cow;
use std::fmt;
use std::time::{Duration, Instant};

use crate::base::{NodeId, TopicId};
use crate::protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey};
use crate::protocol::messages::create_partitions_request::CreatePartitionsTopic;
use crate::protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use crate::protocol::messages::delete_topics_request::DeleteTopicState;
use crate::protocol::messages::describe_configs_request::DescribeConfigsResource;
use crate::protocol::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use crate::protocol::messages::{
    ApiVersionsRequest, ApiVersionsResponse, CreatePartitionsRequest, CreatePartitionsResponse,
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    DescribeConfigsRequest, DescribeConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};
use crate::protocol::{ApiKey, ErrorCode, Message};

use super::cluster::{Cluster, Missing, TopicView};
use super::connection::Response;
use super::error::{ClientError, check_code};

/// Kafka's resource types in config requests.
const RESOURCE_TOPIC: i8 = 2;
const RESOURCE_BROKER: i8 = 4;
const RESOURCE_CLIENT_METRICS: i8 = 16;
const RESOURCE_GROUP: i8 = 32;
/// Kafka's operations on a config.
const OP_SET: i8 = 0;
const OP_DELETE: i8 = 1;
/// Pause between questions whether a topic is ready.
const READY_PAUSE: Duration = Duration::from_millis(50);
/// Kafka's config source "default": nobody has set the value.
const SOURCE_DEFAULT: i8 = 5;
/// Kafka's config source "set for this topic".
const SOURCE_TOPIC: i8 = 1;

/// A topic to be created.
#[derive(Clone, Debug, Default)]
pub struct NewTopic {
    pub name: String,
    /// `None`: the broker's default.
    pub partitions: Option<i32>,
    /// `None`: the broker's default.
    pub replication_factor: Option<i16>,
    pub configs: Vec<(String, String)>,
}

/// A topic as the broker created it; what an old broker does not say is zero or -1.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    pub name: String,
    pub id: TopicId,
    pub partitions: i32,
    pub replication_factor: i16,
}

/// A resource that has configs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConfigResource<'a> {
    Topic(&'a str),
    Broker(NodeId),
    AllBrokers,
    ClientMetrics(&'a str),
    Group(&'a str),
}

impl ConfigResource<'_> {
    fn kind(self) -> i8 {
        match self {
            ConfigResource::Topic(_) => RESOURCE_TOPIC,
            ConfigResource::Broker(_) | ConfigResource::AllBrokers => RESOURCE_BROKER,
            ConfigResource::ClientMetrics(_) => RESOURCE_CLIENT_METRICS,
            ConfigResource::Group(_) => RESOURCE_GROUP,
        }
    }

    fn name(self) -> String {
        match self {
            ConfigResource::Topic(name)
            | ConfigResource::ClientMetrics(name)
            | ConfigResource::Group(name) => name.to_owned(),
            ConfigResource::Broker(node) => node.0.to_string(),
            ConfigResource::AllBrokers => String::new(),
        }
    }
}

impl fmt::Display for ConfigResource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigResource::Topic(name) => write!(f, "topic {name}"),
            ConfigResource::Broker(node) => write!(f, "broker {}", node.0),
            ConfigResource::AllBrokers => f.write_str("all brokers"),
            ConfigResource::ClientMetrics(name) => write!(f, "client metrics {name}"),
            ConfigResource::Group(name) => write!(f, "group {name}"),
        }
    }
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigEntry {
    pub name: String,
    pub value: Option<String>,
    /// Nobody has set the config: the value is a default.
    pub is_default: bool,
    /// The value was set for this topic, not for the broker.
    pub is_topic_override: bool,
    pub is_sensitive: bool,
    pub is_read_only: bool,
    /// Where the value comes from.
    pub source: &'static str,
    /// What the config means; `None` if that was not asked for.
    pub documentation: Option<String>,
}

/// Whether configs are asked for with the text that says what they mean.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Documentation {
    Included,
    LeftOut,
}

/// Whether a change is made, or only checked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Intent {
    Apply,
    Validate,
}

/// Kafka's config sources, by number.
fn source(number: i8) -> &'static str {
    match number {
        1 => "topic",
        2 => "broker",
        3 => "cluster",
        4 => "file",
        SOURCE_DEFAULT => "default",
        7 => "client-metrics",
        8 => "group",
        _ => "unknown",
    }
}

/// The APIs and features of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Served {
    /// Key, lowest and highest version.
    pub apis: Vec<(i16, i16, i16)>,
    /// Finalized features and their levels.
    pub features: Vec<(String, i16)>,
}

/// Administers a cluster.
#[derive(Debug)]
pub struct Admin {
    cluster: Cluster,
    timeout: Duration,
}

impl Admin {
    /// `timeout`: how long the broker may take for a change.
    #[must_use]
    pub fn new(cluster: Cluster, timeout: Duration) -> Admin {
        Admin { cluster, timeout }
    }

    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    pub fn create_topic(&mut self, topic: &NewTopic) -> Result<CreatedTopic, ClientError> {
        let config = |(name, value): &(String, String)| CreatableTopicConfig {
            name: name.clone().into(),
            value: Some(value.clone().into()),
        };
        let request = CreateTopicsRequest {
            topics: vec![CreatableTopic {
                name: topic.name.as_str().into(),
                num_partitions: topic.partitions.unwrap_or(-1),
                replication_factor: topic.replication_factor.unwrap_or(-1),
                configs: topic.configs.iter().map(config).collect(),
                ..Default::default()
            }],
            timeout_ms: self.timeout_ms(),
            ..Default::default()
        };
        self.at_controller(&request, |answer| {
            let response: CreateTopicsResponse<'_> = answer.decode()?;
            let result = response.topics.first().ok_or_else(|| missing(ApiKey::CreateTopics))?;
            check_code(result.error_code, result.error_message.as_deref(), || subject(&topic.name))?;
            Ok(CreatedTopic {
                name: topic.name.clone(),
                id: result.topic_id,
                partitions: result.num_partitions,
                replication_factor: result.replication_factor,
            })
        })
    }

    pub fn delete_topic(&mut self, name: &str) -> Result<(), ClientError> {
        // Version 6 asks for ids or names; earlier ones have a plain list of names.
        let by_state = DeleteTopicState { name: Some(name.into()), topic_id: TopicId::ZERO };
        let version = self.version_at_controller::<DeleteTopicsRequest<'_>>()?;
        let (topics, topic_names) =
            if version >= 6 { (vec![by_state], Vec::new()) } else { (Vec::new(), vec![Cow::Borrowed(name)]) };
        let request = DeleteTopicsRequest { topics, topic_names, timeout_ms: self.timeout_ms() };
        self.at_controller(&request, |answer| {
            let response: DeleteTopicsResponse<'_> = answer.decode()?;
            let result = response.responses.first().ok_or_else(|| missing(ApiKey::DeleteTopics))?;
            check_code(result.error_code, result.error_message.as_deref(), || subject(name))
        })
    }

    /// Every topic, in order of name.
    pub fn list_topics(&mut self) -> Result<Vec<TopicView>, ClientError> {
        self.cluster.all_topics()
    }

    /// One topic with its partitions; one that does not exist is not created.
    pub fn describe_topic(&mut self, name: &str) -> Result<TopicView, ClientError> {
        self.cluster.refresh(Some(&[name]), Missing::Fail)?;
        self.cluster.topic(name).cloned().ok_or_else(|| missing(ApiKey::Metadata))
    }

    /// One topic, once every partition has a leader.
    pub fn ready_topic(&mut self, name: &str, within: Duration) -> Result<TopicView, ClientError> {
        let deadline = Instant::now() + within;
        loop {
            match self.cluster.ready_topic(name, Missing::Fail, within) {
                // Right after its creation, not every broker knows of a topic.
                Err(error)
                    if error.code() == Some(ErrorCode::UnknownTopicOrPartition)
                        && Instant::now() < deadline =>
                {
                    std::thread::sleep(READY_PAUSE);
                }
                result => return result,
            }
        }
    }

    /// A topic's settings, in order of name.
    pub fn topic_configs(&mut self, name: &str) -> Result<Vec<ConfigEntry>, ClientError> {
        self.configs(ConfigResource::Topic(name), Documentation::LeftOut)
    }

    /// All settings, in order of name.
    pub fn configs(
        &mut self,
        resource: ConfigResource<'_>,
        documentation: Documentation,
    ) -> Result<Vec<ConfigEntry>, ClientError> {
        let request = DescribeConfigsRequest {
            resources: vec![DescribeConfigsResource {
                resource_type: resource.kind(),
                resource_name: resource.name().into(),
                configuration_keys: None,
            }],
            include_documentation: documentation == Documentation::Included,
            ..Default::default()
        };
        let answer = match resource {
            ConfigResource::Topic(_)
            | ConfigResource::AllBrokers
            | ConfigResource::ClientMetrics(_)
            | ConfigResource::Group(_) => self.cluster.ask_any(&request)?,
            ConfigResource::Broker(node) => self.cluster.ask(node, &request)?,
        };
        let response: DescribeConfigsResponse<'_> = answer.decode()?;
        let result = response.results.first().ok_or_else(|| missing(ApiKey::DescribeConfigs))?;
        check_code(result.error_code, result.error_message.as_deref(), || resource.to_string())?;
        let mut entries: Vec<ConfigEntry> = result
            .configs
            .iter()
            .map(|config| ConfigEntry {
                name: config.name.clone().into_owned(),
                value: config.value.as_deref().map(str::to_owned),
                is_default: config.config_source == SOURCE_DEFAULT,
                is_topic_override: config.config_source == SOURCE_TOPIC,
                is_sensitive: config.is_sensitive,
                is_read_only: config.read_only,
                source: source(config.config_source),
                documentation: config.documentation.as_deref().map(str::to_owned),
            })
            .collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    /// Sets configs of a topic, and removes those without a value; all of them or none.
    pub fn alter_topic_configs(
        &mut self,
        name: &str,
        changes: &[(String, Option<String>)],
    ) -> Result<(), ClientError> {
        self.alter_configs(ConfigResource::Topic(name), changes, Intent::Apply)
    }

    /// Sets configs, and removes those without a value; all of them or none. With [`Intent::Validate`] the broker only checks
    /// whether that could be done.
    pub fn alter_configs(
        &mut self,
        of: ConfigResource<'_>,
        changes: &[(String, Option<String>)],
        intent: Intent,
    ) -> Result<(), ClientError> {
        let config = |(key, value): &(String, Option<String>)| AlterableConfig {
            name: key.clone().into(),
            config_operation: if value.is_some() { OP_SET } else { OP_DELETE },
            value: value.clone().map(Into::into),
        };
        let resource = AlterConfigsResource {
            resource_type: of.kind(),
            resource_name: of.name().into(),
            configs: changes.iter().map(config).collect(),
        };
        let request = IncrementalAlterConfigsRequest {
            resources: vec![resource],
            validate_only: intent == Intent::Validate,
        };
        self.at_controller(&request, |answer| {
            let response: IncrementalAlterConfigsResponse<'_> = answer.decode()?;
            let result = response.responses.first();
            let result = result.ok_or_else(|| missing(ApiKey::IncrementalAlterConfigs))?;
            check_code(result.error_code, result.error_message.as_deref(), || of.to_string())
        })
    }

    /// The APIs the cluster serves, each with its lowest and highest version, and its features with their levels.
    pub fn served(&mut self) -> Result<Served, ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: "ringmain".into(),
            client_software_version: env!("CARGO_PKG_VERSION").into(),
            ..ApiVersionsRequest::default()
        };
        let answer = self.cluster.ask_any(&request)?;
        let response: ApiVersionsResponse<'_> = answer.decode()?;
        check_code(response.error_code, None, || "the broker's APIs".to_owned())?;
        let api = |it: &ApiVersion| (it.api_key, it.min_version, it.max_version);
        let feature = |it: &FinalizedFeatureKey<'_>| (it.name.clone().into_owned(), it.max_version_level);
        Ok(Served {
            apis: response.api_keys.iter().map(api).collect(),
            features: response.finalized_features.iter().map(feature).collect(),
        })
    }

    /// Adds partitions until there are so many.
    pub fn create_partitions(&mut self, name: &str, count: i32) -> Result<(), ClientError> {
        let topic = CreatePartitionsTopic { name: name.into(), count, assignments: None };
        let request = CreatePartitionsRequest {
            topics: vec![topic],
            timeout_ms: self.timeout_ms(),
            ..Default::default()
        };
        self.at_controller(&request, |answer| {
            let response: CreatePartitionsResponse<'_> = answer.decode()?;
            let result = response.results.first().ok_or_else(|| missing(ApiKey::CreatePartitions))?;
            check_code(result.error_code, result.error_message.as_deref(), || subject(name))
        })
    }

    fn timeout_ms(&self) -> i32 {
        i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX)
    }

    fn version_at_controller<'a, M: Message<'a>>(&mut self) -> Result<i16, ClientError> {
        self.cluster.controller_connection()?.version_up_to::<M>(i16::MAX)
    }

    /// Asks the controller; when it has just moved, finds it and asks once more.
    fn at_controller<'a, M: Message<'a>, T>(
        &mut self,
        request: &M,
        read: impl Fn(&Response) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let result = self.cluster.ask_controller(request).and_then(|answer| read(&answer));
        match result {
            Err(error) if error.code() == Some(ErrorCode::NotController) => {
                self.cluster.refresh(Some(&[]), Missing::Fail)?;
                self.cluster.ask_controller(request).and_then(|answer| read(&answer))
            }
            result => result,
        }
    }
}

fn subject(topic: &str) -> String {
    format!("topic {topic}")
}

fn missing(api: ApiKey) -> ClientError {
    ClientError::Incomplete { api, what: "the topic that was asked about".to_owned() }
}
