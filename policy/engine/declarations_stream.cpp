// SPDX-License-Identifier: Apache-2.0
// The variables grpc and ws.
#include "policy/engine/declarations.h"
#include "policy/engine/json_value.h"

namespace chaperone::policy::engine {
namespace {

using cel::TypeKind;
using cel::Value;

Value message_text(const MessagePart& m) {
    if (!m.message.text) return Value::error("a binary message is no text");
    return text_value(m.message.data);
}

Value message_json(const MessagePart& m) {
    if (!m.message.text) return Value::error("a binary message is no JSON");
    if (!m.json) m.json = json_value(m.message.data);
    return *m.json;
}

}  // namespace

// clang-format off
template <>
const Declared<GrpcPart>& declared<GrpcPart>() {
    static const Declared<GrpcPart> made{"Grpc", {
        {"service", TypeKind::String, [](const GrpcPart& g) { return text_value(g.call.service); }, "The service with its package, such as shop.v1.Orders; empty: the request is no gRPC call."},
        {"method", TypeKind::String, [](const GrpcPart& g) { return text_value(g.call.method); }, "Its method; empty: the request is no gRPC call."},
    }};
    return made;
}

template <>
const Declared<MessagePart>& declared<MessagePart>() {
    static const Declared<MessagePart> made{"WebSocketMessage", {
        {"direction", TypeKind::String, [](const MessagePart& m) { return Value::text(m.message.up ? "up" : "down"); }, "up from the agent, down from the server."},
        {"opcode", TypeKind::String, [](const MessagePart& m) { return Value::text(m.message.text ? "text" : "binary"); }, "text or binary. Fragments are put together; pings are answered here."},
        {"text", TypeKind::String, message_text, "A text message, decompressed. A binary one cannot be evaluated as text."},
        {"json", TypeKind::Dyn, message_json, "A text message as JSON. What is no JSON, or names a member twice, cannot be evaluated."},
        {"size", TypeKind::Int, [](const MessagePart& m) { return Value::integer(static_cast<std::int64_t>(m.message.data.size())); }, "Its length in bytes, decompressed."},
    }};
    return made;
}
// clang-format on

}  // namespace chaperone::policy::engine
