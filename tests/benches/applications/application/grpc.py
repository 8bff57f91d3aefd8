"""gRPC, both ends: calls that are answered with the number of the server.

serve ADDRESS NUMBER AGE    AGE: max_connection_age in milliseconds, 0 for none
new ADDRESS COUNT           a channel for each call
kept ADDRESS COUNT          one channel for all calls
hold ADDRESS CHANNELS SECONDS  a thread for each channel, which calls all the time and again when a call fails
"""

import collections, concurrent.futures, json, sys, threading, time

import grpc

METHOD = "/tcproute.Who/Ask"
# Else channels to the same address share a connection.
OPTIONS = [("grpc.use_local_subchannel_pool", 1)]


def serve(address, number, age):
    options = [("grpc.so_reuseport", 0)]
    if int(age):
        options += [("grpc.max_connection_age_ms", int(age)), ("grpc.max_connection_age_grace_ms", 1000)]
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(16), options=options)
    ask = grpc.unary_unary_rpc_method_handler(lambda request, context: number.encode())
    service, method = METHOD[1:].split("/")
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(service, {method: ask})])
    server.add_insecure_port(address)
    server.start()
    print(grpc.__version__, flush=True)
    # Ends with its input.
    sys.stdin.read()


def call(channel):
    return channel.unary_unary(METHOD)(b"?" * 64, timeout=20)


def timed(count, one):
    took, answered = [], collections.Counter()
    start = time.perf_counter()
    for _ in range(count):
        before = time.perf_counter()
        number = one()
        took.append((time.perf_counter() - before) * 1e6)
        answered[number.decode()] += 1
    seconds = time.perf_counter() - start
    print(json.dumps({"seconds": seconds, "took": took, "answered": answered}))


def new(address, count):
    def one():
        with grpc.insecure_channel(address, OPTIONS) as channel:
            return call(channel)

    timed(int(count), one)


def kept(address, count):
    with grpc.insecure_channel(address, OPTIONS) as channel:
        call(channel)
        timed(int(count), lambda: call(channel))


def hold(address, channels, seconds):
    end = time.monotonic() + float(seconds)
    answered, failed = collections.Counter(), collections.Counter()

    def run():
        with grpc.insecure_channel(address, OPTIONS) as channel:
            while time.monotonic() < end:
                try:
                    answered[call(channel).decode()] += 1
                except grpc.RpcError as error:
                    failed[error.code().name] += 1
                time.sleep(0.005)

    threads = [threading.Thread(target=run) for _ in range(int(channels))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"answered": answered, "failed": failed}))


{"serve": serve, "new": new, "kept": kept, "hold": hold}[sys.argv[1]](*sys.argv[2:])
