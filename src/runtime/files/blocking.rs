//! Work for glommio's blocking thread.

use std::io;

use crate::base::io::IoDone;

/// Does `work` there, and waits for it.
pub(super) async fn blocking(
    work: impl FnOnce() -> io::Result<IoDone> + Send + 'static,
) -> io::Result<IoDone> {
    // What comes back must be Send; chunks are not, and nothing done here has one.
    let done = glommio::executor().spawn_blocking(move || work().map(Sendable::from)).await?;
    Ok(done.into())
}

/// The outcomes of blocking work.
enum Sendable {
    Done,
    Index(Vec<u8>, Vec<u8>),
}

impl From<IoDone> for Sendable {
    fn from(done: IoDone) -> Sendable {
        match done {
            IoDone::Index { index, time_index } => Sendable::Index(index, time_index),
            _ => Sendable::Done,
        }
    }
}

impl From<Sendable> for IoDone {
    fn from(done: Sendable) -> IoDone {
        match done {
            Sendable::Done => IoDone::Done,
            Sendable::Index(index, time_index) => IoDone::Index { index, time_index },
        }
    }
}
