//! Any bytes as a whole request, without its size: the header chooses the API and the version of the body.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ringmain::protocol::{Reader, RequestHeader};
use ringmain_fuzz::{TARGETS, Target};

fuzz_target!(|bytes: &[u8]| {
    let mut reader = Reader::new(bytes);
    let Ok(header) = RequestHeader::decode(&mut reader) else { return };
    let asked = |target: &&Target| target.is_request() && target.api_key == header.api_key;
    if let Some(target) = TARGETS.iter().find(asked) {
        target.exercise(reader.rest(), header.api_version);
    }
});
