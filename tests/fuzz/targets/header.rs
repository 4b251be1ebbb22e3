//! Any bytes as the front of a request.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringmain::protocol::{Reader, RequestHeader};

fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::new(bytes);
    if let Ok(header) = RequestHeader::decode(&mut reader) {
        let read = bytes.len() - reader.rest().len();
        assert!(read >= 10 + header.client_id.map_or(0, str::len));
    }
});
