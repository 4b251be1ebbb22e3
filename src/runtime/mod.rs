//! The only glommio user beside `server`: executors, files, memory, timers, the mesh; performs what shards decide.
//!
//! One [`Driver`] per shard owns the pure shard and carries out its effects. Tasks are detached and end by themselves: a
//! cancelled glommio task leaks, and a dropped I/O future makes a hole in a log. Nothing here decides; what looks like a
//! decision belongs into `shard`, `log` or `commit`.
//!
//! Traps of glommio 0.9 that are dealt with here and nowhere else: the IOPOLL probe ([`files::probe`]), executors that
//! fall asleep with runnable tasks ([`driver`] and [`awake`], keep-alive timers; [`nudge`], from outside), the missing vectored send
//! ([`sendv`]), `!Send` buffers ([`memory`]).

pub mod awake;
mod background;
mod cleaner;
pub mod clock;
mod cut;
pub mod driver;
mod durable;
mod ending;
pub mod event;
pub mod files;
pub mod layout;
pub mod memory;
pub mod mesh;
pub mod metrics;
pub mod nudge;
pub mod recovery;
mod remover;
mod resync;
pub mod sendv;
mod snapshots;

pub use driver::Driver;
pub use ending::Ending;
pub use event::Event;

/// The shortest timer that still waits: one that is due when it is first looked at is ready at once, and nobody else
/// would have gone on.
const PAUSE: std::time::Duration = std::time::Duration::from_micros(20);

/// Waits until everything else that is ready has gone on, I/O included. A task that only yields is run again
/// before glommio looks at its rings; a timer is looked at after them.
pub async fn pause() {
    glommio::timer::sleep(PAUSE).await;
}

/// Exit code of a process whose storage has failed (`EX_IOERR` of sysexits.h).
pub const STORAGE_FAILED_EXIT: u8 = 74;
