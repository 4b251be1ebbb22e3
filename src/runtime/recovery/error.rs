//! Why a server cannot start from what is in its data directory.

use std::io;
use std::path::{Path, PathBuf};

use crate::base::Offset;
use crate::commit::CheckpointError;
use crate::controller::MetadataRecordError;
use crate::quorum::BallotError;

#[derive(Debug, thiserror::Error)]
pub enum RecoveryError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("{path}: {source}")]
    Checkpoint { path: PathBuf, source: CheckpointError },
    #[error("{path}: {source}")]
    Ballot { path: PathBuf, source: BallotError },
    #[error("the metadata log cannot be read: {0}")]
    Metadata(#[from] MetadataRecordError),
    #[error("the metadata log is damaged: {0}")]
    MetadataBatch(#[from] crate::record::BatchError),
    #[error(
        "records {from} to {to} of the metadata log, which were durable, are damaged or gone; \
         restore the data directory from a copy (`ringmain inspect` shows what is left of it)"
    )]
    MetadataLost { from: Offset, to: Offset },
}

/// Names the path in an I/O error.
pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> RecoveryError + '_ {
    move |source| RecoveryError::Io { path: path.to_owned(), source }
}
