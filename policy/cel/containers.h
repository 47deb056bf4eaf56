// SPDX-License-Identifier: Apache-2.0
// The lists and maps that evaluation makes.
#pragma once

#include "policy/cel/value.h"

#include <cstdint>
#include <vector>

namespace chaperone::cel {

class VectorList : public List {
public:
    explicit VectorList(std::vector<Value> elements);
    std::uint64_t weight() const override { return weight_; }
    std::size_t size() const override { return elements_.size(); }
    Value at(std::size_t index) const override { return elements_[index]; }

private:
    std::vector<Value> elements_;
    std::uint64_t weight_ = 0;
};

// Entries in the order they were added, found by an open-addressed table of their hashes.
class VectorMap : public Map {
public:
    void reserve(std::size_t entries) { entries_.reserve(entries); }
    // False if the key is there already: the map is unchanged then.
    bool add(Value key, Value value);
    std::uint64_t weight() const override { return weight_; }
    std::size_t size() const override { return entries_.size(); }
    std::optional<Value> find(const Value& key) const override;
    Value key(std::size_t index) const override { return entries_[index].first; }
    Value at(std::size_t index) const override { return entries_[index].second; }

private:
    std::size_t probe(const Value& key) const;  // the slot of the key, or of its absence
    void grow();

    std::vector<std::pair<Value, Value>> entries_;
    std::uint64_t weight_ = 0;
    std::vector<std::uint32_t> table_;  // index + 1 of an entry, 0 for none; empty while few
};

// True for what may be a map's key: bool, int, uint, string.
bool is_key(const Value& value) noexcept;

// Equal values of these kinds have equal hashes; seeded per process against crafted collisions.
std::uint64_t hash(const Value& value) noexcept;

}  // namespace chaperone::cel
