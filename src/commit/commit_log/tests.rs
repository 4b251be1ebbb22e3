use super::*;
use crate::base::{LeaderEpoch, Offset, TopicPartition};
use crate::commit::{CutHeader, EntryHeader, GROUP_BYTES_MAX, Group, Says};

const FILE_BYTES: u64 = 4 * GROUP_BYTES_MAX as u64;

fn log(files: &[u32]) -> CommitLog {
    CommitLog::new(CommitStart {
        identity: [9; 16],
        next_sequence: 1,
        files: files.to_vec(),
        file_bytes: FILE_BYTES,
        files_max: 4,
        group_bytes_max: GROUP_BYTES_MAX,
    })
}

fn entry(bytes: usize, number: u64) -> Pending {
    let mut writer = ChunkWriter::new(Chunk::heap(bytes.max(1)));
    writer.advance(bytes);
    Pending {
        says: Says::Append(EntryHeader {
            partition: TopicPartition::METADATA,
            segment_base: Offset(0),
            position: 0,
            flushed: Offset(0),
            high_watermark: Offset(0),
        }),
        data: [Some(writer.slice(0..bytes)), None],
        receipt: Receipt { slot: 0, logged: Logged::Append(number) },
    }
}

fn numbers(receipts: &[Receipt]) -> Vec<u64> {
    let of = |receipt: &Receipt| match receipt.logged {
        Logged::Append(number) => Some(number),
        Logged::Tail | Logged::Cut | Logged::Drop => None,
    };
    receipts.iter().filter_map(of).collect()
}

#[test]
fn what_waits_during_a_write_shares_the_next() {
    let mut log = log(&[0, 1, 2]);
    let mut allocate = Chunk::heap;
    log.push(entry(100, 1));
    let first = log.gather(&mut allocate).expect("idle: at once");
    log.push(entry(100, 2));
    log.push(entry(100, 3));
    assert!(log.gather(&mut allocate).is_none(), "one write at a time");
    assert_eq!(numbers(&log.written()), [1]);
    let second = log.gather(&mut allocate).expect("two waited");
    assert_eq!(numbers(log.issued()), [2, 3]);
    assert_eq!((first.position, second.position, second.data.len()), (0, 4096, 4096));
    let bytes = second.data.all();
    let group = Group::parse(&bytes).expect("valid");
    assert_eq!((group.header.sequence, group.header.durable_end, group.header.entries), (2, 2, 2));
}

#[test]
fn a_reserve_that_outgrows_the_files_gets_more_of_them() {
    let mut log = log(&[0, 1, 2]);
    let mut allocate = Chunk::heap;
    log.reserve_for(5 * usize::try_from(FILE_BYTES).expect("small") / BLOCK_BYTES);
    log.push(entry(100, 1));
    while log.gather(&mut allocate).is_none() {
        let (file, _) = log.create().expect("without more files nothing goes on");
        log.created(file);
    }
}

#[test]
fn a_reserve_that_grows_does_not_stop_what_the_current_file_has_room_for() {
    let mut log = log(&[0, 1, 2]);
    let mut allocate = Chunk::heap;
    log.push(entry(100, 1));
    assert!(log.gather(&mut allocate).is_some());
    log.written();
    log.reserve_for(5 * usize::try_from(FILE_BYTES).expect("small") / BLOCK_BYTES);
    assert!(log.create().is_some(), "its files are on their way");
    log.create_failed();
    log.push(entry(100, 2));
    assert!(
        log.gather(&mut allocate).is_some(),
        "the disk is full: what deletes a topic is logged all the same"
    );
    log.written();
    log.relog(entry(10, 3));
    for number in 4..9 {
        log.push(entry(GROUP_BYTES_MAX - 4096, number));
    }
    while log.gather(&mut allocate).is_some() {
        log.written();
    }
    let left = log.queue.select(Takes::Everything);
    assert!(
        left.relogged == 0 && left.entries > 0 && log.ready.len() == 2,
        "but it does not go on in what there is of the reserve"
    );
}

#[test]
fn whatever_the_reserve_there_is_always_a_file_to_free() {
    for partitions in [1, 3_000, 30_000] {
        let mut log = log(&[0, 1, 2]);
        let mut allocate = Chunk::heap;
        log.reserve_for(partitions);
        for number in 0..200 {
            log.push(entry(GROUP_BYTES_MAX - 4096, number));
        }
        while !log.queue.is_empty() {
            if log.gather(&mut allocate).is_some() {
                log.written();
            } else if let Some((file, _)) = log.create() {
                log.created(file);
            } else {
                log.reclaimed(log.short_of_files().expect("what is full can be freed"));
            }
        }
    }
}

#[test]
fn a_group_is_cut_at_its_limit_and_a_file_at_its_end() {
    let mut log = log(&[0, 1, 2]);
    let mut allocate = Chunk::heap;
    let mut serials = Vec::new();
    for number in 0..9 {
        log.push(entry(GROUP_BYTES_MAX - 4096, number));
    }
    while let Some(write) = log.gather(&mut allocate) {
        assert_eq!(log.written().len(), 1);
        serials.push(write.serial.0);
    }
    assert_eq!(serials, [0, 0, 0, 0, 1, 1, 1, 1], "the third file is the reserve");
    assert_eq!(log.short_of_files(), None, "another file can be had");
    log.relog(entry(10, 100));
    let write = log.gather(&mut allocate).expect("a tail may use the reserve");
    assert_eq!((write.serial, numbers(&log.written())), (FileSerial(2), vec![100]));
    assert!(log.gather(&mut allocate).is_none(), "what is left of it is for more tails");
    assert_eq!(log.replay_from_after(FileSerial(0)), 5);
    assert_eq!(log.replay_from(), 1);
    assert_eq!(log.freeable(Some(FileSerial(0))), None);
    assert_eq!(log.freeable(Some(FileSerial(1))), Some((FileSerial(0), 1)));
    assert_eq!(log.freeable(None), Some((FileSerial(1), 2)));
    log.reclaimed(FileSerial(0));
    assert_eq!(log.replay_from(), 5);
    assert_eq!(log.file_counts(), (3, 1));
    let write = log.gather(&mut allocate).expect("the reserve is whole again");
    assert_eq!((write.serial, numbers(&log.written())), (FileSerial(2), vec![8]));
}

#[test]
fn files_are_created_ahead_of_the_load_up_to_the_limit() {
    let mut log = log(&[0, 1, 2]);
    let mut allocate = Chunk::heap;
    assert_eq!(log.create(), None, "two are free");
    for number in 0..7 {
        log.push(entry(GROUP_BYTES_MAX - 4096, number));
    }
    while log.gather(&mut allocate).is_some() {
        log.written();
    }
    assert_eq!(log.create(), Some((3, FILE_BYTES)));
    assert_eq!(log.create(), None, "one at a time");
    log.created(3);
    assert_eq!(log.file_counts(), (4, 2));
    assert_eq!(log.create(), None, "the limit");
    log.push(entry(GROUP_BYTES_MAX - 4096, 7));
    for number in 0..4 {
        log.push(entry(GROUP_BYTES_MAX - 4096, number));
    }
    while log.gather(&mut allocate).is_some() {
        log.written();
    }
    assert_eq!(log.short_of_files(), Some(FileSerial(0)), "only the reserve is left");
}

#[test]
fn a_step_of_a_cut_waits_for_no_file_and_a_smaller_group_is_one() {
    let start = CommitStart {
        identity: [9; 16],
        next_sequence: 1,
        files: vec![0, 1, 2],
        file_bytes: 128 << 10,
        files_max: 3,
        group_bytes_max: 32 << 10,
    };
    let mut log = CommitLog::new(start);
    let mut allocate = Chunk::heap;
    for number in 0..20 {
        log.push(entry(20_000, number));
    }
    let mut serials = Vec::new();
    while let Some(write) = log.gather(&mut allocate) {
        assert!(write.data.len() <= 32 << 10 && log.written().len() == 1);
        serials.push(write.serial.0);
    }
    assert_eq!(serials, [0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1], "only the reserve is left");
    let (partition, begin_at) = (TopicPartition::METADATA, Offset(5));
    let done = CutHeader { partition, below: begin_at, begin_at, epoch: LeaderEpoch(-1) };
    let receipt = Receipt { slot: 7, logged: Logged::Cut };
    log.relog(Pending { says: Says::CutDone(done), data: [None, None], receipt });
    let write = log.gather(&mut allocate).expect("what keeps a file in use need not wait for one");
    assert_eq!((write.serial, log.written()), (FileSerial(1), vec![receipt]));
    let bytes = write.data.all();
    let group = Group::parse(&bytes).expect("valid");
    let says: Vec<Says> = group.entries().map(|entry| entry.expect("valid").says).collect();
    assert_eq!(says, [Says::CutDone(done)]);
}
