//! Indexes and marks: believed if they lead where they say, else made anew.

use std::time::UNIX_EPOCH;

use super::*;
use crate::base::io::SegmentId;
use crate::log::{IndexMark, marks};

#[test]
fn an_index_is_made_anew_unless_it_leads_where_it_says() {
    let (first, second) = (batches(0..200), batches(200..230));
    let at = checkpoint(200, second.len(), 230);
    let folder = Folder::new().segment(0, &first).segment(200, &second);
    let built = folder.recover_whole(Some(at.clone()), 0).segments[0].index.clone();
    assert!(built.len() > 3 && built.max_timestamp(Offset(0)).is_some());
    let (index, times) = (folder.file(0, "index"), folder.file(0, "timeindex"));
    let (whole, whole_times) = (fs::read(&index).expect("built"), fs::read(&times).expect("built"));
    let mut skewed = whole.clone();
    let end = skewed.len();
    skewed[end - 1] ^= 1;
    let cut = &whole[..16];
    let zeros = vec![0; whole_times.len()];
    let mut younger = whole_times.clone();
    let last_time = younger.len() - 12;
    younger[last_time + 6] ^= 0x10;
    for (name, bytes, time_bytes) in [
        ("missing", None, None),
        ("cut off", Some(cut), Some(&whole_times[..])),
        ("empty", Some(&[][..]), Some(&[][..])),
        ("skewed", Some(&skewed[..]), Some(&whole_times[..])),
        ("torn", Some(&whole[..end - 3]), Some(&whole_times[..])),
        ("of no age", Some(&whole[..]), Some(&zeros[..])),
        ("of another age", Some(&whole[..]), Some(&younger[..])),
    ] {
        for (path, bytes) in [(&index, bytes), (&times, time_bytes)] {
            match bytes {
                Some(bytes) => fs::write(path, bytes).expect("writable"),
                None => fs::remove_file(path).expect("there"),
            }
        }
        let log = folder.recover_whole(Some(at.clone()), 0);
        assert_eq!(log.segments[0].index.encode(), built.encode(), "{name}");
        assert_eq!(fs::read(&index).expect("there"), whole, "{name}");
        assert_eq!(Found::of(&log), found(230, &[(0, first.len()), (200, second.len())], &[]), "{name}");
    }
}

#[test]
fn the_largest_timestamp_is_looked_for_where_the_index_says() {
    // The first batch has it.
    let descending = |at: i64| {
        let mut batch = BatchBuilder::new(TimestampMs(9000 - at)).placed(Offset(at), LeaderEpoch(0));
        batch.append(None, Some(&[7; 9000]));
        batch.finish().expect("small")
    };
    let (first, second): (Vec<u8>, Vec<u8>) =
        ((0..20).flat_map(descending).collect(), (20..22).flat_map(descending).collect());
    let at = checkpoint(20, second.len(), 22);
    let folder = Folder::new().segment(0, &first).segment(20, &second);
    let times = folder.file(0, "timeindex");
    let newest = || folder.recover_whole(Some(at.clone()), 0).segments[0].index.max_timestamp(Offset(0));
    assert_eq!(newest(), Some((TimestampMs(9000), Offset(0))));
    let whole = fs::read(&times).expect("built");
    let file = fs::File::options().write(true).open(&times).expect("built");
    file.set_modified(UNIX_EPOCH).expect("writable");
    assert_eq!(newest(), Some((TimestampMs(9000), Offset(0))));
    let modified = fs::metadata(&times).expect("there").modified().expect("kept");
    assert_eq!(modified, UNIX_EPOCH, "what leads to the batch it names is not made anew");
    for at in [5, 6, 7, 11] {
        let mut wrong = whole.clone();
        wrong[at] ^= 1;
        fs::write(&times, &wrong).expect("writable");
        assert_eq!(newest(), Some((TimestampMs(9000), Offset(0))), "byte {at}");
        assert_eq!(fs::read(&times).expect("there"), whole, "byte {at}");
    }
}

#[test]
fn what_had_rolled_since_the_checkpoint_gets_its_index() {
    let (first, second, third) = (batches(0..200), batches(200..400), batches(400..430));
    for at in [None, Some(checkpoint(0, batches(0..100).len(), 100))] {
        let folder = Folder::new().segment(0, &first).segment(200, &second).segment(400, &third);
        fs::write(folder.file(0, "marks"), b"of a segment that goes on").expect("writable");
        fs::write(folder.file(200, "index"), b"torn").expect("writable");
        let log = folder.recover_whole(at, 430);
        assert_eq!(Found::of(&log).segments.len(), 3);
        for segment in &log.segments[..2] {
            let read = |extension| fs::read(folder.file(segment.base.0, extension)).expect("there");
            assert!(segment.index.len() > 3);
            assert_eq!((read("index"), read("timeindex")), segment.index.encode(), "{}", segment.base);
        }
        assert!(!folder.has(400, "index") && !folder.has(0, "marks"));
    }
}

#[test]
fn a_small_segment_that_goes_on_gets_no_index() {
    for (records, indexed) in [(100, false), (1000, true)] {
        let bytes = batches(0..records);
        let folder = Folder::new().segment(0, &bytes);
        let at = checkpoint(0, bytes.len(), records);
        assert_eq!(folder.recover(Some(&at), 0), found(records, &[(0, bytes.len())], &[]));
        assert_eq!(folder.has(0, "marks"), indexed, "{} bytes", bytes.len());
        assert!(!folder.has(0, "index"), "it goes on");
    }
}

#[test]
fn the_checkpoints_mark_spares_walking_over_what_has_no_index_yet() {
    let bytes = batches(0..1000);
    let unmarked = checkpoint(0, bytes.len(), 1000);
    let whole =
        Folder::new().segment(0, &bytes).recover_whole(Some(unmarked.clone()), 0).segments[0].index.clone();
    let mark = whole.mark_before(bytes.len() as u64);
    let marked = PartitionSnapshot { mark, ..unmarked.clone() };
    let folder = Folder::new().segment(0, &bytes);
    assert_eq!(folder.recover(Some(&marked), 0), found(1000, &[(0, bytes.len())], &[]));
    let index = folder.recover_whole(Some(marked.clone()), 0).segments[0].index.clone();
    assert!(index.len() <= 2 && !folder.has(0, "index"), "only the end was looked at");
    assert_eq!(index.max_timestamp(Offset(0)), whole.max_timestamp(Offset(0)));
    assert_eq!(index.mark_before(bytes.len() as u64), mark, "for the next checkpoint");
    // What the index file has comes before the mark, and counts.
    let folder = folder.segment(0, &bytes);
    let (offsets, times) = whole.encode();
    fs::write(folder.file(0, "index"), &offsets[..80]).expect("writable");
    fs::write(folder.file(0, "timeindex"), &times[..120]).expect("writable");
    let index = folder.recover_whole(Some(marked.clone()), 0).segments[0].index.clone();
    assert_eq!(index.len(), 11);
    // So do the marks of a segment that was being appended to; what a crash left unwritten of them is passed over.
    let segment = SegmentId { partition: ID, base: Offset(0) };
    let folder = Folder::new().segment(0, &bytes);
    let written = marks::encode(segment, whole.marks(0..20));
    let mut holed = written.clone();
    holed[5 * marks::MARK_BYTES..][..marks::MARK_BYTES].fill(0);
    for (file, entries) in [(&written, 21), (&holed, 20)] {
        fs::write(folder.file(0, "marks"), file).expect("writable");
        let index = folder.recover_whole(Some(marked.clone()), 0).segments[0].index.clone();
        assert_eq!((index.len(), index.max_timestamp(Offset(0))), (entries, whole.max_timestamp(Offset(0))));
        assert_eq!(
            index.lead_to(Offset(0), Offset(300)).position,
            whole.lead_to(Offset(0), Offset(300)).position
        );
    }
    assert!(folder.has(0, "marks"));
    // They go on from the files of an orderly stop, and end where the checkpoint does.
    fs::write(folder.file(0, "index"), &offsets[..80]).expect("writable");
    fs::write(folder.file(0, "timeindex"), &times[..120]).expect("writable");
    let index = folder.recover_whole(Some(marked.clone()), 0).segments[0].index.clone();
    assert_eq!(index.len(), 21);
    let half = batches(0..500);
    let early = checkpoint(0, half.len(), 500);
    let folder = Folder::new().segment(0, &half);
    let walked = folder.recover_whole(Some(early.clone()), 0).segments[0].index.clone();
    assert!(folder.has(0, "marks"), "it was worth it");
    fs::write(folder.file(0, "marks"), marks::encode(segment, whole.marks(0..whole.len())))
        .expect("writable");
    let index = folder.recover_whole(Some(early), 0).segments[0].index.clone();
    assert!(index.len() > 10 && index.encode() == walked.encode());
    // Those of a segment that is not what the checkpoint found are none of its.
    let folder = Folder::new().segment(0, &bytes[1..]);
    fs::write(folder.file(0, "marks"), &written).expect("writable");
    folder.recover_whole(Some(marked.clone()), 0);
    assert!(!folder.has(0, "marks"));
    // One that leads nowhere.
    let mut skewed = mark.expect("there are entries").encode();
    skewed[7] ^= 1;
    let mark = IndexMark::decode(&skewed);
    let index =
        Folder::new().segment(0, &bytes).recover_whole(Some(PartitionSnapshot { mark, ..unmarked }), 0);
    assert_eq!(index.segments[0].index.encode(), whole.encode());
}
