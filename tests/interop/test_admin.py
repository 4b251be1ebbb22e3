"""Topics and offsets, managed with Kafka's own tool and with confluent-kafka."""

import concurrent.futures

import pytest
from clients import (
    SECONDS, Record, check_same, confluent_produce, confluent_read, create_topic, java, keyed_records,
)  # fmt: skip
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, OffsetSpec


def topic_command(server, *arguments):
    return java("TopicCommand", "--bootstrap-server", server.address, *arguments).decode()


def test_java_topic_command(server, topic):
    named = ["--topic", topic]
    create = ["--partitions", "3", "--replication-factor", "1", "--config", "retention.ms=3600000"]
    topic_command(server, "--create", *named, *create)
    assert topic in topic_command(server, "--list").split()
    described = topic_command(server, "--describe", *named)
    assert "PartitionCount: 3" in described
    assert "retention.ms=3600000" in described
    topic_command(server, "--alter", *named, "--partitions", "5")
    assert "PartitionCount: 5" in topic_command(server, "--describe", *named)
    topic_command(server, "--delete", *named)
    assert topic not in topic_command(server, "--list").split()


def test_confluent_admin(server, topic):
    admin = AdminClient({"bootstrap.servers": server.address})
    create_topic(server.address, topic, 4, {"retention.ms": "7200000"})
    assert len(admin.list_topics(topic, 10).topics[topic].partitions) == 4
    with pytest.raises(KafkaException, match="TOPIC_ALREADY_EXISTS"):
        create_topic(server.address, topic, 4)
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic)
    settings = admin.describe_configs([resource], request_timeout=SECONDS)[resource].result(SECONDS)
    assert settings["retention.ms"].value == "7200000"
    assert not settings["retention.ms"].is_default
    admin.delete_topics([topic], request_timeout=SECONDS)[topic].result(SECONDS)
    assert topic not in admin.list_topics(timeout=10).topics


def test_deleted_topic_comes_back_empty(server, topic):
    admin = AdminClient({"bootstrap.servers": server.address})
    for round_ in range(3):
        create_topic(server.address, topic)
        assert confluent_read(server.address, topic) == []
        records = keyed_records(500 + round_)
        confluent_produce(server.address, topic, records)
        check_same(records, confluent_read(server.address, topic))
        admin.delete_topics([topic], request_timeout=SECONDS)[topic].result(SECONDS)


def test_list_offsets(server, topic):
    create_topic(server.address, topic, 1)
    day = 1_700_000_000_000
    for at in range(10):
        confluent_produce(server.address, topic, [Record(b"k", b"v", (), day + at * 100)])
    admin = AdminClient({"bootstrap.servers": server.address})

    def offset(spec):
        partition = TopicPartition(topic, 0)
        return admin.list_offsets({partition: spec}, request_timeout=SECONDS)[partition].result(SECONDS).offset

    assert offset(OffsetSpec.earliest()) == 0
    assert offset(OffsetSpec.latest()) == 10
    for timestamp, expected in [(day - 1, 0), (day, 0), (day + 1, 1), (day + 300, 3), (day + 850, 9), (day + 901, -1)]:
        assert offset(OffsetSpec.for_timestamp(timestamp)) == expected, timestamp


def test_many_clients_create_one_topic(server, topic):
    """Of several that create one topic at once, one does and the others are told that it exists."""

    def create(_):
        try:
            create_topic(server.address, topic, 2)
        except KafkaException as error:
            assert "TOPIC_ALREADY_EXISTS" in str(error)
            return 0
        return 1

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(8))) == 1


def test_java_tools_for_one_topic(server, topic, tmp_path):
    create_topic(server.address, topic, 2)
    confluent_produce(server.address, topic, keyed_records(100))
    bootstrap = ["--bootstrap-server", server.address]

    def offsets(time):
        lines = java("GetOffsetShell", *bootstrap, "--topic", topic, "--time", time).decode().split()
        return {int(line.split(":")[1]): int(line.split(":")[2]) for line in lines}

    ends = offsets("latest")
    assert sum(ends.values()) == 100
    order = tmp_path / "order.json"
    order.write_text('{"version": 1, "partitions": [{"topic": "%s", "partition": 0, "offset": 3}]}' % topic)
    assert "low_watermark: 3" in java("DeleteRecordsCommand", *bootstrap, "--offset-json-file", str(order)).decode()
    assert offsets("earliest") == offsets("earliest-local") == {0: 3, 1: 0}
    newest = offsets("max-timestamp")
    assert all(0 <= offset < ends[partition] for partition, offset in newest.items()) and len(newest) == 2
    # Nothing is in remote storage: there is none.
    assert offsets("latest-tiered") == {}
    described = java("LogDirsCommand", *bootstrap, "--describe", "--topic-list", topic).decode()
    assert f'"partition":"{topic}-1","size":' in described
    assert java("LeaderElectionCommand", *bootstrap, "--election-type", "preferred", "--topic", topic, "--partition", "0")
    assert "LeaderId" in java("MetadataQuorumCommand", *bootstrap, "describe", "--status").decode()
    assert "group.version" in java("FeatureCommand", *bootstrap, "describe").decode()
    assert "ConsumerGroupHeartbeat(68)" in java("BrokerApiVersionsCommand", *bootstrap).decode()


def test_confluent_alters_configs(server, topic):
    admin = AdminClient({"bootstrap.servers": server.address})
    create_topic(server.address, topic, 1, {"retention.ms": "1000"})
    entries = [
        ConfigEntry("retention.ms", None, incremental_operation=AlterConfigOpType.DELETE),
        ConfigEntry("cleanup.policy", "compact", incremental_operation=AlterConfigOpType.APPEND),
    ]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=entries)
    admin.incremental_alter_configs([resource], request_timeout=SECONDS)[resource].result(SECONDS)
    settings = admin.describe_configs([resource], request_timeout=SECONDS)[resource].result(SECONDS)
    assert settings["cleanup.policy"].value == "delete,compact"
    # The broker's own again, as conftest.py has set it.
    assert settings["retention.ms"].value == "-1"
    wrong = [ConfigEntry("retention.ms", "soon", incremental_operation=AlterConfigOpType.SET)]
    resource = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=wrong)
    with pytest.raises(KafkaException, match="INVALID_CONFIG"):
        admin.incremental_alter_configs([resource], request_timeout=SECONDS)[resource].result(SECONDS)
