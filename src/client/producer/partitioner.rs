//! Which partition a record goes to. The rule is that of Java's default partitioner, so that both choose the same partition
//! for a key.

use crate::base::PartitionIndex;

const SEED: u32 = 0x9747_b28c;
const MIX: u32 = 0x5bd1_e995;

/// The partition of a key among `partitions` (more than 0).
#[must_use]
pub fn partition_of_key(key: &[u8], partitions: u32) -> PartitionIndex {
    assert!(partitions > 0, "a topic has partitions");
    // Java clears the sign rather than take the absolute value.
    let index = (murmur2(key) & 0x7fff_ffff) % partitions;
    PartitionIndex(i32::try_from(index).expect("it has 31 bits"))
}

/// MurmurHash2 (Austin Appleby), 32 bits, little-endian words, with Kafka's seed.
#[must_use]
pub fn murmur2(data: &[u8]) -> u32 {
    let length = u32::try_from(data.len()).expect("keys are shorter than 4 GiB");
    let mut hash = SEED ^ length;
    let (words, rest) = data.as_chunks::<4>();
    for word in words {
        let word = scramble(u32::from_le_bytes(*word));
        hash = hash.wrapping_mul(MIX) ^ word;
    }
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail: u32, byte| tail << 8 | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(MIX);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(MIX);
    hash ^ (hash >> 15)
}

fn scramble(word: u32) -> u32 {
    let word = word.wrapping_mul(MIX);
    (word ^ (word >> 24)).wrapping_mul(MIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The values of Kafka's own test of its hash.
    #[test]
    fn hashes_are_those_of_kafka() {
        for (key, expected) in [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
            ("abc", 479_470_107),
        ] {
            assert_eq!(murmur2(key.as_bytes()).cast_signed(), expected, "{key}");
        }
    }

    #[test]
    fn keys_stay_within_the_partitions() {
        for partitions in [1, 2, 3, 7, 1000] {
            for key in 0..1000u32 {
                let index = partition_of_key(&key.to_be_bytes(), partitions).0;
                assert!((0..i32::try_from(partitions).expect("small")).contains(&index));
            }
        }
    }
}
