// SPDX-License-Identifier: Apache-2.0
// The lists and maps that evaluation makes.
#include "policy/cel/containers.h"

#include "policy/cel/compare.h"

#include <functional>
#include <random>

namespace chaperone::cel {
namespace {

// Values share their parts, so weights grow exponentially; they stop here instead of wrapping.
constexpr std::uint64_t kMostWeight = std::uint64_t{1} << 60;

constexpr std::size_t kLinear = 8;  // up to this many entries a scan beats a table

std::uint64_t seed() {
    static const std::uint64_t made = [] {
        std::random_device device;
        return (std::uint64_t{device()} << 32) | device();
    }();
    return made;
}

std::uint64_t mix(std::uint64_t x) {
    x ^= seed();
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
    return x ^ (x >> 31);
}

// A double finds the integer that it is, not one that only rounds to it.
bool same_key(const Value& left, const Value& right) {
    if (!equal(left, right)) return false;
    if (left.is(Kind::Double) == right.is(Kind::Double)) return true;
    const double number = left.is(Kind::Double) ? left.as_double() : right.as_double();
    const Value& whole = left.is(Kind::Double) ? right : left;
    if (whole.is(Kind::Uint))
        return number < 0x1p64 && static_cast<std::uint64_t>(number) == whole.as_uint();
    return number < 0x1p63 && static_cast<std::int64_t>(number) == whole.as_int();
}

}  // namespace

bool is_key(const Value& value) noexcept {
    return value.is(Kind::String) || value.is(Kind::Int) || value.is(Kind::Uint) ||
           value.is(Kind::Bool);
}

std::uint64_t hash(const Value& value) noexcept {
    if (value.is(Kind::String) || value.is(Kind::Bytes))
        return mix(std::hash<std::string_view>{}(value.as_text()) + seed());
    if (value.is(Kind::Int)) return mix(static_cast<std::uint64_t>(value.as_int()));
    if (value.is(Kind::Uint)) return mix(value.as_uint());
    if (value.is(Kind::Bool)) return mix(value.as_bool() ? 3 : 5);
    if (value.is(Kind::Double)) {
        const double number = value.as_double();
        if (number >= 0 && number < 0x1p64) return mix(static_cast<std::uint64_t>(number));
        if (number < 0 && number >= -0x1p63)
            return mix(static_cast<std::uint64_t>(static_cast<std::int64_t>(number)));
    }
    return mix(7);
}

VectorList::VectorList(std::vector<Value> elements) : elements_(std::move(elements)) {
    for (const Value& element : elements_) {
        const std::uint64_t more = cel::weight(element);
        weight_ = more > kMostWeight - weight_ ? kMostWeight : weight_ + more;
    }
}

std::size_t VectorMap::probe(const Value& key) const {
    const std::size_t mask = table_.size() - 1;
    std::size_t slot = hash(key) & mask;
    while (table_[slot] != 0 && !same_key(entries_[table_[slot] - 1].first, key))
        slot = (slot + 1) & mask;
    return slot;
}

void VectorMap::grow() {
    table_.assign(table_.empty() ? 4 * kLinear : 2 * table_.size(), 0);
    for (std::size_t i = 0; i != entries_.size(); ++i)
        table_[probe(entries_[i].first)] = static_cast<std::uint32_t>(i + 1);
}

bool VectorMap::add(Value key, Value value) {
    if (entries_.size() < kLinear) {
        for (const auto& entry : entries_)
            if (same_key(entry.first, key)) return false;
    } else {
        if (2 * entries_.size() >= table_.size()) grow();
        const std::size_t slot = probe(key);
        if (table_[slot] != 0) return false;
        table_[slot] = static_cast<std::uint32_t>(entries_.size() + 1);
    }
    const std::uint64_t more = cel::weight(key) + cel::weight(value);
    weight_ = more > kMostWeight - weight_ ? kMostWeight : weight_ + more;
    entries_.emplace_back(std::move(key), std::move(value));
    return true;
}

std::optional<Value> VectorMap::find(const Value& key) const {
    if (table_.empty()) {
        for (const auto& entry : entries_)
            if (same_key(entry.first, key)) return entry.second;
        return std::nullopt;
    }
    const std::size_t slot = probe(key);
    if (table_[slot] == 0) return std::nullopt;
    return entries_[table_[slot] - 1].second;
}

}  // namespace chaperone::cel
