//! What recovery is told, and what it tells apart: plain words that all its parts share.

use std::path::Path;

use crate::base::VoterId;
use crate::config::CommitLimits;
use crate::controller::ControllerConfig;

/// What recovery starts from.
#[derive(Clone, Debug)]
pub struct Recovery<'a> {
    pub data_dir: &'a Path,
    /// The data directory's own id: what commit groups are marked with.
    pub directory: [u8; 16],
    pub origin: Origin,
    /// An id that no voter has ever had, for a directory whose vote has to be made.
    pub voter: VoterId,
    pub commit: CommitLimits,
    pub controller: ControllerConfig,
}

/// How a data directory came into its cluster.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The cluster began with the directory: without any record it is a cluster of one.
    Founded,
    /// The directory has joined a cluster: without any record its metadata log is to be fetched.
    Joined,
}

/// Who keeps the metadata log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Voters {
    /// This server alone: what is durable here is committed, and no log is ever cut.
    ThisServer,
    /// Somebody else does, with this server or without it.
    Others,
}
