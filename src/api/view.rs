//! Which view of the server a client gets (DESIGN.md §4).
//!
//! Only clients that are known to keep two nodes at one address apart see shards; a client that does not name itself, or
//! that nobody has tried, sees one node, which is right for every client and costs a hop between cores.

use crate::config::{Advertise, Config};
use crate::controller::View;

/// Names of clients that keep one connection per node id, whatever the node's address.
const SHARD_CLIENTS: [&str; 5] = ["apache-kafka-java", "kgo", "sarama", "ringmain", "ringmain-bench"];

/// First librdkafka (major, minor) that keeps nodes at one address apart.
const RDKAFKA_FROM: (u32, u32) = (2, 10);

/// The view for a client that calls itself `name` `version` (empty = it did not say).
#[must_use]
pub fn view_of(config: &Config, shards: u16, name: &str, version: &str) -> View {
    if u32::from(shards) > config.advertise_nodes_max {
        return View::Server;
    }
    match config.advertise {
        Advertise::Server => View::Server,
        Advertise::Shards => View::Shards,
        Advertise::ShardPorts => View::ShardPorts,
        Advertise::Auto if SHARD_CLIENTS.contains(&name) || is_new_rdkafka(name, version) => View::Shards,
        Advertise::Auto => View::Server,
    }
}

/// librdkafka itself, or a wrapper that appends librdkafka's version to its own (`2.16.1-rdkafka-2.16.0`).
fn is_new_rdkafka(name: &str, version: &str) -> bool {
    let version = match version.rsplit_once("rdkafka-") {
        Some((_, version)) => version,
        None if name == "librdkafka" => version,
        None => return false,
    };
    let mut numbers = version.split(['.', '-']).map(|number| number.parse::<u32>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor) >= RDKAFKA_FROM,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_are_shown_to_clients_known_to_bear_them() {
        let check = |name: &str, version: &str, want| {
            assert_eq!(view_of(&Config::default(), 4, name, version), want, "{name} {version}");
        };
        check("apache-kafka-java", "4.3.0", View::Shards);
        check("kgo", "v1.22.0", View::Shards);
        check("sarama", "1.61.0", View::Shards);
        check("ringmain", "0.1.0", View::Shards);
        check("ringmain-bench", "0.1.0", View::Shards);
        check("librdkafka", "2.10.0", View::Shards);
        check("librdkafka", "3.0.0-RC1", View::Shards);
        check("librdkafka", "2.9.9", View::Server);
        check("librdkafka", "2.0.2", View::Server);
        check("librdkafka", "new", View::Server);
        check("confluent-kafka-python", "2.16.1-rdkafka-2.16.0", View::Shards);
        check("confluent-kafka-python", "2.12.0-rdkafka-2.9.0", View::Server);
        check("@platformatic/kafka", "2.10.0", View::Server);
        check("", "", View::Server);
    }

    #[test]
    fn settings_are_stronger_than_clients() {
        let check = |advertise, shards, want| {
            let mut config = Config::default();
            config.advertise = advertise;
            config.advertise_nodes_max = 8;
            assert_eq!(view_of(&config, shards, "kgo", ""), want, "{advertise:?} {shards}");
        };
        check(Advertise::Auto, 8, View::Shards);
        check(Advertise::Auto, 9, View::Server);
        check(Advertise::Server, 2, View::Server);
        check(Advertise::Shards, 2, View::Shards);
        check(Advertise::ShardPorts, 2, View::ShardPorts);
        check(Advertise::ShardPorts, 9, View::Server);
    }
}
