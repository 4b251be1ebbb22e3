//! DescribeConfigs (32), versions 1-4.
//!
//! Topics, client metrics and groups: every config Kafka has, as in force, with the places it comes from (the resource's own
//! setting first, then the broker's under the broker's name). Brokers: every setting of this server; any node id of the
//! server names it, and the empty name means what was changed for all brokers. An empty list of keys means all, as null
//! does.
//!
//! - v3: types, and documentation when asked for (KIP-569). v4 is flexible.
//!
//! Not done: log levels (8) are known but none are shown.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::config::setting::{Described, Origin, Update};
use crate::config::{client_metrics, group, topic};
use crate::controller::Resource;
use crate::protocol::messages::describe_configs_request::DescribeConfigsResource;
use crate::protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::protocol::messages::{DescribeConfigsRequest, DescribeConfigsResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use super::alter::{
    BROKER, BROKER_LOGGER, ConfigRefusal, TOPIC, check_node, no_topic, other_resource, refuse,
};
use crate::api::answer::{decode, error_message, respond};
use crate::api::{Api, ApiError, Context, Step};

/// What each entry is to show.
#[derive(Clone, Copy)]
struct Shown {
    synonyms: bool,
    documentation: bool,
}

pub const API: Api = Api::new(ApiKey::DescribeConfigs, 1..=4, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: DescribeConfigsRequest<'_> = decode(header, body)?;
    let shown = Shown { synonyms: request.include_synonyms, documentation: request.include_documentation };
    let results = request.resources.iter().map(|resource| result(context, resource, shown)).collect();
    respond(header, &DescribeConfigsResponse { throttle_time_ms: 0, results })
}

fn result<'a>(
    context: &Context<'_>,
    resource: &DescribeConfigsResource<'a>,
    shown: Shown,
) -> DescribeConfigsResult<'a> {
    let (error_code, error_message, configs) =
        match describe(context, resource.resource_type, &resource.resource_name) {
            Ok(mut entries) => {
                if let Some(keys) = resource.configuration_keys.as_ref().filter(|keys| !keys.is_empty()) {
                    entries.retain(|entry| keys.iter().any(|key| **key == *entry.name));
                }
                (ErrorCode::None, None, entries)
            }
            Err(refusal) => (refusal.code, error_message(refusal.message), Vec::new()),
        };
    DescribeConfigsResult {
        error_code: error_code.code(),
        error_message,
        resource_type: resource.resource_type,
        resource_name: resource.resource_name.clone(),
        configs: configs.into_iter().map(|entry| shown.entry(resource.resource_type, entry)).collect(),
    }
}

fn describe(context: &Context<'_>, kind: i8, name: &str) -> Result<Vec<Described>, ConfigRefusal> {
    match kind {
        TOPIC => describe_topic(context, name),
        BROKER_LOGGER if name.is_empty() => refuse("Broker id must not be empty".into()),
        BROKER_LOGGER => check_node(context, name).map(|()| Vec::new()),
        _ => Ok(describe_other(context, &other_resource(context, kind, name)?)),
    }
}

fn describe_other(context: &Context<'_>, resource: &Resource) -> Vec<Described> {
    let none = BTreeMap::new();
    let own = context.image.configs(resource).map_or(&none, |found| &**found);
    match resource {
        Resource::AllBrokers => {
            let mut all = context.config.describe();
            all.retain_mut(|entry| {
                entry.synonyms.retain(|synonym| synonym.origin == Origin::AllBrokers);
                let Some(changed) = entry.synonyms.first() else { return false };
                (entry.value, entry.origin) = (changed.value.clone(), changed.origin);
                true
            });
            all
        }
        Resource::Broker(_) => context.config.describe(),
        Resource::ClientMetrics(_) => client_metrics::describe(own),
        Resource::Group(_) => group::describe(own, context.config),
    }
}

fn describe_topic(context: &Context<'_>, name: &str) -> Result<Vec<Described>, ConfigRefusal> {
    let found = context.image.topic(name).ok_or_else(|| no_topic(name))?;
    Ok(topic::describe(&found.overrides, &context.image.here.topic_defaults))
}

impl Shown {
    fn entry(self, resource: i8, entry: Described) -> DescribeConfigsResourceResult<'static> {
        let synonyms = if self.synonyms { entry.synonyms } else { Vec::new() };
        DescribeConfigsResourceResult {
            name: entry.name,
            value: entry.value.map(Into::into),
            read_only: resource == BROKER && entry.setting.update == Update::ReadOnly,
            config_source: entry.origin.code(),
            is_sensitive: entry.setting.is_sensitive(),
            synonyms: synonyms
                .into_iter()
                .map(|synonym| DescribeConfigsSynonym {
                    name: synonym.name,
                    value: synonym.value.map(Into::into),
                    source: synonym.origin.code(),
                })
                .collect(),
            config_type: entry.setting.kind.code(),
            documentation: self.documentation.then(|| entry.setting.documentation().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::api::configs::alter::{CLIENT_METRICS, GROUP};
    use crate::api::testing::{Server, read};
    use crate::api::topics::create_topics;
    use crate::protocol::messages::CreateTopicsRequest;
    use crate::protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};

    use super::*;

    fn server() -> Server {
        let mut server = Server::new();
        let config = CreatableTopicConfig { name: "cleanup.policy".into(), value: Some("compact".into()) };
        let topic = CreatableTopic {
            name: "a".into(),
            num_partitions: 1,
            replication_factor: 1,
            configs: vec![config],
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
        server.call(create_topics::start, 7, &request);
        server
    }

    fn resource(
        kind: i8,
        name: &'static str,
        keys: Option<&[&'static str]>,
    ) -> DescribeConfigsResource<'static> {
        DescribeConfigsResource {
            resource_type: kind,
            resource_name: name.into(),
            configuration_keys: keys.map(|keys| keys.iter().map(|key| (*key).into()).collect()),
        }
    }

    fn ask(
        version: i16,
        resources: Vec<DescribeConfigsResource<'static>>,
        shown: Shown,
        check: impl FnOnce(&[DescribeConfigsResult<'_>]),
    ) {
        let request = DescribeConfigsRequest {
            resources,
            include_synonyms: shown.synonyms,
            include_documentation: shown.documentation && version >= 3,
        };
        let body = server().call(start, version, &request);
        let answer: DescribeConfigsResponse<'_> = read(&body, version);
        check(&answer.results);
    }

    const ALL: Shown = Shown { synonyms: true, documentation: true };
    const BARE: Shown = Shown { synonyms: false, documentation: false };

    #[test]
    fn topics_are_described_with_where_values_come_from() {
        for version in 1..=4 {
            ask(version, vec![resource(TOPIC, "a", None)], ALL, |results| {
                let find = |name: &str| {
                    results[0].configs.iter().find(|config| config.name == name).expect("listed")
                };
                let (policy, size) = (find("cleanup.policy"), find("max.message.bytes"));
                let synonyms: Vec<_> = policy.synonyms.iter().map(|one| (&*one.name, one.source)).collect();
                assert_eq!(synonyms, [("cleanup.policy", 1), ("log.cleanup.policy", 5)]);
                assert_eq!((policy.value.as_deref(), policy.config_source), (Some("compact"), 1));
                assert_eq!((size.value.as_deref(), size.config_source), (Some("1048588"), 5));
                assert_eq!(&*size.synonyms[0].name, "message.max.bytes");
                if version >= 3 {
                    assert_eq!((size.config_type, size.documentation.is_some()), (3, true));
                }
                assert!(
                    results[0].configs.iter().all(|config| !config.read_only && config.config_source > 0)
                );
            });
        }
    }

    #[test]
    fn only_what_is_asked_for_is_shown() {
        let asked = resource(BROKER, "1001", Some(&["num.partitions", "no.such"]));
        ask(4, vec![asked, resource(TOPIC, "a", Some(&[]))], BARE, |results| {
            let [config] = &results[0].configs[..] else { panic!("one config") };
            assert_eq!(
                (&*config.name, config.synonyms.len(), &config.documentation),
                ("num.partitions", 0, &None)
            );
            assert!(results[1].configs.len() > 30);
        });
    }

    #[test]
    fn resources_answer_as_kafkas_do() {
        for (kind, name, code, described) in [
            (BROKER, "1000", 0, true),
            (BROKER, "", 0, false),
            (BROKER, "2000", 42, false),
            (BROKER, "one", 42, false),
            (BROKER_LOGGER, "1000", 0, false),
            (BROKER_LOGGER, "", 42, false),
            (CLIENT_METRICS, "m", 0, true),
            (CLIENT_METRICS, "", 42, false),
            (GROUP, "g", 0, true),
            (GROUP, "", 42, false),
            (TOPIC, "b", 3, false),
            (TOPIC, "b b", 17, false),
            (TOPIC, "", 17, false),
            (77, "x", 42, false),
        ] {
            for version in [1, 4] {
                ask(version, vec![resource(kind, name, None)], BARE, |results| {
                    assert_eq!(
                        (results[0].error_code, !results[0].configs.is_empty()),
                        (code, described),
                        "{kind} {name}"
                    );
                    assert_eq!(results[0].error_message.is_some(), code != 0);
                    assert_eq!((results[0].resource_type, &*results[0].resource_name), (kind, name));
                });
            }
        }
    }
}
