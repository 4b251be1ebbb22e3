"""Programs that others have built on Kafka's clients do their work against a server as it comes.

kafka_exporter, kminion, Burrow and kafkactl are not to be had from the registries: `monitor` asks what they ask, through the
clients that they use.
"""

import collections
import contextlib
import json
import re
import subprocess
import threading
import time

import confluent_kafka
import pytest
from clients import HERE, HOME, SECONDS, Record, confluent_produce, confluent_read, create_topic, run
from confluent_kafka.admin import AdminClient

PARTITIONS = 4
WORDS = [b"one", b"two", b"three", b"four", b"five"]


def commit(server, group, topic, offset):
    """As a consumer that is gone again has left it."""
    consumer = confluent_kafka.Consumer({"bootstrap.servers": server.address, "group.id": group})
    at = [confluent_kafka.TopicPartition(topic, number, offset) for number in range(PARTITIONS)]
    consumer.commit(offsets=at, asynchronous=False)
    consumer.close()


@pytest.mark.parametrize("client", ["sarama", "franz-go"])
@pytest.mark.parametrize("view", ["server", "shard_ports_server"])
def test_what_nodes_answer_adds_up(request, topic, view, client):
    """A group has one coordinator and a replica one broker: nothing is told by two nodes, whatever nodes are shown."""
    server = request.getfixturevalue(view)
    create_topic(server.address, topic, PARTITIONS)
    confluent_produce(server.address, topic, [Record(b"%d" % at, b"v" * 100) for at in range(200)])
    groups = [f"{topic}-{number}" for number in range(5)]
    for group in groups:
        commit(server, group, topic, 3)
    for _ in range(2):
        told = json.loads(run([f"{HOME}/go/monitor", client, server.address]))
        for group in groups:
            assert len(told["groups"].get(group, [])) == 1, (group, told["groups"])
        for number in range(PARTITIONS):
            sizes = told["sizes"].get(f"{topic}-{number}", {})
            assert len(sizes) == 1, (number, told["sizes"])
        stored = sum(sum(told["sizes"][f"{topic}-{number}"].values()) for number in range(PARTITIONS))
        assert 200 * 100 <= stored < 200 * 300


def topicctl(server, *arguments):
    command = [f"{HOME}/go/topicctl", *arguments, "--no-spinner"]
    # It asks before it changes something.
    done = subprocess.run(command, input="yes\n", capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0 and "level=error" not in done.stderr, done.stdout + done.stderr
    # It logs what it shows.
    return done.stdout + done.stderr


def table(text):
    """The cells of the rows of topicctl's tables."""
    rows = [line.strip().strip('"') for line in text.replace("\\n", "\n").splitlines()]
    return [[cell.strip() for cell in row.split("|")] for row in rows if "|" in row]


def test_topicctl(server, topic, tmp_path):
    group = f"g-{topic}"
    cluster, wanted = tmp_path / "cluster.yaml", tmp_path / "topic.yaml"
    of = {"environment": "test", "region": "here", "description": "of a test"}
    cluster.write_text(json.dumps({"meta": {"name": "one", **of}, "spec": {"bootstrapAddrs": [server.address]}}))

    def apply(partitions, minutes):
        placed = {"placement": {"strategy": "any"}, "settings": {"cleanup.policy": "delete", "max.message.bytes": 5542880}}
        spec = {"partitions": partitions, "replicationFactor": 1, "retentionMinutes": minutes, **placed}
        wanted.write_text(json.dumps({"meta": {"name": topic, "cluster": "one", **of}, "spec": spec}))
        where = [str(wanted), "--cluster-config", str(cluster)]
        topicctl(server, "apply", *where, "--skip-confirm", "--sleep-loop-duration", "200ms")
        topicctl(server, "check", *where)

    def get(*what):
        return table(topicctl(server, "get", *what, "--cluster-config", str(cluster)))

    apply(3, 100)
    apply(PARTITIONS, 200)
    topics = AdminClient({"bootstrap.servers": server.address}).list_topics(timeout=SECONDS).topics
    assert len(topics[topic].partitions) == PARTITIONS
    confluent_produce(server.address, topic, [Record(b"%d" % at, b"v") for at in range(100)])
    commit(server, group, topic, 0)
    assert [row[0] for row in get("brokers") if row[0].isdigit()] == ["1000"]
    assert [group, "1000", "[]"] in get("groups")
    assert [row[:2] for row in get("topics") if row[0] == topic] == [[topic, str(PARTITIONS)]]
    assert ["retention.ms", "12000000"] in [row[:2] for row in get("config", topic)]
    assert {row[-1] for row in get("partitions", topic) if row[0] == topic} == {"OK"}

    def lag():
        return sum(int(row[6]) for row in get("lags", topic, group) if row[0].isdigit())

    assert lag() == 100
    topicctl(server, "reset-offsets", topic, group, "--to-latest", "--cluster-config", str(cluster))
    assert lag() == 0


def wait_for(what, state):
    deadline = time.monotonic() + SECONDS
    while not (reached := state()):
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"
        time.sleep(0.1)
    return reached


def words(server, topic, count, **settings):
    """Writes so many of each word."""
    confluent_produce(server.address, topic, [Record(word, word) for _ in range(count) for word in WORDS], **settings)


class Program:
    """A program that runs until it is ended, and the lines it has printed."""

    def __init__(self, command, log):
        self.log = log
        with log.open("ab") as errors:
            self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        self.lines = []
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    def alive(self):
        assert self.process.poll() is None, f"ended with {self.process.returncode}\n{self.log.read_text()[-3000:]}"
        return True


@contextlib.contextmanager
def running(command, log, end=lambda process: process.terminate()):
    """Ends in order; a program that does not is a failure."""
    program = Program(command, log)
    try:
        yield program
        end(program.process)
        program.process.wait(SECONDS)
    finally:
        program.process.kill()
        program.process.wait()


def test_goka_counts_on(server, topic, tmp_path):
    """A processor with a table, which a view reads; the next one goes on from what the table says."""
    create_topic(server.address, topic, PARTITIONS)
    command = [f"{HOME}/go/counter", server.address, topic, f"g-{topic}"]
    for total in (20, 40):
        # By the hash that goka places keys with: a table has a key in the partition that its input has it in.
        words(server, topic, 20, partitioner="fnv1a_random")
        with running(command, tmp_path / "log", lambda process: process.stdin.close()) as program:

            def counted():
                assert program.alive()
                program.lines.clear()
                for word in WORDS:
                    program.process.stdin.write(f"{word.decode()}\n")
                program.process.stdin.flush()
                wait_for("the view answers", lambda: program.alive() and len(program.lines) == len(WORDS))
                return set(program.lines) == {f"{word.decode()} {total}" for word in WORDS}

            wait_for(f"each word is counted {total} times", counted)


def test_quixstreams_counts_on(server, topic, tmp_path):
    """State that another process, without the first one's files, finds again in the changelog."""
    create_topic(server.address, topic, PARTITIONS)
    python = f"{HOME}/venv-streams/bin/python"
    out = f"{topic}-out"
    for total in (20, 40):
        words(server, topic, 20)
        command = [python, str(HERE / "quix_app.py"), server.address, topic, out, str(tmp_path / f"state-{total}")]
        with running(command, tmp_path / "log") as program:

            def counted():
                assert program.alive()
                topics = AdminClient({"bootstrap.servers": server.address}).list_topics(timeout=SECONDS).topics
                if out not in topics:
                    return False
                counts = collections.defaultdict(int)
                for record in confluent_read(server.address, out, len(topics[out].partitions)):
                    counts[record.key] = max(counts[record.key], int.from_bytes(record.value, "big"))
                return counts == {word: total for word in WORDS}

            wait_for(f"each word is counted {total} times", counted)


def test_faust_counts_on(server, topic, tmp_path):
    """An agent with a table; the next worker recovers it from the changelog."""
    create_topic(server.address, topic, PARTITIONS)
    python = f"{HOME}/venv-streams/bin/python"
    for total in (20, 40):
        words(server, topic, 20)
        command = [python, str(HERE / "faust_app.py"), server.address, topic, str(tmp_path / f"state-{total}"), str(PARTITIONS)]
        with running(command, tmp_path / "log") as program:
            expected = {f"{word.decode()} {total}" for word in WORDS}
            wait_for(f"each word is counted {total} times", lambda: program.alive() and set(program.lines) >= expected)
            assert not [line for line in program.lines if re.fullmatch(r"\w+ \d+", line) and int(line.split()[1]) > total]
