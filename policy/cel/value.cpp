// SPDX-License-Identifier: Apache-2.0
// Values: their storage, and the lists and maps made of values.
#include "policy/cel/value.h"

#include "policy/cel/containers.h"
#include "policy/cel/type.h"

#include <cstring>
#include <memory>
#include <new>

namespace chaperone::cel {
namespace {

// Owned text: the count and the bytes in one block, so that a Value keeps a pointer to the bytes.
struct TextBlock {
    std::atomic<std::uint32_t> references{1};

    static char* make(std::string_view text) {
        void* raw = ::operator new(sizeof(TextBlock) + text.size());
        auto* block = new (raw) TextBlock;
        char* bytes = reinterpret_cast<char*>(block + 1);
        if (!text.empty()) std::memcpy(bytes, text.data(), text.size());
        return bytes;
    }
    static TextBlock* of(const char* bytes) {
        return reinterpret_cast<TextBlock*>(const_cast<char*>(bytes)) - 1;
    }
};

class Held : public Shared {
public:
    explicit Held(Value value) : value(std::move(value)) {}
    Value value;
};

class Attributes : public Shared {
public:
    explicit Attributes(std::vector<std::string> names) : names(std::move(names)) {}
    std::vector<std::string> names;
};

constexpr std::string_view kAbsent = "no such field";

bool is_texty(Kind kind) {
    return kind == Kind::String || kind == Kind::Bytes || kind == Kind::Type || kind == Kind::Error;
}

}  // namespace

void Value::retain() const noexcept {
    if (is_texty(kind_))
        TextBlock::of(data_.text)->references.fetch_add(1, std::memory_order_relaxed);
    else if (kind_ == Kind::List)
        data_.list->retain();
    else if (kind_ == Kind::Map)
        data_.map->retain();
    else if (kind_ == Kind::Object)
        data_.object->retain();
    else
        data_.shared->retain();
}

void Value::release() const noexcept {
    if (is_texty(kind_)) {
        TextBlock* block = TextBlock::of(data_.text);
        if (block->references.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            block->~TextBlock();
            ::operator delete(block);
        }
    } else if (kind_ == Kind::List) {
        data_.list->release();
    } else if (kind_ == Kind::Map) {
        data_.map->release();
    } else if (kind_ == Kind::Object) {
        data_.object->release();
    } else {
        data_.shared->release();
    }
}

Value Value::own_text(std::string_view copied) {
    Value made = text({TextBlock::make(copied), copied.size()});
    made.owned_ = true;
    return made;
}

Value Value::bytes(std::string_view view) noexcept {
    Value made = text(view);
    made.kind_ = Kind::Bytes;
    return made;
}

Value Value::own_bytes(std::string_view copied) {
    Value made = own_text(copied);
    made.kind_ = Kind::Bytes;
    return made;
}

Value Value::timestamp(std::int64_t seconds, std::int32_t nanos) noexcept {
    Value made = integer(seconds);
    made.kind_ = Kind::Timestamp;
    made.nanos_ = nanos;
    return made;
}

Value Value::duration(std::int64_t seconds, std::int32_t nanos) noexcept {
    Value made = timestamp(seconds, nanos);
    made.kind_ = Kind::Duration;
    return made;
}

Value Value::type(std::string_view name) noexcept {
    Value made = text(name);
    made.kind_ = Kind::Type;
    return made;
}

Value Value::own_type(std::string_view name) {
    Value made = own_text(name);
    made.kind_ = Kind::Type;
    return made;
}

Value Value::list(const List& view) noexcept {
    Value made;
    made.kind_ = Kind::List;
    made.data_.list = &view;
    return made;
}

Value Value::own_list(const List* made) noexcept {
    Value value = list(*made);
    made->retain();
    value.owned_ = true;
    return value;
}

Value Value::map(const Map& view) noexcept {
    Value made;
    made.kind_ = Kind::Map;
    made.data_.map = &view;
    return made;
}

Value Value::own_map(const Map* made) noexcept {
    Value value = map(*made);
    made->retain();
    value.owned_ = true;
    return value;
}

Value Value::object(const Object& view) noexcept {
    Value made;
    made.kind_ = Kind::Object;
    made.data_.object = &view;
    return made;
}

Value Value::own_object(const Object* made) noexcept {
    Value value = object(*made);
    made->retain();
    value.owned_ = true;
    return value;
}

Value Value::none() noexcept {
    Value made;
    made.kind_ = Kind::Optional;
    made.data_.shared = nullptr;
    return made;
}

Value Value::some(Value value) {
    Value made = none();
    made.data_.shared = new Held{std::move(value)};
    made.owned_ = true;
    made.retain();
    return made;
}

Value Value::error(std::string_view literal) noexcept {
    Value made = text(literal);
    made.kind_ = Kind::Error;
    made.nanos_ = -1;
    return made;
}

Value Value::own_error(std::string_view message) {
    Value made = own_text(message);
    made.kind_ = Kind::Error;
    made.nanos_ = -1;
    return made;
}

Value Value::unknown() noexcept {
    Value made = none();
    made.kind_ = Kind::Unknown;
    return made;
}

Value Value::unknown(std::vector<std::string> attributes) {
    Value made = unknown();
    made.data_.shared = new Attributes{std::move(attributes)};
    made.owned_ = true;
    made.retain();
    return made;
}

Value Value::absent() noexcept {
    return error(kAbsent);
}

bool Value::is_absent() const noexcept {
    return kind_ == Kind::Error && data_.text == kAbsent.data();
}

const Value* Value::held() const noexcept {
    return data_.shared == nullptr ? nullptr : &static_cast<const Held*>(data_.shared)->value;
}

std::span<const std::string> Value::attributes() const noexcept {
    if (data_.shared == nullptr) return {};
    return static_cast<const Attributes*>(data_.shared)->names;
}

Value Value::at_offset(std::int32_t offset) && noexcept {
    if (kind_ == Kind::Error && nanos_ < 0) nanos_ = offset;
    return std::move(*this);
}

Value Value::list_of(std::vector<Value> elements) {
    return own_list(new VectorList{std::move(elements)});
}

Value Value::map_of(std::vector<std::pair<Value, Value>> entries) {
    auto map = std::make_unique<VectorMap>();
    map->reserve(entries.size());
    for (auto& [key, value] : entries) map->add(std::move(key), std::move(value));
    return own_map(map.release());
}

Value Value::keep() const {
    if (is_texty(kind_)) {
        if (owned_ || (kind_ == Kind::Error && is_absent())) return *this;
        Value made = own_text(as_text());
        made.kind_ = kind_;
        made.nanos_ = nanos_;
        return made;
    }
    if (kind_ == Kind::List) {
        std::vector<Value> elements;
        elements.reserve(as_list().size());
        for (std::size_t i = 0; i != as_list().size(); ++i)
            elements.push_back(as_list().at(i).keep());
        return list_of(std::move(elements));
    }
    if (kind_ == Kind::Map) {
        std::vector<std::pair<Value, Value>> entries;
        entries.reserve(as_map().size());
        for (std::size_t i = 0; i != as_map().size(); ++i)
            entries.emplace_back(as_map().key(i).keep(), as_map().at(i).keep());
        return map_of(std::move(entries));
    }
    if (kind_ == Kind::Optional && held() != nullptr) return some(held()->keep());
    return *this;
}

std::string Object::text() const {
    return {};
}

std::string_view type_name(const Value& value) noexcept {
    switch (value.kind()) {
    case Kind::Null: return "null_type";
    case Kind::Bool: return "bool";
    case Kind::Int: return "int";
    case Kind::Uint: return "uint";
    case Kind::Double: return "double";
    case Kind::String: return "string";
    case Kind::Bytes: return "bytes";
    case Kind::List: return "list";
    case Kind::Map: return "map";
    case Kind::Object: return value.as_object().type().name;
    case Kind::Timestamp: return "google.protobuf.Timestamp";
    case Kind::Duration: return "google.protobuf.Duration";
    case Kind::Type: return "type";
    case Kind::Optional: return "optional_type";
    case Kind::Error: return "error";
    case Kind::Unknown: return "unknown";
    }
    return "error";
}

std::uint64_t weight(const Value& value) noexcept {
    constexpr std::uint64_t kItself = 24;
    if (is_texty(value.kind())) return kItself + value.as_text().size();
    if (value.is(Kind::List)) return kItself + value.as_list().weight();
    if (value.is(Kind::Map)) return kItself + value.as_map().weight();
    if (value.is(Kind::Optional) && value.held() != nullptr) return kItself + weight(*value.held());
    return kItself;
}

}  // namespace chaperone::cel
