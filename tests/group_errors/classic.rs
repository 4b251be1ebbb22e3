//! Groups of the classic protocol, and commits from outside of any group.

use super::broker::{Broker, Who, who};

/// Kafka's default of offset.metadata.max.bytes.
const METADATA_MAX: usize = 4096;

pub fn groups(broker: &mut Broker) {
    let new = who("g", -1, "", None);
    first_joins(broker, &new);
    let (got, id, _) = broker.join_with(4, &new, |_| {});
    broker.check("first join", &got, "MemberIdRequired");
    let (got, id, generation) = broker.join(&Who { id, ..new.clone() });
    broker.check("second join", &got, "None");
    let member = who("g", generation, &id, None);
    broker.answers(
        "a new member",
        &[
            ("commit before the assignment", &|it| it.commit(&member), "RebalanceInProgress"),
            ("sync", &|it| it.sync(&member), "None"),
            ("commit", &|it| it.commit_to(8, &member, &[("t", 0, 5, "first")]), "None"),
        ],
    );
    let state = |it: &mut Broker| it.describe("g") + &it.fetch(8, &who("g", -1, "", None), None);
    for wrong in [-1, generation - 1, generation + 1] {
        let other = Who { generation: wrong, ..member.clone() };
        broker.refuses(
            &format!("in generation {wrong} instead of {generation}"),
            state,
            &[
                ("sync", &|it| it.sync(&other), "IllegalGeneration"),
                ("heartbeat", &|it| it.beat(&other), "IllegalGeneration"),
                ("commit", &|it| it.commit(&other), "IllegalGeneration"),
            ],
        );
    }
    let stranger = who("g", generation, "stranger", None);
    broker.refuses(
        "a stranger",
        state,
        &[
            ("join", &|it| it.join(&stranger).0, "UnknownMemberId"),
            ("sync", &|it| it.sync(&stranger), "UnknownMemberId"),
            ("heartbeat", &|it| it.beat(&stranger), "UnknownMemberId"),
            ("commit", &|it| it.commit(&stranger), "UnknownMemberId"),
            ("leave", &|it| it.leave("g", &[("stranger", None)]), "None UnknownMemberId"),
            ("commit from outside", &|it| it.commit(&who("g", -1, "", None)), "UnknownMemberId"),
        ],
    );
    another_protocol(broker, &member, state);
    broker.refuses(
        "a group with members",
        state,
        &[
            ("delete", &|it| it.delete("g"), "NonEmptyGroup"),
            ("delete of offsets in use", &|it| it.delete_offsets("g", "t", 0), "None GroupSubscribedToTopic"),
            (
                "delete of offsets of no topic",
                &|it| it.delete_offsets("g", "missing", 0),
                "None UnknownTopicOrPartition",
            ),
            ("describe as a consumer group", &|it| it.describe_consumers("g"), "GroupIdNotFound  0"),
        ],
    );
    broker.answers(
        "the member",
        &[
            ("heartbeat", &|it| it.beat(&member), "None"),
            ("list of no state", &|it| it.list(&["nonsense"], &[]), "None 0"),
            ("list of no type", &|it| it.list(&[], &["nonsense"]), "None 0"),
            (
                "leave twice",
                &|it| it.leave("g", &[(id.as_str(), None), (id.as_str(), None)]),
                "None None UnknownMemberId",
            ),
            ("describe after that", &|it| it.describe("g"), "None Empty"),
        ],
    );
}

fn first_joins(broker: &mut Broker, new: &Who) {
    for timeout in [0, -1, 5999, 1_800_001, i32::MAX, i32::MIN] {
        let got = broker.join_with(5, new, |it| it.session_timeout_ms = timeout).0;
        broker.check(&format!("session timeout {timeout}"), &got, "InvalidSessionTimeout");
    }
    broker.answers(
        "join",
        &[
            (
                "without protocols",
                &|it| it.join_with(3, new, |it| it.protocols.clear()).0,
                "InconsistentGroupProtocol",
            ),
            (
                "without a protocol type",
                &|it| it.join_with(3, new, |it| it.protocol_type = "".into()).0,
                "InconsistentGroupProtocol",
            ),
        ],
    );
}

/// Requests are refused if their protocol type is not the group's, or if its members do not share their protocol.
fn another_protocol(broker: &mut Broker, member: &Who, state: impl Fn(&mut Broker) -> String) {
    let new = who("g", -1, "", None);
    broker.refuses(
        "another protocol",
        state,
        &[
            (
                "sync of another type",
                &|it| it.sync_as(member, Some("connect"), Some("range")),
                "InconsistentGroupProtocol",
            ),
            (
                "sync of another protocol",
                &|it| it.sync_as(member, Some("consumer"), Some("sticky")),
                "InconsistentGroupProtocol",
            ),
            (
                "join of another type",
                &|it| it.join_with(3, &new, |it| it.protocol_type = "connect".into()).0,
                "InconsistentGroupProtocol",
            ),
            (
                "join with other protocols",
                &|it| it.join_with(3, &new, |it| it.protocols[0].name = "sticky".into()).0,
                "InconsistentGroupProtocol",
            ),
        ],
    );
}

pub fn static_members(broker: &mut Broker) {
    let new = who("s", -1, "", Some("i"));
    let (got, first, generation) = broker.join(&new);
    broker.check("join of an instance", &got, "None");
    let old = who("s", generation, &first, Some("i"));
    let got = broker.sync(&old);
    broker.check("sync of an instance", &got, "None");
    let (got, second, same) = broker.join(&new);
    broker.check("join of the instance again", &got, "None");
    assert_ne!(first, second, "ids of an instance");
    let current = who("s", same, &second, Some("i"));
    let other = who("s", same, &second, Some("j"));
    let fenced = [(first.as_str(), Some("i"))];
    broker.refuses(
        "a fenced or unknown instance",
        |it| it.describe("s"),
        &[
            ("join, fenced", &|it| it.join(&old).0, "FencedInstanceId"),
            ("sync, fenced", &|it| it.sync(&old), "FencedInstanceId"),
            ("heartbeat, fenced", &|it| it.beat(&old), "FencedInstanceId"),
            ("commit, fenced", &|it| it.commit(&old), "FencedInstanceId"),
            ("leave, fenced", &|it| it.leave("s", &fenced), "None FencedInstanceId"),
            ("heartbeat, unknown", &|it| it.beat(&other), "UnknownMemberId"),
            ("leave, unknown", &|it| it.leave("s", &[("", Some("j"))]), "None UnknownMemberId"),
        ],
    );
    broker.answers(
        "the instance",
        &[
            ("heartbeat", &|it| it.beat(&current), "None"),
            ("leave", &|it| it.leave("s", &[("", Some("i"))]), "None None"),
        ],
    );
}

pub fn commits(broker: &mut Broker) {
    let outside = who("c", -1, "", None);
    let long = "x".repeat(METADATA_MAX + 1);
    let most = "ü".repeat(METADATA_MAX);
    let metadata = [("t", 0, 1, long.as_str()), ("t", 1, 2, most.as_str())];
    let partitions = [("t", -1, 1, ""), ("t", 0, 3, "fits"), ("t", 2, 1, ""), ("v", 0, 1, "")];
    broker.answers(
        "commit from outside",
        &[
            ("oversized metadata", &|it| it.commit_to(8, &outside, &metadata), "OffsetMetadataTooLarge None"),
            (
                "partitions that are not there",
                &|it| it.commit_to(8, &outside, &partitions),
                "UnknownTopicOrPartition None UnknownTopicOrPartition UnknownTopicOrPartition",
            ),
            ("unknown id", &|it| it.commit_to(10, &outside, &[("v", 0, 1, "")]), "UnknownTopicId"),
            ("in order", &|it| it.commit_to(8, &outside, &[("t", 1, 4, "")]), "None"),
            (
                "what is committed then",
                &|it| it.fetch(8, &outside, Some(&[0, 1, 2])),
                "None 0@3fits:None 1@4:None 2@-1:None",
            ),
            ("without a group id", &|it| it.commit_to(8, &who("", -1, "", None), &[("t", 1, 4, "")]), "None"),
            ("with a member id and no generation", &|it| it.commit(&who("c", -1, "ghost", None)), "None"),
            (
                "of a member that is not there",
                &|it| it.commit(&who("c", 1, "ghost", None)),
                "UnknownMemberId",
            ),
            ("delete of an offset", &|it| it.delete_offsets("c", "t", 1), "None None"),
            ("delete of the group", &|it| it.delete("c"), "None"),
            ("delete of the group without an id", &|it| it.delete(""), "None"),
        ],
    );
}
