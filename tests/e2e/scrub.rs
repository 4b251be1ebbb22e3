//! Rot is found before anybody reads what has rotted.

use std::fs;

use super::server::{Server, topic_name, wait_until};
use super::wire::{Wire, batch};

#[test]
fn what_rots_on_disk_is_found_in_the_background() {
    // The first pass begins after one period.
    let args = ["--shards", "1", "--set", "ringmain.scrub.period.ms=300"];
    let mut server = Server::start_with(&args);
    let topic = topic_name("scrubbed");
    server.create_topic(&topic, 1, &[("segment.bytes", "1048576")]);
    let mut wire = Wire::to(&server, &topic, 0);
    for at in 0..100 {
        wire.append(batch(&[&format!("{at} {}", "x".repeat(50_000))]));
    }
    wait_until("a pass has verified the finished segments", || {
        server.metric("ringmain_scrub_passes_total") > 1
            && server.metric("ringmain_scrub_segments_total") >= 4
    });
    assert!(server.metric("ringmain_scrub_bytes_total") > 4_000_000);
    assert_eq!(server.metric("ringmain_scrub_damaged_total"), 0);
    server.stop();
    let id = {
        server.start_again(&["--shards", "1", "--set", "ringmain.scrub.period.ms=-1"]);
        let id = server.admin().describe_topic(&topic).expect("it was created").id;
        server.stop();
        id
    };
    let folder = server.data_directory().join("topics").join(id.to_string()).join("0");
    let segment = folder.join(format!("{:020}.log", 0));
    let mut bytes = fs::read(&segment).expect("readable");
    let half = bytes.len() / 2;
    bytes[half] ^= 4;
    fs::write(&segment, bytes).expect("writable");
    server.start_again(&args);
    wait_until("the damage is found", || server.metric("ringmain_scrub_damaged_total") > 0);
    wait_until("it is said where", || server.log().contains("is damaged at byte"));
    // All else goes on.
    Wire::to(&server, &topic, 0).append(batch(&["more"]));
}
