"""Each client writes and reads records: nothing lost, nothing twice, in the order of each key, byte for byte."""

import json

import pytest
from clients import (
    Record, aiokafka_produce, aiokafka_read, check_same, confluent_messages, confluent_produce, confluent_read, create_topic,
    java_produce, java_read, kafka_python_produce, kafka_python_read, kcat_produce, kcat_read, keyed_records, node_produce, run,
)  # fmt: skip

CODECS = ["none", "gzip", "snappy", "lz4", "zstd"]
ACKS = ["0", "1", "all"]
RECORDS = keyed_records(2000)
DAY = 1_700_000_000_000
READERS = {
    "confluent": confluent_read,
    "kafka_python": kafka_python_read,
    "aiokafka": aiokafka_read,
}
UNUSUAL = [
    Record(None, b"no key", (), DAY),
    Record(b"no value", None, (), DAY + 1),
    Record(b"empty value", b"", (), DAY + 2),
    Record(b"", b"empty key", (), DAY + 3),
    Record(b"headers", b"x", (("a", b"1"), ("a", b"2"), ("empty", b""), ("bytes", bytes(range(256)))), DAY + 4),
    Record(b"large", bytes(range(256)) * 3600, (), DAY + 5),
    Record(b"after", b"the large one", (), DAY + 6),
]


def wait_for_all(server, topic, sent):
    """With acks=0 the producer is done before the broker is."""
    received = []
    for _ in range(100):
        received = confluent_read(server.address, topic)
        if len(received) >= len(sent):
            break
    check_same(sent, received)


@pytest.mark.parametrize("codec", CODECS)
def test_confluent_codecs(server, topic, codec):
    create_topic(server.address, topic)
    confluent_produce(server.address, topic, RECORDS, compression_type=codec, enable_idempotence=True)
    for read in READERS.values():
        check_same(RECORDS, read(server.address, topic))


@pytest.mark.parametrize("acks", ACKS)
def test_confluent_acks(server, topic, acks):
    create_topic(server.address, topic)
    confluent_produce(server.address, topic, RECORDS, acks=acks, max_in_flight=1)
    wait_for_all(server, topic, RECORDS)


@pytest.mark.parametrize("codec", CODECS)
def test_kafka_python_codecs(server, topic, codec):
    create_topic(server.address, topic)
    codec = None if codec == "none" else codec
    kafka_python_produce(server.address, topic, RECORDS, compression_type=codec)
    check_same(RECORDS, kafka_python_read(server.address, topic))
    check_same(RECORDS, confluent_read(server.address, topic))


@pytest.mark.parametrize("acks", ACKS)
def test_kafka_python_acks(server, topic, acks):
    create_topic(server.address, topic)
    acks = acks if acks == "all" else int(acks)
    kafka_python_produce(
        server.address, topic, RECORDS, acks=acks, enable_idempotence=False, max_in_flight_requests_per_connection=1
    )
    wait_for_all(server, topic, RECORDS)


@pytest.mark.parametrize("codec", CODECS)
def test_aiokafka_codecs(server, topic, codec):
    create_topic(server.address, topic)
    codec = None if codec == "none" else codec
    aiokafka_produce(server.address, topic, RECORDS, compression_type=codec, enable_idempotence=True)
    check_same(RECORDS, aiokafka_read(server.address, topic))
    check_same(RECORDS, confluent_read(server.address, topic))


@pytest.mark.parametrize("acks", ACKS)
def test_aiokafka_acks(server, topic, acks):
    create_topic(server.address, topic)
    aiokafka_produce(server.address, topic, RECORDS, acks=acks if acks == "all" else int(acks))
    wait_for_all(server, topic, RECORDS)


@pytest.mark.parametrize("produce", [confluent_produce, kafka_python_produce, aiokafka_produce])
@pytest.mark.parametrize("reader", READERS)
def test_unusual_records(server, topic, produce, reader):
    """Nulls, empty keys and values, headers, a record of 900 KB, and the producer's timestamps."""
    create_topic(server.address, topic)
    produce(server.address, topic, UNUSUAL)
    received = READERS[reader](server.address, topic)
    check_same(UNUSUAL, received)
    assert {one.key: one.timestamp for one in received} == {one.key: one.timestamp for one in UNUSUAL}


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_kcat_codecs(server, topic, codec):
    create_topic(server.address, topic)
    kcat_produce(server.address, topic, RECORDS, "-z", codec)
    check_same(RECORDS, confluent_read(server.address, topic))


def test_kcat_defaults(server, topic):
    """kcat creates the topic by asking for it, and reads back what it wrote."""
    kcat_produce(server.address, topic, RECORDS)
    listed = json.loads(run(["kcat", "-L", "-J", "-b", server.address]))
    (partitions,) = [len(one["partitions"]) for one in listed["topics"] if one["topic"] == topic]
    check_same(RECORDS, kcat_read(server.address, topic, partitions))


def test_kcat_acks(server, topic):
    create_topic(server.address, topic)
    kcat_produce(server.address, topic, RECORDS, "-X", "acks=1", "-X", "max.in.flight=1")
    check_same(RECORDS, kcat_read(server.address, topic))


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_java_codecs(server, topic, codec):
    """The console producer is idempotent with acks=all by default."""
    create_topic(server.address, topic)
    java_produce(server.address, topic, RECORDS, codec)
    check_same(RECORDS, confluent_read(server.address, topic))


def test_java_reads_back(server, topic):
    create_topic(server.address, topic, partitions=2)
    java_produce(server.address, topic, RECORDS)
    stored = confluent_messages(server.address, topic, 2)
    received = []
    for number in range(2):
        count = sum(one.partition() == number for one in stored)
        received += java_read(server.address, topic, number, count)
    check_same(RECORDS, received)


@pytest.mark.parametrize("installed", ["java-4.3", "java-3.9"])
def test_older_java_writes_and_reads(server, topic, installed):
    create_topic(server.address, topic, partitions=1)
    java_produce(server.address, topic, RECORDS, "zstd", installed)
    check_same(RECORDS, java_read(server.address, topic, 0, len(RECORDS), installed))


@pytest.mark.parametrize("client", ["kafkajs", "platformatic"])
@pytest.mark.parametrize("settings", [{}, {"idempotent": True}, {"gzip": True}], ids=["default", "idempotent", "gzip"])
def test_node_produces(server, topic, client, settings):
    create_topic(server.address, topic)
    node_produce(client, server.address, topic, RECORDS, **settings)
    check_same(RECORDS, confluent_read(server.address, topic))


@pytest.mark.parametrize("client", ["confluent", "kafka_python", "aiokafka", "kafkajs", "java"])
def test_first_record_creates_the_topic(server, topic, client):
    """With each client's defaults; the topic has the server's default number of partitions, 1."""
    produce = {
        "confluent": confluent_produce,
        "kafka_python": kafka_python_produce,
        "aiokafka": aiokafka_produce,
        "kafkajs": lambda *arguments: node_produce("kafkajs", *arguments),
        "java": java_produce,
    }
    produce[client](server.address, topic, RECORDS)
    check_same(RECORDS, confluent_read(server.address, topic, 1))
