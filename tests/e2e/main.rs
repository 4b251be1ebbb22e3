//! The real binary and our own client: what a broker promises, seen from outside.
//!
//! Each test starts a server of its own on a scratch data directory. With RINGMAIN_E2E_BROKER=HOST:PORT the tests of
//! `produce` and `consume` run against that broker instead: Apache Kafka must pass them too, which is how the
//! expectations are known to be Kafka's.

mod bench;
mod commands;
mod compaction;
mod consume;
mod damage;
mod deletion;
mod disk;
mod groups;
mod guide;
mod inspect;
mod memory;
mod metrics;
mod nodes;
mod produce;
mod reading;
mod recycle;
mod restart;
mod retention;
mod scrub;
mod server;
mod sessions;
mod shared_reads;
mod wire;
