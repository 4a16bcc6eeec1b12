"""How a service subscribes: the latest recommendations of every user, kept in a dict. Needs nothing but kafka-python.

    python kafka_python_latest.py 127.0.0.1:9092

Outputs come at least once: after a crash a worker sends some of them again. Within a partition their `seq` rises, so
one remembered pair (epoch, seq) per partition tells repeats. A real service stores these pairs together with its data
and goes on from there; this example keeps both in memory, and so reads from the beginning at each start.
Prints a line of JSON for each new list, and a last one with what it counted.
"""

import argparse
import json
import time

from kafka import KafkaConsumer


class Latest:
    """The newest list of each user, and per partition how far it was read."""

    def __init__(self):
        self.by_user, self.newest, self.duplicates = {}, {}, 0

    def apply(self, partition, output):
        """True if the output is new."""
        position = (output["cause"]["epoch"], output["seq"])  # lists compare like tuples: [offset, index]
        if partition in self.newest and position <= self.newest[partition]:
            self.duplicates += 1
            return False
        self.newest[partition] = position
        self.by_user[output["user_id"]] = [item["item_id"] for item in output["items"]]
        return True


def main():
    parser = argparse.ArgumentParser(description="Follow recommendations.v1 and keep the latest list of each user.")
    parser.add_argument("bootstrap", help="host:port of Kafka")
    parser.add_argument("--prefix", default="", help="the cluster's topic prefix")
    parser.add_argument("--group", default="latest-recommendations", help="the service's own consumer group")
    parser.add_argument("--limit", type=int, help="leave after so many new lists")
    parser.add_argument("--timeout", type=float, help="leave when nothing has come for so many seconds")
    options = parser.parse_args()

    consumer = KafkaConsumer(
        f"{options.prefix}recommendations.v1",
        bootstrap_servers=options.bootstrap,
        group_id=options.group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,  # how far it read is in `newest`
        value_deserializer=json.loads,
    )
    latest, new = Latest(), 0
    try:
        for partition, output in records(consumer, options.timeout):
            if latest.apply(partition, output):
                new += 1
                user_id = output["user_id"]
                print(json.dumps({"user_id": user_id, "items": latest.by_user[user_id]}), flush=True)
            if new == options.limit:
                break
    except KeyboardInterrupt:
        pass
    finally:
        consumer.close()
    print(json.dumps({"new": new, "duplicates": latest.duplicates, "users": len(latest.by_user)}))


def records(consumer, timeout_s):
    """(partition, output) as they come; ends when nothing has come for so long."""
    newest_s = time.monotonic()
    while timeout_s is None or time.monotonic() - newest_s < timeout_s:
        for partition, batch in consumer.poll(timeout_ms=200).items():
            newest_s = time.monotonic()
            for record in batch:
                yield partition.partition, record.value


if __name__ == "__main__":
    main()
