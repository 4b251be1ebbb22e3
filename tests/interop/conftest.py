"""Starts the real binary for the tests and stops it again; scripts/interop says how to run them."""

import itertools
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request

import pytest

HOME = pathlib.Path(__file__).resolve().parents[2] / "target" / "interop"
START_SECONDS = 30
STOP_SECONDS = 30


def free_ports(count):
    """The first of `count` neighbouring ports that nobody listens on."""
    for first in range(23000 + os.getpid() % 5000, 32000, count):
        sockets = []
        try:
            for port in range(first, first + count):
                held = socket.socket()
                sockets.append(held)
                held.bind(("127.0.0.1", port))
            return first
        except OSError:
            continue
        finally:
            for held in sockets:
                held.close()
    raise RuntimeError("no free ports")


class Server:
    """One running ringmain with a data directory of its own."""

    _serial = itertools.count()

    def __init__(self, *arguments):
        port = free_ports(4)
        self.address = f"127.0.0.1:{port}"
        self.admin = f"127.0.0.1:{port + 3}"
        self.directory = HOME / "data" / f"{os.getpid()}-{next(self._serial)}"
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.log = self.directory / "log"
        self.command = [os.environ["RINGMAIN_BIN"], "serve", "--data-dir", str(self.directory / "data")]
        # Some tests' records carry timestamps of long ago.
        self.command += ["--set", "log.retention.ms=-1"]
        self.command += ["--listen", self.address, "--admin", self.admin, "--shards", "2", *arguments]
        self._start()

    def _start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, stdout=log, stderr=subprocess.STDOUT)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def again(self):
        """On the same data and ports, after `kill`."""
        self._start()
        return self

    def wait_ready(self):
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            assert self.process.poll() is None, f"ended at start with {self.process.returncode}\n{self.read_log()}"
            try:
                with urllib.request.urlopen(f"http://{self.admin}/readyz", timeout=2) as answer:
                    if answer.status == 200:
                        return self
            except (urllib.error.URLError, OSError):
                pass
            time.sleep(0.05)
        self.process.kill()
        raise AssertionError(f"not ready after {START_SECONDS} s\n{self.read_log()}")

    def cross_shard_messages(self, api):
        """How many requests of one API shards have sent each other since the start."""
        values = self._counter("ringmain_cross_shard_messages_total", api)
        assert values, f"no counter for {api}"
        return sum(values)

    def requests(self, api):
        """How many requests of one API clients have sent since the start. An API never asked for has no line."""
        return sum(self._counter("ringmain_requests_total", api))

    def hops(self, client):
        """How many requests of a client's software have left the core of their connection since the start."""
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        pattern = rf'^ringmain_hops_total{{[^}}]*client="{client}"[^}}]*}} (\d+)'
        return sum(int(value) for value in re.findall(pattern, text, re.MULTILINE))

    def _counter(self, name, api):
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        pattern = rf'^{name}{{[^}}]*api="{api}"[^}}]*}} (\d+)'
        return [int(value) for value in re.findall(pattern, text, re.MULTILINE)]

    def read_log(self):
        return self.log.read_text(errors="replace")[-20_000:]

    def stop(self):
        """Stops in order; a crash or a hang fails the test that holds the server."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"still running {STOP_SECONDS} s after SIGTERM\n{self.read_log()}") from None
        assert code == 0, f"exit code {code}\n{self.read_log()}"
        shutil.rmtree(self.directory)


class Elsewhere:
    """A broker that runs already. Apache Kafka must pass the tests too, which is how they are known to ask for no more."""

    def __init__(self, address):
        self.address = address

    def read_log(self):
        return "the broker at RINGMAIN_TEST_BOOTSTRAP has its own log"

    def stop(self):
        pass


@pytest.fixture(scope="module")
def server():
    elsewhere = os.environ.get("RINGMAIN_TEST_BOOTSTRAP")
    running = Elsewhere(elsewhere) if elsewhere else Server().wait_ready()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def shard_ports_server():
    running = Server("--advertise", "shard-ports").wait_ready()
    yield running
    running.stop()


@pytest.fixture
def topic(request):
    """A topic name of the test's own."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", request.node.name).strip("-")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    """Adds the server's log to a failed test."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for value in getattr(item, "funcargs", {}).values():
            if isinstance(value, Server):
                report.sections.append(("server log", value.read_log()))
