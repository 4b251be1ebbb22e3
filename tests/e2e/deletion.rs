//! Topics that go while much of them is on its way to the disk.

use ringmain::base::{Offset, PartitionIndex};
use ringmain::protocol::ErrorCode;

use super::server::{Server, topic_name, wait_until};
use super::wire::{Wire, batch};

const PARTITIONS: i32 = 200;

#[test]
fn a_topic_may_go_while_its_partitions_are_released_from_the_commit_log() {
    let server = Server::start_with(&["--shards", "1", "--set", "ringmain.commit.file.bytes=4194304"]);
    let stays = topic_name("stays");
    server.create_topic(&stays, 1, &[]);
    let value = "x".repeat(9_000);
    for round in 0..6 {
        let goes = topic_name(&format!("goes-{round}"));
        server.create_topic(&goes, PARTITIONS, &[]);
        let mut wire = Wire::to(&server, &goes, 0);
        // Enough of the log that the partitions' turn comes, and not enough that it is over when the topic goes.
        for _ in 0..8 + round {
            (0..PARTITIONS).for_each(|partition| {
                wire.send_produce(PartitionIndex(partition), batch(&[&value]));
            });
            for _ in 0..PARTITIONS {
                assert_eq!(wire.receive_produced().error, ErrorCode::None);
            }
        }
        server.admin().delete_topic(&goes).expect("it is there");
        let kept = Wire::to(&server, &stays, 0).append(batch(&["on it goes"]));
        assert_eq!(kept, Offset(round));
    }
    wait_until("only what stays is left", || {
        let topics = std::fs::read_dir(server.data_directory().join("topics")).expect("there is one");
        topics.count() <= 2
    });
    assert!(server.metric("ringmain_checkpoints_total") > 0, "commit files were freed");
    assert!(!server.log().contains("ERROR"), "{}", server.log());
}
