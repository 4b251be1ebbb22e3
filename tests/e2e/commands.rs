//! The command line as a client.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use ringmain::base::{Offset, PartitionIndex};
use ringmain::client::{CommittedOffset, Groups};
use ringmain::protocol::ErrorCode;
use ringmain::protocol::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};
use serde_json::Value;

use super::server::{PATIENCE, Server, topic_name};
use super::wire::{Wire, batch};

/// Runs `ringmain` with these arguments; `input` is its standard input.
fn ringmain(server: &Server, args: &[&str], input: &str) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringmain"))
        .args(args)
        .env("RINGMAIN_BOOTSTRAP_SERVER", server.address())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary was built for this test");
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("the command reads");
    child.wait_with_output().expect("the command ends")
}

/// What a command that must succeed prints.
fn output(server: &Server, args: &[&str], input: &str) -> String {
    let output = ringmain(server, args, input);
    assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// What a command that must fail says.
fn complaint(server: &Server, args: &[&str], code: i32) -> String {
    let output = ringmain(server, args, "");
    let text = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    text
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).expect("JSON was asked for")
}

#[test]
fn topics_are_created_listed_described_and_deleted() {
    let server = Server::start();
    let topic = topic_name("commands");
    let topic = topic.as_str();
    let create = ["topic", "create", topic, "--partitions", "3", "--config", "retention.ms=1000000"];
    assert_eq!(output(&server, &create, ""), format!("Created topic {topic} with 3 partitions.\n"));
    assert!(complaint(&server, &create, 1).contains("TOPIC_ALREADY_EXISTS"));
    output(&server, &[&create[..], &["--if-not-exists"]].concat(), "");

    let listed = json(&output(&server, &["topic", "list", "--json"], ""));
    let ours = listed.as_array().expect("a list").iter().find(|other| other["name"] == topic);
    assert_eq!(ours.expect("it was created")["partitions"], 3);
    assert!(output(&server, &["topic", "list"], "").contains(topic));

    let described = json(&output(&server, &["topic", "describe", topic, "--json"], ""));
    assert_eq!(described["configs"]["retention.ms"], "1000000");
    assert_eq!(described["partitions"].as_array().map(Vec::len), Some(3));
    assert!(output(&server, &["topic", "describe", topic], "").contains("retention.ms=1000000"));

    let alter = ["--partitions", "5", "--config", "segment.ms=7", "--delete-config", "retention.ms"];
    let altered = json(&output(&server, &[&["topic", "alter", topic, "--json"], &alter[..]].concat(), ""));
    assert_eq!(altered["configs"], serde_json::json!({"segment.ms": "7"}));
    assert_eq!(altered["partitions"].as_array().map(Vec::len), Some(5));
    let wrong = ["topic", "alter", topic, "--config", "no.such.config=1"];
    assert!(complaint(&server, &wrong, 1).contains("INVALID_CONFIG"));

    output(&server, &["topic", "delete", topic], "");
    assert!(complaint(&server, &["topic", "delete", topic], 1).contains("UNKNOWN_TOPIC_OR_PARTITION"));
    output(&server, &["topic", "delete", topic, "--if-exists"], "");
    assert!(complaint(&server, &["topic", "describe", topic], 1).contains("UNKNOWN_TOPIC_OR_PARTITION"));
}

#[test]
fn settings_are_shown_and_changed() {
    let server = Server::start();
    let topic = topic_name("settings");
    let topic = topic.as_str();
    output(&server, &["topic", "create", topic, "--config", "retention.ms=5000"], "");
    fn of<'a>(topic: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        [&["config"], more, &["--topic", topic]].concat()
    }
    let get = output(&server, &of(topic, &["get"]), "");
    assert!(get.lines().any(|line| line.split_whitespace().eq(["retention.ms", "5000", "topic"])), "{get}");
    assert!(!get.contains("segment.bytes"));
    let all = json(&output(&server, &of(topic, &["get", "--all", "--json"]), ""));
    assert!(all.as_array().is_some_and(|all| all.len() > 20));
    let set = ["set", "retention.ms=6000", "cleanup.policy=compact"];
    assert!(output(&server, &of(topic, &[&set[..], &["--dry-run"]].concat()), "").contains("nothing is"));
    let one = || output(&server, &of(topic, &["get", "retention.ms", "--json"]), "");
    assert_eq!(json(&one())[0]["value"], "5000", "a dry run changes nothing");
    output(&server, &of(topic, &set), "");
    assert_eq!((&json(&one())[0]["value"], &json(&one())[0]["source"]), (&"6000".into(), &"topic".into()));
    output(&server, &of(topic, &["set", "--delete", "retention.ms"]), "");
    assert_ne!(json(&one())[0]["source"], "topic");
    assert!(complaint(&server, &of(topic, &["set", "retention.ms=soon"]), 1).contains("INVALID_CONFIG"));
    assert!(complaint(&server, &of(topic, &["get", "no.such"]), 1).contains("has no setting no.such"));

    let broker = output(&server, &["config", "get", "--broker", "--explain"], "");
    assert!(broker.contains("log.retention.ms") && broker.contains("Default of the topics'"), "{broker}");
    assert!(complaint(&server, &["config", "get", "--broker", "77"], 1).contains("no broker 77"));
    complaint(&server, &["config", "get"], 64);
    complaint(&server, &["config", "set", "a=b"], 64);
}

#[test]
fn settings_of_brokers_groups_and_client_metrics_are_changed_for_good() {
    let mut server = Server::start();
    let topic = topic_name("inherits");
    server.create_topic(&topic, 1, &[]);
    let get = |server: &Server, of: &[&str], key: &str| {
        let got = json(&output(server, &[&["config", "get", key, "--json"], of].concat(), ""));
        (got[0]["value"].as_str().map(str::to_owned), got[0]["source"].as_str().map(str::to_owned))
    };
    let is = |value: &str, source: &str| (Some(value.to_owned()), Some(source.to_owned()));
    let set = |server: &Server, of: &[&str], setting: &str| {
        output(server, &[&["config", "set", setting], of].concat(), "");
    };
    let (all, own): (&[&str], &[&str]) = (&["--all-brokers"], &["--broker"]);
    set(&server, all, "message.max.bytes=2000");
    set(&server, own, "log.retention.ms=70000");
    set(&server, &["--group", "g"], "consumer.session.timeout.ms=50000");
    set(&server, &["--client-metrics", "m"], "interval.ms=500");
    for round in 0..3 {
        assert_eq!(get(&server, own, "message.max.bytes"), is("2000", "cluster"));
        assert_eq!(get(&server, own, "log.retention.ms"), is("70000", "broker"));
        assert_eq!(get(&server, &["--topic", &topic], "max.message.bytes"), is("2000", "cluster"));
        assert_eq!(get(&server, &["--topic", &topic], "retention.ms"), is("70000", "broker"));
        assert_eq!(get(&server, &["--group", "g"], "consumer.session.timeout.ms"), is("50000", "group"));
        assert_eq!(get(&server, &["--client-metrics", "m"], "interval.ms"), is("500", "client-metrics"));
        let mut wire = Wire::to(&server, &topic, 0);
        assert_eq!(wire.append(batch(&["small"])).0, round);
        assert_eq!(wire.produce(batch(&[&"x".repeat(3000)])).error, ErrorCode::MessageTooLarge);
        match round {
            0 => server.stop(),
            _ => server.kill(),
        }
        server.start_again(&[]);
    }
    output(&server, &["config", "set", "--delete", "message.max.bytes", "--all-brokers"], "");
    assert_eq!(get(&server, own, "message.max.bytes").1, Some("default".to_owned()));
    Wire::to(&server, &topic, 0).append(batch(&[&"x".repeat(3000)]));
    let refused = |setting: &str| complaint(&server, &["config", "set", setting, "--broker"], 1);
    assert!(refused("node.id=7").contains("dynamically"));
    assert!(refused("ssl.key.password=geheim").contains("secret"));
    assert!(refused("max.connections=none").contains("INVALID_REQUEST"));
    let mistyped = output(&server, &["config", "set", "max.conections=3", "--broker"], "");
    assert!(mistyped.contains("Is max.connections meant?"), "{mistyped}");
    server.stop();
    server.start_again(&[]);
    assert_eq!(get(&server, own, "max.conections"), (None, Some("broker".to_owned())), "kept, and not shown");
    output(&server, &["config", "set", "--delete", "max.conections", "--broker"], "");
    assert!(
        complaint(&server, &["config", "get", "max.conections", "--broker"], 1).contains("has no setting")
    );
}

#[test]
fn the_cluster_is_described() {
    let server = Server::start();
    let topic = topic_name("cluster");
    server.create_topic(&topic, 3, &[]);
    let info = json(&output(&server, &["cluster", "info", "--json"], ""));
    assert_eq!((&info["topics"], &info["partitions"]), (&1.into(), &3.into()));
    assert_eq!(info["features"]["group.version"], 1);
    let leads = info["nodes"].as_array().expect("nodes").iter().map(|node| node["leads"].as_u64());
    assert_eq!(leads.sum::<Option<u64>>(), Some(3));
    let fetch = info["apis"].as_array().expect("apis").iter().find(|api| api["name"] == "Fetch");
    assert_eq!(fetch.expect("served")["max_version"], 18);
    let shown = output(&server, &["cluster", "info", "--apis"], "");
    assert!(shown.contains(server.address()) && shown.contains("Produce"), "{shown}");
}

#[test]
fn lines_go_in_and_come_out() {
    let server = Server::start();
    let topic = topic_name("lines");
    let topic = topic.as_str();
    output(&server, &["topic", "create", topic, "--partitions", "2"], "");
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        let produce =
            ["produce", "--topic", topic, "--parse-key", "--partition", "1", "--headers", "a=1,b=2"];
        output(&server, &[&produce[..], &["--compression-codec", codec]].concat(), "key\tvalue\tmore\nk\t\n");
    }
    let consume = ["consume", "--topic", topic, "--from-beginning", "--exit"];
    let format = ["-f", "%t %p %o %K %k %S %s %h\\n"];
    let lines = output(&server, &[&consume[..], &format].concat(), "");
    let expected: String = (0..5)
        .map(|round| {
            let (first, second) = (round * 2, round * 2 + 1);
            format!("{topic} 1 {first} 3 key 10 value\tmore a=1,b=2\n{topic} 1 {second} 1 k 0  a=1,b=2\n")
        })
        .collect();
    assert_eq!(lines, expected);

    let last = ["consume", "--topic", topic, "--partition", "1", "--offset", "-1", "--exit", "--json"];
    let last = json(&output(&server, &last, ""));
    assert_eq!((&last["offset"], &last["key"], &last["payload"]), (&9.into(), &"k".into(), &"".into()));
    let two = output(&server, &[&consume[..4], &["--max-messages", "2", "--print-key"]].concat(), "");
    assert_eq!(two, "key\tvalue\tmore\nk\t\n");
    assert_eq!(output(&server, &["consume", "--topic", topic, "--timeout-ms", "200"], ""), "");
}

#[test]
fn producing_to_a_new_topic_creates_it() {
    let server = Server::start();
    let topic = topic_name("new");
    let lines: String = (0..10_000).map(|number| format!("{number}\n")).collect();
    output(&server, &["produce", "--topic", &topic, "--compression-codec", "lz4"], &lines);
    let read = output(&server, &["consume", "--topic", &topic, "--from-beginning", "--exit"], "");
    let mut numbers: Vec<u32> = read.lines().map(|line| line.parse().expect("a number")).collect();
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..10_000));
}

#[test]
fn errors_name_what_is_wrong() {
    let server = Server::start();
    let nobody = complaint(&server, &["topic", "list", "--bootstrap-server", "127.0.0.1:1"], 1);
    assert!(nobody.contains("127.0.0.1:1") && nobody.contains("ringmain serve"), "{nobody}");
    let missing = complaint(&server, &["consume", "--topic", "missing", "--exit"], 1);
    assert!(missing.contains("missing") && missing.contains("UNKNOWN_TOPIC_OR_PARTITION"), "{missing}");
    complaint(&server, &["consume", "--topic", "missing", "--offset", "soon"], 64);
    complaint(&server, &["produce"], 64);
    assert!(complaint(&server, &["topic", "create", "not a name"], 1).contains("INVALID_TOPIC_EXCEPTION"));
}

#[test]
fn groups_are_listed_described_moved_and_deleted() {
    let server = Server::start();
    let (topic, group) = (topic_name("groups"), topic_name("group"));
    let (topic, group) = (topic.as_str(), group.as_str());
    output(&server, &["topic", "create", topic, "--partitions", "2"], "");
    output(&server, &["produce", "--topic", topic, "--partition", "1"], "one\ntwo\nthree\n");
    assert!(complaint(&server, &["group", "describe", group], 1).contains("GROUP_ID_NOT_FOUND"));
    let committed =
        CommittedOffset { topic: topic.to_owned(), partition: PartitionIndex(1), offset: Offset(1) };
    Groups::new(server.cluster(), PATIENCE).commit(group, &[committed]).expect("committed");

    let listed = json(&output(&server, &["group", "list", "--json"], ""));
    let ours = listed.as_array().expect("a list").iter().find(|other| other["group"] == group);
    assert_eq!(ours.expect("it has committed")["state"], "Empty");
    let describe =
        || json(&output(&server, &["group", "describe", group, "--json"], ""))["offsets"][0].clone();
    let wanted =
        serde_json::json!({"topic": topic, "partition": 1, "committed": 1, "start": 0, "end": 3, "lag": 2});
    assert_eq!(describe(), wanted);
    assert!(output(&server, &["group", "lag", group], "").contains("2 records behind"));

    let reset = ["group", "reset-offsets", group, "--to-earliest"];
    assert!(output(&server, &reset, "").contains("--execute"));
    assert_eq!(describe(), wanted, "only said");
    output(&server, &[&reset[..], &["--execute"]].concat(), "");
    assert_eq!(describe()["lag"], 3);
    output(&server, &["group", "reset-offsets", group, "--to-latest", "--topic", topic, "--execute"], "");
    assert_eq!(describe()["lag"], 0);
    complaint(&server, &["group", "reset-offsets", group], 64);
    let all = ["group", "reset-offsets", group, "--to-offset", "99", "--topic", topic, "--json"];
    let moved = json(&output(&server, &all, ""));
    let wanted = serde_json::json!([
        {"topic": topic, "partition": 0, "committed": 0, "new": 0},
        {"topic": topic, "partition": 1, "committed": 3, "new": 3},
    ]);
    assert_eq!(moved["offsets"], wanted, "all partitions of the topic, none beyond its end");

    assert!(output(&server, &["group", "delete", group], "").contains("--execute"));
    output(&server, &["group", "delete", group, "--execute"], "");
    assert!(complaint(&server, &["group", "describe", group], 1).contains("GROUP_ID_NOT_FOUND"));
}

/// Groups of the new protocol are shown like those of the old one, with what each member has.
#[test]
fn a_consumer_group_is_described_with_its_members() {
    let server = Server::start();
    let (topic, group) = (topic_name("members"), topic_name("members-group"));
    output(&server, &["topic", "create", &topic, "--partitions", "2"], "");
    let heartbeat = ConsumerGroupHeartbeatRequest {
        group_id: group.as_str().into(),
        member_id: "me".into(),
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec![topic.as_str().into()]),
        topic_partitions: Some(Vec::new()),
        ..Default::default()
    };
    let mut groups = Groups::new(server.cluster(), PATIENCE);
    // Whoever asks first makes the coordinators' topic.
    groups.committed(&group).expect("nothing committed");
    let node = groups.cluster().brokers()[0].node;
    let answer = groups.cluster().ask(node, &heartbeat).expect("answered");
    let answer: ConsumerGroupHeartbeatResponse<'_> = answer.decode().expect("well formed");
    assert_eq!(answer.error_code, 0, "{:?}", answer.error_message);
    let described = json(&output(&server, &["group", "describe", &group, "--json"], ""));
    assert_eq!((&described["state"], &described["protocol"]), (&"Stable".into(), &"uniform".into()));
    let member = &described["members"][0];
    assert_eq!((&member["member"], &member["assigned"][&topic]), (&"me".into(), &serde_json::json!([0, 1])));
    assert!(output(&server, &["group", "describe", &group], "").contains(&format!("{topic}:0,1")));
    assert!(output(&server, &["group", "delete", &group], "").contains("1 members"));
}
