// SPDX-License-Identifier: Apache-2.0
// A value of the Common Expression Language. 24 bytes, cheap to move and copy; scalars, views of
// text and views of native lists, maps and objects allocate nothing. A view must outlive every
// Value made from it (facts outlive the evaluation); keep() turns it into an owning one.
// Values may be read by several threads at once; owned storage is counted atomically.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chaperone::cel {

struct ObjectType;
class List;
class Map;
class Object;

enum class Kind : std::uint8_t {
    Null,
    Bool,
    Int,
    Uint,
    Double,
    String,
    Bytes,
    List,
    Map,
    Object,
    Timestamp,
    Duration,
    Type,
    Optional,
    Error,
    Unknown,
};

// What may be owned by values: counted, deleted with the last of them.
class Shared {
public:
    Shared() = default;
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;
    virtual ~Shared() = default;

    void retain() const noexcept { references_.fetch_add(1, std::memory_order_relaxed); }
    void release() const noexcept {
        if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

private:
    mutable std::atomic<std::uint32_t> references_{0};
};

class Value {
public:
    Value() noexcept = default;  // null
    Value(const Value& other) noexcept
        : kind_(other.kind_),
          owned_(other.owned_),
          nanos_(other.nanos_),
          data_(other.data_),
          size_(other.size_) {
        if (owned_) retain();
    }
    Value(Value&& other) noexcept
        : kind_(other.kind_),
          owned_(std::exchange(other.owned_, false)),
          nanos_(other.nanos_),
          data_(other.data_),
          size_(other.size_) {}
    Value& operator=(const Value& other) noexcept {
        if (this != &other) *this = Value{other};
        return *this;
    }
    Value& operator=(Value&& other) noexcept {
        if (this == &other) return *this;
        // What this held goes last: it may own `other`.
        Value before{std::move(*this)};
        kind_ = other.kind_;
        owned_ = std::exchange(other.owned_, false);
        nanos_ = other.nanos_;
        data_ = other.data_;
        size_ = other.size_;
        return *this;
    }
    ~Value() {
        if (owned_) release();
    }
    void swap(Value& other) noexcept {
        std::swap(kind_, other.kind_);
        std::swap(owned_, other.owned_);
        std::swap(nanos_, other.nanos_);
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
    }

    static Value null() noexcept { return {}; }
    static Value boolean(bool value) noexcept;
    static Value integer(std::int64_t value) noexcept;
    static Value unsigned_integer(std::uint64_t value) noexcept;
    static Value real(double value) noexcept;
    static Value text(std::string_view view) noexcept;   // valid UTF-8; a view
    static Value own_text(std::string_view copied);      // valid UTF-8; a copy
    static Value bytes(std::string_view view) noexcept;  // a view
    static Value own_bytes(std::string_view copied);
    static Value timestamp(std::int64_t seconds, std::int32_t nanos) noexcept;  // since 1970, UTC
    static Value duration(std::int64_t seconds, std::int32_t nanos) noexcept;   // same sign
    static Value type(std::string_view name) noexcept;  // the runtime name of a type; a view
    static Value own_type(std::string_view name);
    static Value list(const List& view) noexcept;
    static Value own_list(const List* made) noexcept;  // takes over what `new` made
    static Value map(const Map& view) noexcept;
    static Value own_map(const Map* made) noexcept;
    static Value object(const Object& view) noexcept;
    static Value own_object(const Object* made) noexcept;
    static Value none() noexcept;                           // optional.none()
    static Value some(Value value);                         // optional.of(value)
    static Value error(std::string_view literal) noexcept;  // text that is never freed
    static Value own_error(std::string_view message);
    static Value unknown() noexcept;  // the evaluator adds the attribute's name
    static Value unknown(std::vector<std::string> attributes);
    static Value absent() noexcept;  // only from Object::field: the object has no such field now

    // Builders from elements; the list or map owns them.
    static Value list_of(std::vector<Value> elements);
    // Later entries with a key that is already there are refused by the evaluator, not here.
    static Value map_of(std::vector<std::pair<Value, Value>> entries);

    Kind kind() const noexcept { return kind_; }
    bool is(Kind kind) const noexcept { return kind_ == kind; }
    bool is_true() const noexcept { return kind_ == Kind::Bool && data_.boolean; }
    bool is_false() const noexcept { return kind_ == Kind::Bool && !data_.boolean; }
    bool is_failure() const noexcept { return kind_ >= Kind::Error; }  // error or unknown
    bool is_absent() const noexcept;

    // Each is valid for its kind only.
    bool as_bool() const noexcept { return data_.boolean; }
    std::int64_t as_int() const noexcept { return data_.integer; }
    std::uint64_t as_uint() const noexcept { return data_.natural; }
    double as_double() const noexcept { return data_.real; }
    std::string_view as_text() const noexcept {
        return {data_.text, size_};
    }  // String, Bytes,
       // Type, Error
    std::int64_t seconds() const noexcept { return data_.integer; }
    std::int32_t nanos() const noexcept { return nanos_; }
    const List& as_list() const noexcept { return *data_.list; }
    const Map& as_map() const noexcept { return *data_.map; }
    const Object& as_object() const noexcept { return *data_.object; }
    const Value* held() const noexcept;  // Optional: what it holds, null for none
    std::span<const std::string> attributes() const noexcept;  // Unknown

    // Errors: where in the source (byte offset) they arose; -1 if nobody said.
    std::int32_t offset() const noexcept { return nanos_; }
    Value at_offset(std::int32_t offset) && noexcept;

    // The same value, owning all its text, lists and maps. Native objects stay views.
    Value keep() const;

private:
    void retain() const noexcept;
    void release() const noexcept;

    union Data {
        std::int64_t integer;
        std::uint64_t natural;
        double real;
        bool boolean;
        const char* text;
        const List* list;
        const Map* map;
        const Object* object;
        const Shared* shared;
    };

    Kind kind_ = Kind::Null;
    bool owned_ = false;
    std::int32_t nanos_ = 0;
    Data data_{.integer = 0};
    std::size_t size_ = 0;
};

// A native list: facts are exposed through this without copying.
class List : public Shared {
public:
    virtual std::size_t size() const = 0;
    virtual Value at(std::size_t index) const = 0;  // index < size()
    // About how many bytes it would take if nothing in it were shared; bounds the work on it.
    virtual std::uint64_t weight() const { return 32 * size(); }
};

// A native map. Keys are bool, int, uint or string. Entries have an order of their own.
class Map : public Shared {
public:
    virtual std::size_t size() const = 0;
    virtual std::optional<Value> find(const Value& key) const = 0;  // int 1 finds uint 1 and 1.0
    virtual Value key(std::size_t index) const = 0;
    virtual Value at(std::size_t index) const = 0;
    virtual std::uint64_t weight() const { return 64 * size(); }  // as of a List
};

// A native object with declared fields.
class Object : public Shared {
public:
    virtual const ObjectType& type() const = 0;
    // The field at this index of type().fields; Value::absent() if it is not set.
    virtual Value field(std::size_t index) const = 0;
    virtual bool equals(const Object& other) const { return this == &other; }
    virtual std::string text() const;  // for string(x); "" means that there is no conversion
};

// CEL equality (numbers by value across types); false for kinds that cannot be equal.
bool equal(const Value& left, const Value& right);

// The runtime type name: "int", "list", "google.protobuf.Timestamp", an object's type name.
std::string_view type_name(const Value& value) noexcept;

// The weight of any value: see List::weight().
std::uint64_t weight(const Value& value) noexcept;

// For people: CEL-like text, e.g. ["a", 1u, {"k": null}]; cut with "…" after `limit` bytes.
std::string describe(const Value& value, std::size_t limit = 256);

inline Value Value::boolean(bool value) noexcept {
    Value made;
    made.kind_ = Kind::Bool;
    made.data_.natural = 0;
    made.data_.boolean = value;
    return made;
}
inline Value Value::integer(std::int64_t value) noexcept {
    Value made;
    made.kind_ = Kind::Int;
    made.data_.integer = value;
    return made;
}
inline Value Value::unsigned_integer(std::uint64_t value) noexcept {
    Value made;
    made.kind_ = Kind::Uint;
    made.data_.natural = value;
    return made;
}
inline Value Value::real(double value) noexcept {
    Value made;
    made.kind_ = Kind::Double;
    made.data_.real = value;
    return made;
}
inline Value Value::text(std::string_view view) noexcept {
    Value made;
    made.kind_ = Kind::String;
    made.data_.text = view.data();
    made.size_ = view.size();
    return made;
}

}  // namespace chaperone::cel
