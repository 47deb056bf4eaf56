# SPDX-License-Identifier: Apache-2.0
"""Server and client of orders.proto: gRPC's C core, messages made from the descriptor set.

peer.py server PORT SET LOG: writes the text of each query that it was asked to LOG.
peer.py client PORT SET CALL: prints what came, as JSON, a line a message, or the error.
"""
import sys
from concurrent import futures

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, json_format, message_factory

role, port, descriptor_set, rest = sys.argv[1:]
pool = descriptor_pool.DescriptorPool()
with open(descriptor_set, "rb") as file:
    for one in descriptor_pb2.FileDescriptorSet.FromString(file.read()).file:
        pool.Add(one)
factory = message_factory.MessageFactory(pool)
Query, Order, Customer = (factory.GetPrototype(pool.FindMessageTypeByName("shop.v1." + name))
                          for name in ("Query", "Order", "Customer"))
OPTIONS = (("grpc.so_reuseport", 0), ("grpc.enable_http_proxy", 0))


def order(number):
    made = Order(id=number, customer=Customer(email=f"ann{number}@shop.example", name="Ann"),
                 notes=["call 536-90-4399", "tea"], labels={"mail": "m", "size": "L"})
    made.extra.Pack(Customer(email="eve@shop.example", name="Eve"))
    return made


def serve():
    log = open(rest, "w", buffering=1)

    def get(query, context):
        log.write(query.text + "\n")
        context.send_initial_metadata((("x-who-bin", b"ann@shop.example"), ("x-plain", "yes")))
        return order(query.id)

    def watch(query, _context):
        yield from (order(i) for i in range(1, query.id + 1))

    def fails(_query, context):
        context.set_trailing_metadata((("x-details-bin", b"ann@shop.example"),))
        context.abort(grpc.StatusCode.NOT_FOUND, "no order of 536-90-4399")

    def handler(kind, call):
        return kind(call, request_deserializer=Query.FromString,
                    response_serializer=Order.SerializeToString)

    server = grpc.server(futures.ThreadPoolExecutor(4), options=OPTIONS,
                         compression=grpc.Compression.Gzip)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("shop.v1.Orders", {
        "Get": handler(grpc.unary_unary_rpc_method_handler, get),
        "Watch": handler(grpc.unary_stream_rpc_method_handler, watch),
        "Fails": handler(grpc.unary_unary_rpc_method_handler, fails),
        "Other": handler(grpc.unary_unary_rpc_method_handler, get)}),))
    assert server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


def ask():
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=OPTIONS,
                                    compression=grpc.Compression.Gzip)
    kinds = {"Watch": channel.unary_stream}
    call = kinds.get(rest, channel.unary_unary)(
        f"/shop.v1.Orders/{rest}", request_serializer=Query.SerializeToString,
        response_deserializer=Order.FromString)
    query = Query(id=3, text="mail to joe@shop.example")
    try:
        if rest == "Watch":
            answers = call(query, timeout=30)
        else:
            answer, done = call.with_call(query, timeout=30)
            answers = [answer]
            print(sorted(name for name, _ in done.initial_metadata() if name.startswith("x-")))
        for each in answers:
            print(json_format.MessageToJson(each, indent=None, descriptor_pool=pool))
    except grpc.RpcError as error:
        print(error.code().name, error.details(), [n for n, _ in error.trailing_metadata() or ()])


serve() if role == "server" else ask()
