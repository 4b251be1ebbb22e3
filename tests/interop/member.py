"""One member of a consumer group, as a process: prints `partition offset value` of each record, then commits it.

usage: member.py CLIENT ADDRESS TOPIC GROUP [SETTING=VALUE]...
Ends in order on SIGTERM.
"""

import asyncio
import signal
import sys

SESSION_MS = 6000


class Stopped(Exception):
    pass


def stop(_signal, _frame):
    raise Stopped


def show(partition, offset, value):
    print(partition, offset, value.decode(), flush=True)


def confluent(address, topic, group, settings):
    import confluent_kafka

    classic = {"session.timeout.ms": SESSION_MS, "heartbeat.interval.ms": 500}
    consumer = confluent_kafka.Consumer({
        "bootstrap.servers": address, "group.id": group, "auto.offset.reset": "earliest", "enable.auto.commit": False,
        **({} if settings.get("group.protocol") == "consumer" else classic), **settings,
    })  # fmt: skip
    consumer.subscribe([topic])
    try:
        while True:
            messages = [message for message in consumer.consume(50, timeout=0.2) if message.error() is None]
            for message in messages:
                show(message.partition(), message.offset(), message.value())
            if messages:
                try:
                    consumer.commit(asynchronous=False)
                except confluent_kafka.KafkaException as error:
                    # A rebalance has taken the partitions: whoever has them now reads these records again.
                    print("commit:", error, file=sys.stderr)
    except Stopped:
        consumer.close()


def of_python(settings):
    """What kafka-python and aiokafka call the settings that every classic client has."""
    return {
        "session_timeout_ms": int(settings.get("session.timeout.ms", SESSION_MS)), "heartbeat_interval_ms": 500,
        "group_instance_id": settings.get("group.instance.id"),
    }  # fmt: skip


def kafka_python(address, topic, group, settings):
    import kafka
    import kafka.errors

    consumer = kafka.KafkaConsumer(
        topic, bootstrap_servers=address, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False,
        max_poll_records=50, **of_python(settings),
    )  # fmt: skip
    try:
        while True:
            for batch in consumer.poll(timeout_ms=200).values():
                for one in batch:
                    show(one.partition, one.offset, one.value)
            try:
                consumer.commit()
            except kafka.errors.CommitFailedError as error:
                print("commit:", error, file=sys.stderr)
    except Stopped:
        consumer.close()


def aiokafka(address, topic, group, settings):
    import aiokafka
    import aiokafka.errors

    async def consume():
        consumer = aiokafka.AIOKafkaConsumer(
            topic, bootstrap_servers=address, group_id=group, auto_offset_reset="earliest", enable_auto_commit=False,
            **of_python(settings),
        )  # fmt: skip
        stopping = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopping.set)
        await consumer.start()
        while not stopping.is_set():
            for batch in (await consumer.getmany(timeout_ms=200, max_records=50)).values():
                for one in batch:
                    show(one.partition, one.offset, one.value)
            try:
                await consumer.commit()
            except aiokafka.errors.CommitFailedError as error:
                print("commit:", error, file=sys.stderr)
        await consumer.stop()

    asyncio.run(consume())


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, stop)
    name, address, topic, group, *settings = sys.argv[1:]
    clients = {"confluent": confluent, "kafka-python": kafka_python, "aiokafka": aiokafka}
    clients[name](address, topic, group, dict(setting.split("=", 1) for setting in settings))
