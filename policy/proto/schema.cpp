// SPDX-License-Identifier: Apache-2.0
#include "policy/proto/schema.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>

#include <climits>
#include <string>

namespace chaperone::policy::proto {

namespace pb = google::protobuf;

namespace {

class FirstError final : public pb::DescriptorPool::ErrorCollector {
public:
    void AddError(const std::string& file, const std::string& element, const pb::Message*,
                  ErrorLocation, const std::string& message) override {
        if (text.empty()) text = file + ": " + element + ": " + message;
    }
    std::string text{};
};

}  // namespace

struct Schema::State {
    pb::DescriptorPool pool{};
    // After the pool: it is made of its types, and goes first.
    mutable pb::DynamicMessageFactory factory{&pool};
};

Schema::Schema(std::unique_ptr<State> state) : state_(std::move(state)) {}
Schema::~Schema() = default;

Result<std::shared_ptr<const Schema>> Schema::parse(std::string_view set) {
    pb::FileDescriptorSet files;
    if (set.empty() || set.size() > INT_MAX ||
        !files.ParseFromArray(set.data(), static_cast<int>(set.size())))
        return fail(Errc::Malformed, "no FileDescriptorSet");
    auto state = std::make_unique<State>();
    FirstError error;
    for (const pb::FileDescriptorProto& file : files.file())
        if (state->pool.BuildFileCollectingErrors(file, &error) == nullptr)
            return fail(Errc::Invalid, error.text);
    return std::shared_ptr<const Schema>{new Schema{std::move(state)}};
}

std::optional<Schema::Method> Schema::method(std::string_view path) const {
    const auto slash = path.rfind('/');
    if (slash == path.npos || slash == 0 || path.front() != '/') return std::nullopt;
    std::string name{path.substr(1)};
    if (name.find('/') != slash - 1) return std::nullopt;
    name[slash - 1] = '.';
    const pb::MethodDescriptor* found = state_->pool.FindMethodByName(name);
    // A dot in place of the slash, or a method that has dots, is another path than the service's.
    if (found == nullptr || found->service()->full_name().size() != slash - 1) return std::nullopt;
    return Method{found->input_type(), found->output_type()};
}

const pb::Descriptor* Schema::message(std::string_view full_name) const {
    return state_->pool.FindMessageTypeByName(std::string{full_name});
}

std::unique_ptr<pb::Message> Schema::make(const pb::Descriptor& type) const {
    return std::unique_ptr<pb::Message>{state_->factory.GetPrototype(&type)->New()};
}

}  // namespace chaperone::policy::proto
