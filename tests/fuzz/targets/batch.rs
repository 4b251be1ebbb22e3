//! Any bytes as a record batch: what passes the checks at append can be walked by every reader.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringmain::base::{Offset, TimestampMs};
use ringmain::record::{self, ProduceLimits};

const LIMITS: ProduceLimits = ProduceLimits {
    batch_bytes_max: 1 << 20,
    now: TimestampMs(0),
    timestamp_before_ms_max: u64::MAX,
    timestamp_after_ms_max: u64::MAX,
    check_timestamps: false,
    zstd_allowed: true,
};

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
        if record::validate_records(bytes, &header, true).is_ok() {
            assert_eq!(walked, Ok(()), "a batch that passed cannot be read");
        }
    }
});
