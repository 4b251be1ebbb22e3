//! GetTelemetrySubscriptions (71), version 0 (KIP-714): which metrics a client is to push, and how often.
//!
//! Subscriptions are resources of kind client-metrics, altered by IncrementalAlterConfigs. A client that no subscription
//! means is told to ask again after five minutes. Sums are asked for as totals, not as differences.

use bytes::Bytes;

use crate::base::TopicId;
use crate::protocol::messages::{GetTelemetrySubscriptionsRequest, GetTelemetrySubscriptionsResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};
use crate::record::Codec;

use crate::api::answer::{decode, respond};
use crate::api::{Api, ApiError, Context, Step};

use super::asking::asked;

/// What pushes may be compressed with, the best first.
const CODECS: [Codec; 4] = [Codec::Zstd, Codec::Lz4, Codec::Gzip, Codec::Snappy];

pub const API: Api = Api::new(ApiKey::GetTelemetrySubscriptions, 0..=0, start);

pub fn start(context: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: GetTelemetrySubscriptionsRequest = decode(header, body)?;
    let instance = match request.client_instance_id {
        TopicId::ZERO => context.telemetry.fresh_instance(),
        known => known,
    };
    let asked = asked(context, header, instance);
    if let Err(error) = context.telemetry.ask(context.now.mono, instance, &asked) {
        return respond(header, &refused(instance, error));
    }
    respond(
        header,
        &GetTelemetrySubscriptionsResponse {
            throttle_time_ms: 0,
            error_code: ErrorCode::None.code(),
            client_instance_id: instance,
            subscription_id: asked.id,
            accepted_compression_types: CODECS
                .iter()
                .filter_map(|it| i8::try_from(it.attribute()).ok())
                .collect(),
            push_interval_ms: asked.interval_ms,
            telemetry_max_bytes: context.config.telemetry_bytes_max,
            delta_temporality: false,
            requested_metrics: asked.metrics.into_iter().map(Into::into).collect(),
        },
    )
}

fn refused(instance: TopicId, error: ErrorCode) -> GetTelemetrySubscriptionsResponse<'static> {
    GetTelemetrySubscriptionsResponse {
        error_code: error.code(),
        client_instance_id: instance,
        ..GetTelemetrySubscriptionsResponse::default()
    }
}
