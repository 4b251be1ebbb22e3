//! Any bytes as a record batch: what passes the checks at append can be walked by every reader.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringmain::base::{Offset, TimestampMs};
use ringmain::record::{self, ProduceLimits, ReadRules, Reading, RecordRules};

const LIMITS: ProduceLimits = ProduceLimits { batch_bytes_max: 1 << 20, zstd_allowed: true };

const RULES: RecordRules = RecordRules {
    now: TimestampMs(0),
    timestamps: None,
    keys_required: true,
    record_bytes_max: usize::MAX,
};

/// As a broker reads it: slice by slice.
fn read_in_slices(bytes: &[u8], header: record::BatchHeader) -> Result<TimestampMs, record::BatchError> {
    let rules = ReadRules {
        records: RULES,
        inflated_bytes_max: record::INFLATED_BYTES_MAX,
        stored_bytes_max: 1 << 20,
        recompress: None,
    };
    let mut reading = Reading::begin(bytes.to_vec().into(), header, rules)?;
    loop {
        if let Some(read) = reading.slice(&mut 1)? {
            return Ok(read.found.max_timestamp);
        }
    }
}

fuzz_target!(|bytes: &[u8]| {
    let walked = record::records(bytes, |batch, record| {
        let headers = record.headers().count();
        let _ = (record.offset(batch), record.timestamp(batch), headers);
        true
    });
    let _ = record::first_at_or_after(bytes, TimestampMs(0), Offset(0));
    let _ = record::with_max_timestamp(bytes);
    if let Ok(header) = record::validate_header(bytes, &LIMITS) {
        let _ = record::batch_crc(bytes);
        let at_once = record::validate_records(bytes, &header, RULES);
        if at_once.is_ok() {
            assert_eq!(walked, Ok(()), "a batch that passed cannot be read");
        }
        assert_eq!(read_in_slices(bytes, header).ok(), at_once.ok(), "slices make a difference");
    }
});
