//! Batches of a segment: whole, torn, damaged.

use super::*;

#[test]
fn whole_logs_end_where_their_batches_end() {
    let bytes = batches(0..50);
    let folder = Folder::new().segment(0, &bytes);
    assert_eq!(folder.recover(None, 0), found(50, &[(0, bytes.len())], &[]));
    let ahead = [&bytes[..], &[0; 8192]].concat();
    let folder = Folder::new().segment(0, &ahead);
    assert_eq!(folder.recover(None, 0), found(50, &[(0, bytes.len())], &[]));
    let from = batches(0..30).len();
    let folder = Folder::new().segment(0, &ahead);
    assert_eq!(folder.recover(Some(&checkpoint(0, from, 30)), 50), found(50, &[(0, bytes.len())], &[]));
    assert!(!folder.has(0, "log.damaged"));
}

#[test]
fn a_torn_end_is_cut() {
    let whole = batches(0..40).len();
    let mut bytes = batches(0..60);
    damage(&mut bytes, 4);
    let folder = Folder::new().segment(0, &bytes);
    // The last batch is whole, and was never acknowledged: it is behind what was torn.
    assert_eq!(folder.recover(None, 40), found(40, &[(0, whole)], &[]));
    assert_eq!(fs::metadata(folder.file(0, "log")).expect("there").len(), whole as u64);
    assert!(!folder.has(0, "log.damaged"), "nothing of it was durable");
    let folder = Folder::new().segment(0, &batches(0..60)[..whole + 100]);
    assert_eq!(folder.recover(None, 0), found(40, &[(0, whole)], &[]));
}

#[test]
fn what_stands_behind_damage_is_kept() {
    let mut bytes = batches(0..60);
    damage(&mut bytes, 2);
    let folder = Folder::new().segment(0, &bytes);
    assert_eq!(folder.recover(None, 60), found(60, &[(0, bytes.len())], &[(20, 30)]));
    // A lost write leaves zeros.
    let mut bytes = batches(0..60);
    bytes[batches(0..20).len()..batches(0..40).len()].fill(0);
    let folder = Folder::new().segment(0, &bytes);
    assert_eq!(folder.recover(None, 50), found(60, &[(0, bytes.len())], &[(20, 40)]));
    // Two blocks in each other's place.
    let mut bytes = batches(0..60);
    let (first, second) = bytes.split_at_mut(16384);
    first[4096..8192].swap_with_slice(&mut second[..4096]);
    let folder = Folder::new().segment(0, &bytes);
    let Found { end, segments, damaged, .. } = folder.recover(None, 60);
    assert_eq!((end, segments), (60, vec![(0, bytes.len())]));
    assert_eq!(damaged, [(0, 20), (30, 40)]);
}

#[test]
fn a_damaged_end_is_kept_and_its_offsets_are_not_given_out_again() {
    let whole = batches(0..40).len();
    let mut bytes = batches(0..60);
    damage(&mut bytes, 4);
    damage(&mut bytes, 5);
    let folder = Folder::new().segment(0, &bytes);
    assert_eq!(folder.recover(None, 60), found(60, &[(0, whole), (60, 0)], &[(40, 60)]));
    assert_eq!(fs::read(folder.file(0, "log.damaged")).expect("kept"), bytes);
    // The next life appends to the new segment, and its checkpoint begins there.
    let more = batches(60..80);
    let folder = folder.segment(60, &more);
    let next = folder.recover(Some(&checkpoint(60, 0, 60)), 80);
    assert_eq!(next, found(80, &[(0, whole), (60, more.len())], &[(40, 60)]));
    // Nothing of the only segment is left.
    let folder = Folder::new().segment(0, &vec![0xEE; 8192]);
    assert_eq!(folder.recover(None, 60), Found { start: 60, ..found(60, &[], &[]) });
    assert!(folder.has(0, "log.damaged"));
}
