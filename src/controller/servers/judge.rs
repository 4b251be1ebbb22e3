//! Whether a server that registers has everything it ever acknowledged.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::base::{Rule, holds, mark};
use crate::controller::image::ServerImage;
use crate::controller::replicas::{Incarnation, Loss};

use super::words::{DAMAGED_MAX, Damage, Registration};

/// Judges a registration by what is known of the server: its last registration, and the newest commit sequence it has ever
/// named. A directory that was set back to an earlier state ends before its last unfencing, or before that sequence; one that
/// is younger than the last note of the sequence passes for whole (D6).
pub(in crate::controller) fn incarnation(
    before: Option<&ServerImage>,
    heard_sequence: u64,
    wanted: &Registration,
) -> Incarnation {
    let damaged = match &wanted.damaged {
        Damage::Partitions(partitions) => Arc::new(partitions.clone()),
        Damage::Nothing | Damage::Everything => Arc::new(BTreeSet::new()),
    };
    let is_damaged = wanted.damaged == Damage::Everything || damaged.len() > DAMAGED_MAX;
    let loss = match before {
        Some(before) if before.directory != wanted.directory => Loss::Everything,
        Some(before) if is_set_back(before, heard_sequence, wanted) => {
            mark("a directory was set back to an earlier state");
            Loss::Some
        }
        _ if is_damaged => Loss::Some,
        _ => Loss::Nothing,
    };
    Incarnation { loss, damaged, clean: wanted.clean }
}

fn is_set_back(before: &ServerImage, heard_sequence: u64, wanted: &Registration) -> bool {
    let lacks_registration = before.unfenced_epoch.is_some_and(|epoch| wanted.recovered_end.0 <= epoch.0);
    let lacks_writes = wanted.sequence < before.sequence.max(heard_sequence);
    holds(Rule::D6) && (lacks_registration || lacks_writes)
}
