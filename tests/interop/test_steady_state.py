"""Once a client knows the server, its requests are served where they arrive: shards send each other nothing.

On one port that holds for clients that say which node they mean (ApiVersions v5): Java from 4.4, franz-go from 1.22. With
a port for each shard it holds for every client.
"""

import subprocess
import time

import confluent_kafka
import kafka
import pytest
from clients import (
    HOME, SECONDS, aiokafka_produce, aiokafka_read, check_same, confluent_produce, confluent_read, create_topic,
    java_command, java_produce, kafka_python_produce, kafka_python_read, kcat_produce, kcat_read, keyed_records,
    node_produce,
)  # fmt: skip

REQUESTS = 1000
WARM_UP = 200


def confluent_produces(producer, topic, count):
    """One produce request for each record: each is flushed before the next."""
    for at in range(count):
        producer.produce(topic, key=b"%d" % at, value=b"v", partition=at % 8)
        assert producer.flush(SECONDS) == 0


def confluent_consumer(address, topic, **settings):
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": address, "group.id": "unused", "enable.auto.commit": False, **settings}
    )
    consumer.assign([confluent_kafka.TopicPartition(topic, number, 0) for number in range(8)])
    return consumer


def confluent_consumes(consumer, count):
    for _ in range(count):
        message = consumer.poll(SECONDS)
        assert message is not None and message.error() is None, message and message.error()


def check_confluent(server, topic):
    create_topic(server.address, topic)
    producer = confluent_kafka.Producer({"bootstrap.servers": server.address, "linger.ms": 0, "acks": "all"})
    confluent_produces(producer, topic, WARM_UP)
    before = server.cross_shard_messages("produce")
    confluent_produces(producer, topic, REQUESTS)
    assert server.cross_shard_messages("produce") == before

    # A small fetch size and queue make every few records a request of their own.
    small = {"fetch.message.max.bytes": 100, "queued.min.messages": 1, "fetch.queue.backoff.ms": 1}
    consumer = confluent_consumer(server.address, topic, **small)
    try:
        confluent_consumes(consumer, WARM_UP)
        before, requests = server.cross_shard_messages("fetch"), server.requests("fetch")
        confluent_consumes(consumer, REQUESTS)
        assert server.requests("fetch") - requests > REQUESTS // 20
        assert server.cross_shard_messages("fetch") == before
    finally:
        consumer.close()


def test_confluent_with_shard_ports(shard_ports_server, topic):
    check_confluent(shard_ports_server, topic)


def test_kafka_python_with_shard_ports(shard_ports_server, topic):
    server = shard_ports_server
    create_topic(server.address, topic)
    producer = kafka.KafkaProducer(bootstrap_servers=server.address, linger_ms=0)

    def produce(count):
        for at in range(count):
            producer.send(topic, key=b"%d" % at, value=b"v", partition=at % 8).get(timeout=SECONDS)

    try:
        produce(WARM_UP)
        before = server.cross_shard_messages("produce")
        produce(REQUESTS)
        assert server.cross_shard_messages("produce") == before
    finally:
        producer.close(timeout=5)

    consumer = kafka.KafkaConsumer(
        bootstrap_servers=server.address, group_id=None, auto_offset_reset="earliest", enable_auto_commit=False,
        max_partition_fetch_bytes=100, consumer_timeout_ms=SECONDS * 1000,
    )  # fmt: skip
    try:
        consumer.assign([kafka.TopicPartition(topic, number) for number in range(8)])
        consumer.seek_to_beginning()
        for _ in range(WARM_UP):
            next(consumer)
        before, requests = server.cross_shard_messages("fetch"), server.requests("fetch")
        for _ in range(REQUESTS):
            next(consumer)
        assert server.requests("fetch") - requests > REQUESTS // 20
        assert server.cross_shard_messages("fetch") == before
    finally:
        consumer.close()


RECORDS = keyed_records(2000)
PRODUCE = {
    "confluent": confluent_produce,
    "kafka_python": kafka_python_produce,
    "aiokafka": aiokafka_produce,
    "kcat": kcat_produce,
    "java": java_produce,
    "kafkajs": lambda *what: node_produce("kafkajs", *what),
    "platformatic": lambda *what: node_produce("platformatic", *what),
}
READ = {"confluent": confluent_read, "kafka_python": kafka_python_read, "aiokafka": aiokafka_read, "kcat": kcat_read}


def check_direct(server, api, work):
    """Everything `work` asks of the two shards goes to the one that answers it, from the first request on."""
    crossed, requests = server.cross_shard_messages(api), server.requests(api)
    done = work()
    assert server.requests(api) - requests >= 2
    assert server.cross_shard_messages(api) == crossed
    return done


@pytest.mark.parametrize("client", PRODUCE)
def test_producers_with_shard_ports(shard_ports_server, topic, client):
    server = shard_ports_server
    create_topic(server.address, topic)
    check_direct(server, "produce", lambda: PRODUCE[client](server.address, topic, RECORDS))
    check_same(RECORDS, confluent_read(server.address, topic))


@pytest.mark.parametrize("client", READ)
def test_consumers_with_shard_ports(shard_ports_server, topic, client):
    server = shard_ports_server
    create_topic(server.address, topic)
    confluent_produce(server.address, topic, RECORDS)
    check_same(RECORDS, check_direct(server, "fetch", lambda: READ[client](server.address, topic)))


@pytest.mark.parametrize("client", ["kafka_python", "confluent"])
def test_other_clients_on_one_port_hop_and_are_right(server, topic, client):
    """They are shown one node and use one connection for all partitions: the zeros above are real."""
    create_topic(server.address, topic)
    produced, fetched = (server.cross_shard_messages(api) for api in ("produce", "fetch"))
    PRODUCE[client](server.address, topic, RECORDS)
    check_same(RECORDS, READ[client](server.address, topic))
    assert server.cross_shard_messages("produce") > produced
    assert server.cross_shard_messages("fetch") > fetched


# Clients that say which node they mean: what each is told to do, line by line, and the name it gives itself.


def java_producer(address, topic):
    # One record at a time, without the second that each would wait for others.
    arguments = ["--bootstrap-server", address, "--topic", topic, "--sync", "--timeout", "0", "--reader-property", "parse.key=true"]
    return [*java_command("org.apache.kafka.tools.ConsoleProducer"), *arguments]


def java_consumer(protocol):
    def command(address, topic):
        return [
            *java_command("org.apache.kafka.tools.consumer.ConsoleConsumer"), "--bootstrap-server", address, "--topic",
            topic, "--group", f"g-{topic}", "--from-beginning", "--command-property", f"group.protocol={protocol}",
        ]  # fmt: skip

    return command


def franz_go_producer(address, topic):
    return [str(HOME / "go" / "member"), "franz-go-producer", address, topic, "none"]


def franz_go_consumer(address, topic):
    strategy = "partition.assignment.strategy=cooperative-sticky"
    return [str(HOME / "go" / "member"), "franz-go", address, topic, f"g-{topic}", strategy]


JAVA, FRANZ_GO = "apache-kafka-java", "kgo"
PRODUCERS = {"java": (JAVA, java_producer), "franz-go": (FRANZ_GO, franz_go_producer)}
CONSUMERS = {
    "java": (JAVA, java_consumer("classic")), "java-consumer": (JAVA, java_consumer("consumer")),
    "franz-go": (FRANZ_GO, franz_go_consumer),
}  # fmt: skip
FEW, MANY = 100, 400
# Several heartbeats, and commits by time.
QUIET_SECONDS = 6


def ends(address, topic):
    """How many records there are."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": address, "group.id": "unused"})
    try:
        partitions = [confluent_kafka.TopicPartition(topic, number) for number in range(8)]
        return sum(consumer.get_watermark_offsets(one, timeout=SECONDS)[1] for one in partitions)
    finally:
        consumer.close()


def wait_for(what, is_so):
    deadline = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"
        time.sleep(0.1)


def settled(server, client):
    """The hops of a client that has got to know the server: none for as long as it is watched."""
    while True:
        before = server.hops(client)
        time.sleep(QUIET_SECONDS)
        if server.hops(client) == before:
            return before


@pytest.mark.parametrize("kind", PRODUCERS)
def test_producers_that_name_nodes_on_one_port(server, topic, kind):
    client, command = PRODUCERS[kind]
    create_topic(server.address, topic)
    process = subprocess.Popen(command(server.address, topic), stdin=subprocess.PIPE, text=True)
    try:

        def produce(first, count):
            for at in range(first, first + count):
                process.stdin.write(f"key-{at}\tvalue {at}\n")
            process.stdin.flush()
            wait_for("all is written", lambda: ends(server.address, topic) == first + count)

        produce(0, FEW)
        before = settled(server, client)
        produce(FEW, MANY)
        assert server.hops(client) == before
        process.stdin.close()
        assert process.wait(SECONDS) == 0
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("kind", CONSUMERS)
def test_consumers_that_name_nodes_on_one_port(server, topic, kind, tmp_path):
    client, command = CONSUMERS[kind]
    create_topic(server.address, topic)
    out = tmp_path / "out"
    with out.open("wb") as file:
        process = subprocess.Popen(command(server.address, topic), stdout=file)
    try:

        def consume(count):
            have = len(out.read_bytes().splitlines())
            confluent_produce(server.address, topic, keyed_records(count, 50))
            wait_for("all is read", lambda: len(out.read_bytes().splitlines()) == have + count)

        consume(FEW)
        before = settled(server, client)
        consume(MANY)
        assert settled(server, client) == before
        process.terminate()
        process.wait(SECONDS)
    finally:
        process.kill()
        process.wait()
