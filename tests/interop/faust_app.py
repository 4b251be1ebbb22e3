"""A faust application: an agent counts words in a table that the broker keeps.

usage: faust_app.py ADDRESS TOPIC DIRECTORY PARTITIONS
Prints `WORD COUNT` whenever a count changes. Ends in order on SIGTERM.
"""

import sys

import faust

# The worker makes log lines of what is printed, unless it is printed here.
ours = sys.stdout
address, topic, directory, partitions = *sys.argv[1:4], int(sys.argv[4])
app = faust.App(
    topic, broker=f"kafka://{address}", store="memory://", datadir=directory, web_enabled=False, topic_partitions=partitions,
    topic_replication_factor=1, consumer_auto_offset_reset="earliest",
)  # fmt: skip
words = app.topic(topic, key_type=str, value_type=str, key_serializer="raw", value_serializer="raw")
counts = app.Table("counts", default=int, partitions=partitions)


@app.agent(words)
async def count(stream):
    async for word in stream:
        counts[word] += 1
        print(word, counts[word], file=ours, flush=True)


if __name__ == "__main__":
    app.finalize()
    sys.argv[1:] = ["worker", "--loglevel", "warn", "--without-web"]
    app.main()
