//! Records that are no longer in memory: read from disk once, whoever reads them.

use ringmain::base::Offset;

use super::server::{Server, topic_name};
use super::wire::{Limits, Wire, batch, headers};

const GROUPS: usize = 10;
const BATCHES: usize = 600;
const BATCH_BYTES: usize = 40_000;

#[test]
fn ten_groups_cost_one_read_of_the_disk() {
    let args = ["--shards", "1", "--set", "ringmain.memory.bytes=134217728"];
    let mut server = Server::start_with(&args);
    let topic = topic_name("shared");
    server.create_topic(&topic, 1, &[("segment.bytes", "8388608")]);
    let mut wire = Wire::to(&server, &topic, 0);
    for at in 0..BATCHES {
        wire.append(batch(&[&format!("{at} {}", "x".repeat(BATCH_BYTES))]));
    }
    // Nothing is in memory after a start.
    server.stop();
    server.start_again(&args);
    let mut groups: Vec<(Wire, Offset)> =
        (0..GROUPS).map(|_| (Wire::to(&server, &topic, 0), Offset(0))).collect();
    let end = Offset(i64::try_from(BATCHES).expect("small"));
    let limits = Limits { min_bytes: 1, max_bytes: 1 << 20, max_wait_ms: 500 };
    let mut turns = 0;
    while groups.iter().any(|(_, next)| *next < end) {
        for (wire, next) in groups.iter_mut().filter(|(_, next)| *next < end) {
            let fetched = wire.fetch(*next, limits);
            let read = headers(&fetched.bytes);
            // An answer may begin before what was asked for, never after.
            assert!(read.first().is_some_and(|first| first.base_offset <= *next), "nothing at {next}");
            assert!(read.windows(2).all(|pair| pair[0].last_offset().plus(1) == pair[1].base_offset));
            *next = read.last().expect("a batch").last_offset().plus(1);
        }
        turns += 1;
        assert!(turns < 10 * BATCHES, "readers get on slowly");
    }
    let (stored, read) = ((BATCHES * BATCH_BYTES) as u64, server.metric("ringmain_cold_read_bytes_total"));
    assert!(read >= stored / 2, "it was on disk: {read} of {stored} bytes");
    assert!(read <= stored + stored / 4, "{GROUPS} groups have read {read} bytes of {stored}");
    assert!(server.metric("ringmain_read_cache_hits_total") > 0);
}
