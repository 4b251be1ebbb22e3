//! Every public setting of Kafka 4.4 has its name, type, default and way of changing here.
//!
//! `configs.tsv` is what Kafka's own tables say (the `ConfigDef`s of KafkaConfig, LogConfig, GroupConfig and
//! ClientMetricsConfigs, and DynamicBrokerConfig's set of what may change): resource, name, type, default (`=` and the
//! value, `null`, or `required`), update, and whether Kafka shows it or keeps it to itself: internal ones may be missing.
//! What differs on purpose is listed in [`DIFFERENT`], with the reason.

use std::collections::{BTreeMap, BTreeSet};

use ringmain::config::setting::{Kind, Setting, Update};
use ringmain::config::{broker, client_metrics, group, topic};

use crate::vectors;

/// Resource, name, and why it has another default here or cannot change while the server runs.
const DIFFERENT: [(&str, &str, &str); 13] = [
    ("broker", "controller.listener.names", "required in Kafka; a server here is always its own controller"),
    (
        "broker",
        "group.initial.rebalance.delay.ms",
        "no delay without settings; Kafka's value is for production",
    ),
    ("broker", "listeners", "one listener, bound at start, its address spelled out"),
    ("broker", "log.dir", "data survives a reboot"),
    ("broker", "log.flush.interval.messages", "durable before it acknowledges"),
    ("broker", "max.connections", "everything has a limit"),
    ("broker", "node.id", "required in Kafka"),
    ("broker", "process.roles", "required in Kafka; always both here"),
    ("broker", "replica.lag.time.max.ms", "acks=all waits for whoever is in sync: not for half a minute"),
    ("broker", "socket.listen.backlog.size", "clients come back all at once after a restart"),
    ("broker", "socket.receive.buffer.bytes", "the kernel tunes it"),
    ("broker", "socket.send.buffer.bytes", "by how near the peer is"),
    ("topic", "flush.messages", "durable before it acknowledges"),
];

/// Settings of Kafka's brokers that its own table does not have, because only tools set them.
const BESIDES: [&str; 4] = [
    "follower.replication.throttled.rate",
    "leader.replication.throttled.rate",
    "replica.alter.log.dirs.io.max.bytes.per.second",
    "super.users",
];

type Row = (String, String, String);

fn ours() -> BTreeMap<(&'static str, &'static str), Row> {
    let tables = [
        ("broker", broker::settings().collect::<Vec<_>>()),
        ("topic", topic::settings().collect()),
        ("group", group::settings().collect()),
        ("client-metrics", client_metrics::settings().collect()),
    ];
    let rows = tables.into_iter().flat_map(|(resource, settings)| {
        settings.into_iter().map(move |setting| ((resource, setting.name), row(resource, setting)))
    });
    rows.collect()
}

fn row(resource: &str, setting: &Setting) -> Row {
    let kind = match setting.kind {
        Kind::Boolean => "boolean",
        Kind::String => "string",
        Kind::Int => "int",
        Kind::Short => "short",
        Kind::Long => "long",
        Kind::Double => "double",
        Kind::List => "list",
        Kind::Class => "class",
        Kind::Password => "password",
        Kind::Unknown => panic!("{} is in a table", setting.name),
    };
    let default = setting.default.map_or_else(|| "null".to_owned(), |value| format!("={value}"));
    let is_dynamic = setting.update == Update::Dynamic || resource != "broker";
    (kind.to_owned(), default, if is_dynamic { "dynamic" } else { "readonly" }.to_owned())
}

#[test]
fn every_setting_of_kafka_is_here_and_the_same() {
    let ours = ours();
    let mut unlike = BTreeSet::new();
    let text = vectors("configs.tsv");
    for line in text.lines().skip(1) {
        let [resource, name, kind, default, update, shown] =
            line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let Some(known) = ours.get(&(resource, name)) else {
            assert_eq!(shown, "internal", "{resource} {name} is missing");
            continue;
        };
        assert_eq!(known.0, kind, "{resource} {name}");
        if (known.1.as_str(), known.2.as_str()) != (default, update) {
            unlike.insert((resource, name));
        }
    }
    let listed: BTreeSet<(&str, &str)> =
        DIFFERENT.iter().map(|(resource, name, _)| (*resource, *name)).collect();
    assert_eq!(unlike, listed, "differences from Kafka, and those with a reason");
}

#[test]
fn what_is_not_kafkas_says_so_in_its_name() {
    let text = vectors("configs.tsv");
    let kafkas: BTreeSet<(&str, &str)> = text
        .lines()
        .filter_map(|line| {
            let mut columns = line.split('\t');
            Some((columns.next()?, columns.next()?))
        })
        .collect();
    for (resource, name) in ours().into_keys().filter(|key| !kafkas.contains(key)) {
        let is_known = name.starts_with("ringmain.") || (resource == "broker" && BESIDES.contains(&name));
        assert!(is_known, "{resource} {name}");
    }
}
