//! Server ids are given, and servers removed for good. An id that was given is written down at once, so that no controller gives
//! it again (U15).

use crate::base::{DirectoryId, ServerId};
use crate::controller::batch::Batch;
use crate::controller::decide::Controller;
use crate::controller::image::PartitionImage;
use crate::controller::record::MetadataRecord;
use crate::controller::request::ControllerError;
use crate::controller::servers::{ControllerOutput, Join, RegisterError, Replace, SERVER_ID_MAX};

impl Controller {
    /// Gives a server id to a data directory; the same directory gets the same id. The answer may leave once the records are
    /// folded.
    ///
    /// # Errors
    /// When the id is another one's.
    pub fn join(&mut self, join: &Join, out: &mut ControllerOutput) -> Result<ServerId, RegisterError> {
        if !self.is_active() {
            return Err(RegisterError::NotController);
        }
        let state = &self.decided.state;
        let of_directory = |(id, given): (&ServerId, &DirectoryId)| (*given == join.directory).then_some(*id);
        let registered = state.cluster.servers.iter().map(|(id, server)| (id, &server.directory));
        let known = registered.chain(&state.given).find_map(of_directory);
        if let Some(id) = known.filter(|id| join.server.is_none_or(|wanted| wanted == *id)) {
            return Ok(id);
        }
        let id = join.server.unwrap_or(state.counters.next_server);
        if !(ServerId(0)..=SERVER_ID_MAX).contains(&id) {
            return Err(RegisterError::NoSuchId(id));
        }
        if state.removed.contains(&id) {
            return Err(RegisterError::Removed(id));
        }
        let other = state.cluster.servers.get(&id);
        match other {
            Some(server) if !server.fenced => return Err(RegisterError::InUse(id)),
            Some(_) if join.replace == Replace::No => return Err(RegisterError::OtherDirectory(id)),
            _ => {}
        }
        if other.is_none() && state.given.contains_key(&id) && join.replace == Replace::No {
            return Err(RegisterError::OtherDirectory(id));
        }
        self.enact(MetadataRecord::ServerId { id, directory: join.directory }, &mut out.batches);
        Ok(id)
    }

    /// A server leaves the cluster for good, with its id.
    pub(in crate::controller) fn remove_server(
        &mut self,
        server: ServerId,
        batch: &mut Batch,
    ) -> Result<(), ControllerError> {
        let cluster = &self.decided.state.cluster;
        let known = cluster.servers.get(&server).ok_or(ControllerError::UnknownServer)?;
        let refused = |why: &str| Err(ControllerError::InvalidRequest(format!("Server {server} {why}")));
        if !known.fenced {
            return refused("is running; stop it first.");
        }
        if cluster.quorum.voters.iter().any(|voter| voter.server == server) {
            return refused("votes in the metadata quorum; drain it, and wait until another server votes.");
        }
        let keeps = |it: &PartitionImage| it.replicas().contains(&server);
        if cluster.topics.values().flat_map(|topic| &topic.partitions).any(keeps) {
            return refused("keeps replicas; drain it, and wait until it is empty.");
        }
        self.commit(&[MetadataRecord::RemoveServer { id: server }], batch)?;
        self.servers.forget(server);
        Ok(())
    }
}
