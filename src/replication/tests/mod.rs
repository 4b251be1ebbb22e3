//! What the halves and the lanes do, case by case; by chance; and as transcripts.

mod arbitrary;
mod following;
mod isr;
mod lane;
mod leading;
mod opening;
mod transcripts;

use crate::base::{BrokerEpoch, LeaderEpoch, MonoNanos, Offset, PartitionEpoch, ServerId};

use super::{Assignment, Counts, Ends, Leading, Member, Sender, Servers};

pub const START: MonoNanos = MonoNanos(100_000_000_000);
pub const LAG_MS: u64 = 3_000;

pub fn at(ms: u64) -> MonoNanos {
    START.plus_ms(ms)
}

pub fn ends(log_start: i64, flushed: i64, log_end: i64) -> Ends {
    Ends { log_start: Offset(log_start), flushed: Offset(flushed), log_end: Offset(log_end) }
}

/// A follower whose incarnation is ten times its server.
pub fn member(server: i32) -> Member {
    Member { server: ServerId(server), broker_epoch: BrokerEpoch(i64::from(server) * 10), may_join: true }
}

pub fn servers(ids: &[i32]) -> Servers {
    ids.iter().map(|id| ServerId(*id)).collect()
}

/// Led by server 1, in partition epoch 7.
pub fn assignment(isr: &[i32], followers: &[i32], min_isr: usize) -> Assignment {
    Assignment {
        me: ServerId(1),
        broker_epoch: BrokerEpoch(10),
        partition_epoch: PartitionEpoch(7),
        isr: servers(isr),
        followers: followers.iter().map(|id| member(*id)).collect(),
        min_isr,
        counts: Counts::Flushed,
    }
}

pub fn sender(server: i32) -> Sender {
    Sender {
        server: ServerId(server),
        broker_epoch: BrokerEpoch(i64::from(server) * 10),
        leader_epoch: LeaderEpoch(5),
    }
}

/// Server 1 leads in epoch 5 from offset 10 on, which is flushed here; followers 2 and 3 have not been heard.
pub fn leading(isr: &[i32], min_isr: usize) -> Leading {
    Leading::new(LeaderEpoch(5), ends(0, 10, 10), Offset(8), assignment(isr, &[2, 3], min_isr), START)
}

/// As [`leading`], and both followers have opened with all there is.
pub fn in_sync(isr: &[i32], min_isr: usize) -> Leading {
    let mut leading = leading(isr, min_isr);
    for server in [2, 3] {
        let _ = leading.opened(sender(server), ends(0, 10, 10), START).unwrap();
    }
    leading
}
