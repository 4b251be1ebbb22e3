//! One partition: its log, this server's role in it, and its watermarks.
//!
//! The log changes only through [`Partition::change`], which keeps the watermarks in line.

use crate::base::{LeaderEpoch, Offset, Rule, holds};
use crate::config::topic::TopicSettings;
use crate::log::{Cut, PartitionLog};

use super::super::request::PartitionError;
use super::acks::{Ack, Acks, Until};
use super::standing::{Part, Role, ends};
use super::watermarks::{VisibleWhen, Watermarks};

/// One partition with the producers that wait on it.
#[derive(Debug)]
pub struct Partition {
    log: PartitionLog,
    pub(super) role: Role,
    /// The leader epoch of the role; -1 before the first.
    epoch: LeaderEpoch,
    agreed: LeaderEpoch,
    marks: Watermarks,
    /// The log's start in the checkpoint that is being written, and in the last one that is durable.
    naming: Offset,
    named: Offset,
    /// What was shown before it was durable here stays shown: by a topic that acknowledged from memory, or by the leader of the
    /// metadata log.
    shown: Offset,
    /// The topic's settings; the defaults for the metadata log.
    settings: TopicSettings,
    acks: Acks,
    /// Whether the partition is in line to have its memory freed.
    pub(super) is_evictable: bool,
    /// Operations under way on the partition's files, or handed out to be issued.
    pub(super) ops: u32,
    /// Operations under way that work on files of finished segments, and that the log knows nothing of.
    pub(super) ops_beside: u32,
    /// The log is to be cut when none of those is left.
    pub(super) waiting_cut: Option<Cut>,
    pub(super) life: Life,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    Serving,
    /// The partition's topic is gone; it waits until nothing is being written any more.
    Dying,
    Deleting,
}

impl Partition {
    pub(super) fn new(log: PartitionLog) -> Partition {
        let settings = TopicSettings::default();
        Partition {
            marks: Watermarks::of(&log, log.high_watermark(), visible_when(&settings)),
            naming: log.log_start(),
            named: log.log_start(),
            shown: Offset(0),
            role: Role::Idle,
            epoch: LeaderEpoch(-1),
            agreed: log.epochs().latest().unwrap_or(LeaderEpoch(-1)),
            log,
            settings,
            acks: Acks::default(),
            is_evictable: false,
            ops: 0,
            ops_beside: 0,
            waiting_cut: None,
            life: Life::Serving,
        }
    }

    pub fn log(&self) -> &PartitionLog {
        &self.log
    }

    /// Whether the log is being cut, or is to be as soon as nobody else works on its files.
    pub fn is_being_cut(&self) -> bool {
        self.log.is_cutting() || self.waiting_cut.is_some()
    }

    /// Takes the cut that has waited, if nothing works on the files besides the log.
    pub(super) fn take_waiting_cut(&mut self) -> Option<Cut> {
        if self.ops_beside > 0 { None } else { self.waiting_cut.take() }
    }

    /// A cut is to wait, if something works on the files besides the log. Says whether it does.
    pub(super) fn delay_cut(&mut self, cut: Cut) -> bool {
        if self.ops_beside > 0 {
            self.waiting_cut = Some(cut);
        }
        self.ops_beside > 0
    }

    pub fn settings(&self) -> &TopicSettings {
        &self.settings
    }

    pub fn watermarks(&self) -> &Watermarks {
        &self.marks
    }

    /// Changes the log, and its watermarks with it.
    pub fn change<R>(&mut self, change: impl FnOnce(&mut PartitionLog, &TopicSettings) -> R) -> R {
        let result = change(&mut self.log, &self.settings);
        self.follow_log();
        result
    }

    /// Changes the role, which sees the log, and the watermarks with it.
    pub(super) fn change_role<R>(&mut self, change: impl FnOnce(&mut Role, &PartitionLog) -> R) -> R {
        let result = change(&mut self.role, &self.log);
        self.follow_log();
        result
    }

    /// The log was cut, which takes offsets back: nobody was promised what is gone.
    pub(super) fn cut<R>(&mut self, change: impl FnOnce(&mut PartitionLog) -> R) -> R {
        assert!(!self.leads(), "a leader's log is never cut");
        let result = change(&mut self.log);
        let high = self.marks.high.min(self.log.log_end()).max(self.log.log_start());
        self.marks = Watermarks::of(&self.log, high, visible_when(&self.settings));
        result
    }

    /// Brings role and watermarks in line with the log.
    fn follow_log(&mut self) {
        let high = match &mut self.role {
            Role::Leading(leading) => {
                _ = leading.local(ends(&self.log));
                leading.high_watermark()
            }
            // What a cut takes back, the follower hears when the cut is done.
            Role::Following(follows) if follows.following.is_cutting() => {
                follows.following.high_watermark().clamp(self.log.log_start(), self.log.log_end())
            }
            Role::Following(follows) => {
                follows.following.local(ends(&self.log));
                follows.following.high_watermark()
            }
            Role::Presiding { high_watermark, .. } => *high_watermark,
            Role::Idle => self.marks.high.max(self.log.log_start()),
        };
        self.log.advance_high_watermark(high);
        self.marks.follow(&self.log, high, self.visible());
    }

    fn visible(&self) -> VisibleWhen {
        match &self.role {
            // What a majority has is committed, also before this server's own disk has it.
            Role::Presiding { .. } => VisibleWhen::Appended,
            _ if self.shown > self.log.flushed_offset() => VisibleWhen::Appended,
            Role::Idle | Role::Leading(_) | Role::Following(_) => visible_when(&self.settings),
        }
    }

    /// The partition has another role from now on.
    pub(super) fn set_role(&mut self, role: Role) {
        self.role = role;
        self.follow_log();
    }

    /// Whether this server leads the partition.
    pub fn leads(&self) -> bool {
        matches!(self.role, Role::Leading(_) | Role::Presiding { .. })
    }

    pub fn role(&self) -> &Role {
        &self.role
    }

    /// Whether other servers have a part in what is acknowledged.
    pub fn has_followers(&self) -> bool {
        match &self.role {
            Role::Leading(leading) => leading.has_followers(),
            Role::Idle | Role::Following(_) | Role::Presiding { .. } => false,
        }
    }

    /// Whether as many replicas are in sync as the topic demands.
    pub fn has_enough_replicas(&self) -> bool {
        match &self.role {
            Role::Leading(leading) => leading.can_acknowledge(),
            Role::Idle | Role::Following(_) | Role::Presiding { .. } => false,
        }
    }

    /// Whether the high watermark has reached the beginning of the leader's epoch (rule R5).
    pub fn is_settled(&self) -> bool {
        match &self.role {
            Role::Leading(leading) => leading.is_settled(),
            Role::Idle | Role::Following(_) | Role::Presiding { .. } => false,
        }
    }

    /// What the newest image has made of the partition.
    pub(super) fn part(&self) -> Part {
        match &self.role {
            Role::Idle => Part::Idle,
            Role::Leading(_) | Role::Presiding { .. } => Part::Leads,
            Role::Following(follows) => Part::Follows(follows.led_by),
        }
    }

    /// Whether this server's own disk is what its followers wait for.
    pub fn lags_itself(&self) -> bool {
        matches!(&self.role, Role::Leading(leading) if leading.lags_itself())
    }

    /// Whether other servers may have streams of the partition.
    pub(super) fn is_streamed(&self) -> bool {
        self.has_followers() || matches!(self.role, Role::Presiding { .. })
    }

    /// Where the log begins as the last checkpoint has it.
    pub(super) fn named_start(&self) -> Offset {
        self.named.min(self.log.log_start())
    }

    /// A checkpoint is being written with the log's start as it is now.
    pub(super) fn naming_start(&mut self) {
        self.naming = self.log.log_start();
    }

    /// That checkpoint is on stable storage. Says whether that is news for the leader that this server follows.
    pub(super) fn start_named(&mut self) -> bool {
        let before = std::mem::replace(&mut self.named, self.naming);
        self.named > before && matches!(self.role, Role::Following(_))
    }

    /// Up to here a leader may send what it has.
    pub(super) fn sendable_end(&self) -> Offset {
        match &self.role {
            Role::Presiding { sends_until: Some(until), .. } => *until,
            _ => self.log.log_end(),
        }
    }

    /// The leader epoch of the role.
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// This server leads from now on: batches are stamped with this epoch.
    pub(super) fn lead(&mut self, epoch: LeaderEpoch) {
        self.log.lead(epoch);
        self.epoch = epoch;
    }

    /// Another server leads from now on.
    pub(super) fn set_epoch(&mut self, epoch: LeaderEpoch) {
        self.epoch = epoch;
    }

    /// The last epoch in which the log agreed with its leader's, or this server led; after a start the last in the log.
    pub(super) fn agreed(&self) -> LeaderEpoch {
        self.agreed
    }

    /// Has no role from now on.
    pub(super) fn end_role(&mut self) {
        if matches!(self.role, Role::Presiding { .. }) {
            // Committed by a majority, and perhaps not durable here yet.
            self.shown = self.shown.max(self.marks.high);
        }
        self.agreed = match &self.role {
            Role::Leading(_) | Role::Presiding { .. } => self.epoch,
            Role::Following(follows) => follows.following.agreed(),
            Role::Idle => self.agreed,
        };
        self.set_role(Role::Idle);
    }

    /// The topic has these settings from now on.
    pub(super) fn set(&mut self, settings: &TopicSettings) {
        let was_relaxed = self.acknowledges_from_memory();
        self.settings.clone_from(settings);
        if was_relaxed && !self.acknowledges_from_memory() {
            self.shown = self.marks.high;
        }
    }

    /// True if the topic is acknowledged from memory (`flush.messages` above 1 and `flush.ms` above 0), by its own choice.
    /// What is acknowledged so is on its way to the commit log all the same: it never waits for either bound.
    pub(super) fn acknowledges_from_memory(&self) -> bool {
        visible_when(&self.settings) == VisibleWhen::Appended
    }

    /// A produce begins to wait.
    pub(super) fn wait(&mut self, until: Until, ack: Ack) {
        self.acks.wait(until, ack);
    }

    /// Takes the next produce that has what it waits for.
    ///
    /// # Panics
    ///
    /// If the leader epoch is not the one in which the produce began to wait: who waits fails when the epoch changes.
    pub(super) fn next_ack(&mut self) -> Option<Ack> {
        let ack = self.acks.next(&self.marks)?;
        let is_of_this_epoch = ack.epoch == self.epoch || !holds(Rule::R11);
        assert!(is_of_this_epoch, "whoever waits for an ack fails when the epoch changes");
        Some(ack)
    }

    /// Takes every produce that waits.
    pub(super) fn take_acks(&mut self) -> Vec<Ack> {
        self.acks.take_all()
    }

    /// Forgets a produce that has waited long enough.
    pub(super) fn forget_ack(&mut self, wait: u64) {
        self.acks.forget(wait);
    }

    /// A request's idea of the leader epoch against ours; -1 is not checked.
    pub fn check_epoch(&self, requested: LeaderEpoch) -> Result<(), PartitionError> {
        let current = self.epoch;
        match requested {
            LeaderEpoch(-1) => Ok(()),
            requested if requested < current => Err(PartitionError::FencedLeaderEpoch { requested, current }),
            requested if requested > current => {
                Err(PartitionError::UnknownLeaderEpoch { requested, current })
            }
            _ => Ok(()),
        }
    }
}

fn visible_when(settings: &TopicSettings) -> VisibleWhen {
    if settings.sync_before_ack() { VisibleWhen::Flushed } else { VisibleWhen::Appended }
}
