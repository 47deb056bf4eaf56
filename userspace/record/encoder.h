// SPDX-License-Identifier: Apache-2.0
// The two entries that every request makes, written straight into bytes: the same bytes as protobuf
// makes of the same fields (record.proto), without its objects. Memory is used again and again.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"
#include "userspace/base/sha256.h"

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace chaperone::record {

class Entry;

// All are views that outlive the call. Empty and zero fields are left out, as proto3 has it.
struct ParameterFields {
    std::string_view text{};
    std::uint32_t type_oid{};
    bool absent{};  // the null value
    bool truncated{};
};

struct RequestFields {
    std::int64_t time{};  // ns since 1970-01-01 UTC
    std::string_view session{};
    std::uint64_t number{};
    std::string_view kind{};
    std::string_view statement{};
    Bytes statement_digest{};
    bool statement_truncated{};
    std::string_view database{};
    std::string_view user{};
    Bytes decision{};  // a serialized Decision
    std::string_view approval{};
    Bytes more{};  // further fields of RequestEntry, serialized; numbers above 11
};

struct ResultFields {
    std::int64_t time{};
    std::string_view session{};
    std::uint64_t request{};
    std::string_view status{};
    std::string_view code{};
    std::string_view command_tag{};
    std::uint64_t rows{};
    std::uint64_t bytes_up{};
    std::uint64_t bytes_down{};
    std::int64_t duration{};  // ns
};

// Both append a serialized Entry.
void encode_request(Buffer& to, const RequestFields& fields,
                    std::span<const ParameterFields> parameters);
void encode_result(Buffer& to, const ResultFields& fields);

// Entries that are appended to the journal together: framed and hashed (FORMAT.md).
class Frames {
public:
    void add(const Entry& entry);
    void add(const RequestFields& fields, std::span<const ParameterFields> parameters);
    void add(const ResultFields& fields);
    // Keeps the memory, up to what a few ordinary entries take.
    void clear();

    bool empty() const { return leaves_.empty(); }
    std::size_t size() const { return leaves_.size(); }  // entries
    Bytes bytes() const { return bytes_; }
    std::span<const Digest> leaves() const { return leaves_; }
    // Some entry is empty (Invalid) or larger than kMaxEntry (TooLarge): none may be written.
    Result<> fit() const;

private:
    template <class Encode>
    void frame(const Encode& encode);

    Buffer bytes_;
    std::vector<Digest> leaves_;
    std::size_t smallest_ = kNone;
    std::size_t largest_ = 0;
    static constexpr std::size_t kNone = static_cast<std::size_t>(-1);
};

}  // namespace chaperone::record
