//! Files that an older segment of the same log held before.

use super::*;

/// A file that held `old`, and into which `new` was written from its beginning on.
fn over(old: &[u8], new: &[u8]) -> Vec<u8> {
    [new, old.get(new.len()..).unwrap_or(&[])].concat()
}

impl Folder {
    /// The segment at 60, whole, and the one at 120 in a file that held the one at 0.
    fn used_again(last: &[u8]) -> (Folder, usize) {
        let before = batches(60..120);
        (Folder::new().segment(60, &before).segment(120, last), before.len())
    }

    fn is_unharmed(&self) {
        for base in [60, 120, 150] {
            assert!(!self.has(base, "log.damaged") && !self.has(base, "log.orphan"), "{base} is no damage");
        }
    }
}

#[test]
fn a_file_used_again_in_which_nothing_was_written_is_an_empty_segment() {
    let old = batches(0..60);
    for bytes in [&old[..], &old[..1000], &old[..30], &[0; 4096], &[]] {
        let (folder, before) = Folder::used_again(bytes);
        let at = retained(60, before, 120);
        assert_eq!(folder.recover(Some(&at), 120), retained_found(120, &[(60, before)], &[]));
        assert!(!folder.has(120, "log"), "{} bytes", bytes.len());
        folder.is_unharmed();
        // Also if the checkpoint says that it was to begin.
        let (folder, before) = Folder::used_again(bytes);
        let at = retained(120, 0, 120);
        assert_eq!(folder.recover(Some(&at), 120), retained_found(120, &[(60, before)], &[]));
        folder.is_unharmed();
    }
}

#[test]
fn what_an_older_segment_left_behind_the_end_is_not_the_log_s() {
    let (old, new) = (batches(0..60), batches(120..150));
    let aligned = [&new[..], &batches(20..60)].concat();
    let padded = [&new[..], &vec![0; new.len().next_multiple_of(4096) - new.len()]].concat();
    for bytes in [over(&old, &new), aligned, over(&old, &padded), over(&new, &old[..0])] {
        for claim in [120, 140, 150] {
            let (folder, before) = Folder::used_again(&bytes);
            let at = retained(60, before, 120);
            let whole = retained_found(150, &[(60, before), (120, new.len())], &[]);
            assert_eq!(folder.recover(Some(&at), claim), whole);
            assert_eq!(fs::metadata(folder.file(120, "log")).expect("there").len(), new.len() as u64);
            folder.is_unharmed();
            let from = batches(120..140).len();
            let (folder, _) = Folder::used_again(&bytes);
            assert_eq!(folder.recover(Some(&retained(120, from, 140)), claim), whole);
            folder.is_unharmed();
        }
    }
}

#[test]
fn a_write_that_was_torn_over_an_older_segment_ends_the_log() {
    let (old, new) = (batches(0..60), batches(120..150));
    let whole = batches(120..140).len();
    let (torn, behind) = (whole.next_multiple_of(512), whole.next_multiple_of(4096));
    let mut lost_block = over(&old, &new);
    lost_block[behind - 4096..behind].copy_from_slice(&old[behind - 4096..behind]);
    let lost_at = (behind - 4096 > batches(120..130).len()).then_some((130, batches(120..130).len()));
    let cases = [
        // Its first sector, its first block, all but its last sector.
        (over(&old, &new[..torn]), (140, whole)),
        (over(&old, &new[..behind]), (140, whole)),
        (over(&old, &new[..new.len() / 512 * 512]), (140, whole)),
        // A block within what was written is the old one.
        (lost_block, lost_at.unwrap_or((120, 0))),
    ];
    for (bytes, (end, size)) in cases {
        let (folder, before) = Folder::used_again(&bytes);
        let segments = [(60, before), (120, size)];
        let at = retained(60, before, 120);
        assert_eq!(folder.recover(Some(&at), end), retained_found(end, &segments, &[]), "{end}");
        folder.is_unharmed();
    }
}

#[test]
fn damage_in_a_file_used_again_is_found_before_what_was_acknowledged() {
    let old = batches(0..60);
    // The last batch is whole, and an older segment's bytes stand behind it.
    let mut new = batches(120..150);
    damage(&mut new, 1);
    let (folder, before) = Folder::used_again(&over(&old, &new));
    let at = retained(60, before, 120);
    let segments = [(60, before), (120, new.len())];
    assert_eq!(folder.recover(Some(&at), 150), retained_found(150, &segments, &[(130, 140)]));
    // What lies behind was acknowledged, though not all of it is known to have been.
    let (folder, _) = Folder::used_again(&over(&old, &new));
    assert_eq!(folder.recover(Some(&at), 140), retained_found(150, &segments, &[(130, 140)]));
    // A lost write: the older segment's bytes are there instead.
    let mut lost = over(&old, &batches(120..150));
    let (from, to) = (batches(120..130).len(), batches(120..140).len());
    lost[from..to].copy_from_slice(&old[from..to]);
    let (folder, _) = Folder::used_again(&lost);
    assert_eq!(folder.recover(Some(&at), 150), retained_found(150, &segments, &[(130, 140)]));
    // The end itself.
    let mut new = batches(120..150);
    damage(&mut new, 2);
    let bytes = over(&old, &new);
    let (folder, _) = Folder::used_again(&bytes);
    let left = [(60, before), (120, batches(120..140).len()), (150, 0)];
    assert_eq!(folder.recover(Some(&at), 150), retained_found(150, &left, &[(140, 150)]));
    assert_eq!(fs::read(folder.file(120, "log.damaged")).expect("kept"), bytes);
    // All of it.
    let (folder, _) = Folder::used_again(&old);
    let left = [(60, before), (120, 0), (150, 0)];
    let Found { end, damaged, .. } = folder.recover(Some(&at), 150);
    assert_eq!((end, damaged), (150, vec![(120, 150)]), "{left:?}");
}

#[test]
fn a_rolled_segment_in_a_file_used_again_is_cut_and_the_next_one_follows() {
    let (old, new, next) = (batches(0..60), batches(120..150), batches(150..160));
    let padded = [&new[..], &vec![0; new.len().next_multiple_of(4096) - new.len()]].concat();
    for bytes in [over(&old, &new), over(&old, &padded)] {
        for claim in [120, 150, 160] {
            let (folder, before) = Folder::used_again(&bytes);
            let folder = folder.segment(150, &over(&old, &next));
            let segments = [(60, before), (120, new.len()), (150, next.len())];
            let at = retained(60, before, 120);
            assert_eq!(folder.recover(Some(&at), claim), retained_found(160, &segments, &[]));
            folder.is_unharmed();
        }
        // The crash came before the first one's last batch.
        let whole = batches(120..140).len();
        let (folder, before) = Folder::used_again(&over(&old, &new[..whole + 512]));
        let folder = folder.segment(150, &old);
        let at = retained(60, before, 120);
        let segments = [(60, before), (120, whole)];
        assert_eq!(folder.recover(Some(&at), 140), retained_found(140, &segments, &[]));
        assert!(!folder.has(150, "log"), "nothing is in it");
        folder.is_unharmed();
    }
}

#[test]
fn a_file_kept_to_be_used_again_is_removed() {
    let (folder, before) = Folder::used_again(&batches(120..130));
    fs::write(folder.file(0, "spare"), batches(0..60)).expect("writable");
    let segments = [(60, before), (120, batches(120..130).len())];
    assert_eq!(folder.recover(Some(&retained(60, before, 120)), 130), retained_found(130, &segments, &[]));
    assert!(!folder.has(0, "spare"));
}
