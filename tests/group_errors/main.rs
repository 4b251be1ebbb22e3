//! What a group's coordinator refuses, with which of Kafka's errors, and that nothing has changed then.
//!
//! The tests are tables: a row has a name, what is asked, and what must come back.
//!
//! RINGMAIN_TEST_BOOTSTRAP=HOST:PORT asks that broker instead, fresh and with default settings: Apache Kafka 4.4 must answer
//! the same, which is how these errors are known to be the right ones.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod broker;
mod classic;
mod consumer;
mod nobody;
#[path = "../process/mod.rs"]
mod process;

use broker::Broker;
use process::{Launch, Server, scratch};

/// Runs against a server of its own, or the one that is named.
fn with_broker(test: impl FnOnce(&mut Broker)) {
    if let Ok(address) = std::env::var("RINGMAIN_TEST_BOOTSTRAP") {
        let mut broker = Broker::at(&address);
        test(&mut broker);
        return broker.done();
    }
    let scratch = scratch();
    let server: Server = Launch::new(&scratch.path().join("data")).start();
    let mut broker = Broker::at(&server.address());
    test(&mut broker);
    broker.done();
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn what_makes_no_sense_gets_kafkas_error_and_changes_nothing() {
    with_broker(|broker| {
        nobody::groups_that_are_not_there(broker);
        nobody::illegal_ids(broker);
        classic::groups(broker);
        classic::static_members(broker);
        classic::commits(broker);
        consumer::groups(broker);
        consumer::instances(broker);
        consumer::among_workers(broker);
        consumer::there_and_back(broker);
        leader_epochs(broker);
    });
}

/// Where an epoch ended, and how far a reader's log is the same.
fn leader_epochs(broker: &mut Broker) {
    broker.answers(
        "end of an epoch",
        &[
            ("the first", &|it| it.end_of_epoch(0), "None 0 0"),
            ("a later one", &|it| it.end_of_epoch(1), "None -1 -1"),
            ("one far away", &|it| it.end_of_epoch(7), "None -1 -1"),
            ("the last there can be", &|it| it.end_of_epoch(i32::MAX), "None -1 -1"),
            ("none", &|it| it.end_of_epoch(-1), "None -1 -1"),
        ],
    );
    broker.answers(
        "fetch by a reader that has read in an epoch",
        &[
            ("nothing in the first", &|it| it.fetch_after(0, 0), "None -1 -1"),
            ("beyond the end of the first", &|it| it.fetch_after(0, 1), "None 0 0"),
            ("nothing in a later one", &|it| it.fetch_after(1, 0), "OffsetOutOfRange -1 -1"),
            ("something in one far away", &|it| it.fetch_after(7, 1), "OffsetOutOfRange -1 -1"),
            ("nothing in none", &|it| it.fetch_after(-1, 0), "None -1 -1"),
            ("something in none", &|it| it.fetch_after(-1, 1), "OffsetOutOfRange -1 -1"),
        ],
    );
}
