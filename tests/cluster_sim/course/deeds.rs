//! The nemesis' deeds are done and undone.

use super::Course;
use crate::event::Event;
use crate::nemesis::{Deed, Way};
use crate::net::{At, LinkSpeed, Unblocked};
use crate::queue::{Instant, Span};
use crate::server::{DiskTimes, End, Server, State};

impl Course {
    /// A deed's time has come; in a time without faults only the undoing of deeds.
    pub(super) fn deed(&mut self, deed: Deed) {
        if matches!(deed, Deed::Choose) {
            return self.choose();
        }
        if let Deed::Lose { server, life, loss } = deed {
            return self.lose(server, life, loss);
        }
        self.say(|| format!("{deed:?}"));
        match deed {
            Deed::Choose | Deed::Lose { .. } => {}
            Deed::Kill { servers, down } => self.end_all(&servers, End::Kill, down),
            Deed::Power { servers, down } => self.end_all(&servers, End::Power, down),
            Deed::Reformat { server, down } => self.reformat(server, down),
            Deed::Restore { server, down } => self.restore(server, down),
            Deed::CutController { server, length } => self.cut_controller(server, length),
            Deed::Storm { left } => self.storm(left),
            Deed::Stop { server } => self.stop(server),
            Deed::Pause { server, length } => self.pause(server, length),
            Deed::Isolate { server, way, clients, length } => self.isolate(server, way, clients, length),
            Deed::Cut { from, to, length } => self.block(vec![(from, to)], None, length),
            Deed::Slow { from, to, speed, length } => {
                self.net.set_speed(from, to, speed);
                self.later(length, Deed::RightSpeed { from, to });
            }
            Deed::Swizzle { length } => self.swizzle(length),
            Deed::Reset { one, other } => {
                for connection in self.net.between(one, other) {
                    self.net.reset(self.queue.now(), connection, &mut self.rng);
                }
            }
            Deed::SlowDisk { server, slowness, length } => {
                self.servers[server].disk_times.slowness = slowness;
                self.later(length, Deed::RightDisk { server });
            }
            Deed::StallDisk { server, length } => {
                self.servers[server].disk_times.stalled_until = self.queue.now().plus(length);
            }
            Deed::FullDisk { server, length } => {
                self.servers[server].is_full = true;
                self.later(length, Deed::RightDisk { server });
            }
            Deed::LowDisk { server, length } => {
                self.disk_space(server, 0);
                self.later(length, Deed::RightDisk { server });
            }
            Deed::FailDisk { server } => self.servers[server].fails_next = true,
            Deed::Clock { server, rate, ahead_ms } => {
                let now = self.queue.now();
                self.servers[server].clock.set_rate(now, rate);
                self.servers[server].clock.set_wall_ahead(ahead_ms);
            }
            Deed::SlowClients { server, length } => {
                self.clients.links.slow_down(server);
                self.later(length, Deed::RightClients { server });
            }
            Deed::Unblock { links, clients } => self.unblock(&links, clients),
            Deed::RightDisk { server } => self.right_disk(server),
            Deed::RightSpeed { from, to } => self.net.set_speed(from, to, LinkSpeed::Usual),
            Deed::RightClients { server } => self.clients.links.heal(server),
        }
    }

    fn choose(&mut self) {
        if !self.is_chaos {
            return;
        }
        if let Some(deed) = self.nemesis.choose(&mut self.rng) {
            self.deed(deed);
        }
        self.choose_later();
    }

    pub(super) fn choose_later(&mut self) {
        if let Some(pause) = self.nemesis.pause(&mut self.rng) {
            self.later(pause, Deed::Choose);
        }
    }

    pub(super) fn later(&mut self, span: Span, deed: Deed) {
        self.queue.after(span, Event::Nemesis(deed));
    }

    fn end_all(&mut self, servers: &[At], end: End, down: Span) {
        for server in servers {
            // Not all come back at once.
            let down = Span(down.0 + self.rng.below(down.0 + 1));
            self.end(*server, end, down);
        }
    }

    /// An orderly stop, which is not waited for longer than an operator would.
    fn stop(&mut self, server: At) {
        if self.servers[server].state() != State::Up {
            return;
        }
        let life = self.servers[server].life();
        if self.rng.below(3) > 0 {
            self.on(server, |it, stage| it.hand_over(stage));
            let is_free = self.becomes(server, life, Span::ms(4_000), Server::has_handed_over);
            self.say(|| format!("server {server} has handed over: {is_free}"));
        }
        if self.servers[server].life() == life {
            self.on(server, |it, stage| it.stop(stage));
        }
        if self.becomes(server, life, Span::ms(5_000), Server::is_stopped) {
            self.say(|| format!("server {server} has stopped"));
        }
        if self.servers[server].life() == life {
            let down = Span::ms(20 + self.rng.below(2_000));
            self.end(server, End::Kill, down);
        }
    }

    /// Waits until something is true of a server's life, and says whether it came true.
    fn becomes(&mut self, server: At, life: u32, within: Span, is_so: impl Fn(&Server) -> bool) -> bool {
        let until = self.queue.now().plus(within);
        while self.queue.now() < until && self.servers[server].life() == life {
            if is_so(&self.servers[server]) {
                return true;
            }
            self.step();
        }
        false
    }

    pub(super) fn pause(&mut self, server: At, length: Span) {
        if self.servers[server].state() == State::Up {
            self.servers[server].pause();
            let life = self.servers[server].life();
            self.queue.after(length, Event::Resume { server, life });
        }
    }

    fn isolate(&mut self, server: At, way: Way, clients: bool, length: Span) {
        let others = (0..self.servers.len()).filter(|other| *other != server);
        let mut links = Vec::new();
        for other in others {
            if way != Way::Out {
                links.push((other, server));
            }
            if way != Way::In {
                links.push((server, other));
            }
        }
        if clients {
            self.clients.links.block(server, way != Way::Out, way != Way::In);
        }
        self.block(links, clients.then_some(server), length);
    }

    fn block(&mut self, links: Vec<(At, At)>, clients: Option<At>, length: Span) {
        for (from, to) in &links {
            self.net.block(*from, *to);
        }
        self.later(length, Deed::Unblock { links, clients });
    }

    pub(super) fn unblock(&mut self, links: &[(At, At)], clients: Option<At>) {
        let fate = if self.rng.below(2) == 0 { Unblocked::Resumed } else { Unblocked::Reset };
        for (from, to) in links {
            self.net.unblock(self.queue.now(), *from, *to, fate, &mut self.rng);
        }
        if let Some(server) = clients {
            self.clients.links.heal(server);
        }
    }

    /// The controller and one other server do not hear each other, and everybody else hears both.
    fn cut_controller(&mut self, server: At, length: Span) {
        if let Some(controller) = self.controller().filter(|it| *it != server) {
            self.block(vec![(controller, server), (server, controller)], None, length);
        }
    }

    /// Leaders change again and again.
    fn storm(&mut self, left: u32) {
        self.lead_by_next();
        if left > 0 && self.is_chaos {
            let pause = Span::ms(100 + self.rng.below(900));
            self.later(pause, Deed::Storm { left: left - 1 });
        }
    }

    fn swizzle(&mut self, length: Span) {
        let count = self.servers.len();
        for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))) {
            if from != to {
                let begins = Span(self.rng.below(length.0));
                let lasts = Span(self.rng.below(length.0));
                self.later(begins, Deed::Slow { from, to, speed: LinkSpeed::Clogged, length: lasts });
            }
        }
    }

    pub(super) fn right_disk(&mut self, server: At) {
        self.servers[server].disk_times = DiskTimes::default();
        self.servers[server].is_full = false;
        self.disk_space(server, 1 << 30);
    }

    pub(super) fn disk_space(&mut self, server: At, free: u64) {
        self.servers[server].free_bytes = free;
        if self.servers[server].state() == State::Up {
            self.on(server, |it, stage| it.disk_space(free, stage));
        }
    }

    /// Everything is put right.
    pub(super) fn heal(&mut self) {
        self.is_chaos = false;
        self.say(|| "everything is put right".to_owned());
        let count = self.servers.len();
        for (from, to) in (0..count).flat_map(|from| (0..count).map(move |to| (from, to))) {
            self.unblock(&[(from, to)], None);
            self.net.set_speed(from, to, LinkSpeed::Usual);
        }
        for server in 0..count {
            self.clients.links.heal(server);
            self.servers[server].fails_next = false;
            let now = self.queue.now();
            self.servers[server].clock.set_rate(now, crate::clock::RIGHT);
            self.servers[server].clock.set_wall_ahead(0);
            let life = self.servers[server].life();
            match self.servers[server].state() {
                State::Down => self.queue.after(Span::ms(10), Event::Boot { server, life }),
                State::Paused => self.queue.after(Span::ms(10), Event::Resume { server, life }),
                State::Up => {}
            }
            self.right_disk(server);
        }
    }

    /// Whether nothing of the nemesis is left that only time undoes.
    pub(super) fn is_healed(&self, now: Instant) -> bool {
        self.servers.iter().all(|it| it.state() == State::Up && it.disk_times.stalled_until <= now)
    }
}
