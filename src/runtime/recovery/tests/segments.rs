//! Segments of a log: cut short, missing, extra, not begun, past.

use super::*;

#[test]
fn a_segment_that_was_cut_short_is_found_out() {
    let (first, second) = (batches(0..60), batches(60..90));
    let sizes = |cut| vec![(0, cut), (60, second.len())];
    let (on, within) = (batches(0..40).len(), batches(0..40).len() + 77);
    for (cut, left) in [(on, on), (within, on), (0, 0)] {
        let folder = Folder::new().segment(0, &first[..cut]).segment(60, &second);
        let kept = batches(0..40).len().min(left);
        let ends = if left == 0 { 0 } else { 40 };
        let at = checkpoint(60, second.len(), 90);
        assert_eq!(folder.recover(Some(&at), 0), found(90, &sizes(kept), &[(ends, 60)]), "cut at {cut}");
    }
    // The one that scanning begins in.
    let folder = Folder::new().segment(0, &first).segment(60, &second[..second.len() - 1]);
    let left = batches(60..80).len();
    let at = checkpoint(60, second.len(), 90);
    assert_eq!(
        folder.recover(Some(&at), 0),
        found(90, &[(0, first.len()), (60, left), (90, 0)], &[(80, 90)])
    );
}

#[test]
fn a_missing_segment_is_found_out() {
    let (first, last) = (batches(0..60), batches(90..120));
    let segments = [(0, first.len()), (90, last.len())];
    let folder = Folder::new().segment(0, &first).segment(90, &last);
    let at = checkpoint(90, last.len(), 120);
    assert_eq!(folder.recover(Some(&at), 0), found(120, &segments, &[(60, 90)]));
    // Known to have been durable by the commit log alone.
    assert_eq!(folder.recover(None, 120), found(120, &segments, &[(60, 90)]));
    // The one that scanning would begin in: no offset is given out again.
    let folder = Folder::new().segment(0, &first);
    assert_eq!(
        folder.recover(Some(&checkpoint(60, 4096, 90)), 0),
        found(90, &[(0, first.len()), (90, 0)], &[(60, 90)])
    );
    // The first: the log begins later.
    let folder = Folder::new().segment(90, &last);
    let Found { start, end, damaged, .. } = folder.recover(Some(&checkpoint(90, last.len(), 120)), 0);
    assert_eq!((start, end, damaged), (90, 120, vec![]));
}

#[test]
fn what_was_created_before_what_it_follows_was_written_is_set_aside() {
    let first = batches(0..60);
    let folder = Folder::new().segment(0, &first).segment(90, &batches(90..120));
    assert_eq!(folder.recover(None, 60), found(60, &[(0, first.len())], &[]));
    assert!(folder.has(90, "log.orphan") && !folder.has(90, "log"));
    // Nothing is in it yet but what was allocated: there is nothing to keep.
    let folder = Folder::new().segment(0, &first).segment(90, &[0; 8192]).segment(120, &[]);
    assert_eq!(folder.recover(None, 60), found(60, &[(0, first.len())], &[]));
    assert!(!folder.has(90, "log") && !folder.has(90, "log.orphan"));
    assert!(!folder.has(120, "log") && !folder.has(120, "log.orphan"));
}

#[test]
fn an_extra_segment_is_set_aside() {
    let (first, second) = (batches(0..60), batches(60..90));
    let folder = Folder::new().segment(0, &first).segment(60, &second).segment(30, b"not of this log");
    let at = checkpoint(60, second.len(), 90);
    assert_eq!(folder.recover(Some(&at), 0), found(90, &[(0, first.len()), (60, second.len())], &[]));
    assert!(folder.has(30, "log.orphan"));
    // Also one that looks right.
    let folder = Folder::new().segment(0, &first).segment(30, &batches(30..60)).segment(60, &second);
    assert_eq!(folder.recover(None, 90), found(90, &[(0, first.len()), (60, second.len())], &[]));
}

/// Deletion frees a file's space in steps, and a power cut may bring its name back.
#[test]
fn what_is_left_of_a_segment_that_retention_has_let_go_is_no_damage() {
    let (first, second) = (batches(0..60), batches(60..90));
    let at = retained(60, second.len(), 90);
    let mut holed = first.clone();
    damage(&mut holed, 2);
    for left in [&first[..], &first[..0], &first[..2000], &holed] {
        let folder = Folder::new().segment(0, left).segment(60, &second);
        let (log, errors) = with_errors(|| folder.recover_whole(Some(at.clone()), 90));
        assert_eq!((log.log_start, log.log_end), (Offset(60), Offset(90)));
        assert_eq!(errors, "", "{} bytes", left.len());
    }
    let folder = Folder::new().segment(0, &first[..2000]).segment(60, &second);
    let kept = PartitionSnapshot { log_start: Offset(0), ..at };
    assert!(with_errors(|| folder.recover_whole(Some(kept), 90)).1.contains("records are missing"));
}

#[test]
fn without_any_file_the_log_goes_on_where_it_ended() {
    let folder = Folder::new();
    assert_eq!(folder.recover(None, 0), found(0, &[], &[]));
    // Retention took everything.
    let mut past = checkpoint(90, 0, 90);
    past.log_start = Offset(90);
    assert_eq!(folder.recover(Some(&past), 0), Found { start: 90, ..found(90, &[], &[]) });
    // Somebody did.
    assert_eq!(
        folder.recover(Some(&checkpoint(60, 4096, 90)), 95),
        Found { start: 95, ..found(95, &[], &[]) }
    );
}

#[test]
fn what_compaction_took_is_not_missed() {
    // Gaps, also at the beginning of a segment; its last batch is always kept.
    let first = [batch(10), batch(50)].concat();
    let second = [batch(80)].concat();
    let last = batches(90..120);
    let folder = Folder::new().segment(0, &first).segment(60, &second).segment(90, &last);
    let segments = [(0, first.len()), (60, second.len()), (90, last.len())];
    assert_eq!(folder.recover(Some(&checkpoint(90, last.len(), 120)), 0), found(120, &segments, &[]));
    assert_eq!(folder.recover(None, 120), found(120, &segments, &[]));
    fs::write(folder.file(0, "cleaned"), b"half of it").expect("writable");
    folder.recover(None, 120);
    assert!(!folder.has(0, "cleaned"), "leftovers go");
}
