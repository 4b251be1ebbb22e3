"""Every command-line tool of Kafka 4.4: those whose subject is here do their work, the others say in one error what is missing.

test_tools.py, test_admin.py and test_groups.py look closer at some; test_connect.py has Connect's.
"""

import json
import re
import subprocess
import time

import pytest
from clients import (
    SECONDS, confluent_produce, create_topic, java, java_command, keyed_records, records_of, run, tool,
)  # fmt: skip
from confluent_kafka.admin import AdminClient

CONSUMER_GROUPS = "consumer.group.ConsumerGroupCommand"
REASSIGN = "reassign.ReassignPartitionsCommand"


def said(name, server, *arguments, text=b""):
    """What a tool that succeeds prints."""
    return java(name, "--bootstrap-server", server.address, *arguments, text=text).decode()


def rows(text):
    """The lines of a table below its head, split at the spaces."""
    return [line.split() for line in text.splitlines()[1:] if line.strip()]


def nodes(server):
    return sorted(AdminClient({"bootstrap.servers": server.address}).list_topics(timeout=SECONDS).brokers)


def test_topics_and_offsets(server, topic):
    named = ["--topic", topic]
    assert f"Created topic {topic}" in said("TopicCommand", server, "--create", *named, "--partitions", "2")
    again = tool("TopicCommand", "--bootstrap-server", server.address, "--create", *named)
    assert again.code == 1 and f"Topic '{topic}' already exists" in again.out + again.error
    confluent_produce(server.address, topic, keyed_records(50))
    offsets = dict(re.findall(rf"{topic}:(\d+):(\d+)", said("GetOffsetShell", server, *named)))
    assert sum(map(int, offsets.values())) == 50
    for choice in ("--under-replicated-partitions", "--unavailable-partitions", "--under-min-isr-partitions"):
        assert said("TopicCommand", server, "--describe", *named, choice).strip() == ""


def test_console_clients_in_both_kinds_of_group(server, topic):
    create_topic(server.address, topic, 2)
    text = b"a\t1\nb\t2\nc\t3\n"
    properties = ["--reader-property", "parse.key=true", "--compression-codec=gzip"]
    said("ConsoleProducer", server, "--topic", topic, *properties, text=text)
    for protocol in ("classic", "consumer"):
        out = said(
            "consumer.ConsoleConsumer", server, "--topic", topic, "--from-beginning", "--max-messages", "3",
            "--timeout-ms", "30000", "--group", f"g-{topic}-{protocol}", "--formatter-property", "print.key=true",
            "--command-property", f"group.protocol={protocol}",
        )  # fmt: skip
        assert sorted(records_of(out.encode())) == sorted(records_of(text)), protocol


def test_groups_tools(server, topic):
    """kafka-groups and kafka-consumer-groups: what is listed, and lag that is counted once."""
    create_topic(server.address, topic, 2)
    confluent_produce(server.address, topic, keyed_records(100))
    group = f"g-{topic}"
    reading = ["--topic", topic, "--from-beginning", "--max-messages", "100", "--timeout-ms", "30000", "--group", group]
    said("consumer.ConsoleConsumer", server, *reading)
    confluent_produce(server.address, topic, keyed_records(30))
    listed = [row for row in rows(said("GroupsCommand", server, "--list")) if row[0] == group]
    assert listed == [[group, "Classic", "consumer"]]
    assert group in said("GroupsCommand", server, "--list", "--consumer")
    states = [row for row in rows(said(CONSUMER_GROUPS, server, "--list", "--state")) if row[0] == group]
    assert states == [[group, "Empty"]]
    kinds = [row for row in rows(said(CONSUMER_GROUPS, server, "--list", "--type")) if row[0] == group]
    assert kinds == [[group, "Classic"]]
    described = [row for row in rows(said(CONSUMER_GROUPS, server, "--describe", "--all-groups")) if row[:2] == [group, topic]]
    assert sorted(row[2] for row in described) == ["0", "1"]
    assert sum(int(row[5]) for row in described) == 30
    order = [*("--reset-offsets", "--group", group, "--topic", topic), "--to-latest", "--execute"]
    said(CONSUMER_GROUPS, server, *order)
    described = [row for row in rows(said(CONSUMER_GROUPS, server, "--describe", "--group", group)) if row[:2] == [group, topic]]
    assert sum(int(row[5]) for row in described) == 0
    none = tool(CONSUMER_GROUPS, "--bootstrap-server", server.address, "--delete", "--group", f"none-{topic}")
    assert "GroupIdNotFoundException" in none.out


def test_cluster_tools(server):
    cluster = re.search(r"ClusterId:\s+(\S+)", said("MetadataQuorumCommand", server, "describe", "--status"))[1]
    assert java("ClusterTool", "cluster-id", "--bootstrap-server", server.address).decode().strip() == f"Cluster ID: {cluster}"
    endpoints = rows(java("ClusterTool", "list-endpoints", "--bootstrap-server", server.address).decode())
    assert [int(row[0]) for row in endpoints] == [1000] and endpoints[0][4:] == ["unfenced", "broker"]
    for versions in (
        java("ClusterTool", "api-versions", "--bootstrap-server", server.address).decode(), said("BrokerApiVersionsCommand", server),
    ):  # fmt: skip
        assert versions.count(" -> (") == 1
        assert "ConsumerGroupHeartbeat(68): 0 to 1" in versions
        # No API that this client knows better than it is known here, but for those that are not here at all.
        assert not re.search(r"usable: none|NODE_TOO", versions)
    replication = rows(said("MetadataQuorumCommand", server, "describe", "--replication"))
    assert [(row[0], row[-1]) for row in replication] == [("1000", "Leader")]
    features = dict(re.findall(r"Feature: (\S+).*FinalizedVersionLevel: (\S+)", said("FeatureCommand", server, "describe")))
    assert features["group.version"] == "1"
    assert "metadata.version" in features


def test_log_dirs_count_a_replica_once(server, topic):
    create_topic(server.address, topic, 3)
    confluent_produce(server.address, topic, keyed_records(300))
    told = said("LogDirsCommand", server, "--describe", "--topic-list", topic)
    brokers = json.loads(next(line for line in told.splitlines() if line.startswith("{")))["brokers"]
    replicas = [it["partition"] for broker in brokers for folder in broker["logDirs"] for it in folder["partitions"]]
    assert sorted(replicas) == [f"{topic}-{number}" for number in range(3)]
    stranger = tool("LogDirsCommand", "--bootstrap-server", server.address, "--describe", "--broker-list", "77")
    assert stranger.code == 1 and "do not exist" in stranger.error


def test_delete_records_and_elections(server, topic, tmp_path):
    create_topic(server.address, topic, 1)
    confluent_produce(server.address, topic, keyed_records(20))
    order = tmp_path / "order.json"
    order.write_text('{"version": 1, "partitions": [{"topic": "%s", "partition": 0, "offset": 5}]}' % topic)
    assert "low_watermark: 5" in said("DeleteRecordsCommand", server, "--offset-json-file", str(order))
    assert said("GetOffsetShell", server, "--topic", topic, "--time", "earliest").strip() == f"{topic}:0:5"
    assert "Valid replica already elected" in said(
        "LeaderElectionCommand", server, "--election-type", "preferred", "--topic", topic, "--partition", "0"
    )
    said("LeaderElectionCommand", server, "--election-type", "preferred", "--all-topic-partitions")


def test_reassign_partitions(server, topic, tmp_path):
    """One server: what is moved nowhere is done at once, and nothing can go elsewhere."""
    create_topic(server.address, topic, 2)
    assert "No partition reassignments found" in said(REASSIGN, server, "--list")

    def file(name, content):
        path = tmp_path / name
        path.write_text(json.dumps({"version": 1, **content}))
        return str(path)

    wanted = ["--topics-to-move-json-file", file("topics", {"topics": [{"topic": topic}]}), "--broker-list", "1000"]
    proposed = said(REASSIGN, server, *wanted, "--generate").splitlines()[-1]
    assert {tuple(it["replicas"]) for it in json.loads(proposed)["partitions"]} == {(1000,)}
    plan = file("plan", {"partitions": [{"topic": topic, "partition": number, "replicas": [1000]} for number in range(2)]})
    assert "Successfully started" in said(REASSIGN, server, "--execute", "--reassignment-json-file", plan)
    verified = said(REASSIGN, server, "--verify", "--reassignment-json-file", plan)
    assert verified.count("is completed") == 2
    away = file("away", {"partitions": [{"topic": topic, "partition": 0, "replicas": [77]}]})
    refused = tool(REASSIGN, "--bootstrap-server", server.address, "--execute", "--reassignment-json-file", away)
    assert refused.code == 1 and "77" in refused.out + refused.error


def test_performance_tools(server, topic):
    create_topic(server.address, topic, 2)
    size = ["--num-records", "2000", "--record-size", "100", "--throughput", "-1"]
    assert "2000 records sent" in said("ProducerPerformance", server, "--topic", topic, *size)
    table = said("ConsumerPerformance", server, "--topic", topic, "--num-records", "2000").splitlines()
    assert table[-1].split(", ")[4] == "2000"
    acks = ["--num-records", "20", "--producer-acks", "all", "--record-size", "20"]
    assert "Percentiles: 50th" in said("EndToEndLatency", server, "--topic", topic, *acks)


def test_verifiable_clients_and_compatibility(server, topic):
    create_topic(server.address, topic, 2)
    command = java_command("org.apache.kafka.tools.VerifiableProducer")
    told = run([*command, "--bootstrap-server", server.address, "--topic", topic, "--max-messages", "50"])
    assert told.decode().count("producer_send_success") == 50
    # What Kafka's own system tests ask of a broker.
    answers = {
        "offsets-for-times-supported": True, "cluster-id-supported": True, "expect-record-too-large-exception": False,
        "num-cluster-nodes": 1, "create-topics-supported": True, "describe-acls-supported": False,
        "describe-configs-supported": True, "idempotent-producer-supported": True,
    }  # fmt: skip
    expected = [part for name, value in answers.items() for part in (f"--{name}", str(value).lower())]
    # It wants a topic of its own.
    create_topic(server.address, f"{topic}-compatible", 1)
    said("ClientCompatibilityTest", server, "--topic", f"{topic}-compatible", *expected)


def test_replica_verification(server, topic):
    create_topic(server.address, topic, 1)
    confluent_produce(server.address, topic, keyed_records(20))
    # The tool goes on until it is ended.
    command = [*java_command("org.apache.kafka.tools.ReplicaVerificationTool"), "--broker-list", server.address]
    command += ["--topics-include", topic, "--report-interval-ms", "300", "--max-wait-ms", "200"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as verifying:
        try:
            lines = iter(verifying.stdout.readline, "")
            assert any("max lag is 0 for partition" in line for line in lines), "it ended"
        finally:
            verifying.kill()


def test_configs_tool(server, topic):
    create_topic(server.address, topic, 1, {"retention.ms": "5000"})

    def configs(*arguments):
        return said("ConfigCommand", server, *arguments)

    all_of_topic = configs("--describe", "--entity-type", "topics", "--entity-name", topic, "--all")
    assert "retention.ms=5000 sensitive=false synonyms={DYNAMIC_TOPIC_CONFIG:retention.ms=5000" in all_of_topic
    assert "max.decompressed.message.bytes=" in all_of_topic
    assert "log.retention.ms=-1" in configs("--describe", "--entity-type", "brokers", "--entity-name", "1000", "--all")
    metrics = ["--entity-type", "client-metrics", "--entity-name", topic]
    configs("--alter", *metrics, "--add-config", "interval.ms=5000,metrics=org.apache.kafka.producer.")
    assert "interval.ms=5000" in configs("--describe", *metrics)
    configs("--alter", *metrics, "--delete-config", "interval.ms,metrics")
    unknown = ["--alter", "--entity-type", "topics", "--entity-name", topic, "--add-config", "nosuch=1"]
    refused = tool("ConfigCommand", "--bootstrap-server", server.address, *unknown)
    assert refused.code == 1 and "Unknown topic config name: nosuch" in refused.out + refused.error


def test_transactions_tool(server, topic):
    """What it can ask without transactions: the producers of a partition, of which none hangs."""
    create_topic(server.address, topic, 1)
    confluent_produce(server.address, topic, keyed_records(10), enable_idempotence=True)
    producers = rows(said("TransactionsCommand", server, "describe-producers", "--topic", topic, "--partition", "0"))
    assert [(row[1], row[-1]) for row in producers] == [("0", "None")]
    assert rows(said("TransactionsCommand", server, "find-hanging", "--broker-id", "1000")) == []


def test_streams_application_reset(server, topic):
    create_topic(server.address, topic, 2)
    confluent_produce(server.address, topic, keyed_records(10))
    reset = said("StreamsResetter", server, "--application-id", f"a-{topic}", "--input-topics", topic)
    assert f"Topic: {topic} Partition: 0 Offset: 0" in reset and reset.strip().endswith("Done.")


def test_connect_internal_topics(server, topic, tmp_path):
    settings = {"bootstrap.servers": server.address, "group.id": topic}
    settings |= {f"{kind}.storage.topic": f"{topic}-{kind}" for kind in ("config", "offset", "status")}
    settings |= {f"{kind}.storage.replication.factor": 1 for kind in ("config", "offset", "status")}
    settings |= {f"{part}.converter": "org.apache.kafka.connect.json.JsonConverter" for part in ("key", "value")}
    worker = tmp_path / "worker"
    worker.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    java("ConnectInternalTopics", "create", "--worker-config", str(worker))
    topics = said("TopicCommand", server, "--list").split()
    assert {f"{topic}-{kind}" for kind in ("config", "offset", "status")} <= set(topics)


# Tool, its arguments, and the API it misses, which the client names in one error.
MISSING = {
    "acls": ("AclCommand", ["--list"], "DESCRIBE_ACLS"),
    "delegation-tokens": ("DelegationTokenCommand", ["--describe", "--command-config", "/dev/null"], "DESCRIBE_DELEGATION_TOKEN"),
    "quotas": ("ConfigCommand", ["--describe", "--entity-type", "users"], "DESCRIBE_CLIENT_QUOTAS"),
    "scram": (
        "ConfigCommand",
        ["--alter", "--entity-type", "users", "--entity-name", "u", "--add-config", "SCRAM-SHA-256=[password=x]"],
        "ALTER_USER_SCRAM_CREDENTIALS",
    ),
    "transactions-list": ("TransactionsCommand", ["list"], "LIST_TRANSACTIONS"),
    "features-upgrade": ("FeatureCommand", ["upgrade", "--feature", "group.version=1"], "UPDATE_FEATURES"),
    "remove-controller": (
        "MetadataQuorumCommand",
        ["remove-controller", "--controller-id", "77", "--controller-directory-id", "AAAAAAAAAAAAAAAAAAAAAA"],
        "REMOVE_RAFT_VOTER",
    ),
    "share-groups": ("consumer.group.ShareGroupCommand", ["--describe", "--group", "g"], "SHARE_GROUP_DESCRIBE"),
    "share-consumer-perf-test": ("ShareConsumerPerformance", ["--topic", "t", "--num-records", "1"], "SHARE_GROUP_HEARTBEAT"),
    "streams-groups": ("streams.StreamsGroupCommand", ["--describe", "--group", "g"], "STREAMS_GROUP_DESCRIBE"),
}


@pytest.mark.parametrize("case", MISSING)
def test_what_is_not_here_is_named(server, case):
    name, arguments, missing = MISSING[case]
    told = tool(name, "--bootstrap-server", server.address, *arguments, seconds=20)
    assert told.code != -1, f"it goes on without end\n{told.out}\n{told.error}"
    assert f"The node does not support {missing}" in told.out + told.error


@pytest.mark.parametrize("command", ["unregister", "unregister-controller"])
def test_what_the_cluster_tool_cannot_do(server, command):
    told = java("ClusterTool", command, "--bootstrap-server", server.address, "--id", "77").decode()
    assert re.search(r"does not support the \w+ unregistration API", told)


def test_lists_of_what_is_not_here_are_empty(server):
    started = time.monotonic()
    assert said("consumer.group.ShareGroupCommand", server, "--list").strip() == ""
    assert said("streams.StreamsGroupCommand", server, "--list").strip() == ""
    assert time.monotonic() - started < 20
