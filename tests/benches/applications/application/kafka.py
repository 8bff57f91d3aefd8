"""A client of Kafka (librdkafka).

new ADDRESS COUNT    clients one after the other, each of which asks for the metadata of the cluster
kept ADDRESS COUNT   one producer, whose messages are acknowledged one after the other
"""

import collections, json, sys, time

import confluent_kafka
from confluent_kafka import admin

TOPIC = "bench"


def config(address, **more):
    return {"bootstrap.servers": address, "broker.address.family": "v4", **more}


def told(seconds, took, answered, **more):
    print(json.dumps({"seconds": seconds, "took": took, "answered": answered, **more}))


def new(address, count):
    took, answered = [], collections.Counter()
    start = time.perf_counter()
    for _ in range(int(count)):
        before = time.perf_counter()
        metadata = admin.AdminClient(config(address)).list_topics(timeout=20)
        took.append((time.perf_counter() - before) * 1e6)
        answered[metadata.cluster_id] += 1
    told(time.perf_counter() - start, took, answered)


def kept(address, count):
    producer = confluent_kafka.Producer(config(address, acks="all", **{"linger.ms": 0}))
    failed = []

    def send():
        producer.produce(TOPIC, b"x" * 100, on_delivery=lambda error, _: error and failed.append(str(error)))
        if producer.flush(20) or failed:
            raise SystemExit(f"not acknowledged: {failed}")

    # The first one makes the topic.
    for _ in range(20):
        send()
    took = []
    start = time.perf_counter()
    for _ in range(int(count)):
        before = time.perf_counter()
        send()
        took.append((time.perf_counter() - before) * 1e6)
    seconds = time.perf_counter() - start
    metadata = producer.list_topics(timeout=20)
    brokers = [f"{it.host}:{it.port}" for it in metadata.brokers.values()]
    told(seconds, took, {metadata.cluster_id: int(count)}, brokers=brokers)


{"new": new, "kept": kept}[sys.argv[1]](*sys.argv[2:])
