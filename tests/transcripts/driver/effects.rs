//! What the shard wants done, in the words of a transcript.

use ringmain::base::{MonoNanos, Now};
use ringmain::controller::Published;
use ringmain::shard::{Effect, Shard, ShardReply};

use super::Driver;

/// Before an operation that the disk is asked for.
pub(super) const DISK: &str = "disk: ";

impl Driver {
    pub(super) fn shard(&self) -> &Shard {
        self.shard.as_ref().expect("started")
    }

    pub(super) fn next_turn(&self) -> MonoNanos {
        self.shard().next_deadline()
    }

    pub(super) fn input(&mut self, give: impl FnOnce(&mut Shard, Now, &mut Vec<Effect>)) {
        let mut effects = Vec::new();
        give(self.shard.as_mut().expect("started"), self.now, &mut effects);
        effects.into_iter().for_each(|effect| self.perform(effect));
    }

    fn perform(&mut self, effect: Effect) {
        match effect {
            Effect::Reply { to, reply } => self.replied(to.number, reply),
            Effect::Io(request) => {
                self.out.push(format!("{DISK}{}", self.names.operation(&request.op)));
                self.under_way.push((request.id, request.op));
            }
            Effect::Swap(segment) => {
                let name = self.names.segment(segment);
                self.out.push(format!("put the cleaned file of segment {name} in its place"));
                self.disk.swap(segment);
                self.input(|it, now, effects| it.swapped(now, segment, Ok(()), effects));
            }
            Effect::Dial { .. } | Effect::Send { .. } | Effect::Hang { .. } | Effect::Tell { .. } => {
                unreachable!("a server that knows no others has no lanes")
            }
            Effect::CleanerRate { bytes_per_second } => {
                self.out.push(format!("let the cleaner do {bytes_per_second} bytes a second"));
            }
            Effect::Publish(published) => self.publish(&published),
            Effect::Notice(text) => self.out.push(format!("notice: {}", self.names.sentence(&text))),
            Effect::Fatal { reason } => self.out.push(format!("end the process: {reason}")),
        }
    }

    fn publish(&mut self, published: &Published) {
        let image = self.adapted(&published.image);
        self.names.learn(&image);
        let topics: Vec<&str> = image.topics.keys().map(|name| &**name).collect();
        self.out.push(format!("publish the cluster state, topics: {}", topics.join(", ")));
        self.published.push(Published { image, ..published.clone() });
    }

    fn replied(&mut self, number: u64, reply: ShardReply) {
        let shown = self.questions.show(number, &reply, &self.names);
        self.out.extend(shown.iter().map(|line| format!("answer {number}: {line}")));
        if let Some(place) = self.left.get_mut(&number) {
            *place = Some(reply);
        }
    }

    /// What waits or is under way, and when the shard wants its next turn.
    pub(super) fn show(&mut self) {
        let gauges = self.shard().gauges();
        let waits = [
            ("fetches that wait", gauges.fetches_waiting),
            ("bytes that wait for the commit log", gauges.commit_pending_bytes),
            ("writes to segments that wait or are under way", gauges.writeback_waiting),
            ("operations under way", self.under_way.len()),
        ];
        self.show_levels(&waits);
        if self.shard().reads_wait_for_memory() {
            self.out.push("reads wait for memory".to_owned());
        }
        self.out.push(match self.next_turn() {
            MonoNanos::NEVER => "no turn is due without an input".to_owned(),
            at if at <= self.now.mono => "a turn is due".to_owned(),
            at => format!("a turn is due in {} ms", at.since(self.now.mono).div_ceil(1_000_000)),
        });
    }

    /// What the shard holds.
    pub(super) fn show_holdings(&mut self) {
        let gauges = self.shard().gauges();
        let quarantined = usize::try_from(gauges.quarantined).expect("few");
        self.show_levels(&[
            ("commit files", gauges.commit_files),
            ("of them free", gauges.commit_files_free),
            ("bytes read from segments", gauges.read_cache_bytes),
            ("spare files", gauges.spares),
            ("offsets refused to readers", quarantined),
            ("groups", gauges.groups),
        ]);
    }

    fn show_levels(&mut self, levels: &[(&str, usize)]) {
        let levels = levels.iter().filter(|(_, level)| *level > 0);
        self.out.extend(levels.map(|(name, level)| format!("{name}: {level}")));
    }
}
