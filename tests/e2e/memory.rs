//! Memory stays within `ringmain.memory.bytes`, whatever clients do, and those that behave get on.

use std::io::Write;
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ringmain::base::{Offset, PartitionIndex, ProducerEpoch, ProducerId};
use ringmain::protocol::ErrorCode;

use super::server::{PATIENCE, Server, topic_name, wait_until};
use super::wire::{Limits, Wire, batch, builder};

const MIB: usize = 1 << 20;
const MEMORY: usize = 128 * MIB;
/// What a server takes beside that: its code, stacks, rings and what the allocator keeps between uses.
const BESIDE: usize = 96 * MIB;

fn server() -> Server {
    Server::start_with(&["--shards", "2", "--set", &format!("ringmain.memory.bytes={MEMORY}")])
}

/// The most memory the server has while something happens.
fn peak(server: &Server, during: impl FnOnce()) -> usize {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let sampling = scope.spawn(|| {
            let mut most = 0;
            while !is_over.load(Ordering::Relaxed) {
                most = most.max(server.resident_bytes());
                thread::sleep(Duration::from_millis(10));
            }
            most
        });
        during();
        is_over.store(true, Ordering::Relaxed);
        sampling.join().expect("it only reads")
    })
}

fn assert_within_budget(what: &str, bytes: usize) {
    println!("{what}: at most {} MiB resident", bytes / MIB);
    assert!(bytes <= MEMORY + BESIDE, "{what}: {} MiB resident, {} MiB allowed", bytes / MIB, MEMORY / MIB);
}

fn large_batch(bytes: usize) -> Vec<u8> {
    batch(&[&"x".repeat(bytes)])
}

/// A produce and a fetch that end well.
fn gets_on(wire: &mut Wire) {
    let offset = wire.append(batch(&["a record"]));
    let fetched = wire.fetch(offset, Limits { min_bytes: 1, max_bytes: 1 << 20, max_wait_ms: 1000 });
    assert_eq!(fetched.error, ErrorCode::None);
    assert!(!fetched.bytes.is_empty());
}

#[test]
fn readers_that_stop_taking_answers() {
    const PARTITIONS: i32 = 8;
    const BATCHES: i32 = 200;
    const READERS: i32 = 200;
    /// More than the kernel takes for a connection whose peer reads nothing.
    const BATCHES_EACH: i32 = 8;
    let server = server();
    let topic = topic_name("stopped-readers");
    server.create_topic(&topic, PARTITIONS, &[]);
    let mut wires: Vec<Wire> = (0..PARTITIONS).map(|number| Wire::to(&server, &topic, number)).collect();
    let full = large_batch(400_000);
    for _ in 0..BATCHES {
        for wire in &mut wires {
            wire.send_produce(wire.partition, full.clone());
        }
        for wire in &mut wires {
            assert_eq!(wire.receive_produced().error, ErrorCode::None);
        }
    }
    let most = peak(&server, || {
        let mut stopped = Vec::new();
        for reader in 0..READERS {
            let number = reader % PARTITIONS;
            let mut wire = wires[usize::try_from(number).expect("small")].beside(number);
            // Each pins what nobody else reads: most of it is on disk only, and for some of them on both shards.
            let all: Vec<i32> = (0..PARTITIONS).map(|index| (number + index) % PARTITIONS).collect();
            let wanted = if reader % 3 == 0 { &all[..] } else { &all[..1] };
            for batch in 0..BATCHES_EACH {
                let offset = (reader / PARTITIONS * BATCHES_EACH + batch) % BATCHES;
                wire.send_fetch_of(wanted, Offset(i64::from(offset)), Limits::NOW);
            }
            stopped.push(wire);
        }
        for _ in 0..20 {
            wires.iter_mut().for_each(gets_on);
        }
        wait_until("readers that do not move are let go", || {
            wires.iter_mut().for_each(gets_on);
            server.metric("ringmain_connections_idle_closed_total") > 0
        });
    });
    assert_within_budget("stopped readers", most);
}

#[test]
fn requests_that_never_end() {
    const SENDERS: usize = 300;
    let server = server();
    let topic = topic_name("half-requests");
    server.create_topic(&topic, 1, &[]);
    let mut wire = Wire::to(&server, &topic, 0);
    let most = peak(&server, || {
        let senders: Vec<TcpStream> = (0..SENDERS)
            .map(|_| {
                let mut sender = TcpStream::connect(server.address()).expect("the server listens");
                sender.set_nonblocking(true).expect("a socket can be");
                let mut begun = vec![0; MIB];
                begun[..4].copy_from_slice(&(2_u32 << 20).to_be_bytes());
                // As much as the server takes; the rest of it does not come.
                let _ = sender.write(&begun);
                sender
            })
            .collect();
        gets_on(&mut wire);
        // A large request needs the memory that the others hold.
        let deadline = Instant::now() + PATIENCE;
        for _ in 0..20 {
            wire.append(large_batch(900_000));
        }
        assert!(Instant::now() < deadline);
        drop(senders);
    });
    assert_within_budget("half requests", most);
}

#[test]
fn a_flood_that_wants_no_answer() {
    const BATCHES: usize = 300;
    let server = server();
    let topic = topic_name("flood");
    server.create_topic(&topic, 4, &[]);
    let most = peak(&server, || {
        thread::scope(|scope| {
            for number in 0..4 {
                let mut wire = Wire::to(&server, &topic, number);
                scope.spawn(move || {
                    let full = large_batch(500_000);
                    for _ in 0..BATCHES {
                        wire.send_unanswered(full.clone());
                    }
                    // Answered after all of them.
                    assert_eq!(
                        wire.append(batch(&["the last"])),
                        Offset(i64::try_from(BATCHES).expect("small"))
                    );
                });
            }
        });
    });
    assert_within_budget("a flood with acks=0", most);
}

#[test]
fn ten_thousand_idle_connections_and_partitions() {
    const CONNECTIONS: usize = 9_000;
    const PARTITIONS: i32 = 10_000;
    raise_descriptor_limit();
    let server = server();
    let before = server.resident_bytes();
    let topic = topic_name("many");
    server.create_topic(&topic, PARTITIONS, &[]);
    let created = server.resident_bytes();
    let idle: Vec<TcpStream> =
        (0..CONNECTIONS).map(|_| TcpStream::connect(server.address()).expect("admitted")).collect();
    wait_until("all are accepted", || server.metric("ringmain_connections") >= CONNECTIONS as u64);
    let connected = server.resident_bytes();
    let each = |bytes: usize, count: usize| bytes / count;
    println!(
        "{} bytes a partition, {} bytes a connection",
        each(created.saturating_sub(before), PARTITIONS as usize),
        each(connected - created, CONNECTIONS)
    );
    assert!(each(created.saturating_sub(before), PARTITIONS as usize) <= 4096);
    assert!(each(connected - created, CONNECTIONS) <= 16 * 1024);
    assert_within_budget("idle connections and partitions", connected);
    gets_on(&mut Wire::to(&server, &topic, 7));
    drop(idle);
}

#[test]
fn partitions_that_were_busy_once() {
    const PARTITIONS: i32 = 2000;
    let server = server();
    let topic = topic_name("busy-once");
    server.create_topic(&topic, PARTITIONS, &[]);
    let mut wire = Wire::to(&server, &topic, 0);
    let most = peak(&server, || {
        for round in 0..8 {
            for number in 0..PARTITIONS {
                wire.send_produce(PartitionIndex(number), large_batch(9_000 + round * 100));
            }
            for _ in 0..PARTITIONS {
                assert_eq!(wire.receive_produced().error, ErrorCode::None);
            }
        }
    });
    assert_within_budget("partitions that were busy once", most);
    // All of it has been in its segments at some time, and is there for readers.
    let mut last = wire.beside(PARTITIONS - 1);
    assert!(!last.fetch(Offset(0), Limits::NOW).bytes.is_empty());
    assert!(server.metric("ringmain_segment_writes_total") > 0);
}

#[test]
fn producers_beyond_number() {
    // A thirty-second part of it for producers.
    let server = Server::start_with(&["--shards", "1", "--set", "ringmain.memory.bytes=16777216"]);
    let topic = topic_name("producers");
    server.create_topic(&topic, 1, &[]);
    let mut wire = Wire::to(&server, &topic, 0);
    let from = |producer: i64, sequence: i32| {
        builder(&["x"]).producer(ProducerId(producer), ProducerEpoch(0), sequence).finish().expect("a batch")
    };
    let bound = 16 * MIB as u64 / 32 / ringmain::shard::PRODUCER_BYTES as u64;
    let count = i64::try_from(bound).expect("small") * 2;
    for producer in 0..count {
        wire.send_produce(PartitionIndex(0), from(1000 + producer, 0));
        assert_eq!(wire.receive_produced().error, ErrorCode::None);
    }
    let remembered = server.metric("ringmain_producers");
    assert!(remembered <= bound && remembered > bound / 2, "{remembered} of {bound}");
    let last = wire.produce(from(1000 + count - 1, 0));
    assert_eq!((last.error, last.base_offset), (ErrorCode::None, Offset(count - 1)), "a repetition");
}

fn raise_descriptor_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls take a pointer to a limit that outlives them.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = limit.rlim_max;
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
}
