//! Bytes no honest peer sends: every message in every version meets them without a panic, and takes memory only in
//! proportion to what was received. An allocator that counts says so.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::ops::RangeInclusive;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use ringmain::base::rng::Rng;
use ringmain::base::{BrokerEpoch, Offset, ServerId, StreamNumber, TopicPartition};
use ringmain::peer::{self, CloseReason, ClosedStream, Drain, FrameLimits, Heartbeat, Wants};
use ringmain::protocol::messages::*;
use ringmain::protocol::{self, DecodeError, EncodeError, Message, Reader, Writer, decode_body};

/// What decoding may hold at once: so much for each byte received, and so much besides.
const PEAK_PER_BYTE: usize = 16;
const PEAK_FREE: usize = 64 * 1024;

/// Counts what the current thread holds; tests run in parallel.
struct Counting;

thread_local! {
    static HELD: Cell<usize> = const { Cell::new(0) };
    static PEAK: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator unchanged; the counters neither allocate nor drop.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.get().wrapping_add(layout.size());
        HELD.set(held);
        PEAK.set(PEAK.get().max(held));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        HELD.set(HELD.get().wrapping_sub(layout.size()));
        // SAFETY: the caller keeps the contract of `dealloc`.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The most memory `work` held at once beyond what was held before.
fn peak_of<T>(work: impl FnOnce() -> T) -> usize {
    HELD.set(0);
    PEAK.set(0);
    drop(work());
    PEAK.get()
}

/// One message of the schema, as far as hostile bytes are concerned.
struct Target {
    name: &'static str,
    versions: RangeInclusive<i16>,
    flexible_from: i16,
    /// Whether the version is refused, whatever the bytes.
    refuses: fn(i16) -> bool,
    /// Whether the bytes are this message.
    decodes: fn(&[u8], i16) -> bool,
    /// Whatever decodes can be said again, in bytes that mean the same. (Not always the same bytes: tags we do not know
    /// are gone, and any byte but zero is true.)
    round_trips: fn(&[u8], i16),
}

macro_rules! targets {
    ($($message:ty,)*) => {
        vec![$(Target {
            name: <$message>::NAME,
            versions: <$message>::VERSIONS,
            flexible_from: <$message>::FLEXIBLE_FROM,
            refuses: |version| {
                let bytes = decode_body::<$message>(&[], version).err();
                let message = <$message>::default().encode(&mut Writer::new(), version).err();
                let name = <$message>::NAME;
                bytes == Some(DecodeError::Version { message: name, version })
                    && message == Some(EncodeError::Version { message: name, version })
            },
            decodes: |bytes, version| decode_body::<$message>(bytes, version).is_ok(),
            round_trips: |bytes, version| {
                if let Ok(message) = decode_body::<$message>(bytes, version) {
                    let bytes = written(&message, version);
                    let again: $message = decode_body(&bytes, version).unwrap();
                    assert_eq!(written(&again, version), bytes, "{} v{version}", <$message>::NAME);
                }
            },
        }),*]
    };
}

fn targets() -> Vec<Target> {
    ringmain::every_message!(targets)
}

fn written<'a, M: Message<'a>>(message: &M, version: i16) -> Vec<u8> {
    let mut writer = Writer::new();
    message.encode(&mut writer, version).unwrap_or_else(|error| panic!("{} v{version}: {error}", M::NAME));
    writer.into_pieces().iter().flat_map(|piece| piece.to_vec()).collect()
}

impl Target {
    fn check(&self, bytes: &[u8], version: i16) {
        let peak = peak_of(|| (self.decodes)(bytes, version));
        let allowed = PEAK_PER_BYTE * bytes.len() + PEAK_FREE;
        assert!(peak <= allowed, "{} v{version}: {} bytes took {peak} of memory", self.name, bytes.len());
    }
}

/// Rows of the golden vectors: message, version, bytes.
fn rows() -> Vec<(&'static Target, i16, Vec<u8>)> {
    let targets: &'static Vec<Target> = Box::leak(Box::new(targets()));
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/vectors/messages.tsv");
    let text = std::fs::read_to_string(path).unwrap();
    let row = |line: &str| {
        let [message, version, _, hex] = line.split('\t').collect::<Vec<_>>().try_into().unwrap();
        let target = targets.iter().find(|target| target.name == message).unwrap();
        let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        (target, version.parse().unwrap(), bytes.collect())
    };
    text.lines().filter(|line| !line.is_empty()).map(row).collect()
}

#[test]
fn a_message_cut_short_is_refused() {
    for (target, version, bytes) in rows() {
        for cut in 0..bytes.len() {
            target.check(&bytes[..cut], version);
            assert!(!(target.decodes)(&bytes[..cut], version), "{} v{version} at {cut}", target.name);
        }
    }
}

#[test]
fn a_damaged_message_is_refused_or_says_something_else() {
    let mut rng = Rng::seeded(1);
    let mut below = |bound: usize| usize::try_from(rng.below(bound as u64)).unwrap();
    for (target, version, bytes) in rows().into_iter().filter(|(_, _, bytes)| !bytes.is_empty()) {
        for _ in 0..40 {
            let mut bad = bytes.clone();
            for _ in 0..=below(4) {
                let at = below(bad.len());
                bad[at] = u8::try_from(below(256)).unwrap();
            }
            target.check(&bad, version);
            (target.round_trips)(&bad, version);
        }
    }
}

/// Whatever array a message has: its length claims all that follows, and what follows is the smallest element there is.
#[test]
fn arrays_of_the_smallest_elements_take_no_more_than_their_share() {
    const FILL_BYTES: usize = 20_000;
    let fills = [0u8, 1, 2].map(|byte| vec![byte; FILL_BYTES]);
    for (target, version, bytes) in rows() {
        let lengths: &[&[u8]] = if version >= target.flexible_from {
            &[&[0xFF, 0x7F]]
        } else {
            &[&[0, 0, 0x3F, 0xFF], &[0, 0, 0, 0xFF]]
        };
        if !(*target.versions.end() == version || target.flexible_from == version + 1) {
            continue;
        }
        for cut in 0..bytes.len().min(48) {
            for (length, fill) in
                lengths.iter().flat_map(|length| fills.iter().map(move |fill| (length, fill)))
            {
                target.check(&[&bytes[..cut], length, fill].concat(), version);
            }
        }
    }
}

#[test]
fn versions_the_schema_lacks_are_refused() {
    for target in targets() {
        for version in [i16::MIN, -1, target.versions.start() - 1, target.versions.end() + 1, i16::MAX] {
            assert!((target.refuses)(version), "{} v{version}", target.name);
        }
    }
}

fn peer_frame(header: &[u8]) -> Bytes {
    let size = |bytes: usize| u32::try_from(bytes).unwrap().to_le_bytes();
    let sizes = [size(8 + header.len()), size(header.len())].concat();
    let crc = crc32fast::hash(&[&sizes, header].concat()).to_le_bytes();
    [&sizes, &crc[..], header].concat().into()
}

/// Messages between servers with the longest lists that there may be.
fn peer_headers() -> Vec<Bytes> {
    let heartbeat = Heartbeat {
        server: ServerId(1),
        broker_epoch: BrokerEpoch(1),
        applied: 1,
        metadata_flushed: Offset(1),
        commit_sequence: 1,
        wants: Wants::Serve,
        drain: Drain::None,
        disk_total: 1,
        disk_usable: 1,
        produce_bytes: vec![1; peer::limits::SHARDS_MAX],
        sizes: vec![(TopicPartition::METADATA, 1); peer::limits::SIZES_MAX],
        slow_sync: false,
        sent: 1,
    };
    let close = ClosedStream { stream: StreamNumber(1), reason: CloseReason::Gone };
    let messages =
        [peer::Message::Heartbeat(heartbeat), peer::Message::Close(vec![close; peer::limits::STREAMS_MAX])];
    messages.iter().map(|message| peer::encode(message, 0).slice(peer::limits::FRONT_BYTES..)).collect()
}

#[test]
fn frames_between_servers_take_memory_for_what_is_there() {
    let limits = FrameLimits::Accepted { batch_bytes_max: 1 << 30 };
    let check = |bytes: Bytes| {
        let peak = peak_of(|| peer::decode(&bytes, &limits));
        assert!(peak <= PEAK_PER_BYTE * bytes.len() + PEAK_FREE, "{} bytes took {peak}", bytes.len());
    };
    // A front that promises a gibibyte takes nothing.
    check([1 << 30, 1000, 0u32].map(u32::to_le_bytes).concat().into());
    let mut rng = Rng::seeded(2);
    let mut below = |bound: usize| usize::try_from(rng.below(bound as u64)).unwrap();
    for header in peer_headers() {
        check(peer_frame(&header));
        for round in 0..2000 {
            let mut bad = header.to_vec();
            // Tables and lengths of lists are in front.
            let within = if round % 2 == 0 { bad.len() } else { 200 };
            for _ in 0..=below(4) {
                bad[below(within)] = u8::try_from(below(256)).unwrap();
            }
            check(peer_frame(&bad));
        }
    }
}

/// Bytes that look like lengths, nulls and small numbers more often than chance would have it.
fn wire_like() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![4 => 0u8..4, 1 => Just(0xFF), 1 => Just(0x7F), 1 => Just(0x80), 2 => any::<u8>()];
    vec(byte, 0..300)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in wire_like()) {
        for target in targets() {
            for version in target.versions.clone() {
                target.check(&bytes, version);
                (target.round_trips)(&bytes, version);
            }
        }
        let mut reader = Reader::new(&bytes);
        let _ = protocol::RequestHeader::decode(&mut reader);
    }
}
