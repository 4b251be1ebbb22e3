"""Kafka Connect's workers, alone and as a group: a file into a topic and out of it again."""

import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest
from clients import SECONDS, create_topic, java_command
from test_flights import flights  # noqa: F401

CONVERTER = "org.apache.kafka.connect.storage.StringConverter"


@pytest.fixture(scope="module")
def lines(flights, tmp_path_factory):  # noqa: F811
    path = tmp_path_factory.mktemp("connect") / "flights.json"
    path.write_bytes(b"".join(record.value + b"\n" for record in flights))
    return path


def properties(path, settings):
    path.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    return str(path)


def source(topic, path):
    return {"name": f"{topic}-in", "connector.class": "FileStreamSource", "tasks.max": 1, "file": path, "topic": topic}


def sink(topic, path):
    return {"name": f"{topic}-out", "connector.class": "FileStreamSink", "tasks.max": 1, "file": path, "topics": topic}


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


class Worker:
    """A Connect worker's process."""

    def __init__(self, kind, log, *arguments):
        self.log = log
        with log.open("ab") as out:
            command = [*java_command(f"org.apache.kafka.connect.cli.{kind}", "java-4.3"), *arguments]
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)

    def wait_for(self, what, state):
        deadline = time.monotonic() + 3 * SECONDS
        while not state():
            told = self.log.read_text(errors="replace")[-5000:]
            assert self.process.poll() is None, f"the worker ended with {self.process.returncode}\n{told}"
            assert time.monotonic() < deadline, f"not in time: {what}\n{told}"
            time.sleep(0.2)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            # The stacks of its threads go to its log: they say what it waits for.
            self.process.send_signal(signal.SIGQUIT)
            time.sleep(2)
            pytest.fail(f"the worker does not end\n{self.log.read_text(errors='replace')[-30000:]}")
        finally:
            self.process.kill()
            self.process.wait()


def common(server, port):
    return {
        "bootstrap.servers": server.address, "listeners": f"http://127.0.0.1:{port}", "offset.flush.interval.ms": 500,
        "key.converter": CONVERTER, "value.converter": CONVERTER, "plugin.discovery": "only_scan",
    }  # fmt: skip


def size(path):
    return path.stat().st_size if path.exists() else 0


def test_connect_standalone(server, topic, lines, tmp_path):
    create_topic(server.address, topic, 1)
    out = tmp_path / "out"
    worker = {**common(server, free_port()), "offset.storage.file.filename": tmp_path / "offsets"}
    arguments = [
        properties(tmp_path / "worker", worker),
        properties(tmp_path / "source", source(topic, lines)),
        properties(tmp_path / "sink", sink(topic, out)),
    ]
    with Worker("ConnectStandalone", tmp_path / "log", *arguments) as running:
        running.wait_for("all lines are out again", lambda: size(out) >= size(lines))
    assert out.read_bytes() == lines.read_bytes()


class Cluster:
    """What a distributed worker's REST interface says."""

    def __init__(self, port):
        self.at = f"http://127.0.0.1:{port}"

    def ask(self, path, body=None, method=None):
        request = urllib.request.Request(f"{self.at}{path}", method=method)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return json.loads(answer.read() or b"null")

    def is_up(self):
        try:
            return self.ask("/connectors") is not None
        except (urllib.error.URLError, OSError):
            return False

    def runs(self, name):
        try:
            state = self.ask(f"/connectors/{name}/status")
        except urllib.error.HTTPError:
            return False
        tasks = [task["state"] for task in state["tasks"]]
        assert "FAILED" not in tasks, state
        return state["connector"]["state"] == "RUNNING" and tasks == ["RUNNING"]


def test_connect_distributed_goes_on_after_a_kill(server, topic, lines, tmp_path):
    create_topic(server.address, topic, 1)
    out = tmp_path / "out"
    port = free_port()
    storage = {f"{kind}.storage.topic": f"{topic}-{kind}" for kind in ("config", "offset", "status")}
    replicas = {f"{kind}.storage.replication.factor": 1 for kind in ("config", "offset", "status")}
    # Of the worker, and of its sink's consumer: the group waits so long for the one that is killed.
    patience = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 1000}
    patience |= {f"consumer.{name}": value for name, value in patience.items()}
    settings = {**common(server, port), "group.id": f"g-{topic}", **storage, **replicas, **patience}
    worker = properties(tmp_path / "worker", settings)
    cluster = Cluster(port)
    with Worker("ConnectDistributed", tmp_path / "log", worker) as running:
        running.wait_for("the worker is up", cluster.is_up)
        for connector in (source(topic, str(lines)), sink(topic, str(out))):
            cluster.ask("/connectors", {"name": connector["name"], "config": connector}, "POST")
        running.wait_for("some lines are out again", lambda: size(out) > size(lines) // 20)
        running.process.kill()
    with Worker("ConnectDistributed", tmp_path / "log", worker) as running:
        running.wait_for("the worker is up", cluster.is_up)
        running.wait_for("both connectors run", lambda: cluster.runs(f"{topic}-in") and cluster.runs(f"{topic}-out"))
        wanted = set(lines.read_bytes().splitlines())
        # What had not been committed comes again, and the line the worker died in the middle of was cut.
        running.wait_for("all lines are out again", lambda: out.read_bytes().endswith(b"\n") and size(out) >= size(lines))
        running.wait_for("no line is missing", lambda: set(out.read_bytes().splitlines()) >= wanted)
        for name in (f"{topic}-in", f"{topic}-out"):
            cluster.ask(f"/connectors/{name}", method="DELETE")
        assert cluster.ask("/connectors") == []
