// SPDX-License-Identifier: Apache-2.0
// A BPF map seen through the types of bpf/shared/abi.h. Does not own the map. Any thread: each call
// is one atomic operation of the kernel.
#pragma once

#include "userspace/base/error.h"
#include "userspace/kernel/kernel_error.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <cstddef>
#include <optional>
#include <type_traits>

namespace chaperone::kernel {

template <class Key, class Value>
class Map {
    static_assert(std::is_trivially_copyable_v<Key> && std::is_trivially_copyable_v<Value>);

public:
    explicit Map(int fd) : fd_(fd) {}

    // TooLarge when it is full.
    Result<> put(const Key& key, const Value& value) {
        if (bpf_map_update_elem(fd_, &key, &value, BPF_ANY) == 0) return {};
        if (errno == E2BIG) return fail(Errc::TooLarge, "a table of the kernel is full");
        return kernel_error("write to a map", errno);
    }

    // NotFound when there is none.
    Result<Value> get(const Key& key) const {
        Value value{};
        if (bpf_map_lookup_elem(fd_, &key, &value) == 0) return value;
        return error_of("read from a map");
    }

    Result<Value> take(const Key& key) {
        Value value{};
        if (bpf_map_lookup_and_delete_elem(fd_, &key, &value) == 0) return value;
        return error_of("take from a map");
    }

    Result<> erase(const Key& key) {
        if (bpf_map_delete_elem(fd_, &key) == 0) return {};
        return error_of("delete from a map");
    }

    // Calls see(key) for each key. What is added or removed meanwhile may be missed or seen twice.
    // Ends after `limit` keys: a walk over a changing hash table may start again from its front.
    template <class See>
    void each_key(std::size_t limit, See&& see) const {
        Key key{};
        const Key* previous = nullptr;
        Key next{};
        for (std::size_t i = 0; i < limit; ++i) {
            if (bpf_map_get_next_key(fd_, previous, &next) != 0) return;
            key = next;
            previous = &key;
            see(key);
        }
    }

private:
    static std::unexpected<Error> error_of(const char* what) {
        if (errno == ENOENT) return fail(Errc::NotFound, "no such entry");
        return kernel_error(what, errno);
    }

    int fd_;
};

}  // namespace chaperone::kernel
