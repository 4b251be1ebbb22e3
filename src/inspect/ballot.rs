//! The ballot: what a voter in the quorum of the metadata log must not forget.

use std::fs;
use std::path::Path;

use crate::base::uuid_text;
use crate::quorum::{Ballot, BallotError};

use super::report::{Report, Watcher};

pub(super) fn inspect(path: &Path, watcher: &mut dyn Watcher) -> Report {
    let mut report = Report::new(path, "ballot");
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) => return Report::unreadable(path, report.kind, &error),
    };
    watcher.progress(bytes.len() as u64);
    match Ballot::decode(&bytes) {
        Ok(ballot) => report.summary = said(&ballot),
        Err(error @ BallotError::Version(_)) => report.problem("unreadable", None, error.to_string()),
        Err(error) => report.problem("checksum", None, error.to_string()),
    }
    report
}

fn said(ballot: &Ballot) -> String {
    let voted = match ballot.voted_for {
        None => "no vote".to_owned(),
        Some(other) => format!("voted for {} of server {}", uuid_text(&other.id.0), other.server),
    };
    format!("voter {}, epoch {}, {voted}", uuid_text(&ballot.voter.0), ballot.epoch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::{LeaderEpoch, ServerId, Voter, VoterId};
    use crate::inspect::testing::{Lines, names};

    #[test]
    fn a_ballot_is_told_and_damage_is_named() {
        let voter = Voter { server: ServerId(3), id: VoterId([0xFF; 16]) };
        let new = Ballot::new(VoterId([0; 16]));
        let voted = Ballot { epoch: LeaderEpoch(7), voted_for: Some(voter), ..new };
        let id = "AAAAAAAAAAAAAAAAAAAAAA";
        let mut newer = new.encode();
        newer[8] = 2;
        let mut rotten = new.encode();
        rotten[30] ^= 1;
        let short = new.encode()[..20].to_vec();
        let folder = tempfile::tempdir().expect("a scratch directory");
        let path = folder.path().join("quorum");
        let rows: [(Vec<u8>, String, &[&str]); 6] = [
            (new.encode(), format!("voter {id}, epoch 0, no vote"), &[]),
            (
                voted.encode(),
                format!("voter {id}, epoch 7, voted for _____________________w of server 3"),
                &[],
            ),
            (newer, String::new(), &["unreadable"]),
            (rotten, String::new(), &["checksum"]),
            (short, String::new(), &["checksum"]),
            (Vec::new(), String::new(), &["checksum"]),
        ];
        for (bytes, summary, problems) in rows {
            fs::write(&path, &bytes).expect("writable");
            let mut lines = Lines::default();
            let report = inspect(&path, &mut lines);
            assert_eq!(
                (report.kind, report.bytes, lines.bytes),
                ("ballot", bytes.len() as u64, report.bytes)
            );
            assert_eq!((report.summary.as_str(), names(&report)), (summary.as_str(), problems.to_vec()));
        }
        fs::remove_file(&path).expect("there");
        assert_eq!(names(&inspect(&path, &mut Lines::default())), ["unreadable"]);
    }
}
