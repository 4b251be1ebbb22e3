"""Kafka's own tools that change settings, verify, and what Java and librdkafka say of themselves (KIP-714)."""

import json
import os
import re
import shutil
import signal
import subprocess
import time
import urllib.request

from clients import SECONDS, Record, confluent_produce, confluent_read, create_topic, java, java_command, run
from confluent_kafka import Producer
from conftest import Server


def configs_command(server, *arguments):
    return java("ConfigCommand", "--bootstrap-server", server.address, *arguments).decode()


def test_java_configs_command(server, topic):
    create_topic(server.address, topic, 1)
    named = ["--entity-type", "topics", "--entity-name", topic]
    configs_command(server, "--alter", *named, "--add-config", "retention.ms=5000,cleanup.policy=[compact,delete]")
    described = configs_command(server, "--describe", *named)
    assert "retention.ms=5000" in described and "cleanup.policy=compact,delete" in described
    configs_command(server, "--alter", *named, "--delete-config", "retention.ms")
    assert "retention.ms=" not in configs_command(server, "--describe", *named)
    everyone = ["--entity-type", "brokers", "--entity-default"]
    configs_command(server, "--alter", *everyone, "--add-config", "log.cleaner.backoff.ms=14000")
    assert "log.cleaner.backoff.ms=14000" in configs_command(server, "--describe", *everyone)
    one = ["--entity-type", "brokers", "--entity-name", "1000"]
    configs_command(server, "--alter", *one, "--add-config", "log.cleaner.backoff.ms=13000")
    described = configs_command(server, "--describe", *one)
    assert "log.cleaner.backoff.ms=13000" in described
    assert "DYNAMIC_DEFAULT_BROKER_CONFIG:log.cleaner.backoff.ms=14000" in described
    configs_command(server, "--alter", *one, "--delete-config", "log.cleaner.backoff.ms")
    configs_command(server, "--alter", *everyone, "--delete-config", "log.cleaner.backoff.ms")
    assert "14000" not in configs_command(server, "--describe", *one)
    group = ["--entity-type", "groups", "--entity-name", f"g-{topic}"]
    configs_command(server, "--alter", *group, "--add-config", "consumer.session.timeout.ms=50000")
    assert "consumer.session.timeout.ms=50000" in configs_command(server, "--describe", *group)


def test_verifiable_clients(server, topic):
    create_topic(server.address, topic, 3)
    bootstrap = ["--bootstrap-server", server.address, "--topic", topic]
    producer = java_command("org.apache.kafka.tools.VerifiableProducer")
    told = run([*producer, *bootstrap, "--max-messages", "5000", "--acks", "-1"]).decode().splitlines()
    said = [json.loads(line) for line in told]
    sent = sorted((one["partition"], one["offset"]) for one in said if one["name"] == "producer_send_success")
    assert len(sent) == len(set(sent)) == 5000
    assert said[-1]["name"] == "tool_data" and said[-1]["acked"] == 5000
    for protocol in (["--group-protocol", "classic"], ["--group-protocol", "consumer"]):
        group = ["--group-id", f"g-{topic}-{protocol[1]}", "--max-messages", "5000", "--reset-policy", "earliest"]
        told = java("VerifiableConsumer", *bootstrap, *group, "--verbose", *protocol).decode().splitlines()
        said = [json.loads(line) for line in told]
        read = sorted((one["partition"], one["offset"]) for one in said if one["name"] == "record_data")
        assert read == sent
        commits = [one for one in said if one["name"] == "offsets_committed"]
        assert commits and all(one["success"] for one in commits)


def client_metrics(server):
    """Client software and metric → value."""
    with urllib.request.urlopen(f"http://{server.admin}/metrics", timeout=SECONDS) as answer:
        lines = re.findall(r"^ringmain_client_metric\{(.*)\} (\S+)$", answer.read().decode(), re.MULTILINE)
    labels = [(dict(re.findall(r'(\w+)="([^"]*)"', line)), float(value)) for line, value in lines]
    return {(one["client_software"].split(" ")[0], one["client_id"], one["name"]): value for one, value in labels}


def test_clients_push_their_metrics(server, topic):
    create_topic(server.address, topic, 1)
    command = ["ClientMetricsCommand", "--bootstrap-server", server.address]
    java(*command, "--alter", "--name", topic, "--metrics", "org.apache.kafka.producer.", "--interval", "300")
    assert topic in java(*command, "--list").decode().split()
    described = java(*command, "--describe", "--name", topic).decode()
    assert "interval.ms=300" in described and "metrics=org.apache.kafka.producer." in described
    producer = Producer({"bootstrap.servers": server.address, "client.id": "rdkafka-client"})
    size = ["--num-records", "1000000", "--record-size", "100", "--throughput", "100"]
    props = [f"bootstrap.servers={server.address}", "client.id=java-client"]
    perf = java_command("org.apache.kafka.tools.ProducerPerformance")
    java_producer = subprocess.Popen([*perf, "--topic", topic, *size, "--producer-props", *props], stdout=subprocess.DEVNULL)
    seen = {}
    deadline = time.monotonic() + SECONDS
    wanted = {("apache-kafka-java", "java-client"), ("confluent-kafka-python", "rdkafka-client")}
    try:
        # A client that ends takes its metrics along, so Java's are looked at while it runs.
        while not wanted <= {key[:2] for key in seen}:
            assert time.monotonic() < deadline, f"only {sorted(seen)}\n{server.read_log()}"
            producer.produce(topic, b"value")
            producer.poll(0.1)
            seen = client_metrics(server)
    finally:
        java_producer.kill()
        java_producer.wait()
    assert all(name.startswith("org.apache.kafka.producer.") for _, _, name in seen)
    producer.flush(SECONDS)
    java(*command, "--delete", "--name", topic)
    assert topic not in java(*command, "--list").decode().split()


def test_java_dumps_our_segments(topic):
    """Kafka's own reader of segment files, on ours."""
    server = Server().wait_ready()
    create_topic(server.address, topic, 1, {"segment.bytes": "1048576", "compression.type": "producer"})
    records = [Record(b"k%d" % (at % 9), b"v%d " % at + b"x" * (at % 5000)) for at in range(2000)]
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        confluent_produce(server.address, topic, records, compression_type=codec, batch_num_messages=100, enable_idempotence=True)
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(SECONDS) == 0
    dumped = dump_segments(server)
    assert [offset for offset, _ in dumped] == list(range(5 * len(records)))
    shutil.rmtree(server.directory)


def test_java_dumps_what_compaction_left(topic):
    """Segments with gaps, rewritten batches and batches without records, of every codec; and the indexes made with them."""
    server = Server("--set", "log.cleaner.backoff.ms=50").wait_ready()
    config = {"cleanup.policy": "compact", "segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0.01"}
    create_topic(server.address, topic, 1, config)
    records = [Record(b"key %d" % (at % 30), os.urandom(1500)) for at in range(3000)]
    for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
        confluent_produce(server.address, topic, records, compression_type=codec, enable_idempotence=True)
    deadline = time.monotonic() + SECONDS
    left, before = confluent_read(server.address, topic, 1), None
    while len(left) > 2000 or left != before:
        assert time.monotonic() < deadline, f"{len(left)} records are left"
        time.sleep(1)
        left, before = confluent_read(server.address, topic, 1), left
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(SECONDS) == 0
    dumped = dump_segments(server)
    # A stop may have come after one more pass: what is there was there.
    offsets = [offset for offset, _ in dumped]
    assert offsets == sorted(set(offsets)) and 30 <= len(offsets) <= len(left)
    assert {key for _, key in dumped} == {record.key.decode() for record in records}
    shutil.rmtree(server.directory)


def dump_segments(server):
    """Has Kafka verify every segment and index of partition 0 of the only topic; the offset and key of each record."""
    data = server.directory / "data"
    logs = sorted(path for path in data.glob("topics/*/0/*.log") if "00000000-0000-0000-0000" not in str(path))
    assert len(logs) > 1
    files = [str(path.with_suffix(suffix)) for path in logs for suffix in (".log", ".index", ".timeindex")]
    told = java("DumpLogSegments", "--deep-iteration", "--verify-index-only", "--files", ",".join(files)).decode()
    for complaint in ("Mismatches", "non-consecutive", "Non-consecutive", "out of order", "invalid bytes"):
        assert complaint not in told, told[-3000:]
    told = java("DumpLogSegments", "--deep-iteration", "--print-data-log", "--files", ",".join(map(str, logs))).decode()
    assert told.count("isvalid: true") == told.count("baseOffset:") > 5
    for complaint in ("isvalid: false", "Mismatches", "invalid bytes"):
        assert complaint not in told
    found = re.findall(r"^\| offset: (\d+).* key: (.*?) payload: ", told, re.MULTILINE)
    return [(int(offset), key) for offset, key in found]
