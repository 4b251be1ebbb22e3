//! Answers the administration thread: what one shard's rooms have to show, gathered when somebody asks.

use std::rc::Rc;

use crate::admin::ScrapeRequest;
use crate::base::metrics::{SERIES_MAX, ShardMetrics};

use super::registry::Registry;
use super::services::Services;

pub(super) async fn answer(
    services: Rc<Services>,
    registry: Rc<Registry>,
    scraped: flume::Receiver<ScrapeRequest>,
) {
    while let Ok(request) = scraped.recv_async().await {
        // The administration thread may have given up waiting.
        let _ = request.reply.try_send(metrics(&services, &registry));
    }
}

fn metrics(services: &Services, registry: &Registry) -> ShardMetrics {
    let Services { host, pools, counters, .. } = services;
    let (log, gauges) = host.with_shard(|shard| (*shard.counters(), shard.gauges()));
    let (committed, ends) = host.with_shard(|shard| {
        (shard.committed().take(SERIES_MAX).collect(), shard.ends().take(SERIES_MAX).collect())
    });
    let telemetry = services.telemetry.borrow();
    let mut metrics = ShardMetrics {
        shard: host.here,
        log,
        network: *counters.network.borrow(),
        sessions: services.sessions.borrow().counters(),
        telemetry: telemetry.counters(),
        clients: telemetry.values(host.clock.mono()).cloned().collect(),
        cross_shard: host.cross_shard.get(),
        hops: counters.hops.borrow().clone(),
        requests: counters.requests.borrow().clone(),
        latency: counters.latencies.borrow().clone(),
        committed,
        ends,
        ..ShardMetrics::default()
    };
    metrics.network.fetch_payload_bytes_copied = host.bytes_copied.get();
    metrics.latency.commit_write = host.commit_latency.borrow().clone();
    metrics.latency.segment_read = host.read_latency.borrow().clone();
    metrics.latency.commit_wait = host.with_shard(|shard| shard.commit_wait().clone());
    metrics.gauges.commit_pending_bytes = gauges.commit_pending_bytes as u64;
    metrics.gauges.commit_files = gauges.commit_files as u64;
    metrics.gauges.commit_files_free = gauges.commit_files_free as u64;
    metrics.gauges.writeback_waiting = gauges.writeback_waiting as u64;
    metrics.gauges.connections = registry.open() as u64;
    metrics.gauges.partitions = gauges.partitions as u64;
    metrics.gauges.producers = gauges.producers as u64;
    metrics.gauges.groups = gauges.groups as u64;
    metrics.gauges.group_members = gauges.group_members as u64;
    metrics.gauges.fetch_waiters = gauges.fetches_waiting as u64;
    metrics.gauges.requests_in_flight = host.in_progress.get() as u64;
    metrics.gauges.chunk_bytes = gauges.chunk_bytes as u64;
    metrics.gauges.read_cache_bytes = gauges.read_cache_bytes as u64;
    metrics.gauges.index_bytes = gauges.index_bytes as u64;
    metrics.gauges.scrub_left = gauges.scrub_left as u64;
    metrics.gauges.quarantined = gauges.quarantined;
    metrics.gauges.spares = gauges.spares as u64;
    metrics.gauges.spare_bytes = gauges.spare_bytes;
    metrics.gauges.frame_bytes = pools.frames.used() as u64;
    metrics.gauges.answer_bytes = pools.answers.used() as u64;
    metrics
}
