//! Servers come, go, and stop.
//!
//! The record that makes a server's new state visible comes last in the decision where it takes something away (registered anew,
//! fenced, stopping), and first where it gives something (unfenced): whatever part of a decision is lost with its controller, a
//! server that looks settled is settled (D8).

use std::collections::{BTreeMap, BTreeSet};

use crate::base::{BrokerEpoch, MonoNanos, Rule, ServerId, holds, mark};
use crate::controller::batch::Batches;
use crate::controller::decide::Controller;
use crate::controller::image::{PartitionImage, ServerImage};
use crate::controller::record::{MetadataRecord, ServerStateRecord};
use crate::controller::replicas::{Cause, Incarnation, Loss, Member, Members};
use crate::controller::servers::{
    Answered, ControllerOutput, Dialled, Heartbeat, HeartbeatAnswer, HeartbeatError, RegisterError,
    Registered, Registration, SERVER_ID_MAX, SHARDS_MAX, Wants, incarnation,
};
use crate::controller::standing::Standing;

/// How often a server's newest commit sequence is written down, if it has grown.
const NOTE_MS: u64 = 300_000;

/// A server that registers, and what its data is worth.
type Anew = BTreeMap<ServerId, (Registration, Incarnation)>;

/// Whether partitions are settled that none of the servers of a decision keeps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Look {
    AtTheirs,
    /// At what earlier controllers have left, too.
    AtAll,
}

impl Controller {
    /// A server registers. When that is decided, `out` says so, now or after a later tick.
    ///
    /// # Errors
    /// Why this server may not.
    pub fn register(
        &mut self,
        wanted: &Registration,
        now: MonoNanos,
        out: &mut ControllerOutput,
    ) -> Result<(), RegisterError> {
        if !matches!(self.standing, Standing::Active { .. }) {
            return Err(RegisterError::NotController);
        }
        self.may_register(wanted)?;
        let before = self.decided.state.cluster.servers.get(&wanted.server);
        if let Some(same) = before.filter(|it| it.incarnation == wanted.incarnation) {
            // Its answer was lost.
            out.registered.push(registered(wanted, same.broker_epoch));
            return Ok(());
        }
        self.servers.wait(wanted)?;
        self.react(now, out);
        Ok(())
    }

    fn may_register(&self, wanted: &Registration) -> Result<(), RegisterError> {
        let (id, state) = (wanted.server, &self.decided.state);
        if !(1..=SHARDS_MAX).contains(&wanted.shards) {
            return Err(RegisterError::NoShards);
        }
        if !(ServerId(0)..=SERVER_ID_MAX).contains(&id) {
            return Err(RegisterError::NoSuchId(id));
        }
        if state.removed.contains(&id) {
            return Err(RegisterError::Removed(id));
        }
        let is_given = state.given.get(&id) == Some(&wanted.directory);
        match state.cluster.servers.get(&id) {
            Some(server) if server.directory == wanted.directory => Ok(()),
            Some(_) if !is_given => Err(RegisterError::OtherDirectory(id)),
            Some(server) if !server.fenced => Err(RegisterError::InUse(id)),
            // The first server of all has its id from nobody.
            None if !is_given && !state.cluster.servers.is_empty() => Err(RegisterError::UnknownId(id)),
            Some(_) | None => Ok(()),
        }
    }

    /// A server is heard.
    ///
    /// # Errors
    /// When it is not the life of it that is registered.
    pub fn heartbeat(
        &mut self,
        beat: &Heartbeat,
        now: MonoNanos,
        out: &mut ControllerOutput,
    ) -> Result<HeartbeatAnswer, HeartbeatError> {
        if !matches!(self.standing, Standing::Active { .. }) {
            return Err(HeartbeatError::NotController);
        }
        if !self.is_registered(beat.server, beat.broker_epoch) {
            return Err(HeartbeatError::StaleBrokerEpoch);
        }
        self.servers.heard(beat, now);
        if self.has_gathered(now) {
            self.unfence_whoever_may(now, &mut out.batches);
            self.stop_servers(&mut out.batches);
        }
        let durable = self.durable.state.cluster.servers.get(&beat.server);
        let fenced = durable.is_none_or(|it| it.fenced || it.broker_epoch != beat.broker_epoch);
        let may_stop = beat.wants == Wants::Stop && (fenced || self.may_stop(beat.server));
        Ok(HeartbeatAnswer { fenced, may_stop, lease_ms: self.servers.lease_ms() })
    }

    /// A server has a lane to this controller, or several: the registered life with its broker epoch, or one that is not
    /// registered.
    pub fn lane_opened(
        &mut self,
        server: ServerId,
        broker_epoch: Option<BrokerEpoch>,
        now: MonoNanos,
        out: &mut ControllerOutput,
    ) {
        let is_registered = broker_epoch.is_some_and(|epoch| self.is_registered(server, epoch));
        self.servers.lane_opened(server, is_registered, now);
        self.react(now, out);
        let members = self.members();
        if is_registered && self.has_gathered(now) && !members.of(server).fenced {
            // It may have left an ISR only because nothing was heard of it.
            self.elect_where_nobody_leads(server, &members, &mut out.batches);
        }
    }

    /// The last lane of a server's registered life was closed: `out` says whether the server is to be dialled.
    pub fn lane_closed(&mut self, server: ServerId, now: MonoNanos, out: &mut ControllerOutput) {
        if self.servers.lane_closed(server, now) {
            out.dial.push(server);
        }
        self.react(now, out);
    }

    /// A server was dialled.
    pub fn dialled(&mut self, server: ServerId, found: Dialled, now: MonoNanos, out: &mut ControllerOutput) {
        let answered = match found {
            Dialled::Refused => Answered::Nobody,
            Dialled::Silent => Answered::Silent,
            Dialled::Answered(Some(epoch)) if self.is_registered(server, epoch) => Answered::Registered,
            Dialled::Answered(_) => Answered::Nobody,
        };
        self.servers.dialled(server, answered);
        self.react(now, out);
    }

    /// Nobody listens at a server's address any more.
    pub fn lane_refused(&mut self, server: ServerId, now: MonoNanos, out: &mut ControllerOutput) {
        self.dialled(server, Dialled::Refused, now, out);
    }

    /// Something was heard: takes out and lets in whom it concerns, unless it is to be seen first who else is there.
    fn react(&mut self, now: MonoNanos, out: &mut ControllerOutput) {
        if self.has_gathered(now) {
            self.follow_servers(now, out);
        }
    }

    /// Whether it is known who is there.
    pub(super) fn has_gathered(&mut self, now: MonoNanos) -> bool {
        self.standing.has_begun() && (!self.servers.is_gathering() || self.servers.gathered(now))
    }

    fn is_registered(&self, server: ServerId, epoch: BrokerEpoch) -> bool {
        let registered = self.decided.state.cluster.servers.get(&server);
        registered.is_some_and(|it| it.broker_epoch == epoch)
    }

    /// Takes out whoever is gone and whoever registers, all of them together, and lets back in who may.
    pub(super) fn follow_servers(&mut self, now: MonoNanos, out: &mut ControllerOutput) {
        let look = if std::mem::take(&mut self.has_to_look) { Look::AtAll } else { Look::AtTheirs };
        let gone = self.servers.gone(&self.unfenced(), now);
        let anew = self.judged();
        if !gone.is_empty() || !anew.is_empty() || look == Look::AtAll {
            self.take_out(&gone, &anew, look, now, out);
        }
        self.unfence_whoever_may(now, &mut out.batches);
    }

    /// Registrations that wait, judged; those that may not be any more are dropped: the server asks again.
    fn judged(&mut self) -> Anew {
        let mut anew = Anew::new();
        for wanted in self.servers.take_waiting() {
            if self.may_register(&wanted).is_err() {
                mark("a registration was overtaken");
                continue;
            }
            let before = self.decided.state.cluster.servers.get(&wanted.server);
            let judged =
                incarnation(before.map(|it| &**it), self.servers.said(wanted.server).sequence, &wanted);
            anew.insert(wanted.server, (wanted, judged));
        }
        anew
    }

    fn take_out(
        &mut self,
        gone: &BTreeSet<ServerId>,
        anew: &Anew,
        look: Look,
        now: MonoNanos,
        out: &mut ControllerOutput,
    ) {
        let members = self.members_after(gone, anew);
        let concerns = |partition: &PartitionImage| {
            let is_in = |server: &ServerId| gone.contains(server) || anew.contains_key(server);
            let theirs = partition.replicas().iter().any(is_in);
            theirs || look == Look::AtAll && holds(Rule::D8) && is_unsettled(partition, &members)
        };
        let settled = self.settle_where(&Cause::Servers, &members, usize::MAX, concerns);
        let fenced = gone.iter().filter(|server| !anew.contains_key(server));
        let fenced: Vec<_> = fenced.filter_map(|server| self.state_record(*server, Fenced::Yes)).collect();
        let visible = !holds(Rule::D8);
        if visible {
            self.enact_all(fenced.clone(), &mut out.batches);
            self.enact_registrations(anew, now, out);
        }
        self.enact_all(settled, &mut out.batches);
        if !visible {
            self.enact_all(fenced, &mut out.batches);
            self.enact_registrations(anew, now, out);
        }
        for server in gone.iter().filter(|server| !anew.contains_key(server)) {
            self.servers.fenced(*server);
        }
    }

    /// Servers as they are when these are gone and those have registered.
    fn members_after(&self, gone: &BTreeSet<ServerId>, anew: &Anew) -> Members {
        let mut members = self.members();
        for server in gone {
            let member = Member { fenced: true, ..members.of(*server).clone() };
            members.set(*server, member);
        }
        for (server, (_, judged)) in anew {
            members.set(*server, Member { anew: Some(judged.clone()), ..Member::FENCED });
        }
        members
    }

    fn enact_registrations(&mut self, anew: &Anew, now: MonoNanos, out: &mut ControllerOutput) {
        for (id, (wanted, judged)) in anew {
            let before = self.decided.state.cluster.servers.get(id);
            let of_directory = before.filter(|_| judged.loss != Loss::Everything);
            let unfenced_epoch = of_directory.and_then(|it| it.unfenced_epoch);
            let server = server_image(wanted, unfenced_epoch);
            self.enact(MetadataRecord::Server { id: *id, server }, &mut out.batches);
            let epoch = self.decided.state.cluster.servers[id].broker_epoch;
            out.registered.push(registered(wanted, epoch));
            self.servers.registered(*id, now);
            self.due.server_is_new(now);
        }
    }

    /// The record of a server's state; `None` for a server that is not registered.
    pub(super) fn state_record(&self, id: ServerId, fenced: Fenced) -> Option<MetadataRecord> {
        let server = self.decided.state.cluster.servers.get(&id)?;
        let said = self.servers.said(id);
        Some(MetadataRecord::ServerState(ServerStateRecord {
            id,
            broker_epoch: server.broker_epoch,
            fenced: match fenced {
                Fenced::Yes => true,
                Fenced::No => false,
                Fenced::AsIs => server.fenced,
            },
            stopping: said.wants == Wants::Stop || server.stopping && fenced != Fenced::No,
            sequence: server.sequence.max(said.sequence),
        }))
    }

    /// A server is unfenced when it serves what it has registered, and would find its registration after a crash, too: only
    /// then does its own log say later that it lacks nothing since (D6).
    pub(super) fn unfence_whoever_may(&mut self, now: MonoNanos, out: &mut Batches) {
        let may = |(id, server): (&ServerId, &std::sync::Arc<ServerImage>)| {
            let said = self.servers.said(*id);
            let registration = server.broker_epoch.0;
            let knows = said.applied.0 > registration;
            let keeps = said.flushed.0 > registration || !holds(Rule::D6);
            (server.fenced && knows && keeps && said.wants == Wants::Serve).then_some(*id)
        };
        let back: Vec<ServerId> = self.decided.state.cluster.servers.iter().filter_map(may).collect();
        for id in back {
            self.unfence(id, now, out);
        }
    }

    fn unfence(&mut self, id: ServerId, now: MonoNanos, out: &mut Batches) {
        let visible = self.state_record(id, Fenced::No).expect("a server that is registered");
        let mut members = self.members();
        let member = Member { fenced: false, stopping: false, ..members.of(id).clone() };
        members.set(id, member);
        if holds(Rule::D8) {
            self.enact(visible, out);
            self.elect_where_nobody_leads(id, &members, out);
        } else {
            self.elect_where_nobody_leads(id, &members, out);
            self.enact(visible, out);
        }
        self.servers.unfenced(id, now);
        self.due.server_is_back(now);
    }

    fn elect_where_nobody_leads(&mut self, server: ServerId, members: &Members, out: &mut Batches) {
        let concerns = |it: &PartitionImage| it.leader().is_none() && it.replicas().contains(&server);
        let settled = self.settle_where(&Cause::Servers, members, usize::MAX, concerns);
        self.enact_all(settled, out);
    }

    /// Servers that want to stop hand over what others can take, and are told so.
    pub(super) fn stop_servers(&mut self, out: &mut Batches) {
        let wants = |(id, server): (&ServerId, &std::sync::Arc<ServerImage>)| {
            let stops = !server.stopping && self.servers.said(*id).wants == Wants::Stop;
            stops.then_some(*id)
        };
        let stopping: Vec<ServerId> = self.decided.state.cluster.servers.iter().filter_map(wants).collect();
        if stopping.is_empty() {
            return;
        }
        let members = self.members();
        let concerns = |it: &PartitionImage| it.replicas().iter().any(|server| stopping.contains(server));
        let settled = self.settle_where(&Cause::Servers, &members, usize::MAX, concerns);
        self.enact_all(settled, out);
        for id in stopping {
            let record = self.state_record(id, Fenced::AsIs).expect("a server that is registered");
            self.enact(record, out);
        }
    }

    /// Whether nothing durable is left on a stopping server that another one could take over.
    fn may_stop(&self, id: ServerId) -> bool {
        let cluster = &self.durable.state.cluster;
        let is_other = |server: ServerId| {
            let other = cluster.servers.get(&server);
            server != id && other.is_some_and(|it| !it.fenced && !it.stopping)
        };
        let is_needed = |it: &PartitionImage| it.isr().any(|member| member == id) && it.isr().any(is_other);
        let stopping = cluster.servers.get(&id).is_some_and(|server| server.stopping);
        let has_others = cluster.topics.values().flat_map(|topic| &topic.partitions).any(is_needed);
        stopping && !has_others
    }

    /// Writes down how far the commit logs of servers are, for a controller that comes later.
    pub(super) fn note_sequences(&mut self, now: MonoNanos, out: &mut Batches) {
        if !self.due.notes(now, NOTE_MS) {
            return;
        }
        let has_grown = |(id, server): (&ServerId, &std::sync::Arc<ServerImage>)| {
            (self.servers.said(*id).sequence > server.sequence).then_some(*id)
        };
        let grown: Vec<ServerId> = self.decided.state.cluster.servers.iter().filter_map(has_grown).collect();
        for id in grown {
            let record = self.state_record(id, Fenced::AsIs).expect("a server that is registered");
            self.enact(record, out);
        }
    }
}

/// What a server is from now on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fenced {
    Yes,
    No,
    AsIs,
}

/// Whether an earlier controller has left something to be done.
fn is_unsettled(partition: &PartitionImage, members: &Members) -> bool {
    partition.leader().is_none() || partition.isr().any(|server| members.of(server).fenced)
}

fn registered(wanted: &Registration, broker_epoch: BrokerEpoch) -> Registered {
    Registered { server: wanted.server, incarnation: wanted.incarnation, broker_epoch }
}

fn server_image(wanted: &Registration, unfenced_epoch: Option<BrokerEpoch>) -> ServerImage {
    ServerImage {
        broker_epoch: BrokerEpoch::OWN_OFFSET,
        directory: wanted.directory,
        incarnation: wanted.incarnation,
        shards: wanted.shards,
        rack: wanted.rack.clone(),
        client: wanted.client.clone(),
        cluster: wanted.cluster.clone(),
        fenced: true,
        stopping: false,
        shard_ports: wanted.shard_ports,
        protocol: wanted.protocol,
        voter: wanted.voter,
        unfenced_epoch,
        sequence: wanted.sequence,
    }
}
