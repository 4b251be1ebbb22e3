//! Metrics that clients push (KIP-714): who is asked for which, and what each has pushed last.
//!
//! A subscription's number is made of what it asks for and of the client's instance id, so that any shard knows without
//! asking whether a push answers the current one. What was pushed is kept per shard, bounded, and shown on /metrics for as
//! long as the client goes on pushing.

mod asking;
pub mod get_telemetry_subscriptions;
mod otlp;
pub mod push_telemetry;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::base::metrics::{ClientMetric, Metric, SERIES_MAX};
use crate::base::rng::Rng;
use crate::base::{MonoNanos, TopicId, uuid_text};
use crate::config::client_metrics::{ClientTrait, INTERVAL_MS_DEFAULT, Subscription};
use crate::controller::{MetadataImage, Resource};
use crate::protocol::ErrorCode;
use crate::record::{self, Codec};

/// Clients a shard remembers.
const CLIENTS_MAX: usize = 1000;
/// Values kept of one client's push.
const CLIENT_VALUES_MAX: usize = 500;
/// A client that has not been heard of for so many of its intervals is forgotten.
const INTERVALS_KEPT: u64 = 3;
/// Kafka's word for all metrics.
const ALL: &str = "*";

/// What a client is asked for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct PushTerms {
    pub id: i32,
    pub interval_ms: i32,
    pub metrics: BTreeSet<String>,
}

/// A push as it came.
pub(super) struct Push<'a> {
    pub instance: TopicId,
    pub subscription_id: i32,
    pub is_last: bool,
    pub codec: i8,
    pub metrics: &'a [u8],
}

/// All clients of a shard.
#[derive(Debug)]
pub struct Telemetry {
    clients: BTreeMap<TopicId, PushingClient>,
    /// The subscriptions in the image of this version.
    subscriptions: Vec<Subscription>,
    version: i64,
    rng: Rng,
    counters: Counters,
}

pub static METRICS: [Metric<Telemetry>; 4] = [
    Metric::counter("ringmain_client_telemetry_pushes_total", "Sets of metrics taken from clients.", |it| {
        it.counters.pushes
    }),
    Metric::counter(
        "ringmain_client_telemetry_refused_total",
        "Sets of metrics from clients that were refused.",
        |it| it.counters.refused,
    ),
    Metric::counter(
        "ringmain_client_telemetry_values_dropped_total",
        "Numbers from clients that were left out because there were too many.",
        |it| it.counters.values_dropped,
    ),
    Metric::gauge("ringmain_client_telemetry_clients", "Clients that push metrics or may do so.", |it| {
        it.clients.len() as u64
    }),
];

/// What has become of the metrics that clients have pushed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Counters {
    pushes: u64,
    refused: u64,
    /// Numbers for which there was no room.
    values_dropped: u64,
}

#[derive(Debug)]
struct PushingClient {
    heard: MonoNanos,
    interval_ms: i32,
    asked: Option<MonoNanos>,
    pushed: Option<MonoNanos>,
    /// Whether the last push was refused in a way that asking anew will mend.
    may_ask: bool,
    has_ended: bool,
    values: Vec<ClientMetric>,
}

impl Telemetry {
    #[must_use]
    pub fn new(seed: u64) -> Telemetry {
        Telemetry {
            clients: BTreeMap::new(),
            subscriptions: Vec::new(),
            version: -1,
            rng: Rng::seeded(seed),
            counters: Counters::default(),
        }
    }

    /// What clients have pushed last, at most [`SERIES_MAX`].
    pub fn values(&self, now: MonoNanos) -> impl Iterator<Item = &ClientMetric> {
        let alive = self.clients.values().filter(move |client| !client.is_gone(now));
        alive.flat_map(|client| &client.values).take(SERIES_MAX)
    }

    /// An id for a client that has none yet.
    pub(super) fn fresh_instance(&mut self) -> TopicId {
        TopicId(self.rng.uuid())
    }

    /// Whether a client may ask what it is to push.
    ///
    /// # Errors
    /// THROTTLING_QUOTA_EXCEEDED when it has asked within its interval and nothing is new.
    pub(super) fn ask(
        &mut self,
        now: MonoNanos,
        instance: TopicId,
        asked: &PushTerms,
    ) -> Result<(), ErrorCode> {
        let client = self.client(now, instance, asked.interval_ms);
        let is_early = client.asked.is_some_and(|last| now < last.plus_ms(millis(client.interval_ms)));
        if is_early && !client.may_ask {
            return Err(ErrorCode::ThrottlingQuotaExceeded);
        }
        (client.asked, client.may_ask, client.interval_ms) = (Some(now), false, asked.interval_ms);
        Ok(())
    }

    /// Takes what a client has pushed. `identity` is its client id and its software.
    ///
    /// # Errors
    /// As Kafka's; what was pushed before stays.
    pub(super) fn push(
        &mut self,
        now: MonoNanos,
        push: &Push<'_>,
        asked: &PushTerms,
        bytes_max: usize,
        identity: &ClientIdentity,
    ) -> Result<(), ErrorCode> {
        let result = self.take(now, push, asked, bytes_max, identity);
        match result {
            Ok(()) => self.counters.pushes += 1,
            Err(_) => self.counters.refused += 1,
        }
        result
    }

    fn take(
        &mut self,
        now: MonoNanos,
        push: &Push<'_>,
        asked: &PushTerms,
        bytes_max: usize,
        identity: &ClientIdentity,
    ) -> Result<(), ErrorCode> {
        let client = self.client(now, push.instance, asked.interval_ms);
        if client.has_ended {
            return Err(ErrorCode::InvalidRequest);
        }
        // A tenth early is the network's doing.
        let pause_ms = millis(client.interval_ms) / 10 * 9;
        let is_early = client.pushed.is_some_and(|last| now < last.plus_ms(pause_ms));
        if is_early && !push.is_last {
            return Err(ErrorCode::ThrottlingQuotaExceeded);
        }
        client.pushed = Some(now);
        client.has_ended = push.is_last;
        client.may_ask = push.subscription_id != asked.id;
        if client.may_ask {
            return Err(ErrorCode::UnknownSubscriptionId);
        }
        let Some(codec) = codec(push.codec) else {
            client.may_ask = true;
            return Err(ErrorCode::UnsupportedCompressionType);
        };
        if push.metrics.len() > bytes_max {
            return Err(ErrorCode::TelemetryTooLarge);
        }
        let inflated = record::decompress_within(codec, push.metrics, bytes_max)
            .map_err(|_| ErrorCode::InvalidRecord)?;
        let points = otlp::read(&inflated).map_err(|_| ErrorCode::InvalidRecord)?;
        let wanted = points.into_iter().filter(|point| asked.wants(&point.name));
        let instance: Arc<str> = uuid_text(&push.instance.0).into();
        let mut values: Vec<ClientMetric> =
            wanted.map(|point| identity.metric(Arc::clone(&instance), point)).collect();
        let others: usize = self.clients.values().map(|client| client.values.len()).sum();
        let client = self.client(now, push.instance, asked.interval_ms);
        let room = (SERIES_MAX - (others - client.values.len()).min(SERIES_MAX)).min(CLIENT_VALUES_MAX);
        let dropped = values.len().saturating_sub(room);
        values.truncate(room);
        client.values = if push.is_last { Vec::new() } else { values };
        self.counters.values_dropped += dropped as u64;
        Ok(())
    }

    /// The client of an instance id, in the place of the one heard of the longest ago if there is no room.
    fn client(&mut self, now: MonoNanos, instance: TopicId, interval_ms: i32) -> &mut PushingClient {
        if !self.clients.contains_key(&instance) && self.clients.len() >= CLIENTS_MAX {
            self.clients.retain(|_, client| !client.is_gone(now));
            let oldest = self.clients.iter().min_by_key(|(_, client)| client.heard).map(|(id, _)| *id);
            if let Some(oldest) = oldest.filter(|_| self.clients.len() >= CLIENTS_MAX) {
                self.clients.remove(&oldest);
            }
        }
        let client = self.clients.entry(instance).or_insert_with(|| PushingClient::new(now, interval_ms));
        client.heard = now;
        client
    }
}

impl PushingClient {
    fn new(now: MonoNanos, interval_ms: i32) -> PushingClient {
        PushingClient {
            heard: now,
            interval_ms,
            asked: None,
            pushed: None,
            may_ask: false,
            has_ended: false,
            values: Vec::new(),
        }
    }

    fn is_gone(&self, now: MonoNanos) -> bool {
        now > self.heard.plus_ms(millis(self.interval_ms).saturating_mul(INTERVALS_KEPT))
    }
}

impl PushTerms {
    fn wants(&self, name: &str) -> bool {
        self.metrics.contains(ALL) || self.metrics.iter().any(|prefix| name.starts_with(&**prefix))
    }
}

/// The labels that tell whose metrics these are.
pub(super) struct ClientIdentity {
    client_id: Arc<str>,
    software: Arc<str>,
}

impl ClientIdentity {
    fn metric(&self, instance: Arc<str>, point: otlp::Point) -> ClientMetric {
        ClientMetric {
            client_id: Arc::clone(&self.client_id),
            software: Arc::clone(&self.software),
            instance,
            name: point.name,
            labels: point.labels,
            value: point.value,
        }
    }
}

fn subscriptions(image: &MetadataImage) -> Vec<Subscription> {
    let told = image.configs.iter().filter(|(resource, _)| matches!(resource, Resource::ClientMetrics(_)));
    // The controller has resolved them before.
    told.filter_map(|(_, configs)| Subscription::resolve(configs).ok()).collect()
}

fn subscription_id(instance: TopicId, interval_ms: i32, metrics: &BTreeSet<String>) -> i32 {
    let mut digest = crc32fast::Hasher::new();
    digest.update(&instance.0);
    digest.update(&interval_ms.to_be_bytes());
    for metric in metrics {
        digest.update(metric.as_bytes());
        digest.update(b"\0");
    }
    digest.finalize().cast_signed()
}

fn codec(number: i8) -> Option<Codec> {
    Codec::ALL.into_iter().find(|codec| codec.attribute() == i16::from(number))
}

/// Negative times are none.
fn millis(ms: i32) -> u64 {
    u64::try_from(ms).unwrap_or(0)
}
