//! Any bytes as a frame between servers, and any bytes as the header of one whose sizes and checksum are right: what is read can
//! be written again, and means the same.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ringmain::peer::{FrameLimits, Step, decode, encode};

fn framed(header: &[u8], payload: &[u8]) -> Bytes {
    let size = |bytes: usize| u32::try_from(bytes).expect("inputs are small").to_le_bytes();
    let sizes = [size(8 + header.len() + payload.len()), size(header.len())].concat();
    let crc = crc32fast::hash(&[&sizes, header].concat()).to_le_bytes();
    [&sizes, &crc[..], header, payload].concat().into()
}

fn exercise(bytes: &Bytes, limits: &FrameLimits) {
    match decode(bytes, limits) {
        Ok(Step::Frame { frame, taken }) => {
            assert!(taken <= bytes.len(), "a frame takes what is there");
            let front = encode(&frame.message, frame.payload.len());
            let again = [&front[..], &frame.payload].concat();
            let taken = again.len();
            assert_eq!(decode(&again.into(), limits), Ok(Step::Frame { frame, taken }));
        }
        Ok(Step::Need(more)) => assert!(more > bytes.len(), "more is needed than is there"),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fuzz_target!(|input: (&[u8], &[u8])| {
    let (header, payload) = input;
    for limits in [FrameLimits::Greeting, FrameLimits::Accepted { batch_bytes_max: 1 << 20 }] {
        exercise(&Bytes::copy_from_slice(header), &limits);
        exercise(&framed(header, payload), &limits);
    }
});
