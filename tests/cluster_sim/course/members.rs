//! How the cluster begins, and how servers with new directories come into it.

use ringmain::base::ShardId;
use ringmain::controller::{Join, Replace};
use ringmain::shard::{ShardReply, ShardRequest};

use super::{Course, JOINS};
use crate::clients::Answer;
use crate::event::Event;
use crate::net::At;
use crate::queue::Span;
use crate::server::{Membership, State};

/// Who is not given an id asks again after this.
const JOIN_PAUSE: Span = Span::ms(400);

impl Course {
    /// Who decides, as far as the servers that are up know: the one that the newest image names.
    pub(super) fn controller(&self) -> Option<At> {
        let up = self.servers.iter().filter(|it| it.state() == State::Up);
        let images = up.filter_map(|it| it.image(ShardId(0)));
        let newest = images.max_by_key(|image| (image.quorum.epoch, image.version))?;
        usize::try_from(newest.controller().0 - 1).ok()
    }

    /// A directory that has no id yet asks for it.
    pub(super) fn join(&mut self, server: At) {
        let controller = self.controller().filter(|it| self.servers[*it].state() == State::Up);
        let Some(controller) = controller else { return self.join_later(server) };
        let it = &self.servers[server];
        // Only a founder's cluster begins without ids; whoever comes later takes the place of what was lost.
        let replace = if it.life() == 0 { Replace::No } else { Replace::Lost };
        let join = Join { directory: it.directory(), server: Some(it.id), replace };
        let number = self.fresh_number();
        self.asked.insert((controller, number), JOINS);
        self.joining.insert(number, server);
        self.on(controller, |it, stage| it.ask(ShardId(0), number, ShardRequest::Join(join), stage));
    }

    pub(super) fn join_answered(&mut self, number: u64, answer: &Answer) {
        let Some(server) = self.joining.remove(&number) else { return };
        self.say(|| format!("server {server} has asked for its id: {answer:?}"));
        match answer {
            Answer::Reply(ShardReply::Join(Ok(_))) => {
                self.servers[server].membership = Some(Membership::Member);
                let life = self.servers[server].life();
                self.queue.after(Span::ms(5), Event::Boot { server, life });
            }
            _ => self.join_later(server),
        }
    }

    fn join_later(&mut self, server: At) {
        let life = self.servers[server].life();
        self.queue.after(JOIN_PAUSE, Event::Boot { server, life });
    }
}
