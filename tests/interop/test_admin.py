"""Topics and offsets, managed with Kafka's own tool and with confluent-kafka."""

import concurrent.futures

import pytest
from clients import (
    SECONDS, Record, check_same, confluent_produce, confluent_read, create_topic, java, keyed_records,
)  # fmt: skip
from confluent_kafka import KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, OffsetSpec


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
