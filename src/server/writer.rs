//! Answers out: sends what is ready at the front of a connection's answers, in the order of its requests.
//!
//! What is ready at the front is taken together, up to about [`SEND_BYTES`], and sent with as few calls as the kernel and
//! [`sendv`] allow: one, nearly always. Knows nothing of what is sent; ends when the connection is over, or when the
//! peer sends no more and everything is answered.

use std::rc::Rc;

use crate::runtime::sendv;

use super::connection::Connection;
use super::replies::Outgoing;
use super::services::Services;

/// Answers are taken together up to about this size.
const SEND_BYTES: usize = 1024 * 1024;

pub(super) async fn write_answers(services: Rc<Services>, connection: Rc<Connection>) {
    while !connection.is_written() {
        let outgoing = connection.replies.borrow_mut().take(SEND_BYTES);
        if outgoing.requests == 0 {
            connection.to_write.wait().await;
        } else {
            write(&services, &connection, outgoing).await;
        }
    }
    // Whatever was in progress is answered into nothing.
    services.answered(connection.replies.borrow().len());
    connection.write_no_more();
}

async fn write(services: &Services, connection: &Connection, outgoing: Outgoing) {
    let (clock, holdings) = (&services.host.clock, &connection.holdings);
    let begun = clock.mono();
    holdings.send(begun, outgoing.bytes);
    let sent = sendv::send_all(&connection.stream, outgoing.pieces, |bytes| {
        holdings.sent(clock.mono(), bytes);
    });
    let sent = sent.await;
    let taken_after = holdings.moved().since(begun);
    services.counters.sent(taken_after, if sent.is_ok() { outgoing.bytes } else { 0 });
    holdings.end(outgoing.request_bytes);
    services.answered(outgoing.requests);
    connection.to_read.set();
    if sent.is_err() || outgoing.close {
        connection.close();
    }
}
