//! One member of a consumer group, as a process: prints `partition offset value` of each record, then commits it.
//! member.py says more.
//!
//! usage: member ADDRESS TOPIC GROUP [SETTING=VALUE]...

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;

const BATCH: usize = 50;
const POLL: Duration = Duration::from_millis(200);

static STOPPING: AtomicBool = AtomicBool::new(false);

extern "C" fn stop(_signal: libc::c_int) {
    STOPPING.store(true, Ordering::Relaxed);
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [address, topic, group, settings @ ..] = &arguments[..] else {
        panic!("usage: member ADDRESS TOPIC GROUP [SETTING=VALUE]...");
    };
    let handler: extern "C" fn(libc::c_int) = stop;
    // SAFETY: the handler only stores to an atomic.
    unsafe { libc::signal(libc::SIGTERM, handler as libc::sighandler_t) };
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", address).set("group.id", group);
    config.set("auto.offset.reset", "earliest").set("enable.auto.commit", "false");
    if !settings.iter().any(|setting| setting == "group.protocol=consumer") {
        config.set("session.timeout.ms", "6000").set("heartbeat.interval.ms", "500");
    }
    for setting in settings {
        let (name, value) = setting.split_once('=').expect("SETTING=VALUE");
        config.set(name, value);
    }
    let consumer: BaseConsumer = config.create().expect("the settings are librdkafka's");
    consumer.subscribe(&[topic]).expect("a topic's name");
    while !STOPPING.load(Ordering::Relaxed) {
        if read(&consumer) > 0
            && let Err(error) = consumer.commit_consumer_state(CommitMode::Sync)
        {
            // A rebalance has taken the partitions: whoever has them now reads these records again.
            eprintln!("commit: {error}");
        }
    }
}

/// Shows what has come, and how much that is. The line is out before the record is committed.
fn read(consumer: &BaseConsumer) -> usize {
    let mut wait = POLL;
    for count in 0..BATCH {
        match consumer.poll(wait) {
            None => return count,
            Some(Err(error)) => eprintln!("read: {error}"),
            Some(Ok(record)) => {
                let value = String::from_utf8_lossy(record.payload().unwrap_or_default());
                println!("{} {} {value}", record.partition(), record.offset());
            }
        }
        wait = Duration::ZERO;
    }
    BATCH
}
