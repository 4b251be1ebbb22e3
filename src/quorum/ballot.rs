//! What a voter must not forget: who it is, the newest epoch it knows, and whom it gave its vote.
//!
//! ```text
//! meta/quorum = magic "RMQUORM1" (8)  version u32  voter id (16)  epoch i32
//!               voted u8 (0 or 1)  reserved (3)  voted for: server i32, voter id (16)  crc u32 (CRC-32 of all before)
//!                                                                             all integers little-endian
//! ```
//!
//! The file is made with the directory, before the metadata log, and replaced whole (temporary file, sync, rename, directory
//! sync). Whoever drops its metadata log makes the file anew, with another voter id, before it drops anything: its old
//! vote vouched for records that it does not have any more.

use crate::base::{LeaderEpoch, ServerId, Voter, VoterId};

/// The content of `meta/quorum`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Ballot {
    /// The voter that this directory is.
    pub voter: VoterId,
    /// The newest epoch it knows of.
    pub epoch: LeaderEpoch,
    /// Who got its vote in that epoch.
    pub voted_for: Option<Voter>,
}

/// Why a file is no ballot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BallotError {
    #[error("the quorum's file has {0} bytes instead of {BYTES}")]
    Length(usize),
    #[error("this is not a quorum's file")]
    Magic,
    #[error("version {0} of the quorum's file is newer than this program")]
    Version(u32),
    #[error("the quorum's file has a wrong checksum")]
    Crc,
    #[error("the quorum's file says epoch {0}, and whether it voted as {1}")]
    Content(i32, u8),
}

const MAGIC: [u8; 8] = *b"RMQUORM1";
const VERSION: u32 = 1;
const BYTES: usize = 8 + 4 + 16 + 4 + 4 + 4 + 16 + 4;

impl Ballot {
    /// The ballot of a directory that is made now.
    #[must_use]
    pub fn new(voter: VoterId) -> Ballot {
        Ballot { voter, epoch: LeaderEpoch(0), voted_for: None }
    }

    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let nobody = Voter { server: ServerId(-1), id: VoterId([0; 16]) };
        let voted_for = self.voted_for.unwrap_or(nobody);
        let mut out = Vec::with_capacity(BYTES);
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.voter.0);
        out.extend_from_slice(&self.epoch.0.to_le_bytes());
        out.extend_from_slice(&[u8::from(self.voted_for.is_some()), 0, 0, 0]);
        out.extend_from_slice(&voted_for.server.0.to_le_bytes());
        out.extend_from_slice(&voted_for.id.0);
        out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
        out
    }

    pub fn decode(bytes: &[u8]) -> Result<Ballot, BallotError> {
        let mut rest = bytes;
        let short = BallotError::Length(bytes.len());
        if take::<8>(&mut rest).ok_or(short)? != MAGIC {
            return Err(BallotError::Magic);
        }
        let version = u32::from_le_bytes(take(&mut rest).ok_or(short)?);
        if version != VERSION {
            return Err(BallotError::Version(version));
        }
        let voter = VoterId(take(&mut rest).ok_or(short)?);
        let epoch = i32::from_le_bytes(take(&mut rest).ok_or(short)?);
        let [voted, ..] = take::<4>(&mut rest).ok_or(short)?;
        let server = ServerId(i32::from_le_bytes(take(&mut rest).ok_or(short)?));
        let id = VoterId(take(&mut rest).ok_or(short)?);
        let crc = u32::from_le_bytes(take(&mut rest).ok_or(short)?);
        if !rest.is_empty() {
            return Err(short);
        }
        if crc32fast::hash(&bytes[..BYTES - 4]) != crc {
            return Err(BallotError::Crc);
        }
        if epoch < 0 || voted > 1 {
            return Err(BallotError::Content(epoch, voted));
        }
        let voted_for = (voted == 1).then_some(Voter { server, id });
        Ok(Ballot { voter, epoch: LeaderEpoch(epoch), voted_for })
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, after) = rest.split_first_chunk::<N>()?;
    *rest = after;
    Some(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: VoterId = VoterId([7; 16]);

    #[test]
    fn a_ballot_survives_and_damage_is_noticed() {
        let other = Voter { server: ServerId(3), id: VoterId([9; 16]) };
        for ballot in
            [Ballot::new(ID), Ballot { voter: ID, epoch: LeaderEpoch(i32::MAX), voted_for: Some(other) }]
        {
            let bytes = ballot.encode();
            assert_eq!(bytes.len(), BYTES);
            assert_eq!(Ballot::decode(&bytes), Ok(ballot));
            for index in 0..bytes.len() {
                let mut bad = bytes.clone();
                bad[index] ^= 0x10;
                assert!(Ballot::decode(&bad).is_err(), "byte {index}");
                assert!(Ballot::decode(&bytes[..index]).is_err(), "cut at {index}");
            }
            assert_eq!(Ballot::decode(&[&bytes[..], &[0]].concat()), Err(BallotError::Length(BYTES + 1)));
        }
    }

    #[test]
    fn what_cannot_be_is_refused_although_its_checksum_is_right() {
        let check = |at: usize, byte: u8, expected: BallotError| {
            let mut bytes = Ballot::new(ID).encode();
            bytes.truncate(BYTES - 4);
            bytes[at] = byte;
            let crc = crc32fast::hash(&bytes);
            bytes.extend_from_slice(&crc.to_le_bytes());
            assert_eq!(Ballot::decode(&bytes), Err(expected));
        };
        check(8, 2, BallotError::Version(2));
        check(31, 0x80, BallotError::Content(i32::MIN, 0));
        check(32, 2, BallotError::Content(0, 2));
    }
}
