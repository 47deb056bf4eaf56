# SPDX-License-Identifier: Apache-2.0
"""A gRPC server of all four kinds of call, over bytes; argument: its port."""
import sys
import time
from concurrent import futures

import grpc


def unary(request, context):
    context.set_trailing_metadata((("x-left", str(context.time_remaining())[:6]),))
    return b"one " + request


def slow(request, context):
    time.sleep(5)
    return request


def to_many(request, context):
    for i in range(50):
        yield request + str(i).encode()


def from_many(requests, context):
    return str(sum(len(r) for r in requests)).encode()


def both(requests, context):
    for request in requests:
        yield b"echo " + request


def fails(request, context):
    context.abort(grpc.StatusCode.NOT_FOUND, "no such order: \u00e4")


METHODS = {"Unary": grpc.unary_unary_rpc_method_handler(unary),
           "Slow": grpc.unary_unary_rpc_method_handler(slow),
           "Drop": grpc.unary_unary_rpc_method_handler(unary),
           "Held": grpc.unary_unary_rpc_method_handler(unary),
           "ToMany": grpc.unary_stream_rpc_method_handler(to_many),
           "FromMany": grpc.stream_unary_rpc_method_handler(from_many),
           "Both": grpc.stream_stream_rpc_method_handler(both),
           "Fails": grpc.unary_unary_rpc_method_handler(fails)}
server = grpc.server(futures.ThreadPoolExecutor(8),
                     options=(("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", -1)))
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.v1.Orders", METHODS),))
assert server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
server.wait_for_termination()
