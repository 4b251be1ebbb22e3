//! Answers the administration thread: gathers what the rooms of one shard have to show, when somebody asks.

use std::rc::Rc;

use crate::admin::ScrapeRequest;
use crate::api;
use crate::base::metrics::{SERIES_MAX, ShardMetrics};
use crate::runtime;
use crate::shard;

use super::metrics;
use super::registry::{self, Registry};
use super::services::{self, Services};

pub(super) async fn answer(
    services: Rc<Services>,
    registry: Rc<Registry>,
    scraped: flume::Receiver<ScrapeRequest>,
) {
    while let Ok(request) = scraped.recv_async().await {
        // The administration thread may have given up waiting.
        let _ = request.reply.try_send(gather(&services, &registry));
    }
}

fn gather(services: &Services, registry: &Registry) -> ShardMetrics {
    let Services { host, counters, .. } = services;
    let mut all = ShardMetrics::default();
    host.with_shard(|shard| {
        all.show(&shard::COUNTERS, shard.counters());
        all.show(&shard::GAUGES, &shard.gauges());
        all.time(&shard::TIMINGS, shard);
        all.committed = shard.committed().take(SERIES_MAX).collect();
        all.ends = shard.ends().take(SERIES_MAX).collect();
    });
    all.show(&runtime::metrics::METRICS, &host.counters);
    all.time(&runtime::metrics::TIMINGS, &host.counters);
    all.show(&services::METRICS, services);
    all.show(&registry::METRICS, registry);
    all.show(&metrics::METRICS, counters);
    all.time(&metrics::TIMINGS, counters);
    all.families.extend(counters.tallies());
    all.show(&api::SESSION_METRICS, &services.sessions.borrow());
    let telemetry = services.telemetry.borrow();
    all.show(&api::TELEMETRY_METRICS, &telemetry);
    all.clients = telemetry.values(host.clock.mono()).cloned().collect();
    all
}
