//! Shards talk by messages: one full mesh of bounded queues of one enum.
//!
//! A message is put into a local queue per peer and carried over by one task per peer, so that nobody who sends ever
//! waits, least of all the receive handler. What is queued is bounded by what the server admits (every message belongs
//! to an admitted request, an answer to one, or a change of the cluster state).

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;

use bytes::Bytes;
use glommio::channels::channel_mesh::{FullMesh, MeshBuilder, Receivers, Senders};

use crate::base::ShardId;
use crate::controller::Published;
use crate::shard::{Note, RequestId, ShardReply, ShardRequest};

use super::Event;

/// Messages that fit a queue between two shards.
const QUEUE_MESSAGES: usize = 1024;

/// `C` is a connection on the move: the server's business.
#[derive(Debug)]
pub enum Message<C> {
    /// Who this end of a queue belongs to: glommio numbers peers by its own ids.
    Hello(ShardId),
    Request {
        id: RequestId,
        request: ShardRequest,
    },
    Reply {
        id: RequestId,
        reply: ShardReply<Bytes>,
    },
    Image(Arc<Published>),
    /// To shard 0: this shard serves that version.
    ImageApplied {
        version: i64,
    },
    Connection(C),
    /// What one shard has for another one: see [`Shard::told`](crate::shard::Shard::told).
    Note(Note),
}

/// A mesh for this many shards.
#[must_use]
pub fn plan<C: Send + 'static>(shards: u16) -> FullMesh<Message<C>> {
    MeshBuilder::full(usize::from(shards), QUEUE_MESSAGES)
}

/// A shard's ends of the mesh: its queues to the others.
pub struct Mesh<C: Send + 'static> {
    here: ShardId,
    outgoing: Vec<Rc<Outgoing<C>>>,
}

struct Outgoing<C> {
    waiting: RefCell<VecDeque<Message<C>>>,
    ready: Event,
}

impl<C: Send + 'static> Mesh<C> {
    /// Joins the mesh; `receive` is called with every message and its sender.
    pub async fn join(
        plan: Option<FullMesh<Message<C>>>,
        here: ShardId,
        shards: u16,
    ) -> (Mesh<C>, Option<Incoming<C>>) {
        let outgoing = (0..shards)
            .map(|_| Rc::new(Outgoing { waiting: RefCell::default(), ready: Event::default() }))
            .collect();
        let mesh = Mesh { here, outgoing };
        let Some(plan) = plan else { return (mesh, None) };
        let (senders, receivers) = plan.join().await.expect("every shard joins the mesh");
        let mut peers = vec![None; usize::from(shards)];
        for index in (0..usize::from(shards)).filter(|index| *index != senders.peer_id()) {
            assert!(senders.send_to(index, Message::Hello(here)).await.is_ok(), "peers are alive at start");
        }
        for index in (0..usize::from(shards)).filter(|index| *index != receivers.peer_id()) {
            if let Ok(Some(Message::Hello(shard))) = receivers.recv_from(index).await {
                peers[index] = Some(shard);
            }
        }
        (mesh, Some(Incoming { senders: Rc::new(senders), receivers: Rc::new(receivers), peers }))
    }

    /// Queues a message for another shard.
    pub fn send(&self, to: ShardId, message: Message<C>) {
        assert_ne!(to, self.here, "what is local is called");
        let outgoing = &self.outgoing[usize::from(to.0)];
        outgoing.waiting.borrow_mut().push_back(message);
        outgoing.ready.set();
    }
}

/// The receiving side, to be set going once everything is in place.
pub struct Incoming<C: Send + 'static> {
    senders: Rc<Senders<Message<C>>>,
    receivers: Rc<Receivers<Message<C>>>,
    peers: Vec<Option<ShardId>>,
}

impl<C: Send + 'static> Incoming<C> {
    /// Starts the carrying tasks; they end when the peers do.
    pub fn run(self, mesh: &Mesh<C>, receive: &Rc<dyn Fn(ShardId, Message<C>)>) {
        for (index, shard) in self.peers.into_iter().enumerate() {
            let Some(shard) = shard else { continue };
            let (receivers, receive) = (Rc::clone(&self.receivers), Rc::clone(receive));
            glommio::spawn_local(async move {
                while let Ok(Some(message)) = receivers.recv_from(index).await {
                    receive(shard, message);
                }
            })
            .detach();
            let (senders, outgoing) =
                (Rc::clone(&self.senders), Rc::clone(&mesh.outgoing[usize::from(shard.0)]));
            glommio::spawn_local(async move {
                loop {
                    let next = outgoing.waiting.borrow_mut().pop_front();
                    match next {
                        Some(message) => {
                            if senders.send_to(index, message).await.is_err() {
                                return;
                            }
                        }
                        None => outgoing.ready.wait().await,
                    }
                }
            })
            .detach();
        }
    }
}
