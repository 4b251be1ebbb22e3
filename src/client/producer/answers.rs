//! What a producer's requests lead to: batches are delivered, sent again, or failed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::base::{NodeId, Offset};
use crate::client::cluster::breaks_connection;
use crate::client::connection::{Response, wait_readable};
use crate::client::error::{ClientError, check_code};
use crate::protocol::messages::ProduceResponse;
use crate::protocol::messages::produce_response::PartitionProduceResponse;
use crate::protocol::{ApiKey, ErrorCode};

use super::waiting::BatchAddress;
use super::{Delivery, PRODUCE_BY_ID_FROM, Producer};

impl Producer {
    /// Takes the answers that come, and waits for the first of them at most `within`.
    pub(super) fn receive(
        &mut self,
        within: Duration,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<(), ClientError> {
        let busy = |(node, requests): (&NodeId, &VecDeque<_>)| (!requests.is_empty()).then_some(*node);
        let nodes: Vec<NodeId> = self.in_flight.iter().filter_map(busy).collect();
        let mut descriptors = Vec::with_capacity(nodes.len());
        for node in &nodes {
            let connection = self.cluster.connected(*node).expect("requests in flight have a connection");
            descriptors.push(connection.descriptor());
        }
        let ready = wait_readable(&descriptors, within)
            .map_err(|source| ClientError::Lost { address: "every broker".to_owned(), source })?;
        if ready.iter().any(|ready| *ready) {
            for (node, _) in nodes.into_iter().zip(ready).filter(|(_, ready)| *ready) {
                self.receive_one(node, deliveries);
            }
        } else if !within.is_zero() {
            let timeout =
                |node| ClientError::Timeout { address: format!("node {node}"), api: ApiKey::Produce, within };
            nodes.into_iter().for_each(|node| self.lose(node, timeout(node), deliveries));
        }
        Ok(())
    }

    fn receive_one(&mut self, node: NodeId, deliveries: &mut Vec<Delivery>) {
        let connection = self.cluster.connected(node).expect("requests in flight have a connection");
        match connection.receive() {
            Ok(answer) => {
                let requests = self.in_flight.get_mut(&node).expect("it was in flight");
                let batches = requests.pop_front().expect("it was in flight");
                if let Err(error) = self.answered(&batches, &answer, deliveries) {
                    self.in_flight.entry(node).or_default().push_front(batches);
                    self.lose(node, error, deliveries);
                }
            }
            Err(error) => self.lose(node, error, deliveries),
        }
    }

    fn answered(
        &mut self,
        batches: &[BatchAddress],
        answer: &Response,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<(), ClientError> {
        let response: ProduceResponse<'_> = answer.decode()?;
        for batch in batches {
            let id = self.waiting.topic(&batch.topic).id;
            let of_topic = response.responses.iter().find(|topic| {
                if answer.version() >= PRODUCE_BY_ID_FROM {
                    topic.topic_id == id
                } else {
                    *topic.name == *batch.topic
                }
            });
            let mut partitions = of_topic.iter().flat_map(|topic| &topic.partition_responses);
            match partitions.find(|partition| partition.index == batch.index().0) {
                Some(partition) => self.settle(batch, result_of(batch, partition), deliveries),
                None => {
                    let what = batch.subject();
                    let incomplete = ClientError::Incomplete { api: ApiKey::Produce, what };
                    self.settle(batch, Err(incomplete), deliveries);
                }
            }
        }
        Ok(())
    }

    /// Handles the failure of every request in flight to a node.
    pub(super) fn lose(&mut self, node: NodeId, error: ClientError, deliveries: &mut Vec<Delivery>) {
        if breaks_connection(&error) || self.in_flight.get(&node).is_some_and(|requests| requests.len() > 1) {
            self.cluster.disconnect(node);
        }
        self.metadata_is_stale = true;
        let batches: Vec<BatchAddress> =
            self.in_flight.remove(&node).into_iter().flatten().flatten().collect();
        let is_retriable = error.is_retriable();
        let text = error.to_string();
        let mut first = Some(error);
        for batch in &batches {
            // The error itself goes to one batch; the others quote it.
            let error = first.take().unwrap_or_else(|| ClientError::Kafka {
                code: if is_retriable { ErrorCode::NetworkException } else { ErrorCode::UnknownServerError },
                subject: batch.subject(),
                message: Some(text.clone()),
            });
            self.settle(batch, Err(error), deliveries);
        }
    }

    /// Handles a batch's answer: the batch is delivered, sent again, or has failed.
    fn settle(
        &mut self,
        address: &BatchAddress,
        result: Result<Offset, ClientError>,
        deliveries: &mut Vec<Delivery>,
    ) {
        let error = match result {
            Ok(offset) => return self.deliver(address, Ok(offset), deliveries),
            Err(error) => error,
        };
        let now = Instant::now();
        let (backoff, backoff_max) = (self.options.retry_backoff, self.options.retry_backoff_max);
        let within = self.options.delivery_timeout;
        let is_first = self.waiting.is_first(address);
        // While an earlier batch has failed and is sent again, the broker sees a gap before this one. The gap ends when the
        // earlier batch is delivered.
        let is_gap = error.code() == Some(ErrorCode::OutOfOrderSequenceNumber);
        let batch = self.waiting.batch(address).expect("it is in flight");
        batch.in_flight = false;
        if !(error.is_retriable() || is_gap && !is_first) {
            return self.fail(address, error, deliveries);
        }
        if now.duration_since(batch.since) > within {
            let (subject, last) = (address.subject(), Box::new(error));
            return self.fail(address, ClientError::DeliveryTimeout { subject, within, last }, deliveries);
        }
        batch.back_off(now, backoff, backoff_max);
        self.metadata_is_stale |= !is_gap;
    }

    /// Ends a batch that has failed. Later batches of its partition cannot continue its sequence, so they get a new producer
    /// id.
    pub(super) fn fail(
        &mut self,
        address: &BatchAddress,
        error: ClientError,
        deliveries: &mut Vec<Delivery>,
    ) {
        *self.waiting.sequence(address) = None;
        self.identity = None;
        self.deliver(address, Err(error), deliveries);
    }

    pub(super) fn deliver(
        &mut self,
        address: &BatchAddress,
        result: Result<Offset, ClientError>,
        deliveries: &mut Vec<Delivery>,
    ) {
        let batch = self.waiting.settled(address);
        let (topic, partition) = (address.topic.clone(), address.index());
        deliveries.push(Delivery { topic, partition, records: batch.records, result });
    }
}

fn result_of(batch: &BatchAddress, answer: &PartitionProduceResponse<'_>) -> Result<Offset, ClientError> {
    // The broker has these records from an earlier attempt, and does not know their offset any more.
    if answer.error_code == ErrorCode::DuplicateSequenceNumber.code() {
        return Ok(Offset(-1));
    }
    let of_record =
        answer.record_errors.first().and_then(|record| record.batch_index_error_message.as_deref());
    let message = answer.error_message.as_deref().or(of_record);
    check_code(answer.error_code, message, || batch.subject()).map(|()| Offset(answer.base_offset))
}
