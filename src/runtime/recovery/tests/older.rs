//! A directory that a version without cuts has left in a crash opens with the same content.

use std::fs;
use std::path::Path;

use super::directory::*;
use crate::base::{LeaderEpoch, Offset, ProducerEpoch, ProducerId, TimestampMs, TopicId, TopicPartition};
use crate::log::{Admission, Sequenced};
use crate::record::BatchBuilder;
use crate::runtime::layout::quorum_file;
use crate::shard::{DamagedPartitions, LastStop};

/// Files, with their lengths; and of each what is not zero, at its position. Two shards; checkpoints of version 2 that know the
/// partitions, and in the commit logs what was written since.
const FILES: &str = include_str!("directory_before_cuts.txt");
const FLIGHTS: &str = "63cbe1e4-5932-4dd7-844c-3cd7f43c661c";
const TRAINS: &str = "e6984080-bab1-4a02-953a-eb70673e29cb";

/// A partition, and what is expected of it.
type Whole<'a> = (TopicPartition, usize, &'a [(i64, i64)]);

fn unpack(to: &Path) {
    let (mut path, mut bytes) = (None, Vec::new());
    for line in FILES.lines().chain(["file "]) {
        let words: Vec<&str> = line.split(' ').collect();
        if words[0] != "file" {
            let at: usize = words[0].parse().expect("a position");
            let digits = words[1].as_bytes().chunks(2).map(|it| str::from_utf8(it).expect("ascii"));
            let found: Vec<u8> = digits.map(|it| u8::from_str_radix(it, 16).expect("hex")).collect();
            bytes[at..at + found.len()].copy_from_slice(&found);
            continue;
        }
        if let Some(path) = path.replace(to.join(words[1])).filter(|_| !bytes.is_empty()) {
            fs::create_dir_all(Path::parent(&path).expect("in a folder")).expect("writable");
            fs::write(path, &bytes).expect("writable");
        }
        bytes = vec![0; words.get(2).map_or(0, |length| length.parse().expect("a length"))];
    }
}

fn id(topic: &str, index: i32) -> TopicPartition {
    partition(TopicId::parse(topic).expect("an id"), index)
}

/// Batches of two records each, of a producer that numbers them by their offsets.
fn data(from: i64, to: i64) -> Vec<u8> {
    let batch = |base: i64| {
        let sequence = i32::try_from(base).expect("small");
        let batch = BatchBuilder::new(TimestampMs(1000 + base)).placed(Offset(base), LeaderEpoch(0));
        let mut batch = batch.producer(ProducerId(42), ProducerEpoch(1), sequence);
        batch.append(None, Some(b"one"));
        batch.append(None, Some(b"two"));
        batch.finish().expect("small")
    };
    (from / 2..to / 2).flat_map(|at| batch(2 * at)).collect()
}

#[test]
fn a_directory_of_an_older_version_goes_on() {
    let mut directory = Directory::new();
    directory.shards = 2;
    unpack(directory.path());
    for life in 0..3 {
        let recovered = directory.run();
        let found = recovered.directory();
        assert_eq!((found.last_stop, &found.damaged), (LastStop::Crash, &DamagedPartitions::None));
        assert_eq!(
            found.ballot.map(|ballot| ballot.voter),
            Some(VOTER),
            "made anew, as nobody else has ever voted"
        );
        assert!(quorum_file(directory.path()).exists());
        assert!(found.unknown.is_empty());
        assert_eq!((recovered.image.version, recovered.image.topics.len()), (4, 2));
        assert_eq!(recovered.log(TopicPartition::METADATA), Some((0, 0, 4)));
        let whole: [Whole<'_>; 4] = [
            (id(FLIGHTS, 0), 1, &[(0, 12)]),
            (id(FLIGHTS, 1), 0, &[(0, 6)]),
            (id(FLIGHTS, 2), 1, &[(0, 2)]),
            (id(TRAINS, 0), 0, &[(0, 4), (4, 10)]),
        ];
        for (id, shard, segments) in whole {
            let end = segments.last().expect("there are some").1;
            assert_eq!(recovered.log(id), Some((shard, 0, end)), "{id} in life {life}");
            for (base, end) in segments {
                let bytes = fs::read(directory.segment(id, *base)).expect("there");
                assert!(bytes == data(*base, *end), "{id} in life {life}");
            }
            let log = recovered.recovered(id);
            assert_eq!(log.epochs.starts(), [(LeaderEpoch(0), Offset(0))]);
            let first_sequence = i32::try_from(end - 2).expect("small");
            let epoch = ProducerEpoch(1);
            let last = Sequenced { producer: ProducerId(42), epoch, first_sequence, records: 2 };
            let Admission::Duplicate(known) = log.producers.admit(&last) else {
                panic!("{id} in life {life}")
            };
            assert_eq!(known.base_offset, Offset(end - 2));
        }
    }
}
