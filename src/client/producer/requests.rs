//! What a producer sends: which batches are due, to which leader, under which sequence numbers.
//!
//! Does not know what becomes of a request once it is in flight: see `answers`.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use bytes::Bytes;

use crate::base::{NodeId, Offset, Payload, ProducerEpoch, ProducerId, TopicId};
use crate::client::cluster::Missing;
use crate::client::connection::Response;
use crate::client::error::{ClientError, check_code};
use crate::protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use crate::protocol::messages::{InitProducerIdRequest, InitProducerIdResponse, ProduceRequest};
use crate::protocol::{ErrorCode, Records};

use super::waiting::{BatchAddress, Content, Flush, Identity};
use super::{Acks, Delivery, PRODUCE_BY_ID_FROM, Producer};

impl Producer {
    /// Closes batches that are due and sends to every leader what may be sent.
    pub(super) fn dispatch(
        &mut self,
        now: Instant,
        flush: Flush,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<(), ClientError> {
        self.dispatched = now;
        self.waiting.close_due(now, flush);
        self.expire(now, deliveries);
        loop {
            let ready = self.waiting.ready(now);
            if ready.is_empty() {
                return Ok(());
            }
            if self.metadata_is_stale {
                self.refresh_metadata();
            }
            let mut sent = false;
            for (node, batches) in self.by_leader(ready, now) {
                let in_flight = self.in_flight.get(&node).map_or(0, VecDeque::len);
                if in_flight < self.options.in_flight_max {
                    self.send_request(node, batches, deliveries)?;
                    sent = true;
                }
            }
            if !sent {
                return Ok(());
            }
        }
    }

    /// Gives up batches that were not delivered in time.
    fn expire(&mut self, now: Instant, deliveries: &mut Vec<Delivery>) {
        let within = self.options.delivery_timeout;
        for batch in self.waiting.expired(now) {
            let subject = batch.subject();
            let last = ClientError::Kafka {
                code: ErrorCode::RequestTimedOut,
                subject: subject.clone(),
                message: Some("its leader could not be reached".to_owned()),
            };
            self.fail(
                &batch,
                ClientError::DeliveryTimeout { subject, within, last: Box::new(last) },
                deliveries,
            );
        }
    }

    fn by_leader(&mut self, ready: Vec<BatchAddress>, now: Instant) -> HashMap<NodeId, Vec<BatchAddress>> {
        let mut by_leader: HashMap<NodeId, Vec<BatchAddress>> = HashMap::new();
        for batch in ready {
            match self.cluster.leader(&batch.topic, batch.index()) {
                Some(leader) => by_leader.entry(leader).or_default().push(batch),
                None => {
                    self.metadata_is_stale = true;
                    let pause = self.options.retry_backoff;
                    self.waiting.batch(&batch).expect("it waits").pause(now, pause);
                }
            }
        }
        by_leader
    }

    /// Asks for the leaders again. After a failure the batches wait, and the next round asks once more.
    fn refresh_metadata(&mut self) {
        let known = self.waiting.names();
        let names: Vec<&str> = known.iter().map(|name| &**name).collect();
        self.metadata_is_stale = self.cluster.refresh(Some(&names), Missing::Fail).is_err();
        for name in &known {
            let Some(view) = self.cluster.topic(name) else { continue };
            self.waiting.update_topic(name, view.id, view.partitions.len());
        }
    }

    fn send_request(
        &mut self,
        node: NodeId,
        batches: Vec<BatchAddress>,
        deliveries: &mut Vec<Delivery>,
    ) -> Result<(), ClientError> {
        let mut encoded = Vec::with_capacity(batches.len());
        for batch in &batches {
            encoded.push(self.encode(batch)?);
        }
        let sent = self.write_request(node, &batches, encoded);
        for batch in &batches {
            self.waiting.batch(batch).expect("it waits to be sent").sent();
        }
        match sent {
            Ok(()) if self.options.acks == Acks::None => {
                for batch in &batches {
                    self.deliver(batch, Ok(Offset(-1)), deliveries);
                }
            }
            Ok(()) => self.in_flight.entry(node).or_default().push_back(batches),
            Err(error) => {
                self.in_flight.entry(node).or_default().push_back(batches);
                self.lose(node, error, deliveries);
            }
        }
        Ok(())
    }

    fn write_request(
        &mut self,
        node: NodeId,
        batches: &[BatchAddress],
        encoded: Vec<Bytes>,
    ) -> Result<(), ClientError> {
        let acks = self.options.acks;
        let timeout_ms = i32::try_from(self.options.request_timeout.as_millis()).unwrap_or(i32::MAX);
        let by_id = batches.iter().all(|batch| self.waiting.topic(&batch.topic).id != TopicId::ZERO);
        let connection = self.cluster.connection(node)?;
        let version_max = if by_id { i16::MAX } else { PRODUCE_BY_ID_FROM - 1 };
        let version = connection.version_up_to::<ProduceRequest<'_>>(version_max)?;
        let mut topic_data: Vec<TopicProduceData<'_>> = Vec::new();
        for (batch, bytes) in batches.iter().zip(encoded) {
            let index = batch.index().0;
            let data = PartitionProduceData { index, records: Records::Gather(vec![Payload::from(bytes)]) };
            match topic_data.iter_mut().find(|topic| *topic.name == *batch.topic) {
                Some(topic) => topic.partition_data.push(data),
                None => topic_data.push(TopicProduceData {
                    name: (&*batch.topic).into(),
                    topic_id: self.waiting.topic(&batch.topic).id,
                    partition_data: vec![data],
                }),
            }
        }
        let request = ProduceRequest { transactional_id: None, acks: acks.on_wire(), timeout_ms, topic_data };
        match acks {
            Acks::None => connection.send_unanswered(&request, version),
            Acks::Leader | Acks::All => connection.send_version(&request, version),
        }
    }

    /// The bytes of a batch. They are encoded when the batch is sent for the first time.
    fn encode(&mut self, address: &BatchAddress) -> Result<Bytes, ClientError> {
        let batch = self.waiting.batch(address).expect("it waits to be sent");
        let records = i32::try_from(batch.records).expect("a batch counts its records in an i32");
        let mut builder = match &batch.content {
            Content::Encoded(bytes) => return Ok(bytes.clone()),
            Content::Builder(builder) => (**builder).clone(),
        };
        if self.options.idempotent {
            let (identity, sequence) = self.sequence_of(address)?;
            builder = builder.producer(identity.id, identity.epoch, sequence);
            let next = sequence_after(sequence, records);
            *self.waiting.sequence(address) = Some((identity, next));
        }
        let bytes = Bytes::from(builder.finish().map_err(ClientError::Build)?);
        self.waiting.batch(address).expect("it waits to be sent").content = Content::Encoded(bytes.clone());
        Ok(bytes)
    }

    fn sequence_of(&mut self, address: &BatchAddress) -> Result<(Identity, i32), ClientError> {
        if let Some(sequence) = self.waiting.sequence(address) {
            return Ok(*sequence);
        }
        let identity = match self.identity {
            Some(identity) => identity,
            None => self.new_identity()?,
        };
        *self.waiting.sequence(address) = Some((identity, 0));
        Ok((identity, 0))
    }

    fn new_identity(&mut self) -> Result<Identity, ClientError> {
        let request = InitProducerIdRequest {
            transactional_id: None,
            transaction_timeout_ms: i32::MAX,
            producer_id: -1,
            producer_epoch: -1,
            ..Default::default()
        };
        let deadline = Instant::now() + self.options.topic_timeout;
        loop {
            let answered = self.cluster.ask_any(&request).and_then(|answer| identity_of(&answer));
            match answered {
                Ok(identity) => {
                    self.identity = Some(identity);
                    return Ok(identity);
                }
                Err(error) if error.is_retriable() && Instant::now() < deadline => {
                    std::thread::sleep(self.options.retry_backoff);
                }
                Err(error) => return Err(error),
            }
        }
    }
}

/// Sequence numbers wrap at 2^31, as Kafka's do.
fn sequence_after(sequence: i32, records: i32) -> i32 {
    let next = (i64::from(sequence) + i64::from(records)) % (i64::from(i32::MAX) + 1);
    i32::try_from(next).expect("the remainder has 31 bits")
}

fn identity_of(answer: &Response) -> Result<Identity, ClientError> {
    let response: InitProducerIdResponse = answer.decode()?;
    check_code(response.error_code, None, || "a producer id".to_owned())?;
    Ok(Identity { id: ProducerId(response.producer_id), epoch: ProducerEpoch(response.producer_epoch) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap() {
        assert_eq!(sequence_after(0, 3), 3);
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX - 1, 5), 3);
    }
}
