"""Consumer groups of real clients: members come, go and die, the server dies, and every record is processed."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time

import confluent_kafka
import pytest
from clients import HERE, HOME, SECONDS, confluent_produce, create_topic, java, java_command, keyed_records
from confluent_kafka.admin import AdminClient
from conftest import Server

PARTITIONS = 6
SESSION = "session.timeout.ms=6000"
COOPERATIVE = "partition.assignment.strategy=org.apache.kafka.clients.consumer.CooperativeStickyAssignor"

LINE = re.compile(r"(?:Partition:)?(\d+)\s+(?:Offset:)?(\d+)\s+value \d+ of \d+$")

# Name: how a member is started. Those that need KIP-848 say so.
MEMBERS = {
    "confluent": ("python", "confluent"),
    "confluent-cooperative": ("python", "confluent", "partition.assignment.strategy=cooperative-sticky"),
    "confluent-consumer": ("python", "confluent", "group.protocol=consumer"),
    "rdkafka": ("rust",),
    "rdkafka-consumer": ("rust", "group.protocol=consumer"),
    "kafka-python": ("python", "kafka-python"),
    "aiokafka": ("python", "aiokafka"),
    "kafkajs": ("node", "kafkajs"),
    "platformatic": ("node", "platformatic"),
    "franz-go": ("go", "franz-go", "partition.assignment.strategy=cooperative-sticky"),
    "franz-go-range": ("go", "franz-go", "partition.assignment.strategy=range"),
    "sarama": ("go", "sarama"),
    "kafka-go": ("go", "kafka-go"),
    "java": ("java", "group.protocol=classic", SESSION, "heartbeat.interval.ms=500"),
    "java-cooperative": ("java", "group.protocol=classic", SESSION, "heartbeat.interval.ms=500", COOPERATIVE),
    "java-3.9": ("java-3.9", SESSION, "heartbeat.interval.ms=500"),
    "java-consumer": ("java", "group.protocol=consumer"),
}
# Clients that are still in use in an older version, where newer ones do the rest.
OLDER = {
    "java-4.3": ("java-4.3", "group.protocol=classic", SESSION, "heartbeat.interval.ms=500"),
    "java-4.3-consumer": ("java-4.3", "group.protocol=consumer"),
}
# kafkajs and kafka-go cannot name an instance.
STATIC = [kind for kind in MEMBERS if kind not in ("kafkajs", "kafka-go")]


def console_consumer(installed, address, topic, group, settings):
    property_, formatter = ("consumer-property", "property") if installed == "java-3.9" else ("command-property", "formatter-property")
    settings = ["auto.commit.interval.ms=200", "auto.offset.reset=earliest", *settings]
    shown = ["print.partition=true", "print.offset=true", "key.separator= "]
    return [
        *java_command("org.apache.kafka.tools.consumer.ConsoleConsumer", installed),
        "--bootstrap-server", address, "--topic", topic, "--group", group,
        *(part for it in settings for part in (f"--{property_}", it)),
        *(part for it in shown for part in (f"--{formatter}", it)),
    ]  # fmt: skip


class Member:
    """A member's process and what it has processed."""

    def __init__(self, kind, address, topic, group, *more):
        program, *settings = [*(MEMBERS | OLDER)[kind], *more]
        where = [address, topic, group]
        if program == "python":
            command = [sys.executable, str(HERE / "member.py"), settings[0], *where, *settings[1:]]
        elif program == "node":
            command = ["node", str(HERE / "member.js"), settings[0], *where, *settings[1:]]
        elif program == "rust":
            command = [str(HOME / "rust" / "release" / "member"), *where, *settings]
        elif program == "go":
            command = [str(HOME / "go" / "member"), settings[0], *where, *settings[1:]]
        else:
            command = console_consumer(program, *where, settings)
        environment = {**os.environ, "NODE_MODULES": f"{HOME}/node/node_modules"}
        self.errors = open(os.path.join(HOME, f"member-{os.getpid()}.log"), "ab")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.errors, env=environment)
        self.processed = []
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            # A member that is stopped in the middle of a line has not processed that record.
            if found := LINE.match(line.decode()):
                self.processed.append((int(found[1]), int(found[2])))

    def stop(self, how=signal.SIGTERM):
        self.process.send_signal(how)
        try:
            self.process.wait(SECONDS)
        finally:
            self.process.kill()
            self.reader.join(SECONDS)
            self.errors.close()


class Members:
    """All members a test has started; none outlives it."""

    def __init__(self):
        self.all = []

    def start(self, *arguments):
        self.all.append(Member(*arguments))
        return self.all[-1]

    def processed(self):
        return set().union(*(member.processed for member in self.all))

    def stop(self):
        for member in self.all:
            if member.process.poll() is None:
                member.stop(signal.SIGKILL)


@pytest.fixture
def members():
    started = Members()
    yield started
    started.stop()


def wait_for(what, state):
    deadline = time.monotonic() + SECONDS
    while not (reached := state()):
        assert time.monotonic() < deadline, f"not within {SECONDS} s: {what}"
        time.sleep(0.05)
    return reached


def ends(address, topic):
    consumer = confluent_kafka.Consumer({"bootstrap.servers": address, "group.id": "unused"})
    try:
        partitions = [confluent_kafka.TopicPartition(topic, number) for number in range(PARTITIONS)]
        return {it.partition: consumer.get_watermark_offsets(it, timeout=SECONDS)[1] for it in partitions}
    finally:
        consumer.close()


def committed(address, group):
    admin = AdminClient({"bootstrap.servers": address})
    asked = [confluent_kafka.ConsumerGroupTopicPartitions(group)]
    listed = admin.list_consumer_group_offsets(asked, request_timeout=SECONDS)
    return {it.partition: it.offset for it in listed[group].result(SECONDS).topic_partitions}


def check_all_processed(address, topic, members):
    """Every record at least once; a member goes on in the order of a partition, or back to what was committed."""
    expected = {(partition, offset) for partition, end in ends(address, topic).items() for offset in range(end)}
    wait_for("every record is processed", lambda: members.processed() >= expected)
    assert members.processed() == expected
    for member in members.all:
        last = {}
        for partition, offset in member.processed:
            before = last.get(partition, offset)
            # Forward without a gap, unless another member had the partition in between.
            others = {it for other in members.all if other is not member for it in other.processed}
            skipped = {(partition, it) for it in range(before + 1, offset)}
            assert skipped <= others, f"partition {partition} goes from {before} to {offset}"
            last[partition] = offset


@contextlib.contextmanager
def load(address, topic):
    """Records come all the while."""
    stopping = threading.Event()

    def produce():
        while not stopping.is_set():
            confluent_produce(address, topic, keyed_records(60))
            time.sleep(0.1)

    producing = threading.Thread(target=produce)
    producing.start()
    try:
        yield
    finally:
        stopping.set()
        producing.join()


@pytest.mark.parametrize("kind", [*MEMBERS, *OLDER])
def test_group_scales_under_load(server, topic, members, kind):
    create_topic(server.address, topic, PARTITIONS)
    group = f"g-{topic}"
    with load(server.address, topic):
        first = members.start(kind, server.address, topic, group)
        wait_for("the first member reads", lambda: len(first.processed) > 100)
        others = [members.start(kind, server.address, topic, group) for _ in range(2)]
        wait_for("all three read", lambda: all(len(member.processed) > 20 for member in others))
        for member in others:
            member.stop()
        read = len(first.processed)
        wait_for("the first reads on", lambda: len(first.processed) > read + 60)
    check_all_processed(server.address, topic, members)


@pytest.mark.parametrize("kind", [kind for kind in MEMBERS if "-consumer" not in kind])
def test_live_group_changes_protocol_and_back(server, topic, members, kind):
    """KIP-848's migration: a new-style member joins a classic group, works with it, and leaves."""
    create_topic(server.address, topic, PARTITIONS)
    group = f"g-{topic}"
    with load(server.address, topic):
        classic = members.start(kind, server.address, topic, group)
        wait_for("the classic member reads", lambda: len(classic.processed) > 100)
        new = members.start("confluent-consumer", server.address, topic, group)
        wait_for("the new-style member reads", lambda: len(new.processed) > 100)
        read = len(classic.processed)
        wait_for("the classic member reads on", lambda: len(classic.processed) > read + 60)
        new.stop()
        read = len(classic.processed)
        wait_for("the classic member has all", lambda: len({it[0] for it in classic.processed[read:]}) == PARTITIONS)
    check_all_processed(server.address, topic, members)


@pytest.mark.parametrize("kind", MEMBERS)
def test_group_goes_on_after_kills(topic, members, kind):
    # The server decides how long a member of the new protocol may be silent.
    times = {"min.session.timeout": 6000, "session.timeout": 6000, "min.heartbeat.interval": 1000, "heartbeat.interval": 1000}
    settings = [part for name, ms in times.items() for part in ("--set", f"group.consumer.{name}.ms={ms}")]
    server = Server(*settings).wait_ready()
    create_topic(server.address, topic, PARTITIONS)
    group = f"g-{topic}"
    confluent_produce(server.address, topic, keyed_records(1000))
    victim = members.start(kind, server.address, topic, group)
    survivor = members.start(kind, server.address, topic, group)

    def both_read():
        # Whoever came first may have read all there was.
        confluent_produce(server.address, topic, keyed_records(60))
        return victim.processed and survivor.processed

    wait_for("both read", both_read)
    victim.stop(signal.SIGKILL)
    server.kill()
    server = server.again().wait_ready()
    confluent_produce(server.address, topic, keyed_records(1000))
    check_all_processed(server.address, topic, members)
    assert len(members.processed()) > 2000
    survivor.stop()
    server.stop()


@pytest.mark.parametrize("kind", [*MEMBERS, *OLDER])
def test_group_starts_again_from_its_commits(server, topic, members, kind):
    create_topic(server.address, topic, PARTITIONS)
    group = f"g-{topic}"
    confluent_produce(server.address, topic, keyed_records(300))
    first = members.start(kind, server.address, topic, group)
    all_committed = {partition: end for partition, end in ends(server.address, topic).items() if end}
    wait_for("all is committed", lambda: committed(server.address, group).items() >= all_committed.items())
    first.stop()
    confluent_produce(server.address, topic, keyed_records(300))
    second = members.start(kind, server.address, topic, group)
    check_all_processed(server.address, topic, members)
    assert len(first.processed) == len(second.processed) == 300


@pytest.mark.parametrize("kind", STATIC)
def test_static_member_comes_back_to_its_partitions(server, topic, members, kind):
    """A member with an instance id is gone for a while, and nobody else reads its partitions."""
    create_topic(server.address, topic, PARTITIONS)
    new_style = "-consumer" in kind

    def member(instance):
        settings = [f"group.instance.id={instance}", *([] if new_style else ["session.timeout.ms=20000"])]
        return members.start(kind, server.address, topic, f"g-{topic}", *settings)

    def read(one, after):
        return {partition for partition, _ in one.processed[after:]}

    def halves():
        """What each reads in a while, once that is half of the partitions each."""
        counts = [len(one.processed) for one in (stays, leaves)]
        time.sleep(1)
        both = read(stays, counts[0]), read(leaves, counts[1])
        return both if [len(half) for half in both] == [PARTITIONS // 2] * 2 and not both[0] & both[1] else None

    with load(server.address, topic):
        stays, leaves = member("stays"), member("leaves")
        _, half = wait_for("each reads half", halves)
        count = len(stays.processed)
        # With the new protocol an instance that crashed is taken until its session ends (UNRELEASED_INSTANCE_ID).
        leaves.stop(signal.SIGTERM if new_style else signal.SIGKILL)
        again = member("leaves")
        wait_for("it reads its partitions again", lambda: read(again, 0) == half)
        count_again = len(stays.processed)
        wait_for("the other reads on", lambda: len(stays.processed) > count_again + 60)
    assert read(again, 0) == half
    assert read(stays, count) == set(range(PARTITIONS)) - half
    check_all_processed(server.address, topic, members)


def test_static_member_starts_again_unnoticed(server, topic):
    create_topic(server.address, topic, PARTITIONS)
    changes = []

    def member(instance):
        consumer = confluent_kafka.Consumer({
            "bootstrap.servers": server.address, "group.id": f"g-{topic}", "group.instance.id": instance,
            "session.timeout.ms": 20000, "heartbeat.interval.ms": 300,
        })  # fmt: skip
        changed = lambda _consumer, partitions: changes.append((instance, len(partitions)))
        consumer.subscribe([topic], on_assign=changed, on_revoke=changed)
        return consumer

    stays, leaves = member("stays"), member("leaves")
    assigned = lambda consumer: len(consumer.assignment()) == PARTITIONS // 2
    wait_for("both are assigned", lambda: (stays.poll(0.1), leaves.poll(0.1)) and assigned(stays) and assigned(leaves))
    before = {it.partition for it in leaves.assignment()}
    leaves.close()
    changes.clear()
    again = member("leaves")
    wait_for("it has its partitions again", lambda: (again.poll(0.1), stays.poll(0.1)) and assigned(again))
    assert {it.partition for it in again.assignment()} == before
    assert [instance for instance, _ in changes] == ["leaves"]
    again.close()
    stays.close()


def groups_command(server, *arguments):
    return java("consumer.group.ConsumerGroupCommand", "--bootstrap-server", server.address, *arguments).decode()


def test_java_groups_command(server, topic, members):
    create_topic(server.address, topic, PARTITIONS)
    confluent_produce(server.address, topic, keyed_records(300))
    group = f"g-{topic}"
    member = members.start("confluent", server.address, topic, group)
    wait_for("all is read", lambda: len(member.processed) == 300)
    assert group in groups_command(server, "--list").split()
    assert "Stable" in groups_command(server, "--describe", "--group", group, "--state")
    assert "rdkafka" in groups_command(server, "--describe", "--group", group, "--members")
    member.stop()
    named = ["--group", group]

    def lag():
        lines = groups_command(server, "--describe", *named).splitlines()
        return sum(int(line.split()[5]) for line in lines if line.split()[1:2] == [topic])

    assert lag() == 0
    reset = ["--reset-offsets", *named, "--topic", topic, "--to-earliest"]
    groups_command(server, *reset, "--execute")
    assert lag() == 300
    groups_command(server, "--delete-offsets", *named, "--topic", topic)
    groups_command(server, "--delete", *named)
    assert group not in groups_command(server, "--list").split()


def test_deleted_topic_takes_committed_offsets_along(server, topic, members):
    admin = AdminClient({"bootstrap.servers": server.address})
    group = f"g-{topic}"
    for _ in range(2):
        create_topic(server.address, topic, PARTITIONS)
        confluent_produce(server.address, topic, keyed_records(200))
        member = members.start("confluent", server.address, topic, group)
        wait_for("all is read from the start", lambda: len(member.processed) == 200)
        member.stop()
        admin.delete_topics([topic], request_timeout=SECONDS)[topic].result(SECONDS)
