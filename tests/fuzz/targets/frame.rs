//! A Fetch answer around any record bytes, kept in any pieces: the frame has them all, in order, and says its size.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use ringmain::base::Payload;
use ringmain::protocol::messages::FetchResponse;
use ringmain::protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use ringmain::protocol::{ApiKey, Message, Records, decode_body, encode_response, response_header_version};

/// The first byte of `bytes` says how many follow in the first piece, and so on.
fn pieces(mut bytes: &[u8]) -> Vec<Payload> {
    let mut pieces = Vec::new();
    while let [length, rest @ ..] = bytes {
        let (piece, rest) = rest.split_at(usize::from(*length).min(rest.len()));
        pieces.push(Payload::Bytes(Bytes::copy_from_slice(piece)));
        bytes = rest;
    }
    pieces
}

fn partition(records: &[u8]) -> PartitionData<'_> {
    let records = if records.is_empty() { Records::Null } else { Records::Gather(pieces(records)) };
    PartitionData { records, ..PartitionData::default() }
}

fuzz_target!(|input: (i32, u8, Vec<&[u8]>)| {
    let (correlation_id, version, partitions) = input;
    let versions: Vec<i16> = FetchResponse::VERSIONS.collect();
    let version = versions[usize::from(version) % versions.len()];
    let partitions = partitions.into_iter().map(partition).collect();
    let topic = FetchableTopicResponse { partitions, ..FetchableTopicResponse::default() };
    let answer = FetchResponse { responses: vec![topic], ..FetchResponse::default() };

    let frame =
        encode_response(correlation_id, ApiKey::Fetch, version, &answer).expect("any records can be sent");
    let bytes = frame.to_vec();
    assert_eq!(bytes.len(), frame.total_len());
    assert_eq!(bytes[..4], u32::try_from(bytes.len() - 4).expect("inputs are small").to_be_bytes());
    assert_eq!(bytes[4..8], correlation_id.to_be_bytes());
    assert!(frame.pieces().iter().all(|piece| !piece.is_empty()));
    let header = 8 + usize::try_from(response_header_version(ApiKey::Fetch.code(), version)).expect("0 or 1");
    let read: FetchResponse<'_> = decode_body(&bytes[header..], version).expect("what we send can be read");
    assert_eq!(read, answer);
});
