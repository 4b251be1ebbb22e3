//! Newtypes for ids, offsets and epochs: two integers that mean different things never meet in one signature.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub $inner);
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number!(
    /// Position of a record in its partition; unique there, dense at append.
    Offset(i64)
);
number!(
    /// Counts the leaders a partition has had; stamped into each batch at append.
    LeaderEpoch(i32)
);
number!(
    /// Counts the changes of a partition's leader, replicas and in-sync set.
    PartitionEpoch(i32)
);
number!(
    /// One incarnation of a server in the cluster: the offset of the record that registered it.
    BrokerEpoch(i64)
);
number!(
    /// A producer's identity for idempotence and transactions; -1 is none.
    ProducerId(i64)
);
number!(
    /// Fences older incarnations of the same producer id.
    ProducerEpoch(i16)
);
number!(
    /// One core's executor with all it owns, counted from 0 within the server.
    ShardId(u16)
);
number!(
    /// One Ringmain process. Its node ids are `server × 1000` for the whole server, and `server × 1000 + 1 + shard`.
    ServerId(i32)
);
number!(
    /// What Kafka clients call a broker id.
    NodeId(i32)
);
number!(
    /// Index of a partition within its topic.
    PartitionIndex(i32)
);

impl Offset {
    /// The offset `count` records further. Offsets never reach `i64::MAX`: a partition appending a record every
    /// nanosecond would need 292 years.
    #[must_use]
    pub fn plus(self, count: i64) -> Offset {
        Offset(self.0 + count)
    }

    /// How many offsets lie between `earlier` and this one.
    #[must_use]
    pub fn since(self, earlier: Offset) -> i64 {
        self.0 - earlier.0
    }
}

impl BrokerEpoch {
    /// In the record of a registration: the record's own offset is the epoch.
    pub const OWN_OFFSET: BrokerEpoch = BrokerEpoch(-1);
}

impl ProducerId {
    /// No producer id: neither idempotent nor transactional.
    pub const NONE: ProducerId = ProducerId(-1);
}

impl NodeId {
    /// Number of node ids of one server: its own, and one for each shard it may have.
    pub const PER_SERVER: i32 = 1000;

    /// The node that stands for a whole server.
    #[must_use]
    pub fn of_server(server: ServerId) -> NodeId {
        NodeId(server.0 * Self::PER_SERVER)
    }

    /// The node that stands for one shard of a server. Its id is never that of [`NodeId::of_server`], so that an id alone says
    /// whether a client means the whole server or one shard.
    #[must_use]
    pub fn of_shard(server: ServerId, shard: ShardId) -> NodeId {
        NodeId(Self::of_server(server).0 + 1 + i32::from(shard.0))
    }

    /// The server a node id belongs to, whichever of its shards it names.
    #[must_use]
    pub fn server(self) -> ServerId {
        ServerId(self.0.div_euclid(Self::PER_SERVER))
    }

    /// The shard that a node id stands for; `None` for the whole server. The server may have fewer shards.
    #[must_use]
    pub fn shard(self) -> Option<ShardId> {
        let within = u16::try_from(self.0.rem_euclid(Self::PER_SERVER)).expect("less than a thousand");
        within.checked_sub(1).map(ShardId)
    }
}

/// A topic's 128-bit id; a topic created again under its old name has a new one. All zero means none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// No topic.
    pub const ZERO: TopicId = TopicId([0; 16]);
    /// The metadata log's own topic, as in Kafka (`Uuid(0, 1)`).
    pub const METADATA: TopicId = TopicId([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);

    /// The canonical textual form, also used as a directory name.
    #[must_use]
    pub fn parse(text: &str) -> Option<TopicId> {
        let mut bytes = [0u8; 16];
        let mut digits = text.bytes().filter(|byte| *byte != b'-');
        for slot in &mut bytes {
            let high = char::from(digits.next()?).to_digit(16)?;
            let low = char::from(digits.next()?).to_digit(16)?;
            *slot = u8::try_from(high * 16 + low).ok()?;
        }
        (digits.next().is_none() && text.len() == 36).then_some(TopicId(bytes))
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, byte) in self.0.iter().enumerate() {
            if matches!(index, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One partition of one topic, by id: never by a name a client chose.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TopicPartition {
    pub topic: TopicId,
    pub partition: PartitionIndex,
}

impl TopicPartition {
    /// The metadata log.
    pub const METADATA: TopicPartition =
        TopicPartition { topic: TopicId::METADATA, partition: PartitionIndex(0) };
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

/// A number given to a partition once, when it is created: its shard on a server with S shards is the number modulo S.
///
/// Every server agrees without asking, and a changed core count re-spreads everything at start. The metadata log has no
/// home: it lives on shard 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Home(pub u32);

impl Home {
    /// Homes of a server begin here: followers of small topics, whose leaders are the first of their servers, are spread by
    /// that.
    #[must_use]
    pub fn first_of(server: ServerId) -> Home {
        Home(server.0.unsigned_abs().wrapping_mul(3))
    }

    /// The home of a partition whose record does not say it: before partitions had homes, a partition's shard came of
    /// its topic's creation number and its index.
    #[must_use]
    pub fn unsaid(topic_ordinal: u64, partition: PartitionIndex) -> Home {
        let number = topic_ordinal.wrapping_add(u64::from(partition.0.unsigned_abs()));
        Home(u32::try_from(number & u64::from(u32::MAX)).expect("the lower 32 of 64 bits"))
    }

    /// The shard of this home on a server with so many shards.
    #[must_use]
    pub fn shard(self, shards: u16) -> ShardId {
        assert!(shards > 0, "a server has at least one shard");
        let index = self.0 % u32::from(shards);
        ShardId(u16::try_from(index).expect("a remainder of a u16 fits u16"))
    }
}

macro_rules! identity {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
        pub struct $name(pub [u8; 16]);
    };
}

identity!(
    /// A data directory, made with it: a server with another disk has another one.
    DirectoryId
);
identity!(
    /// One life of a server's process.
    IncarnationId
);
identity!(
    /// One vote in the quorum of the metadata log, made with the file that keeps it.
    VoterId
);

const BASE64URL: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// How Kafka writes a 128-bit id: in base64url without padding.
#[must_use]
pub fn uuid_text(bytes: &[u8; 16]) -> String {
    let number = u128::from_be_bytes(*bytes);
    let digit = |index: u32| {
        // 22 digits of 6 bits hold 132: the last is shifted up by 4.
        let six = if index < 21 { (number >> (122 - 6 * index)) & 63 } else { (number & 3) << 4 };
        char::from(BASE64URL[usize::try_from(six).expect("six bits")])
    };
    (0..22).map(digit).collect()
}

/// Reads a 128-bit id as Kafka writes it.
#[must_use]
pub fn uuid_bytes(text: &str) -> Option<[u8; 16]> {
    let mut number: u128 = 0;
    for (index, byte) in text.bytes().enumerate() {
        let six = u128::try_from(BASE64URL.iter().position(|known| *known == byte)?).ok()?;
        number = if index < 21 { number << 6 | six } else { number << 2 | six >> 4 };
    }
    (text.len() == 22).then(|| number.to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_ids_survive_their_text() {
        let id = TopicId([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 255]);
        assert_eq!(id.to_string(), "01020304-0506-0708-090a-0b0c0d0e0fff");
        assert_eq!(TopicId::parse(&id.to_string()), Some(id));
        for bad in
            ["", "01020304-0506-0708-090a-0b0c0d0e0ff", "0102030405060708090a0b0c0d0e0fff", "../../etc"]
        {
            assert_eq!(TopicId::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn node_ids_name_their_server() {
        assert_eq!(NodeId::of_server(ServerId(3)), NodeId(3000));
        assert_eq!(NodeId::of_shard(ServerId(3), ShardId(7)), NodeId(3008));
        for (node, server, shard) in [
            (3000, 3, None),
            (3001, 3, Some(0)),
            (3008, 3, Some(7)),
            (3999, 3, Some(998)),
            (-1, -1, Some(998)),
        ] {
            assert_eq!((NodeId(node).server(), NodeId(node).shard()), (ServerId(server), shard.map(ShardId)));
        }
    }

    #[test]
    fn partitions_of_one_topic_spread_over_shards() {
        let shards: Vec<u16> = (0..4).map(|p| Home::unsaid(5, PartitionIndex(p)).shard(2).0).collect();
        assert_eq!(shards, [1, 0, 1, 0]);
        assert_eq!(Home::unsaid(u64::MAX, PartitionIndex(3)), Home(2));
        assert_eq!(Home::first_of(ServerId(2)), Home(6));
    }
}
