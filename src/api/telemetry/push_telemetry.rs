//! PushTelemetry (72), version 0 (KIP-714): a client's metrics, which /metrics then shows.
//!
//! Refused: a push for another subscription than the one in force (UNKNOWN_SUBSCRIPTION_ID), before its interval is over
//! (THROTTLING_QUOTA_EXCEEDED), above `telemetry.max.bytes` (TELEMETRY_TOO_LARGE), in an unknown codec
//! (UNSUPPORTED_COMPRESSION_TYPE), that inflates to more than `telemetry.max.bytes` or is no OpenTelemetry (INVALID_RECORD), without an instance id or after the one that
//! said it was the last (INVALID_REQUEST).

use bytes::Bytes;

use crate::base::TopicId;
use crate::protocol::messages::{PushTelemetryRequest, PushTelemetryResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use super::Push;
use super::asking::{asked, identity};
use crate::api::answer::{decode, respond};
use crate::api::{Api, ApiError, Context, Step};

pub const API: Api = Api::new(ApiKey::PushTelemetry, 0..=0, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: PushTelemetryRequest<'_> = decode(header, body)?;
    let error = match request.client_instance_id {
        TopicId::ZERO => ErrorCode::InvalidRequest,
        instance => {
            let asked = asked(context, header, instance);
            let push = Push {
                instance,
                subscription_id: request.subscription_id,
                is_last: request.terminating,
                codec: request.compression_type,
                metrics: &request.metrics,
            };
            let bytes_max = usize::try_from(context.config.telemetry_bytes_max).unwrap_or(0);
            let identity = identity(context, header);
            let pushed = context.telemetry.push(context.now.mono, &push, &asked, bytes_max, &identity);
            pushed.err().unwrap_or(ErrorCode::None)
        }
    };
    respond(header, &PushTelemetryResponse { throttle_time_ms: 0, error_code: error.code() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use crate::api::configs::incremental_alter_configs;
    use crate::api::telemetry::get_telemetry_subscriptions;
    use crate::api::testing::{Server, read};
    use crate::base::MonoNanos;
    use crate::protocol::messages::incremental_alter_configs_request::{
        AlterConfigsResource, AlterableConfig,
    };
    use crate::protocol::messages::{
        GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse, IncrementalAlterConfigsRequest,
    };
    use crate::record::{Codec, compress};

    use super::*;
    use crate::api::telemetry::otlp::sample;

    const CLIENT_METRICS: i8 = 16;

    fn subscribe(server: &mut Server, name: &str, configs: &[(&str, &str)]) {
        let configs = configs.iter().map(|(name, value)| AlterableConfig {
            name: (*name).into(),
            config_operation: 0,
            value: Some((*value).into()),
        });
        let resource = AlterConfigsResource {
            resource_type: CLIENT_METRICS,
            resource_name: name.to_owned().into(),
            configs: configs.collect(),
        };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        server.call(incremental_alter_configs::start, 1, &request);
    }

    /// Error, instance, subscription, interval, metrics.
    fn ask(server: &mut Server, instance: TopicId) -> (i16, TopicId, i32, i32, Vec<String>) {
        let request = GetTelemetrySubscriptionsRequest { client_instance_id: instance };
        let body = server.call(get_telemetry_subscriptions::start, 0, &request);
        let answer: GetTelemetrySubscriptionsResponse<'_> = read(&body, 0);
        let metrics = answer.requested_metrics.iter().map(ToString::to_string).collect();
        let (id, interval) = (answer.subscription_id, answer.push_interval_ms);
        (answer.error_code, answer.client_instance_id, id, interval, metrics)
    }

    fn push(server: &mut Server, request: &PushTelemetryRequest<'_>) -> ErrorCode {
        let body = server.call(start, 0, request);
        let answer: PushTelemetryResponse = read(&body, 0);
        ErrorCode::from_code(answer.error_code).expect("a known code")
    }

    fn request(instance: TopicId, subscription_id: i32, metrics: Vec<u8>) -> PushTelemetryRequest<'static> {
        PushTelemetryRequest {
            client_instance_id: instance,
            subscription_id,
            terminating: false,
            compression_type: 0,
            metrics: metrics.into(),
        }
    }

    fn values(server: &Server) -> BTreeMap<String, f64> {
        let values = server.telemetry.values(server.now);
        values.map(|it| (it.name.to_string(), it.value)).collect()
    }

    #[test]
    fn nobody_is_asked_without_a_subscription() {
        let mut server = Server::new();
        let (error, instance, _, interval, metrics) = ask(&mut server, TopicId::ZERO);
        assert_eq!((error, interval, metrics.len()), (0, 300_000, 0));
        assert_ne!(instance, TopicId::ZERO);
    }

    #[test]
    fn subscriptions_that_match_are_joined() {
        let mut server = Server::new();
        server.connection.software_name = "apache-kafka-java".into();
        subscribe(&mut server, "a", &[("metrics", "org.a,org.b"), ("interval.ms", "5000")]);
        subscribe(&mut server, "b", &[("metrics", "org.b"), ("match", "client_software_name=apache-.*")]);
        subscribe(&mut server, "c", &[("metrics", "*"), ("match", "client_software_name=librdkafka")]);
        let (_, _, id, interval, metrics) = ask(&mut server, TopicId([1; 16]));
        assert_eq!((interval, metrics), (5000, vec!["org.a".to_owned(), "org.b".to_owned()]));
        server.connection.software_name = "librdkafka".into();
        let (_, _, other, _, metrics) = ask(&mut server, TopicId([2; 16]));
        assert_eq!(metrics, ["*"]);
        assert_ne!(id, other);
    }

    #[test]
    fn what_was_asked_for_is_kept_until_the_client_is_silent() {
        for codec in Codec::ALL {
            let mut server = Server::new();
            subscribe(&mut server, "a", &[("metrics", "org.a"), ("interval.ms", "1000")]);
            let (_, instance, id, ..) = ask(&mut server, TopicId::ZERO);
            let metrics = sample("org.a.rate", 2.5, &[("node_id", "1")]);
            let stored = compress(codec, &metrics).expect("compresses");
            let mut first = request(instance, id, stored);
            first.compression_type = i8::try_from(codec.attribute()).expect("small");
            assert_eq!(push(&mut server, &first), ErrorCode::None);
            assert_eq!(values(&server), BTreeMap::from([("org.a.rate".to_owned(), 2.5)]));
            server.now = server.now.plus_ms(1000);
            assert_eq!(push(&mut server, &request(instance, id, sample("org.b", 1.0, &[]))), ErrorCode::None);
            assert!(values(&server).is_empty(), "nobody asked for that");
            server.now = server.now.plus_ms(1000);
            assert_eq!(push(&mut server, &first), ErrorCode::None);
            server.now = server.now.plus_ms(3001);
            assert!(values(&server).is_empty());
        }
    }

    #[test]
    fn pushes_are_refused_by_kafkas_codes() {
        let mut server = Server::new();
        subscribe(&mut server, "a", &[("metrics", "*"), ("interval.ms", "1000")]);
        let (_, instance, id, ..) = ask(&mut server, TopicId::ZERO);
        let good = || request(instance, id, sample("a", 1.0, &[]));
        let mut check = |request: &PushTelemetryRequest<'_>, want: ErrorCode| {
            server.now = server.now.plus_ms(1000);
            assert_eq!(push(&mut server, request), want);
        };
        check(
            &PushTelemetryRequest { client_instance_id: TopicId::ZERO, ..good() },
            ErrorCode::InvalidRequest,
        );
        check(&PushTelemetryRequest { subscription_id: id + 1, ..good() }, ErrorCode::UnknownSubscriptionId);
        check(&PushTelemetryRequest { compression_type: 9, ..good() }, ErrorCode::UnsupportedCompressionType);
        check(&request(instance, id, vec![0; (1 << 20) + 1]), ErrorCode::TelemetryTooLarge);
        check(&request(instance, id, vec![0xFF; 9]), ErrorCode::InvalidRecord);
        let bomb = compress(Codec::Zstd, &vec![0; (1 << 20) + 1]).expect("compresses");
        check(
            &PushTelemetryRequest { compression_type: 4, ..request(instance, id, bomb) },
            ErrorCode::InvalidRecord,
        );
        check(&good(), ErrorCode::None);
        assert_eq!(push(&mut server, &good()), ErrorCode::ThrottlingQuotaExceeded);
        let last = PushTelemetryRequest { terminating: true, ..good() };
        assert_eq!(push(&mut server, &last), ErrorCode::None, "the last is never early");
        assert!(values(&server).is_empty());
        assert_eq!(push(&mut server, &good()), ErrorCode::InvalidRequest);
    }

    #[test]
    fn asking_too_often_is_refused_unless_something_is_new() {
        let mut server = Server::new();
        subscribe(&mut server, "a", &[("metrics", "*"), ("interval.ms", "1000")]);
        let (_, instance, id, ..) = ask(&mut server, TopicId::ZERO);
        assert_eq!(ask(&mut server, instance).0, ErrorCode::ThrottlingQuotaExceeded.code());
        subscribe(&mut server, "a", &[("metrics", "b"), ("interval.ms", "1000")]);
        let stale = request(instance, id, sample("a", 1.0, &[]));
        assert_eq!(push(&mut server, &stale), ErrorCode::UnknownSubscriptionId);
        assert_eq!(ask(&mut server, instance).0, 0);
        server.now = MonoNanos(server.now.0 + 1_000_000_000);
        assert_eq!(ask(&mut server, instance).0, 0);
    }

    #[test]
    fn many_clients_stay_within_bounds() {
        let mut server = Server::new();
        subscribe(&mut server, "a", &[("metrics", "*")]);
        for number in 1..3000u32 {
            let mut bytes = [0; 16];
            bytes[..4].copy_from_slice(&number.to_be_bytes());
            let (_, _, id, ..) = ask(&mut server, TopicId(bytes));
            let pushed = request(TopicId(bytes), id, sample("a", 1.0, &[]));
            assert_eq!(push(&mut server, &pushed), ErrorCode::None);
        }
        assert_eq!((server.telemetry.clients.len(), server.telemetry.counters.pushes), (1000, 2999));
    }
}
