"""The server answers as Apache Kafka does, but for what tests/diff/known.txt says: scripts/diff compares them."""

import os
import subprocess

from clients import HERE, HOME

# Both servers are started, and as many requests sent as take a minute or two.
SECONDS = 600


def test_answers_are_those_of_kafka():
    environment = {**os.environ, "KAFKA_LIB": str(HOME / "java" / "lib")}
    script = HERE.parents[1] / "scripts" / "diff"
    done = subprocess.run([str(script), "--short"], capture_output=True, text=True, timeout=SECONDS, env=environment)
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout[-20_000:]}\n{done.stderr[-3000:]}"
