//! What may become of a resource's configs: the whole set replaced, or single ones set, removed, added to (KIP-339).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::config::client_metrics::{self, Subscription};
use crate::config::setting::{ConfigError, Kind, Setting, list};
use crate::config::topic::{self, TopicSettings};
use crate::config::{self, Config, group};

use super::image::{MetadataImage, Resource, TopicImage};
use super::record::MetadataRecord;
use super::request::{ConfigChange, ConfigOp, ConfigResource, ControllerError, ResourceConfigs};

/// Groups and subscriptions that may have configs: a client must not fill the metadata log with names.
const RESOURCES_MAX: usize = 10_000;

type Configs = BTreeMap<String, String>;

/// What a change is judged by: the configs as they are, and the table of their kind.
struct Table<'a> {
    overrides: &'a Configs,
    lists: Lists,
    /// The config of a name, or why it cannot be set.
    find: &'a dyn Fn(&str) -> Result<&'static Setting, ConfigError>,
    /// The value in force of a config that has none of its own.
    inherited: &'a dyn Fn(&Setting) -> Option<String>,
}

/// Which lists can be added to and taken from, and in what words Kafka refuses the others.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lists {
    Topic,
    Broker,
    /// Groups and client metrics have no lists to add to, whatever a config's type says.
    Closed,
}

/// The records that carry a change out; none when it changes nothing. `settings` is the server as read at its start.
///
/// # Errors
/// Why Kafka would refuse the change, in its words.
pub(super) fn judge(
    image: &MetadataImage,
    settings: &Config,
    wanted: &ResourceConfigs,
) -> Result<Vec<MetadataRecord>, ControllerError> {
    match &wanted.resource {
        ConfigResource::Topic(name) => {
            let topic = image.topic(name).ok_or(ControllerError::UnknownTopic)?;
            judge_topic(image, topic, &wanted.change)
        }
        ConfigResource::Other(resource) => judge_other(image, settings, resource, &wanted.change),
    }
}

fn judge_topic(
    image: &MetadataImage,
    topic: &TopicImage,
    change: &ConfigChange,
) -> Result<Vec<MetadataRecord>, ControllerError> {
    let defaults = &image.here.topic_defaults;
    let table = Table {
        overrides: &topic.overrides,
        lists: Lists::Topic,
        find: &|name| topic::find(name).ok_or_else(|| ConfigError::UnknownTopicConfig(name.to_owned())),
        inherited: &|setting| {
            let described = topic::describe(&BTreeMap::new(), defaults).into_iter();
            described.into_iter().find(|entry| entry.setting.name == setting.name)?.value
        },
    };
    let wanted = table.judge(change)?;
    TopicSettings::resolve(&wanted, defaults).map_err(invalid)?;
    let record = |name, value| MetadataRecord::Config { topic: topic.id, name, value };
    Ok(records(&topic.overrides, &wanted, record))
}

fn judge_other(
    image: &MetadataImage,
    settings: &Config,
    resource: &Resource,
    change: &ConfigChange,
) -> Result<Vec<MetadataRecord>, ControllerError> {
    let none = Configs::new();
    let overrides = image.configs(resource).map_or(&none, |found| &**found);
    let changed = settings.with_changes(&image.changes()).map_err(invalid)?;
    let find = |name: &str| match resource {
        Resource::AllBrokers | Resource::Broker(_) => config::changeable(name),
        Resource::ClientMetrics(_) => {
            client_metrics::find(name).ok_or_else(|| ConfigError::UnknownClientMetricsConfig(name.to_owned()))
        }
        Resource::Group(_) => {
            group::find(name).ok_or_else(|| ConfigError::UnknownGroupConfig(name.to_owned()))
        }
    };
    let inherited = |setting: &Setting| match resource {
        Resource::AllBrokers | Resource::Broker(_) => {
            changed.describe().into_iter().find(|entry| entry.setting.name == setting.name)?.value
        }
        _ => setting.default.map(str::to_owned),
    };
    let lists = match resource {
        Resource::AllBrokers | Resource::Broker(_) => Lists::Broker,
        Resource::ClientMetrics(_) | Resource::Group(_) => Lists::Closed,
    };
    let wanted = Table { overrides, lists, find: &find, inherited: &inherited }.judge(change)?;
    match resource {
        Resource::ClientMetrics(_) => drop(Subscription::resolve(&wanted).map_err(invalid)?),
        Resource::Group(_) => group::validate(&wanted, &changed).map_err(invalid)?,
        Resource::AllBrokers | Resource::Broker(_) => {
            let mut tried = image.clone();
            Arc::make_mut(&mut tried.cluster).set_configs(resource, wanted.clone());
            Arc::make_mut(&mut tried.here)
                .inherit_all(&tried.cluster, settings)
                .map_err(|error| ControllerError::InvalidRequest(error.to_string()))?;
        }
    }
    if overrides.is_empty() && !wanted.is_empty() && image.configs.len() >= RESOURCES_MAX {
        let message = format!("No more than {RESOURCES_MAX} groups and client metrics can have configs.");
        return Err(ControllerError::PolicyViolation(message));
    }
    let record = |name, value| MetadataRecord::ResourceConfig { resource: resource.clone(), name, value };
    Ok(records(overrides, &wanted, record))
}

/// One record for each config that differs.
fn records(
    overrides: &Configs,
    wanted: &Configs,
    record: impl Fn(String, Option<String>) -> MetadataRecord,
) -> Vec<MetadataRecord> {
    let set = wanted.iter().filter(|(name, value)| overrides.get(*name) != Some(value));
    let removed = overrides.keys().filter(|name| !wanted.contains_key(*name));
    let set = set.map(|(name, value)| record(name.clone(), Some(value.clone())));
    set.chain(removed.map(|name| record(name.clone(), None))).collect()
}

impl Table<'_> {
    /// What the configs become.
    fn judge(&self, change: &ConfigChange) -> Result<Configs, ControllerError> {
        let wanted = match change {
            ConfigChange::Replace(configs) => replaced(configs)?,
            ConfigChange::Edit(edits) => self.edited(edits)?,
        };
        super::topics::check_overrides_size(&wanted)?;
        for (name, value) in &wanted {
            // What is there already was valid once: a tightened rule must not stand in the way of other changes.
            if self.overrides.get(name) != Some(value) {
                let setting = (self.find)(name).map_err(|error| self.refused(error))?;
                setting.check(value).map_err(|error| self.refused(error))?;
            }
        }
        Ok(wanted)
    }

    fn edited(&self, edits: &[(String, ConfigOp, Option<String>)]) -> Result<Configs, ControllerError> {
        check_repeated(edits.iter().map(|(name, _, _)| name.as_str()))?;
        let mut wanted = self.overrides.clone();
        for (name, op, value) in edits {
            match op {
                // As in Kafka, a name that is not there, or cannot be, is gone already.
                ConfigOp::Delete => drop(wanted.remove(name)),
                ConfigOp::Set => {
                    wanted.insert(name.clone(), present(name, value.as_ref())?.clone());
                }
                ConfigOp::Append | ConfigOp::Subtract => {
                    let value = present(name, value.as_ref())?;
                    let now = self.listed(name, *op)?;
                    wanted.insert(name.clone(), joined(&now, value, *op));
                }
            }
        }
        Ok(wanted)
    }

    /// The list a config has now, its own or inherited.
    fn listed(&self, name: &str, op: ConfigOp) -> Result<String, ControllerError> {
        let setting = (self.find)(name).ok();
        let Some(setting) = setting.filter(|it| it.kind == Kind::List && self.lists != Lists::Closed) else {
            let is_known = setting.is_some_and(|it| it.kind != Kind::Unknown);
            return Err(ControllerError::InvalidConfig(self.lists.refusal(name, op, is_known)));
        };
        let own = self.overrides.get(name).cloned();
        Ok(own.or_else(|| (self.inherited)(setting)).unwrap_or_default())
    }

    fn refused(&self, error: ConfigError) -> ControllerError {
        match self.lists {
            Lists::Broker => ControllerError::InvalidRequest(error.to_string()),
            Lists::Topic | Lists::Closed => invalid(error),
        }
    }
}

impl Lists {
    fn refusal(self, name: &str, op: ConfigOp, is_known: bool) -> String {
        match (self, op) {
            (Lists::Broker, _) if !is_known => format!("Unknown config name: {name}"),
            (Lists::Broker, ConfigOp::Append) => {
                format!("Config value append is not allowed for config key: {name}")
            }
            (Lists::Broker, _) => format!("Config value subtract is not allowed for config key: {name}"),
            (_, ConfigOp::Append) => format!("Can't APPEND to key {name} because its type is not LIST."),
            (..) => format!("Can't SUBTRACT to key {name} because its type is not LIST."),
        }
    }
}

/// Kafka refuses some configs as a bad request and others as a bad config; names and intervals of client metrics are among the
/// first.
fn invalid(error: ConfigError) -> ControllerError {
    match error {
        ConfigError::ReadOnly(_)
        | ConfigError::Secret(_)
        | ConfigError::UnknownClientMetricsConfig(_)
        | ConfigError::Interval { .. } => ControllerError::InvalidRequest(error.to_string()),
        _ => ControllerError::InvalidConfig(error.to_string()),
    }
}

fn replaced(configs: &[(String, Option<String>)]) -> Result<Configs, ControllerError> {
    check_repeated(configs.iter().map(|(name, _)| name.as_str()))?;
    configs.iter().map(|(name, value)| Ok((name.clone(), present(name, value.as_ref())?.clone()))).collect()
}

fn joined(now: &str, value: &str, op: ConfigOp) -> String {
    let mut items: Vec<&str> = list(now).collect();
    match op {
        ConfigOp::Subtract => items.retain(|item| !list(value).any(|gone| gone == *item)),
        _ => {
            for item in list(value) {
                if !items.contains(&item) {
                    items.push(item);
                }
            }
        }
    }
    items.join(",")
}

fn check_repeated<'a>(names: impl Iterator<Item = &'a str>) -> Result<(), ControllerError> {
    let mut seen = BTreeSet::new();
    for name in names {
        if !seen.insert(name) {
            return Err(ControllerError::InvalidRequest("Error due to duplicate config keys".to_owned()));
        }
    }
    Ok(())
}

fn present<'a>(name: &str, value: Option<&'a String>) -> Result<&'a String, ControllerError> {
    value.ok_or_else(|| ControllerError::InvalidRequest(format!("Null value not supported for : {name}")))
}

#[cfg(test)]
mod tests {
    use crate::base::{ServerId, TopicId};

    use super::*;

    fn image(overrides: &[(&str, &str)]) -> MetadataImage {
        let topic = TopicImage {
            id: TopicId([1; 16]),
            name: Arc::from("t"),
            ordinal: 0,
            partitions: Vec::new(),
            overrides: told(overrides),
            internal: false,
        };
        let mut image = MetadataImage::default();
        image.put(topic);
        Arc::make_mut(&mut image.here).server = ServerId(1);
        image
    }

    fn told(configs: &[(&str, &str)]) -> Configs {
        configs.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect()
    }

    fn of_topic(change: &ConfigChange) -> ResourceConfigs {
        ResourceConfigs { resource: ConfigResource::Topic("t".into()), change: change.clone() }
    }

    fn of(resource: Resource, change: ConfigChange) -> ResourceConfigs {
        ResourceConfigs { resource: ConfigResource::Other(resource), change }
    }

    /// What the change makes of these overrides of a topic.
    fn check(before: &[(&str, &str)], change: &ConfigChange, after: &[(&str, &str)]) {
        let mut overrides = told(before);
        for record in judge(&image(before), &Config::default(), &of_topic(change)).expect("allowed") {
            match record {
                MetadataRecord::Config { name, value: Some(value), .. } => overrides.insert(name, value),
                MetadataRecord::Config { name, value: None, .. } => overrides.remove(&name),
                other => panic!("{other:?}"),
            };
        }
        assert_eq!(overrides, told(after), "{change:?}");
    }

    fn refused(change: &ConfigChange) -> ControllerError {
        judge(&image(&[]), &Config::default(), &of_topic(change)).expect_err("refused")
    }

    fn edit(name: &str, op: ConfigOp, value: Option<&str>) -> ConfigChange {
        ConfigChange::Edit(vec![(name.into(), op, value.map(Into::into))])
    }

    fn replace(configs: &[(&str, Option<&str>)]) -> ConfigChange {
        let configs = configs.iter().map(|(name, value)| ((*name).into(), value.map(Into::into)));
        ConfigChange::Replace(configs.collect())
    }

    #[test]
    fn changes_do_what_they_say() {
        let set = [("retention.ms", "5"), ("segment.ms", "6")];
        check(&set, &edit("retention.ms", ConfigOp::Set, Some("7")), &[("retention.ms", "7"), set[1]]);
        check(&set, &edit("retention.ms", ConfigOp::Delete, None), &set[1..]);
        check(&set, &edit("max.message.bytes", ConfigOp::Delete, None), &set);
        check(&set, &edit("no.such.config", ConfigOp::Delete, None), &set);
        check(&set, &replace(&[("retention.ms", Some("8"))]), &[("retention.ms", "8")]);
        check(&set, &replace(&[]), &[]);
        let policy = |value| [("cleanup.policy", value)];
        check(&[], &edit("cleanup.policy", ConfigOp::Append, Some("compact")), &policy("delete,compact"));
        check(
            &policy("compact"),
            &edit("cleanup.policy", ConfigOp::Append, Some("compact")),
            &policy("compact"),
        );
        check(
            &policy("compact,delete"),
            &edit("cleanup.policy", ConfigOp::Subtract, Some("compact")),
            &policy("delete"),
        );
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let invalid = |change: &ConfigChange| matches!(refused(change), ControllerError::InvalidConfig(_));
        let request = |change: &ConfigChange| matches!(refused(change), ControllerError::InvalidRequest(_));
        assert!(invalid(&edit("no.such.config", ConfigOp::Set, Some("1"))));
        assert!(invalid(&edit("no.such.config", ConfigOp::Append, Some("1"))));
        assert!(invalid(&edit("retention.ms", ConfigOp::Set, Some("soon"))));
        assert!(invalid(&edit("retention.ms", ConfigOp::Append, Some("1"))));
        assert!(invalid(&edit("cleanup.policy", ConfigOp::Append, Some("shrink"))));
        assert!(invalid(&replace(&[("no.such.config", Some("1"))])));
        assert!(request(&edit("retention.ms", ConfigOp::Set, None)));
        assert!(request(&replace(&[("retention.ms", None)])));
        assert!(request(&replace(&[("retention.ms", Some("1")), ("retention.ms", Some("2"))])));
    }

    #[test]
    fn other_resources_have_their_own_tables() {
        let done = |resource: Resource, name: &str, op, value: Option<&str>| {
            let wanted = of(resource, edit(name, op, value));
            judge(&image(&[]), &Config::default(), &wanted).map(|records| records.len())
        };
        let judged =
            |resource: Resource, name: &str, value: &str| done(resource, name, ConfigOp::Set, Some(value));
        let invalid = |result| matches!(result, Err(ControllerError::InvalidConfig(_)));
        let request = |result| matches!(result, Err(ControllerError::InvalidRequest(_)));
        let own = || Resource::Broker(ServerId(1));
        assert_eq!(judged(Resource::AllBrokers, "log.retention.ms", "5"), Ok(1));
        assert_eq!(judged(own(), "max.connections", "5"), Ok(1));
        assert_eq!(judged(own(), "retention.ms", "5"), Ok(1), "unknown names are kept");
        assert_eq!(done(own(), "retention.ms", ConfigOp::Delete, None), Ok(0));
        assert_eq!(done(own(), "node.id", ConfigOp::Delete, None), Ok(0));
        assert_eq!(done(own(), "log.cleanup.policy", ConfigOp::Append, Some("compact")), Ok(1));
        assert!(invalid(done(own(), "no.such", ConfigOp::Append, Some("1"))));
        assert!(invalid(done(own(), "max.connections", ConfigOp::Subtract, Some("1"))));
        assert!(request(judged(own(), "max.connections", "-5")));
        assert!(request(judged(own(), "max.connections", "many")));
        assert!(request(judged(own(), "node.id", "5")), "read at start");
        assert!(request(judged(own(), "ssl.key.password", "geheim")), "a secret");
        let contradiction =
            [("log.cleaner.min.compaction.lag.ms", "5"), ("log.cleaner.max.compaction.lag.ms", "4")];
        let both =
            contradiction.map(|(name, value)| (name.to_owned(), ConfigOp::Set, Some(value.to_owned())));
        let both = of(own(), ConfigChange::Edit(both.into()));
        assert!(judge(&image(&[]), &Config::default(), &both).is_err(), "topics could not inherit this");
        let metrics = || Resource::ClientMetrics("m".into());
        assert_eq!(judged(metrics(), "interval.ms", "500"), Ok(1));
        assert!(invalid(judged(metrics(), "match", "shoe_size=4")));
        assert!(invalid(judged(metrics(), "interval.ms", "soon")));
        assert!(request(judged(metrics(), "interval.ms", "5")));
        assert!(request(judged(metrics(), "no.such", "5")));
        assert_eq!(done(metrics(), "no.such", ConfigOp::Delete, None), Ok(0));
        assert!(invalid(done(metrics(), "metrics", ConfigOp::Append, Some("a"))));
        let group = || Resource::Group("g".into());
        assert_eq!(judged(group(), "consumer.session.timeout.ms", "50000"), Ok(1));
        assert!(invalid(judged(group(), "consumer.session.timeout.ms", "5")));
        assert!(invalid(judged(group(), "no.such", "5")));
        let tags = "streams.rack.aware.assignment.tags";
        assert!(invalid(done(group(), tags, ConfigOp::Append, Some("a"))));
    }

    #[test]
    fn a_resource_is_there_as_long_as_it_has_configs() {
        let mut image = image(&[]);
        let metrics = Resource::ClientMetrics("m".into());
        let configs = told(&[("interval.ms", "500"), ("metrics", "a,b")]);
        Arc::make_mut(&mut image.cluster).set_configs(&metrics, configs);
        let values = |change| {
            let records = judge(&image, &Config::default(), &of(metrics.clone(), change)).expect("allowed");
            let values = records.into_iter().map(|record| match record {
                MetadataRecord::ResourceConfig { name, value, .. } => (name, value),
                other => panic!("{other:?}"),
            });
            values.collect::<Vec<_>>()
        };
        let gone = |name: &str| (name.to_owned(), None);
        assert_eq!(values(replace(&[])), [gone("interval.ms"), gone("metrics")]);
        let changed = edit("metrics", ConfigOp::Set, Some("c"));
        assert_eq!(values(changed), [("metrics".to_owned(), Some("c".to_owned()))]);
    }
}
