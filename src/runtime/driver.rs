//! The effect driver: one per shard, between the pure shard and the world.
//!
//! Inputs are given to the shard by call, and their effects are performed in their order, as the shard's law asks. The
//! shard is not borrowed while effects are performed, so that performing one may give the shard an input of its own:
//! what that input causes is performed at this place, before the rest of the list. An operation only begins at its place
//! in the list: a task performs it, and its end is an input.
//!
//! [`Driver::pump`] calls the shard's `turn` once after all tasks that were ready have run: that is where one commit group
//! gathers what many connections brought.

use std::cell::{Cell, RefCell};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use futures_lite::future;

use crate::base::io::IoOp;
use crate::base::{MonoNanos, ShardId};
use crate::controller::Published;
use crate::shard::{
    CompactionConfig, Effect, Image, IoDone, IoId, RequestId, RetentionConfig, Shard, ShardConfig,
    ShardRecovery, ShardReply, ShardRequest,
};

use super::Event;
use super::awake::tick;
use super::clock::Clock;
use super::ending::Ending;
use super::files::Files;
use super::memory::ChunkMemory;
use super::mesh::{Incoming, Mesh, Message};
use super::metrics::HostCounters;

/// What becomes of answers: the number is the asker's, the shard the answerer's.
pub type OnReply = Box<dyn Fn(u64, ShardId, ShardReply)>;

/// Period of the keep-alive timers while something is in progress.
///
/// An executor of glommio 0.9 can fall asleep with tasks to run: its preempt timer fires before the first of them runs. Any
/// event wakes the executor again, and two timers see to it that one comes. They are half a period apart, because the task
/// of one timer may itself be among the tasks that are left lying. If the tasks of both are, [`super::nudge`] wakes the
/// executor, later.
const KEEP_ALIVE_BUSY: Duration = Duration::from_millis(5);
/// Period while nothing is in progress, but an input has come since the timer last ran.
const KEEP_ALIVE_IDLE: Duration = Duration::from_millis(60);
/// Period while no input has come either.
const KEEP_ALIVE_QUIET: Duration = Duration::from_millis(240);

/// Deadlines count in milliseconds; a turn for one of them comes at most this much late.
const TURN_PAUSE_MIN: Duration = Duration::from_micros(100);

pub struct Driver<C: Send + 'static> {
    pub here: ShardId,
    pub clock: Clock,
    shard: RefCell<Shard>,
    files: Files,
    mesh: Mesh<C>,
    on_reply: RefCell<Option<OnReply>>,
    ending: Ending,
    turn_wanted: Event,
    stopped: Event,
    pub counters: HostCounters,
    /// What the shard was ever given, and requests the server has in progress; only for choosing the keep-alive period.
    inputs: Cell<u64>,
    pub in_progress: Cell<usize>,
}

impl<C: Send + 'static> Driver<C> {
    /// At most `handles_max` segments are kept open.
    #[must_use]
    pub fn new(
        config: ShardConfig,
        recovered: ShardRecovery,
        data: &Path,
        handles_max: usize,
        clock: Clock,
        mesh: Mesh<C>,
        ending: Ending,
    ) -> Rc<Driver<C>> {
        let memory = ChunkMemory::default();
        let here = config.shard;
        let files = Files::new(data, here, memory.clone(), handles_max, config.compaction.bytes_per_second);
        let live = memory.live();
        let shard = Shard::new(config, recovered, Box::new(move |len| memory.allocate(len)), live);
        Rc::new(Driver {
            here,
            clock,
            shard: RefCell::new(shard),
            files,
            mesh,
            on_reply: RefCell::default(),
            ending,
            turn_wanted: Event::default(),
            stopped: Event::default(),
            counters: HostCounters::default(),
            inputs: Cell::default(),
            in_progress: Cell::default(),
        })
    }

    /// Sets what becomes of answers. Called before the first request.
    pub fn answer_with(&self, on_reply: OnReply) {
        *self.on_reply.borrow_mut() = Some(on_reply);
    }

    /// Starts the pump and the keep-alive timers.
    pub fn run(self: &Rc<Self>) {
        glommio::spawn_local(Rc::clone(self).pump()).detach();
        for halves in [0, 1] {
            glommio::spawn_local(Rc::clone(self).keep_alive(halves)).detach();
        }
    }

    /// Begins to carry messages from and to other shards.
    pub fn run_mesh(&self, incoming: Incoming<C>, receive: &Rc<dyn Fn(ShardId, Message<C>)>) {
        incoming.run(&self.mesh, receive);
    }

    /// Tells the shard what is free of the disk.
    pub fn disk_space(self: &Rc<Self>, free_bytes: u64, reserve_bytes: u64) {
        self.input(|shard, now, effects| shard.disk_space(now, free_bytes, reserve_bytes, effects));
    }

    /// Tells the shard that settings were changed.
    pub fn reconfigure(&self, retention: RetentionConfig, compaction: CompactionConfig) {
        self.shard.borrow_mut().reconfigure(retention, compaction);
    }

    /// Looks at the shard.
    pub fn with_shard<R>(&self, look: impl FnOnce(&Shard) -> R) -> R {
        look(&self.shard.borrow())
    }

    #[must_use]
    pub fn image(&self) -> Image {
        Image::clone(self.shard.borrow().current_image())
    }

    /// Asks a shard, this one or another.
    pub fn ask(self: &Rc<Self>, shard: ShardId, number: u64, request: ShardRequest) {
        let id = RequestId { origin: self.here, number };
        if shard == self.here {
            return self.request(id, request);
        }
        self.counters.cross(&request);
        self.mesh.send(shard, Message::Request { id, request });
    }

    /// Hands a connection to another shard.
    pub fn send_connection(&self, shard: ShardId, connection: C) {
        self.mesh.send(shard, Message::Connection(connection));
    }

    /// A message from another shard; connections are given back to the caller.
    pub fn receive(self: &Rc<Self>, from: ShardId, message: Message<C>) -> Option<C> {
        match message {
            Message::Request { id, request } => self.request(id, request),
            Message::Reply { id, reply } => self.deliver(id.number, from, reply.attach()),
            Message::Image(published) => {
                let version = published.image.version;
                self.input(|shard, now, effects| shard.image(now, &published, effects));
                self.mesh.send(from, Message::ImageApplied { version });
            }
            Message::ImageApplied { version } => {
                self.input(|shard, now, effects| shard.image_applied(now, from, version, effects));
            }
            Message::Note(note) => self.input(|shard, now, effects| shard.told(now, from, note, effects)),
            Message::Connection(connection) => return Some(connection),
            Message::Hello(_) => {}
        }
        None
    }

    /// Answers whoever waits in a group. Called before a stop.
    pub fn resign(self: &Rc<Self>) {
        self.input(Shard::resign);
    }

    /// Stops in order: everything into segments, clean checkpoint.
    pub async fn stop(self: &Rc<Self>) {
        self.input(Shard::stop);
        while !self.shard.borrow().is_stopped() {
            future::or(self.stopped.wait(), async {
                glommio::timer::sleep(Duration::from_millis(20)).await;
            })
            .await;
        }
    }

    fn request(self: &Rc<Self>, id: RequestId, request: ShardRequest) {
        self.input(|shard, now, effects| shard.request(now, id, request, effects));
    }

    /// Gives the shard an input and performs its effects.
    fn input(self: &Rc<Self>, give: impl FnOnce(&mut Shard, crate::base::Now, &mut Vec<Effect>)) {
        let mut effects = Vec::new();
        give(&mut self.shard.borrow_mut(), self.clock.now(), &mut effects);
        self.inputs.set(self.inputs.get().wrapping_add(1));
        self.perform(effects);
        self.turn_wanted.set();
    }

    fn perform(self: &Rc<Self>, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply { to, reply } if to.origin == self.here => {
                    self.deliver(to.number, self.here, reply)
                }
                Effect::Reply { to, reply } => {
                    let (reply, copied) = reply.detach();
                    self.counters.copied(copied);
                    self.mesh.send(to.origin, Message::Reply { id: to, reply });
                }
                Effect::Io(request) => {
                    let driver = Rc::clone(self);
                    glommio::spawn_local(async move {
                        let started = driver.clock.mono();
                        let latency = match request.op {
                            IoOp::WriteCommit { .. } => Some(&driver.counters.commit_write),
                            IoOp::ReadSegment { .. } => Some(&driver.counters.segment_read),
                            _ => None,
                        };
                        let done = driver.files.perform(request.op).await;
                        if let Some(latency) = latency {
                            latency.borrow_mut().record(driver.clock.mono().since(started));
                        }
                        driver.io_done(request.id, done);
                    })
                    .detach();
                }
                Effect::Tell { to, note } if to == self.here => {
                    self.input(|shard, now, effects| shard.told(now, to, note, effects));
                }
                Effect::Tell { to, note } => self.mesh.send(to, Message::Note(note)),
                Effect::Dial { .. } | Effect::Send { .. } | Effect::Hang { .. } => {
                    unreachable!("a server that knows no others has no lanes")
                }
                Effect::CleanerRate { bytes_per_second } => self.files.set_cleaner_rate(bytes_per_second),
                Effect::Swap(segment) => {
                    let swapped = self.files.swap(segment).map_err(|error| error.to_string());
                    self.input(|shard, now, effects| shard.swapped(now, segment, swapped, effects));
                }
                Effect::Publish(published) => self.publish(&published),
                Effect::Notice(line) => tracing::warn!(shard = %self.here, "{line}"),
                Effect::Fatal { reason } => {
                    tracing::error!(shard = %self.here, %reason, "storage has failed; nothing more is acknowledged");
                    // Not even an orderly stop may write after a failed write.
                    self.ending.end(super::STORAGE_FAILED_EXIT);
                }
            }
        }
    }

    fn io_done(self: &Rc<Self>, id: IoId, done: IoDone) {
        self.input(|shard, now, effects| shard.io_done(now, id, done, effects));
        self.stopped.set();
    }

    fn deliver(&self, number: u64, from: ShardId, reply: ShardReply) {
        if let Some(on_reply) = &*self.on_reply.borrow() {
            on_reply(number, from, reply);
        }
    }

    fn publish(self: &Rc<Self>, published: &Arc<Published>) {
        let version = published.image.version;
        for shard in (0..published.image.here.shards).map(ShardId).filter(|shard| *shard != self.here) {
            self.mesh.send(shard, Message::Image(Arc::clone(published)));
        }
        self.input(|shard, now, effects| shard.image(now, published, effects));
        let here = self.here;
        self.input(|shard, now, effects| shard.image_applied(now, here, version, effects));
    }

    /// Calls `turn` after each round of ready tasks that gave the shard something, and at its deadlines.
    async fn pump(self: Rc<Self>) {
        loop {
            let deadline = self.shard.borrow().next_deadline();
            self.wait_for_turn(deadline).await;
            let mut effects = Vec::new();
            self.shard.borrow_mut().turn(self.clock.now(), &mut effects);
            self.perform(effects);
        }
    }

    async fn wait_for_turn(&self, deadline: MonoNanos) {
        if deadline == MonoNanos::NEVER {
            return self.turn_wanted.wait().await;
        }
        // Never without a pause: a deadline the shard does not see to must not keep all other tasks from running.
        let wait = Duration::from_nanos(deadline.since(self.clock.mono())).max(TURN_PAUSE_MIN);
        future::or(self.turn_wanted.wait(), async {
            glommio::timer::sleep(wait).await;
        })
        .await;
    }

    /// One of the two keep-alive timers: with `halves` 0 the first, with 1 the second, which comes half a period later.
    async fn keep_alive(self: Rc<Self>, halves: u32) {
        let mut seen = 0;
        loop {
            let busy = self.in_progress.get() > 0 || self.shard.borrow().is_busy();
            let came = self.inputs.get() != std::mem::replace(&mut seen, self.inputs.get());
            let period = if busy {
                KEEP_ALIVE_BUSY
            } else if came {
                KEEP_ALIVE_IDLE
            } else {
                KEEP_ALIVE_QUIET
            };
            tick(self.clock, period, period / 2 * halves).await;
        }
    }
}
