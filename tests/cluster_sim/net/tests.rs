use super::*;

/// Everything that arrives at an end up to some time.
fn collect(net: &mut Net, until: Instant, rng: &mut Rng) -> BTreeMap<(ConnectionId, Side), Arrival> {
    let mut due: Vec<Due> = net.take_due();
    let mut found: BTreeMap<(ConnectionId, Side), Arrival> = BTreeMap::new();
    while let Some(next) =
        due.iter().position(|it| it.at <= until && due.iter().all(|other| it.at <= other.at))
    {
        let Due { at, connection, side } = due.remove(next);
        let Arrival { bytes, is_over } = net.arrive(at, connection, side, rng);
        let all = found.entry((connection, side)).or_default();
        assert!(!all.is_over || bytes.is_empty(), "nothing comes after the end");
        all.bytes.extend(bytes);
        all.is_over |= is_over;
        due.extend(net.take_due());
    }
    net.due = due;
    found
}

fn pair() -> (Net, ConnectionId, Rng) {
    let mut net = Net::new(2);
    net.set_host(0, Host::Listening);
    net.set_host(1, Host::Listening);
    let id = net.open(0, 1);
    (net, id, Rng::seeded(1))
}

fn at(ms: u64) -> Instant {
    Instant(ms * 1_000_000)
}

fn arrived(bytes: &[u8], is_over: bool) -> Arrival {
    Arrival { bytes: bytes.to_vec(), is_over }
}

#[test]
fn bytes_arrive_in_order_whatever_the_pieces() {
    let (mut net, id, mut rng) = pair();
    let mut sent = Vec::new();
    for number in 0..500_u64 {
        let piece = vec![u8::try_from(number % 251).unwrap(); usize::try_from(number % 17).unwrap()];
        sent.extend_from_slice(&piece);
        net.send(Instant(number * 9_000), id, Side::Dialler, piece, &mut rng);
    }
    net.close(at(6), id, Side::Dialler, &mut rng);
    let found = collect(&mut net, at(100), &mut rng);
    assert_eq!(found[&(id, Side::Acceptor)], arrived(&sent, true));
    assert!(net.connections.is_empty());
}

#[test]
fn a_blocked_direction_holds_bytes_up_and_the_other_goes_on() {
    let (mut net, id, mut rng) = pair();
    net.block(0, 1);
    net.send(at(0), id, Side::Dialler, b"there".to_vec(), &mut rng);
    net.send(at(0), id, Side::Acceptor, b"back".to_vec(), &mut rng);
    let found = collect(&mut net, at(50), &mut rng);
    assert_eq!(found[&(id, Side::Dialler)], arrived(b"back", false));
    assert!(!found.contains_key(&(id, Side::Acceptor)));
    net.unblock(at(60), 0, 1, Unblocked::Resumed, &mut rng);
    net.send(at(60), id, Side::Dialler, b" again".to_vec(), &mut rng);
    assert_eq!(collect(&mut net, at(99), &mut rng)[&(id, Side::Acceptor)], arrived(b"there again", false));
}

#[test]
fn a_reset_cuts_what_was_on_its_way_anywhere_and_both_ends_learn_of_it() {
    let mut lengths = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let (mut net, id, _) = pair();
        let mut rng = Rng::seeded(seed);
        net.block(0, 1);
        net.send(at(0), id, Side::Dialler, b"a frame".to_vec(), &mut rng);
        net.unblock(at(1), 0, 1, Unblocked::Reset, &mut rng);
        let found = collect(&mut net, at(50), &mut rng);
        let got = &found[&(id, Side::Acceptor)];
        assert!(got.is_over && b"a frame".starts_with(&got.bytes));
        assert_eq!(found[&(id, Side::Dialler)], arrived(b"", true));
        lengths.insert(got.bytes.len());
        assert!(net.connections.is_empty());
    }
    assert_eq!(lengths.len(), 8);
}

#[test]
fn dials_are_taken_refused_or_not_answered() {
    let (mut net, _, mut rng) = pair();
    let mut check = |net: &Net, outcome| assert_eq!(net.dial(at(5), 0, 1, &mut rng).1, outcome);
    check(&net, Dialled::Open);
    net.set_host(1, Host::Idle);
    check(&net, Dialled::Refused);
    net.block(1, 0);
    check(&net, Dialled::NoAnswer);
    net.unblock(at(5), 1, 0, Unblocked::Resumed, &mut Rng::seeded(1));
    net.set_host(1, Host::Off);
    check(&net, Dialled::NoAnswer);
}

#[test]
fn a_process_that_ends_closes_its_connections_and_a_host_that_goes_off_does_not() {
    let (mut net, id, mut rng) = pair();
    net.send(at(0), id, Side::Acceptor, b"last words".to_vec(), &mut rng);
    net.close_all(at(0), 1, &mut rng);
    assert_eq!(collect(&mut net, at(9), &mut rng)[&(id, Side::Dialler)], arrived(b"last words", true));

    let (mut net, id, mut rng) = pair();
    net.vanish(1);
    net.send(at(0), id, Side::Dialler, b"anybody?".to_vec(), &mut rng);
    assert!(collect(&mut net, at(5_000), &mut rng).is_empty());
    net.appear(at(5_000), 1, &mut rng);
    assert_eq!(collect(&mut net, at(9_000), &mut rng)[&(id, Side::Dialler)], arrived(b"", true));
    assert!(net.connections.is_empty());
}

#[test]
fn clogged_links_are_slow_and_keep_the_order() {
    let (mut net, id, mut rng) = pair();
    net.set_speed(0, 1, LinkSpeed::Clogged);
    for number in 0..20_u8 {
        net.send(at(0), id, Side::Dialler, vec![number], &mut rng);
    }
    net.set_speed(0, 1, LinkSpeed::Usual);
    net.send(at(1), id, Side::Dialler, vec![20], &mut rng);
    assert!(collect(&mut net, at(90), &mut rng).is_empty(), "nothing overtakes");
    let found = collect(&mut net, at(5_000), &mut rng);
    assert_eq!(found[&(id, Side::Acceptor)].bytes, (0..=20).collect::<Vec<u8>>());
}
