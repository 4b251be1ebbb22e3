"""Compacted topics as clients see them: gaps, empty batches, and of each key the latest record."""

import os
import time

from clients import (
    SECONDS, Record, aiokafka_read, confluent_produce, confluent_read, create_topic, java_read, kafka_python_read, kcat_read,
)  # fmt: skip
from conftest import Server

SETTINGS = ("--set", "log.cleaner.backoff.ms=50")
CONFIG = {"cleanup.policy": "compact", "segment.bytes": "1048576", "min.cleanable.dirty.ratio": "0.01"}


def latest(records):
    return {record.key: record.value for record in records}


def test_every_client_reads_a_compacted_topic(topic):
    server = Server(*SETTINGS).wait_ready()
    try:
        create_topic(server.address, topic, 1, CONFIG)
        # Hex, for Java's console consumer prints text.
        records = [Record(b"key %d" % (i % 30), os.urandom(1500).hex().encode(), (), 1_700_000_000_000 + i) for i in range(3000)]
        for codec in ("none", "gzip", "snappy", "lz4", "zstd"):
            confluent_produce(server.address, topic, records, compression_type=codec)
        deadline = time.monotonic() + SECONDS
        left, before = confluent_read(server.address, topic, 1), None
        while len(left) > 2000 or left != before:
            assert time.monotonic() < deadline, f"{len(left)} records are left"
            time.sleep(1)
            left, before = confluent_read(server.address, topic, 1), left
        assert latest(left) == latest(records)
        for read in (kafka_python_read, aiokafka_read, kcat_read):
            assert latest(read(server.address, topic, 1)) == latest(records), read.__name__
        assert latest(java_read(server.address, topic, 0, len(left))) == latest(records)
    finally:
        server.stop()
