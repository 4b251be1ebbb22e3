//! InitProducerId (22), versions 0-5; v6 (two-phase commit, KIP-939) is unstable in Kafka 4.4 and not advertised.
//!
//! Gives idempotent producers an id with epoch 0 that nobody ever had. The answer leaves when the block the id comes
//! from is reserved on disk, which one in a thousand has to wait for.
//!
//! - v3: a producer that has an id already sends it with its epoch and gets the next epoch (KIP-360), or a new id when
//!   there is none.
//!
//! Not done: transactions. A transactional id is answered with TRANSACTIONAL_ID_AUTHORIZATION_FAILED: of the errors this
//! API may return it is the one on which every client fails at once, fatally and naming the transactional id, where
//! coordinator errors are retried for ever.

use bytes::Bytes;

use crate::base::{ProducerEpoch, ProducerId};
use crate::controller::ControllerRequest;
use crate::protocol::messages::{InitProducerIdRequest, InitProducerIdResponse};
use crate::protocol::{ApiKey, ErrorCode, RequestHeader};

use crate::api::answer::{AnswerForm, decode};
use crate::api::controller::ask;
use crate::api::errors::controller_error;
use crate::api::{Api, ApiError, Context, Step};

pub const API: Api = Api::new(ApiKey::InitProducerId, 0..=5, start).answered_briefly();

pub fn start(_: &mut Context<'_>, header: &RequestHeader<'_>, body: &Bytes) -> Result<Step, ApiError> {
    let request: InitProducerIdRequest<'_> = decode(header, body)?;
    let answer = AnswerForm::of(header)?;
    let current = match current(&request) {
        Ok(current) => current,
        Err(code) => return answer.encode(&refused(code)),
    };
    Ok(ask(ControllerRequest::init_producer_id(current), move |_, result| {
        answer.send(&match result {
            Ok((id, epoch)) => response(ErrorCode::None, id, epoch),
            Err(error) => refused(controller_error(&error)),
        })
    }))
}

/// The id and epoch the producer has, if it has one.
fn current(request: &InitProducerIdRequest<'_>) -> Result<Option<(ProducerId, ProducerEpoch)>, ErrorCode> {
    match request.transactional_id.as_deref() {
        Some("") => return Err(ErrorCode::InvalidRequest),
        Some(_) => return Err(ErrorCode::TransactionalIdAuthorizationFailed),
        None => {}
    }
    match (request.producer_id, request.producer_epoch) {
        (-1, -1) => Ok(None),
        (-1, _) | (_, -1) => Err(ErrorCode::InvalidRequest),
        (id, epoch) => Ok(Some((ProducerId(id), ProducerEpoch(epoch)))),
    }
}

fn refused(code: ErrorCode) -> InitProducerIdResponse {
    response(code, ProducerId::NONE, ProducerEpoch(-1))
}

fn response(code: ErrorCode, id: ProducerId, epoch: ProducerEpoch) -> InitProducerIdResponse {
    InitProducerIdResponse {
        error_code: code.code(),
        producer_id: id.0,
        producer_epoch: epoch.0,
        ..InitProducerIdResponse::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::api::testing::{Server, read};

    use super::*;

    fn check(version: i16, request: &InitProducerIdRequest<'_>, want: (i16, i64, i16)) {
        let mut server = Server::new();
        // Ids 0 and 1 are somebody's.
        for _ in 0..2 {
            server.call(start, version, &with(-1, -1));
        }
        let body = server.call(start, version, request);
        let answer: InitProducerIdResponse = read(&body, version);
        assert_eq!(
            (answer.error_code, answer.producer_id, answer.producer_epoch),
            want,
            "{version}: {request:?}"
        );
    }

    fn with(producer_id: i64, producer_epoch: i16) -> InitProducerIdRequest<'static> {
        InitProducerIdRequest { transactional_id: None, producer_id, producer_epoch, ..Default::default() }
    }

    #[test]
    fn producers_get_ids_in_all_versions() {
        for version in 0..=5 {
            check(version, &with(-1, -1), (0, 2, 0));
        }
    }

    #[test]
    fn producers_that_have_an_id_get_the_next_epoch() {
        for version in 3..=5 {
            check(version, &with(1, 4), (0, 1, 5));
            check(version, &with(1, i16::MAX - 1), (0, 2, 0));
            check(version, &with(55, 0), (0, 2, 0));
            check(version, &with(1, -1), (42, -1, -1));
            check(version, &with(-1, 1), (42, -1, -1));
            check(version, &with(1, -2), (47, -1, -1));
        }
    }

    #[test]
    fn transactional_ids_are_refused() {
        for version in [0, 5] {
            for (id, code) in [("", 42), ("billing", 53)] {
                let transactional_id = Some(id.into());
                let request = InitProducerIdRequest { transactional_id, ..InitProducerIdRequest::default() };
                check(version, &request, (code, -1, -1));
            }
        }
    }
}
