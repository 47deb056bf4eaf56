// SPDX-License-Identifier: Apache-2.0
// What the messages of gRPC services are, from a FileDescriptorSet as `protoc --include_imports
// --descriptor_set_out` writes it (descriptor.proto). Immutable; any thread.
#pragma once

#include "userspace/base/error.h"

#include <memory>
#include <optional>
#include <string_view>

namespace google::protobuf {
class Descriptor;
class Message;
}  // namespace google::protobuf

namespace chaperone::policy::proto {

class Schema {
public:
    // Malformed: the bytes are none. Invalid: a file of the set imports one that is not there, or
    // contradicts another; the detail says which.
    static Result<std::shared_ptr<const Schema>> parse(std::string_view set);
    ~Schema();

    // What goes either way in a call; they live as long as the schema.
    struct Method {
        const google::protobuf::Descriptor* request{};
        const google::protobuf::Descriptor* response{};
    };
    // Of the path of a call as it was sent, "/shop.v1.Orders/Get". nullopt: no service has it.
    std::optional<Method> method(std::string_view path) const;
    // "shop.v1.Order"; null: there is none.
    const google::protobuf::Descriptor* message(std::string_view full_name) const;
    // An empty one, which lives no longer than the schema.
    std::unique_ptr<google::protobuf::Message> make(const google::protobuf::Descriptor& type) const;

private:
    struct State;
    explicit Schema(std::unique_ptr<State> state);

    std::unique_ptr<State> state_;
};

}  // namespace chaperone::policy::proto
