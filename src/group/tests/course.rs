//! Random courses of events.

use super::*;

/// Members come, go and die at random; the members that are left always end up in a stable group.
#[test]
fn no_course_of_events_leaves_a_group_stuck() {
    for seed in 0..200 {
        let mut bench = Bench::new();
        let mut rng = Rng::seeded(seed);
        let mut members: Vec<Option<Client>> = Vec::new();
        for _ in 0..60 {
            match rng.below(6) {
                0 | 1 => {
                    let instance = (rng.below(4) == 0).then(|| format!("i{}", rng.below(3)));
                    members.push(Some(Client::new(&mut bench, instance)));
                }
                2 => kill_one(&mut rng, &mut members),
                3 => leave_one(&mut bench, &mut rng, &mut members),
                _ => bench.pass(rng.below(4000)),
            }
            members.iter_mut().flatten().for_each(|client| client.run(&mut bench));
        }
        settle(&mut bench, &mut members, 200, &format!("seed {seed}"));
    }
}

/// A group of a thousand members, a tenth of which die, leave or join between heartbeats.
#[test]
fn the_deaths_of_a_thousand_members_leave_no_group_stuck() {
    let mut bench = Bench::with(|limits| limits.size_max = 2000);
    let mut rng = Rng::seeded(11);
    let mut members: Vec<Option<Client>> = (0..1000).map(|_| Some(Client::new(&mut bench, None))).collect();
    for _ in 0..12 {
        for _ in 0..100 {
            match rng.below(3) {
                0 => members.push(Some(Client::new(&mut bench, None))),
                1 => kill_one(&mut rng, &mut members),
                _ => leave_one(&mut bench, &mut rng, &mut members),
            }
        }
        bench.pass(rng.below(4000));
        members.iter_mut().flatten().for_each(|client| client.run(&mut bench));
    }
    settle(&mut bench, &mut members, 100, "some die");
    members.iter_mut().flatten().for_each(|client| client.gone = true);
    settle(&mut bench, &mut members, 100, "all die");
}

/// Lets time pass without further events, and checks that the living members are in a stable group with nobody else.
fn settle(bench: &mut Bench, members: &mut [Option<Client>], seconds: usize, what: &str) {
    for _ in 0..seconds {
        bench.pass(1000);
        members.iter_mut().flatten().for_each(|client| client.run(bench));
    }
    let alive: Vec<_> = members.iter().flatten().filter(|client| !client.gone).collect();
    let described = bench.describe_or_none();
    let expected = if alive.is_empty() { "Empty" } else { "Stable" };
    assert_eq!(described.as_ref().map_or("Empty", |it| it.state), expected, "{what}");
    let ids: BTreeSet<_> =
        described.iter().flat_map(|it| &it.members).map(|it| it.member_id.clone()).collect();
    let expected: BTreeSet<_> = alive.iter().filter_map(|client| client.id.clone()).collect();
    assert_eq!(ids, expected, "{what}");
    let mut restarted = bench.restarted();
    assert_eq!(restarted.describe_or_none().map(|it| it.members.len()).unwrap_or_default(), ids.len());
}

impl Bench {
    fn describe_or_none(&mut self) -> Option<DescribedGroup> {
        match self.answer(GroupRequest::Describe { group: "g".into() }) {
            GroupReply::Describe(result) => result.ok(),
            other => panic!("{other:?}"),
        }
    }
}

fn leave_one(bench: &mut Bench, rng: &mut Rng, members: &mut [Option<Client>]) {
    if let Some(client) = pick(rng, members) {
        if let Some(id) = &client.id {
            let request = leave(id, client.instance.as_deref());
            bench.ask(request);
        }
        client.gone = true;
    }
}

fn kill_one(rng: &mut Rng, members: &mut [Option<Client>]) {
    if let Some(client) = pick(rng, members) {
        client.gone = true;
    }
}

fn pick<'a>(rng: &mut Rng, members: &'a mut [Option<Client>]) -> Option<&'a mut Client> {
    let count = members.len() as u64;
    if count == 0 {
        return None;
    }
    members[usize::try_from(rng.below(count)).unwrap()].as_mut()
}

/// A client that behaves like real ones: it joins, syncs, sends heartbeats, and joins again when told to.
struct Client {
    id: Option<Arc<str>>,
    instance: Option<String>,
    joining: Option<Ticket>,
    syncing: Option<Ticket>,
    joined: Option<Joined>,
    gone: bool,
}

impl Client {
    fn new(bench: &mut Bench, instance: Option<String>) -> Client {
        let mut client =
            Client { id: None, instance, joining: None, syncing: None, joined: None, gone: false };
        client.join(bench);
        client
    }

    fn join(&mut self, bench: &mut Bench) {
        let id = self.id.as_deref().unwrap_or_default();
        let request = join_as(id, self.instance.as_deref(), true);
        self.joined = None;
        self.syncing = None;
        self.joining = Some(bench.ask(GroupRequest::Join(request)));
    }

    fn run(&mut self, bench: &mut Bench) {
        if self.gone {
            return;
        }
        if let Some(ticket) = self.joining {
            match bench.replies.remove(&ticket) {
                None => return,
                Some(GroupReply::Join(Ok(joined))) => {
                    self.joining = None;
                    self.id = Some(Arc::clone(&joined.member_id));
                    let assignments: Vec<_> =
                        joined.members.iter().map(|it| (&*it.member_id, "part")).collect();
                    let mut request = sync(&joined, &assignments);
                    if let GroupRequest::Sync(request) = &mut request {
                        request.member.instance_id = self.instance.as_deref().map(Into::into);
                    }
                    self.syncing = Some(bench.ask(request));
                    self.joined = Some(joined);
                }
                Some(GroupReply::Join(Err(refused))) => match refused.error {
                    GroupError::MemberIdRequired => {
                        self.id = Some(refused.member_id);
                        self.join(bench);
                    }
                    // The client was replaced by one with the same instance id: a real client ends here.
                    GroupError::FencedInstanceId => self.gone = true,
                    _ => {
                        self.id = None;
                        self.join(bench);
                    }
                },
                other => panic!("{other:?}"),
            }
        }
        if let Some(ticket) = self.syncing {
            match bench.replies.remove(&ticket) {
                None => return,
                Some(GroupReply::Sync(Ok(_))) => self.syncing = None,
                Some(GroupReply::Sync(Err(error))) => return self.lost(bench, error),
                other => panic!("{other:?}"),
            }
        }
        let Some(joined) = self.joined.clone() else { return };
        let member = member(joined.generation, &joined.member_id, self.instance.as_deref());
        match bench.answer(GroupRequest::Heartbeat { group: "g".into(), member }) {
            GroupReply::Heartbeat(Ok(())) => {}
            GroupReply::Heartbeat(Err(error)) => self.lost(bench, error),
            other => panic!("{other:?}"),
        }
    }

    fn lost(&mut self, bench: &mut Bench, error: GroupError) {
        match error {
            GroupError::FencedInstanceId => self.gone = true,
            GroupError::RebalanceInProgress | GroupError::IllegalGeneration => self.join(bench),
            _ => {
                self.id = None;
                self.join(bench);
            }
        }
    }
}
