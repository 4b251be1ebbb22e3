"""Records, and how each client writes and reads them. Reading assigns partitions; test_groups.py has the groups."""

import asyncio
import base64
import json
import os
import pathlib
import subprocess
import threading
import time
from typing import NamedTuple

import aiokafka
import confluent_kafka
import kafka
from confluent_kafka.admin import AdminClient, NewTopic

HOME = pathlib.Path(__file__).resolve().parents[2] / "target" / "interop"
HERE = pathlib.Path(__file__).resolve().parent
SECONDS = 60
PARTITIONS = 8


class Record(NamedTuple):
    key: bytes | None
    value: bytes | None
    headers: tuple = ()
    timestamp: int | None = None


def keyed_records(count, keys=20):
    """Text records without line breaks, so that console clients can carry them too."""
    return [Record(b"key-%d" % (at % keys), b"value %d of %d" % (at, count)) for at in range(count)]


def check_same(sent, received):
    """Nothing lost, nothing twice, bytes equal, and each key in the order it was sent."""
    assert len(received) == len(sent)
    assert by_key(received) == by_key(sent)


def by_key(records):
    grouped = {}
    for record in records:
        grouped.setdefault(record.key, []).append((record.value, tuple(record.headers)))
    return grouped


def create_topic(address, topic, partitions=PARTITIONS, config=None):
    admin = AdminClient({"bootstrap.servers": address})
    new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=config or {})
    admin.create_topics([new], request_timeout=SECONDS)[topic].result(SECONDS)


# confluent-kafka


def confluent_produce(address, topic, records, **settings):
    failures = []
    settings = {name.replace("_", "."): value for name, value in settings.items()}
    producer = confluent_kafka.Producer(
        {"bootstrap.servers": address, "message.timeout.ms": SECONDS * 1000, "linger.ms": 5, **settings}
    )

    def done(error, _message):
        if error is not None:
            failures.append(str(error))

    for record in records:
        more = {"timestamp": record.timestamp} if record.timestamp is not None else {}
        while True:
            try:
                producer.produce(
                    topic, value=record.value, key=record.key, headers=list(record.headers), on_delivery=done, **more
                )
                break
            except BufferError:
                producer.poll(0.05)
        producer.poll(0)
    assert producer.flush(SECONDS) == 0, "records left unsent"
    assert not failures, failures[:3]


def confluent_messages(address, topic, partitions=PARTITIONS, **settings):
    """Every message up to each partition's end, in the order of each partition."""
    settings = {name.replace("_", "."): value for name, value in settings.items()}
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": address, "group.id": "unused", "enable.auto.commit": False,
         "auto.offset.reset": "error", "enable.partition.eof": True, **settings}
    )  # fmt: skip
    try:
        assigned = [confluent_kafka.TopicPartition(topic, number, 0) for number in range(partitions)]
        consumer.assign(assigned)
        received, ended = [], set()
        deadline = time.monotonic() + SECONDS
        while len(ended) < partitions:
            assert time.monotonic() < deadline, f"{len(received)} records, ends of {sorted(ended)} after {SECONDS} s"
            for message in consumer.consume(1000, timeout=0.2):
                error = message.error()
                if error is None:
                    received.append(message)
                elif error.code() == confluent_kafka.KafkaError._PARTITION_EOF:
                    ended.add(message.partition())
                else:
                    raise AssertionError(str(error))
        return received
    finally:
        consumer.close()


def confluent_read(address, topic, partitions=PARTITIONS):
    return [
        Record(message.key(), message.value(), tuple(message.headers() or ()), message.timestamp()[1])
        for message in confluent_messages(address, topic, partitions)
    ]


# kafka-python


def kafka_python_produce(address, topic, records, **settings):
    producer = kafka.KafkaProducer(bootstrap_servers=address, **settings)
    try:
        sent = [
            producer.send(
                topic, key=record.key, value=record.value, headers=list(record.headers), timestamp_ms=record.timestamp
            )
            for record in records
        ]
        producer.flush(timeout=SECONDS)
        for future in sent:
            future.get(timeout=SECONDS)
    finally:
        producer.close(timeout=5)


def kafka_python_read(address, topic, partitions=PARTITIONS):
    consumer = kafka.KafkaConsumer(
        bootstrap_servers=address, group_id=None, auto_offset_reset="earliest", enable_auto_commit=False
    )
    try:
        assigned = [kafka.TopicPartition(topic, number) for number in range(partitions)]
        consumer.assign(assigned)
        consumer.seek_to_beginning(*assigned)
        ends = consumer.end_offsets(assigned)
        received = []
        deadline = time.monotonic() + SECONDS
        while any(consumer.position(partition) < ends[partition] for partition in assigned):
            assert time.monotonic() < deadline, f"{len(received)} records after {SECONDS} s"
            for batch in consumer.poll(timeout_ms=200).values():
                received += [Record(one.key, one.value, tuple(one.headers), one.timestamp) for one in batch]
        return received
    finally:
        consumer.close()


# aiokafka


def aiokafka_produce(address, topic, records, **settings):
    async def run():
        producer = aiokafka.AIOKafkaProducer(bootstrap_servers=address, **settings)
        await producer.start()
        try:
            sent = [
                await producer.send(
                    topic, key=record.key, value=record.value, headers=list(record.headers),
                    timestamp_ms=record.timestamp,
                )
                for record in records
            ]  # fmt: skip
            await asyncio.gather(*sent)
        finally:
            await producer.stop()

    asyncio.run(asyncio.wait_for(run(), SECONDS))


def aiokafka_read(address, topic, partitions=PARTITIONS):
    async def run():
        consumer = aiokafka.AIOKafkaConsumer(
            bootstrap_servers=address, group_id=None, auto_offset_reset="earliest", enable_auto_commit=False
        )
        await consumer.start()
        try:
            assigned = [aiokafka.TopicPartition(topic, number) for number in range(partitions)]
            consumer.assign(assigned)
            ends = await consumer.end_offsets(assigned)
            received = []
            while True:
                if all([await consumer.position(partition) >= ends[partition] for partition in assigned]):
                    return received
                batches = await consumer.getmany(timeout_ms=200)
                for batch in batches.values():
                    received += [Record(one.key, one.value, tuple(one.headers), one.timestamp) for one in batch]
        finally:
            await consumer.stop()

    return asyncio.run(asyncio.wait_for(run(), SECONDS))


# Programs: kcat, Java, Node


def run(command, text=b"", environment=None):
    """A program's standard output; an exit code other than 0 or a hang fails."""
    done = subprocess.run(
        command, input=text, capture_output=True, timeout=SECONDS, env={**os.environ, **(environment or {})}
    )
    assert done.returncode == 0, f"{command} exited with {done.returncode}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
    return done.stdout


def lines_of(records):
    return b"".join(record.key + b"\t" + record.value + b"\n" for record in records)


def records_of(lines):
    return [Record(*line.split(b"\t", 1)) for line in lines.splitlines()]


def kcat_produce(address, topic, records, *arguments):
    run(["kcat", "-P", "-b", address, "-t", topic, "-K", "\t", *arguments], lines_of(records))


def kcat_read(address, topic, partitions=PARTITIONS):
    """Every partition up to its end."""
    out = b""
    for number in range(partitions):
        out += run(["kcat", "-C", "-b", address, "-t", topic, "-p", str(number), "-o", "beginning", "-e", "-q", "-K", "\t"])
    return records_of(out)


def java_command(name, installed="java"):
    return ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", f"{HOME}/{installed}/lib/*", name]


class Told(NamedTuple):
    """How a tool ended and what it said; a code of -1 means that it had not ended in time."""

    code: int
    out: str
    error: str


class Tools:
    """Kafka's own tools, in one process that the first of them starts: see Tools.java."""

    def __init__(self):
        self.lock = threading.Lock()
        self.process = None

    def run(self, name, *arguments, text=b"", seconds=SECONDS):
        order = {"class": name, "arguments": arguments, "input": base64.b64encode(text).decode(), "seconds": seconds}
        with self.lock:
            if self.process is None or self.process.poll() is not None:
                self.process = self._start()
            self.process.stdin.write(json.dumps(order).encode() + b"\n")
            self.process.stdin.flush()
            answer = json.loads(self.process.stdout.readline())
        return answer["code"], base64.b64decode(answer["out"]), base64.b64decode(answer["error"])

    @staticmethod
    def _start():
        jars = sorted((HOME / "java" / "lib").glob("*.jar"))
        tools = [str(jar) for jar in jars if jar.name.startswith(("kafka-tools-4", "kafka_2.13"))]
        libraries = [str(jar) for jar in jars if str(jar) not in tools]
        command = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", ":".join([f"{HOME}/tools", *libraries]), "Tools"]
        return subprocess.Popen([*command, *tools], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


TOOLS = Tools()


def tool(name, *arguments, text=b"", seconds=SECONDS):
    """One of Kafka's own tools, by its class below org.apache.kafka.tools."""
    code, out, error = TOOLS.run(f"org.apache.kafka.tools.{name}", *arguments, text=text, seconds=seconds)
    return Told(code, out.decode(errors="replace"), error.decode(errors="replace"))


def java(name, *arguments, text=b""):
    """The standard output of a tool that succeeds."""
    code, out, error = TOOLS.run(f"org.apache.kafka.tools.{name}", *arguments, text=text)
    assert code == 0, f"{name} {arguments} ended with {code}\n{out[-3000:]}\n{error[-3000:]}"
    return out


def property_option(kind, installed):
    """Kafka 3.9 calls the properties of readers and formatters just that."""
    return "--property" if installed == "java-3.9" else f"--{kind}-property"


def java_produce(address, topic, records, codec="none", installed="java"):
    name = "kafka.tools.ConsoleProducer" if installed == "java-3.9" else "org.apache.kafka.tools.ConsoleProducer"
    run(
        [*java_command(name, installed), "--bootstrap-server", address, "--topic", topic,
         f"--compression-codec={codec}", property_option("reader", installed), "parse.key=true"], lines_of(records),
    )  # fmt: skip


def java_read(address, topic, partition, count, installed="java"):
    """The first `count` records of one partition; waits until it has them."""
    return records_of(
        run(
            [*java_command("org.apache.kafka.tools.consumer.ConsoleConsumer", installed), "--bootstrap-server", address,
             "--topic", topic, "--partition", str(partition), "--offset", "earliest", "--max-messages", str(count),
             "--timeout-ms", "30000", property_option("formatter", installed), "print.key=true"]
        )
    )  # fmt: skip


def node_produce(client, address, topic, records, **settings):
    """Through tests/interop/produce.js; `client` is kafkajs or platformatic."""
    order = {
        "client": client, "address": address, "topic": topic, "settings": settings,
        "records": [[record.key.decode(), record.value.decode()] for record in records],
    }  # fmt: skip
    run(["node", str(HERE / "produce.js")], json.dumps(order).encode(), {"NODE_MODULES": f"{HOME}/node/node_modules"})
