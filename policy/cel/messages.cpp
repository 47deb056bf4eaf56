// SPDX-License-Identifier: Apache-2.0
// Construction of the well-known types: wrappers, Timestamp, Duration, Struct, Value, ListValue.
// They become the values that the language has for them.
#include "policy/cel/checker.h"
#include "policy/cel/containers.h"
#include "policy/cel/functions/library.h"
#include "policy/cel/node.h"
#include "policy/cel/nodes.h"
#include "userspace/base/encoding.h"

#include <algorithm>
#include <cmath>

namespace chaperone::cel {
namespace {

constexpr int kMaxJsonDepth = 100;

// The value as google.protobuf.Value holds it: numbers as doubles, keys as strings.
Value to_json(Frame& frame, const Value& value, int depth) {
    if (depth > kMaxJsonDepth || !frame.spend(1)) return Value::error("the value is too deep");
    switch (value.kind()) {
    case Kind::Int: {
        constexpr std::int64_t kExact = std::int64_t{1} << 53;  // beyond it doubles lose digits
        if (std::abs(value.as_int() / 2) >= kExact / 2 + 1)
            return Value::own_text(std::to_string(value.as_int()));
        return Value::real(static_cast<double>(value.as_int()));
    }
    case Kind::Uint:
        if (value.as_uint() > (std::uint64_t{1} << 53))
            return Value::own_text(std::to_string(value.as_uint()));
        return Value::real(static_cast<double>(value.as_uint()));
    case Kind::Bytes: return Value::own_text(to_base64(as_bytes(value.as_text())));
    case Kind::Timestamp: return Value::own_text(timestamp_text(value));
    case Kind::Duration: return Value::own_text(duration_text(value));
    case Kind::Null:
    case Kind::Bool:
    case Kind::Double:
    case Kind::String: return value;
    case Kind::List: {
        std::vector<Value> made;
        for (std::size_t i = 0; i != value.as_list().size(); ++i) {
            Value next = to_json(frame, value.as_list().at(i), depth + 1);
            if (next.is_failure()) return next;
            made.push_back(std::move(next));
        }
        return Value::list_of(std::move(made));
    }
    case Kind::Map: {
        auto made = std::make_unique<VectorMap>();
        for (std::size_t i = 0; i != value.as_map().size(); ++i) {
            Value key = value.as_map().key(i);
            if (!key.is(Kind::String)) return Value::error("bad key type: JSON has string keys");
            Value next = to_json(frame, value.as_map().at(i), depth + 1);
            if (next.is_failure()) return next;
            made->add(std::move(key), std::move(next));
        }
        return Value::own_map(made.release());
    }
    case Kind::Object:
    case Kind::Type:
    case Kind::Optional:
    case Kind::Error:
    case Kind::Unknown: return Value::own_error("no JSON for " + std::string{type_name(value)});
    }
    return value;
}

class MessageNode : public Node {
public:
    MessageNode(const MessageType& type, std::vector<std::string> fields,
                std::vector<NodePtr> values, std::vector<bool> marked)
        : type_(type),
          fields_(std::move(fields)),
          values_(std::move(values)),
          marked_(std::move(marked)) {}

    Value eval(Frame& frame) const override {
        std::vector<std::pair<std::string_view, Value>> set;
        Value failure;
        for (std::size_t i = 0; i != values_.size(); ++i) {
            Value value = values_[i]->eval(frame);
            if (!value.is_failure() && marked_[i]) {
                if (!value.is(Kind::Optional))
                    value = Value::error("'?' needs an optional value");
                else if (value.held() == nullptr)
                    continue;
                else
                    value = Value{*value.held()};
            }
            if (!value.is_failure() && !takes(fields_[i], value))
                value = Value::own_error("no such overload: field '" + fields_[i] + "' of " +
                                         std::string{type_.name});
            if (value.is_failure())
                failure = failure.is_failure() ? worse(std::move(failure), std::move(value))
                                               : std::move(value);
            else
                set.emplace_back(fields_[i], std::move(value));
        }
        if (failure.is_failure()) return std::move(failure).at_offset(at);
        return build(frame, set).at_offset(at);
    }

private:
    using Set = std::vector<std::pair<std::string_view, Value>>;

    bool takes(std::string_view field, const Value& value) const {
        const auto found = std::ranges::find(type_.fields, field, &Field::name);
        if (found == type_.fields.end()) return false;
        return fits(value, found->type) ||
               (type_.type.is(TypeKind::Wrapper) && value.is(Kind::Null));
    }
    static const Value* get(const Set& set, std::string_view field) {
        for (const auto& [name, value] : set)
            if (name == field) return &value;
        return nullptr;
    }

    Value build(Frame& frame, const Set& set) const {
        if (type_.type.is(TypeKind::Wrapper)) return wrapper(get(set, "value"));
        if (type_.type.is(TypeKind::Timestamp) || type_.type.is(TypeKind::Duration)) {
            const Value* seconds = get(set, "seconds");
            const Value* nanos = get(set, "nanos");
            const __int128 total =
                static_cast<__int128>(seconds == nullptr ? 0 : seconds->as_int()) * 1'000'000'000 +
                (nanos == nullptr ? 0 : nanos->as_int());
            return type_.type.is(TypeKind::Timestamp) ? checked_timestamp(total)
                                                      : checked_duration(total);
        }
        if (type_.type.is(TypeKind::Any))
            return Value::error("conversion error: this Any holds no message that is known");
        if (set.size() > 1 && type_.type.is(TypeKind::Dyn))
            return Value::error("google.protobuf.Value holds one value");
        if (!set.empty()) {
            if (set[0].first == "null_value") return Value{};
            return to_json(frame, set[0].second, 0);
        }
        if (type_.type.is(TypeKind::Map)) return Value::map_of({});
        if (type_.type.is(TypeKind::List)) return Value::list_of({});
        return Value{};
    }

    Value wrapper(const Value* given) const {
        const Type& held = type_.type.arguments()[0];
        if (given != nullptr && given->is(Kind::Null)) given = nullptr;
        if (given == nullptr) return zero(held);
        if (type_.name.ends_with(".Int32Value") &&
            (given->as_int() > INT32_MAX || given->as_int() < INT32_MIN))
            return Value::error("range error: the number does not fit an int32");
        if (type_.name.ends_with(".UInt32Value") && given->as_uint() > UINT32_MAX)
            return Value::error("range error: the number does not fit a uint32");
        if (type_.name.ends_with(".FloatValue")) {
            const double value = given->as_double();
            constexpr double kMax = 3.4028235677973366e38;  // above it a float is infinite
            if (std::fabs(value) >= kMax && std::isfinite(value))
                return Value::real(std::copysign(HUGE_VAL, value));
            return Value::real(static_cast<double>(static_cast<float>(value)));
        }
        return *given;
    }
    static Value zero(const Type& type) {
        if (type.is(TypeKind::Bool)) return Value::boolean(false);
        if (type.is(TypeKind::Int)) return Value::integer(0);
        if (type.is(TypeKind::Uint)) return Value::unsigned_integer(0);
        if (type.is(TypeKind::Double)) return Value::real(0);
        return type.is(TypeKind::Bytes) ? Value::bytes("") : Value::text("");
    }

    const MessageType& type_;
    std::vector<std::string> fields_;
    std::vector<NodePtr> values_;
    std::vector<bool> marked_;
};

}  // namespace

NodePtr make_message(std::string name, std::vector<std::string> fields, std::vector<NodePtr> values,
                     std::vector<bool> marked) {
    const MessageType* type = find_message_type(name);
    if (type == nullptr)
        return std::make_unique<ConstantNode>(Value::own_error("unknown type '" + name + "'"));
    return std::make_unique<MessageNode>(*type, std::move(fields), std::move(values),
                                         std::move(marked));
}

}  // namespace chaperone::cel
