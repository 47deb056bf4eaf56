# SPDX-License-Identifier: Apache-2.0
"""gRPC's own client (its C core) against grpc_server.py: prints "fine" or fails."""
import sys
import time

import grpc

channel = grpc.insecure_channel(sys.argv[1], options=(("grpc.max_receive_message_length", -1),
                                                      ("grpc.enable_http_proxy", 0)))
grpc.channel_ready_future(channel).result(20)
of = lambda name: f"/shop.v1.Orders/{name}"
unary, to_many = channel.unary_unary(of("Unary")), channel.unary_stream(of("ToMany"))
from_many, both = channel.stream_unary(of("FromMany")), channel.stream_stream(of("Both"))

answer, call = unary.with_call(b"x", timeout=20)
assert answer == b"one x"
left = float(dict(call.trailing_metadata())["x-left"])
assert 10 < left < 21, left  # the deadline went along
big = b"b" * 3_000_000
assert unary(big, timeout=30) == b"one " + big
assert len(list(to_many(b"n", timeout=20))) == 50
assert from_many(iter([b"12345"] * 100), timeout=20) == b"500"

# Each answer comes before the next question is asked.
answers = []


def questions():
    for i in range(20):
        yield str(i).encode()
        end = time.monotonic() + 10
        while len(answers) <= i and time.monotonic() < end:
            time.sleep(0.001)


for got in both(questions(), timeout=20):
    answers.append(got)
assert answers == [b"echo " + str(i).encode() for i in range(20)]


def fails(name, timeout=20, **kwargs):
    try:
        channel.unary_unary(of(name))(b"x", timeout=timeout, **kwargs)
    except grpc.RpcError as error:
        return error.code(), error.details()
    raise AssertionError(f"{name} did not fail")


assert fails("Fails") == (grpc.StatusCode.NOT_FOUND, "no such order: \u00e4")
code, why = fails("Drop")
assert code == grpc.StatusCode.PERMISSION_DENIED and "no-drop" in why, (code, why)
began = time.monotonic()
assert fails("Slow", timeout=1)[0] == grpc.StatusCode.DEADLINE_EXCEEDED
assert time.monotonic() - began < 4
code, why = fails("Held", timeout=4)
assert code == grpc.StatusCode.FAILED_PRECONDITION and "approval" in why, (code, why)
# Many at once, and the channel is still the same one.
calls = [unary.future(str(i).encode(), timeout=20) for i in range(200)]
assert [c.result() for c in calls] == [b"one " + str(i).encode() for i in range(200)]
print("fine")
