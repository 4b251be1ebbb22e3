//! The directory's vote in the quorum of the metadata log: `meta/quorum`, whose content is the quorum's.
//!
//! The file is made with the directory, before the metadata log, so that a server that never voted has one too. A server that
//! decides alone may have its file made anew: nobody else has ever counted on it. Where others vote, a directory with a
//! metadata log and without the file has lost its vote, and only an operator can say what becomes of that.

use std::fs;
use std::path::{Path, PathBuf};

use crate::base::{LeaderEpoch, TopicId};
use crate::controller::MetadataImage;
use crate::quorum::{Ballot, BallotError};
use crate::runtime::layout::{quorum_file, topic_folder};
use crate::runtime::remover::absent_is_fine;

use super::commit_folder::CommitFolder;
use super::error::{RecoveryError, at};
use super::files;
use super::given::{Recovery, Voters};

/// Reads the ballot; one that is missing is made if the directory has held no metadata log yet.
pub(super) fn read_or_found(
    recovery: &Recovery<'_>,
    folders: &[CommitFolder],
) -> Result<Option<Ballot>, RecoveryError> {
    let ballot = read(recovery.data_dir)?;
    let has_log = topic_folder(recovery.data_dir, TopicId::METADATA).exists()
        || folders.iter().any(CommitFolder::holds_something);
    match ballot {
        None if !has_log => make(recovery, Ballot::new(recovery.voter)).map(Some),
        found => Ok(found),
    }
}

fn read(data: &Path) -> Result<Option<Ballot>, RecoveryError> {
    let path = quorum_file(data);
    if !path.exists() {
        return Ok(None);
    }
    match Ballot::decode(&files::read(&path)?) {
        Ok(ballot) => Ok(Some(ballot)),
        Err(source @ BallotError::Version(_)) => Err(RecoveryError::Ballot { path, source }),
        Err(error) => {
            tracing::error!(path = %path.display(), %error, "the vote of this directory is damaged");
            Ok(None)
        }
    }
}

/// The ballot that was found; if there is none, another one where this server alone votes.
pub(super) fn kept_or_made(
    recovery: &Recovery<'_>,
    found: Option<Ballot>,
    voters: Voters,
    image: &MetadataImage,
) -> Result<Option<Ballot>, RecoveryError> {
    match (found, voters) {
        (Some(ballot), _) => Ok(Some(ballot)),
        (None, Voters::ThisServer) => {
            // The log may know this server by an id already.
            let voter = image.quorum.voters.first().map_or(recovery.voter, |known| known.voter);
            let epoch = LeaderEpoch(image.quorum.epoch);
            make(recovery, Ballot { voter, epoch, voted_for: None }).map(Some)
        }
        (None, Voters::Others) => {
            tracing::error!(
                path = %quorum_file(recovery.data_dir).display(),
                "the vote of this directory is gone; if this server votes, remove it from the voters and add it again"
            );
            Ok(None)
        }
    }
}

/// Makes this directory another voter: the old one's vote vouched for records that are gone.
pub(super) fn make_another_voter(recovery: &Recovery<'_>) -> Result<Ballot, RecoveryError> {
    make(recovery, Ballot::new(recovery.voter))
}

fn make(recovery: &Recovery<'_>, ballot: Ballot) -> Result<Ballot, RecoveryError> {
    let path = quorum_file(recovery.data_dir);
    let folder = path.parent().unwrap_or(recovery.data_dir);
    fs::create_dir_all(folder).map_err(at(folder))?;
    files::replace(&path, &ballot.encode())?;
    Ok(ballot)
}

/// Names the metadata log that was dropped and is to be fetched from the other servers. As long as the log says nothing of
/// voters, nothing else tells that this server is not alone.
fn to_be_fetched(data: &Path) -> PathBuf {
    data.join("meta/metadata-to-be-fetched")
}

pub(super) fn is_to_be_fetched(data: &Path) -> bool {
    to_be_fetched(data).exists()
}

pub(super) fn note_to_be_fetched(data: &Path) -> Result<(), RecoveryError> {
    files::replace(&to_be_fetched(data), &[])
}

/// The log says by itself who votes.
pub(super) fn forget_to_be_fetched(data: &Path) -> Result<(), RecoveryError> {
    let path = to_be_fetched(data);
    absent_is_fine(fs::remove_file(&path)).map_err(at(&path))
}
