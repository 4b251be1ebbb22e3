//! Requests, counted by API and by client: numbers whose labels are not known before they are needed.
//!
//! Limits: as many APIs as Kafka may have, and [`HopCounters::SERIES_MAX`] clients, whatever they call themselves.

use std::borrow::Cow;

use crate::base::metrics::{Family, Kind, Series};

use super::api_names;

/// How many requests of each API arrived.
#[derive(Debug)]
pub(super) struct RequestCounters {
    counts: [u64; RequestCounters::KEYS],
    unknown: u64,
}

impl RequestCounters {
    /// More than Kafka has API keys.
    const KEYS: usize = 128;

    /// Counts a request by its API key, whatever a peer put there.
    pub(super) fn note(&mut self, api_key: i16) {
        match usize::try_from(api_key).ok().and_then(|key| self.counts.get_mut(key)) {
            Some(count) => *count += 1,
            None => self.unknown += 1,
        }
    }

    pub(super) fn family(&self) -> Family {
        let asked = self.counts.iter().enumerate().filter(|(_, count)| **count > 0);
        let known = asked.map(|(key, count)| {
            let name = api_names::api(key).map_or_else(|| key.to_string().into(), Cow::Borrowed);
            Series { labels: vec![("api", name)], value: *count }
        });
        let unknown = Series { labels: vec![("api", "unknown".into())], value: self.unknown };
        let unknown = Some(unknown).filter(|it| it.value > 0);
        Family {
            name: "ringmain_requests_total",
            help: "Requests received.",
            kind: Kind::Counter,
            series: known.chain(unknown).collect(),
        }
    }
}

impl Default for RequestCounters {
    fn default() -> RequestCounters {
        RequestCounters { counts: [0; RequestCounters::KEYS], unknown: 0 }
    }
}

/// Requests of clients that had to ask another shard, by who sent them.
#[derive(Debug, Default)]
pub(super) struct HopCounters {
    counts: Vec<(Hop, u64)>,
}

/// The kind of request that left its core. All three have few values, but a client may call itself anything.
#[derive(Debug)]
struct Hop {
    api: &'static str,
    /// How the server presents itself to the client.
    view: &'static str,
    /// The client's name for its software.
    client: String,
}

impl HopCounters {
    /// Kinds that are counted apart. Those that come later count as one client's, by API and view.
    const SERIES_MAX: usize = 64;
    const OTHERS: &'static str = "others";

    /// Counts a request.
    pub(super) fn note(&mut self, api: &'static str, view: &'static str, client: &str) {
        let is_full = self.counts.len() >= Self::SERIES_MAX;
        let same = |hop: &Hop, client: &str| hop.api == api && hop.view == view && hop.client == client;
        let known = self.counts.iter().any(|(hop, _)| same(hop, client));
        let client = if known || !is_full { client } else { Self::OTHERS };
        match self.counts.iter_mut().find(|(hop, _)| same(hop, client)) {
            Some((_, count)) => *count += 1,
            None => self.counts.push((Hop { api, view, client: client.to_owned() }, 1)),
        }
    }

    pub(super) fn family(&self) -> Family {
        let series = self.counts.iter().map(|(Hop { api, view, client }, count)| Series {
            labels: vec![("api", (*api).into()), ("view", (*view).into()), ("client", client.clone().into())],
            value: *count,
        });
        Family {
            name: "ringmain_hops_total",
            help: "Requests of clients that had to ask another shard, by client and by how it sees the server.",
            kind: Kind::Counter,
            series: series.collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The number that has this label.
    fn value(family: &Family, label: &str) -> Option<u64> {
        family.series.iter().find(|it| it.labels.iter().any(|(_, value)| value == label)).map(|it| it.value)
    }

    #[test]
    fn api_keys_of_any_value_are_counted() {
        let mut requests = RequestCounters::default();
        assert_eq!(requests.family().series, []);
        [0, 0, 3, 99, -1, i16::MAX].into_iter().for_each(|key| requests.note(key));
        let family = requests.family();
        let counts = ["produce", "metadata", "99", "unknown"].map(|api| value(&family, api));
        assert_eq!(counts, [Some(2), Some(1), Some(1), Some(2)]);
        assert_eq!(family.series.len(), 4);
    }

    #[test]
    fn hops_are_counted_by_a_bounded_number_of_clients() {
        let mut hops = HopCounters::default();
        hops.note("produce", "server", "sarama");
        hops.note("produce", "server", "sarama");
        (0..1000).for_each(|number| hops.note("fetch", "server", &format!("client-{number}")));
        let family = hops.family();
        let counts = ["sarama", "client-0", "others"].map(|client| value(&family, client));
        assert_eq!(counts, [Some(2), Some(1), Some(937)]);
        assert_eq!(family.series.len(), 65);
    }
}
