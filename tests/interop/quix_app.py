"""A quixstreams application: counts words with a state that the broker keeps, and writes the counts to a topic.

usage: quix_app.py ADDRESS TOPIC OUT-TOPIC DIRECTORY
Ends in order on SIGTERM.
"""

import sys

from quixstreams import Application

address, topic, out, directory = sys.argv[1:5]
app = Application(
    broker_address=address, consumer_group=f"g-{topic}", auto_offset_reset="earliest", state_dir=directory, loglevel="INFO",
    commit_interval=0.2,
)  # fmt: skip
counted = app.topic(out, key_serializer="str", value_serializer="integer")


def count(_, state):
    total = state.get("total", 0) + 1
    state.set("total", total)
    return total


frame = app.dataframe(app.topic(topic, key_deserializer="str", value_deserializer="str"))
frame = frame.apply(count, stateful=True).to_topic(counted)
app.run()
