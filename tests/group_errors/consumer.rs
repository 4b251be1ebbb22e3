//! Groups of the new protocol, and members of one protocol in a group of the other.

use ringmain::protocol::messages::ConsumerGroupHeartbeatRequest;
use ringmain::protocol::messages::consumer_group_heartbeat_request::TopicPartitions;

use super::broker::{Broker, Who, who};
use super::process::eventually;

pub fn groups(broker: &mut Broker) {
    wrong_joins(broker);
    let got = broker.consumer("n", "m", 0, |_| {});
    let epoch: i32 = got.strip_prefix("None ").unwrap().parse().unwrap();
    let member = who("n", epoch, "m", None);
    eventually("the member has its partitions", || {
        broker.consumer("n", "m", epoch, |_| {});
        broker.describe_consumers("n").ends_with(&format!("{epoch}:2")).then_some(())
    });
    let got = broker.commit_to(9, &member, &[("t", 0, 5, "first")]);
    broker.check("commit", &got, "None");
    let state = |it: &mut Broker| it.describe_consumers("n") + &it.fetch(9, &member, Some(&[0, 1]));
    wrong_heartbeats(broker, epoch, state);
    wrong_members(broker, &member, state);
    broker.refuses(
        "a group with members",
        state,
        &[
            ("delete", &|it| it.delete("n"), "NonEmptyGroup"),
            ("delete of offsets in use", &|it| it.delete_offsets("n", "t", 0), "None GroupSubscribedToTopic"),
            ("describe as a classic group", &|it| it.describe("n"), "GroupIdNotFound Dead"),
            ("classic heartbeat", &|it| it.beat(&member), "UnknownMemberId"),
            ("classic sync", &|it| it.sync(&member), "UnknownMemberId"),
        ],
    );
    let without_topics =
        |it: &mut Broker| it.consumer("n", "m", 0, |it| it.subscribed_topic_names = Some(Vec::new()));
    broker.answers(
        "the member",
        &[
            ("leave", &|it| it.consumer("n", "m", -1, |_| {}), "None -1"),
            ("join without topics", &|it| first(1, &without_topics(it)), "None"),
            // Administrators let members of either protocol go.
            (
                "leave of a consumer, twice",
                &|it| it.leave("n", &[("m", None), ("m", None), ("x", None)]),
                "None None None UnknownMemberId",
            ),
            ("all gone", &|it| first(2, &it.describe_consumers("n")), "None Empty"),
        ],
    );
}

/// The first words of an answer: the others are the broker's affair.
fn first(count: usize, answer: &str) -> String {
    answer.split(' ').take(count).collect::<Vec<_>>().join(" ")
}

fn wrong_joins(broker: &mut Broker) {
    type Change<'a> = &'a dyn Fn(&mut ConsumerGroupHeartbeatRequest<'_>);
    let partition = TopicPartitions { topic_id: broker.topic, partitions: vec![0] };
    let wrong: [(&str, i32, Change<'_>, &str); 14] = [
        ("no member id", 0, &|it| it.member_id = "".into(), "InvalidRequest"),
        ("no subscription", 0, &|it| it.subscribed_topic_names = None, "InvalidRequest"),
        ("no rebalance timeout", 0, &|it| it.rebalance_timeout_ms = -1, "InvalidRequest"),
        (
            "partitions at once",
            0,
            &|it| it.topic_partitions = Some(vec![partition.clone()]),
            "InvalidRequest",
        ),
        ("blank group id", 0, &|it| it.group_id = " \t".into(), "InvalidRequest"),
        ("blank member id", 1, &|it| it.member_id = " ".into(), "InvalidRequest"),
        ("empty instance", 0, &|it| it.instance_id = Some("".into()), "InvalidRequest"),
        ("empty rack", 0, &|it| it.rack_id = Some("".into()), "InvalidRequest"),
        ("unknown assignor", 0, &|it| it.server_assignor = Some("best".into()), "UnsupportedAssignor"),
        ("no expression", 0, &|it| it.subscribed_topic_regex = Some("(".into()), "InvalidRegularExpression"),
        ("epoch -3", -3, &|_| {}, "InvalidRequest"),
        ("epoch -2 without an instance", -2, &|_| {}, "InvalidRequest"),
        ("epoch -1 of nobody", -1, &|_| {}, "GroupIdNotFound"),
        ("epoch 1 of nobody", 1, &|_| {}, "GroupIdNotFound"),
    ];
    for (what, epoch, change, wanted) in wrong {
        let got = broker.consumer("n", "m", epoch, change);
        broker.check(what, &got, wanted);
    }
    let got = broker.describe_consumers("n");
    broker.check("nothing was made", &got, "GroupIdNotFound  0");
}

fn wrong_heartbeats(broker: &mut Broker, epoch: i32, state: impl Fn(&mut Broker) -> String) {
    // Epoch -1 would leave, 0 join.
    let earlier = if epoch - 2 <= 0 { epoch + 3 } else { epoch - 2 };
    let beat = |member: &'static str, epoch| move |it: &mut Broker| it.consumer("n", member, epoch, |_| {});
    broker.refuses(
        "heartbeat",
        state,
        &[
            ("of a stranger", &beat("x", epoch), "UnknownMemberId"),
            ("in a later epoch", &beat("m", epoch + 1), "FencedMemberEpoch"),
            ("in an earlier epoch", &beat("m", earlier), "FencedMemberEpoch"),
            ("of a stranger who leaves", &beat("x", -1), "UnknownMemberId"),
        ],
    );
}

fn wrong_members(broker: &mut Broker, member: &Who, state: impl Fn(&mut Broker) -> String) {
    let epoch = member.generation;
    let at = |generation| Who { generation, ..member.clone() };
    let (later, earlier, joining) = (at(epoch + 1), at(epoch - 1), at(0));
    let (leaving, waiting) = (at(-1), at(-2));
    let (stranger, outside) = (who("n", epoch, "x", None), who("n", -1, "", None));
    let commit = [("t", 0, 6, "")];
    broker.refuses(
        "commit",
        &state,
        &[
            ("in a later epoch", &|it| it.commit_to(9, &later, &commit), "StaleMemberEpoch"),
            ("v8", &|it| it.commit_to(8, member, &commit), "UnsupportedVersion"),
            ("of a stranger", &|it| it.commit_to(9, &stranger, &commit), "UnknownMemberId"),
            ("from outside", &|it| it.commit_to(9, &outside, &commit), "UnknownMemberId"),
        ],
    );
    broker.refuses(
        "fetch of offsets",
        &state,
        &[
            ("in a later epoch", &|it| it.fetch(9, &later, Some(&[0])), "StaleMemberEpoch"),
            ("in an earlier epoch", &|it| it.fetch(9, &earlier, Some(&[0])), "StaleMemberEpoch"),
            ("in epoch 0", &|it| it.fetch(9, &joining, Some(&[0])), "StaleMemberEpoch"),
            ("in epoch -1", &|it| it.fetch(9, &leaving, Some(&[0])), "StaleMemberEpoch"),
            ("of everything in epoch -2", &|it| it.fetch(9, &waiting, None), "StaleMemberEpoch"),
            ("from outside", &|it| it.fetch(9, &outside, Some(&[0])), "None 0@5first:None"),
            ("of a stranger", &|it| it.fetch(9, &stranger, Some(&[0])), "UnknownMemberId"),
        ],
    );
}

/// Instances of the new protocol.
pub fn instances(broker: &mut Broker) {
    let beat = |member: &'static str, epoch| {
        move |it: &mut Broker| it.consumer("x", member, epoch, |it| it.instance_id = Some("i".into()))
    };
    broker.answers(
        "an instance",
        &[
            // Which epoch a group begins with is the broker's affair.
            ("join", &|it| first(1, &beat("a", 0)(it)), "None"),
            ("join of another as the same", &beat("b", 0), "UnreleasedInstanceId"),
            ("heartbeat of another as the same", &beat("b", 1), "FencedInstanceId"),
            ("leave of another as the same", &beat("b", -1), "FencedInstanceId"),
            ("gone for a while", &beat("a", -2), "None -2"),
            ("back", &|it| first(1, &beat("b", 0)(it)), "None"),
            ("leave", &beat("b", -1), "None -1"),
        ],
    );
}

/// A group of workers is none of consumers.
pub fn among_workers(broker: &mut Broker) {
    let new = who("w", -1, "", None);
    let (got, id, generation) = broker.join_with(3, &new, |it| it.protocol_type = "connect".into());
    broker.check("join of a worker", &got, "None");
    let worker = who("w", generation, &id, None);
    broker.answers(
        "a group of workers",
        &[
            ("sync of a worker", &|it| it.sync_as(&worker, Some("connect"), Some("range")), "None"),
            ("join of a consumer", &|it| it.consumer("w", "m", 0, |_| {}), "GroupIdNotFound"),
            ("heartbeat of the worker", &|it| it.beat(&worker), "None"),
        ],
    );
}

/// A classic group becomes a consumer group and goes back: its classic member goes on throughout.
pub fn there_and_back(broker: &mut Broker) {
    let new = who("b", -1, "", None);
    let (_, id, _) = broker.join(&new);
    let (got, id, generation) = broker.join(&Who { id, ..new });
    broker.check("join", &got, "None");
    let old = who("b", generation, &id, None);
    broker.answers(
        "a classic member",
        &[
            ("sync", &|it| it.sync(&old), "None"),
            ("a new-style member joins", &|it| first(1, &it.consumer("b", "new", 0, |_| {})), "None"),
            ("heartbeat", &|it| it.beat(&old), "RebalanceInProgress"),
        ],
    );
    let (got, id, generation) = broker.join(&old);
    broker.check("join of the classic member", &got, "None");
    let member = who("b", generation, &id, None);
    let claims = Who { generation: generation - 1, ..member.clone() };
    broker.answers(
        "a classic member in a consumer group",
        &[
            ("sync", &|it| it.sync(&member), "None"),
            ("heartbeat", &|it| it.beat(&member), "None"),
            ("fetch in an older epoch", &|it| it.fetch(9, &claims, Some(&[0])), "IllegalGeneration"),
            ("the new-style member leaves", &|it| it.consumer("b", "new", -1, |_| {}), "None -1"),
        ],
    );
    for time in ["once", "again"] {
        broker.answers(
            &format!("a classic member whose group goes back, {time}"),
            &[
                ("heartbeat", &|it| it.beat(&member), "RebalanceInProgress"),
                ("commit", &|it| it.commit(&member), "None"),
                ("sync", &|it| it.sync(&member), "RebalanceInProgress"),
            ],
        );
    }
    let got = broker.describe("b");
    broker.check("a classic group", &got, "None PreparingRebalance None");
    let (got, id, next) = broker.join(&member);
    broker.check("join again", &got, "None");
    assert_eq!(next, generation + 1, "the next generation");
    let got = broker.leave("b", &[(id.as_str(), None)]);
    broker.check("leave", &got, "None None");
}
