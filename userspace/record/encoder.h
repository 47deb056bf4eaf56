// SPDX-License-Identifier: Apache-2.0
// The entries that every session and every request make, written straight into bytes: the same
// bytes as protobuf makes of the same fields (record.proto), without its objects. Memory is used
// again and again.
#pragma once

#include "userspace/base/bytes.h"
#include "userspace/base/error.h"
#include "userspace/base/sha256.h"

#include <cstdint>
#include <span>
#include <string>
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

struct AddressFields {
    std::string_view address{};
    std::uint32_t port{};
    std::string_view name{};
};

struct StartFields {
    std::int64_t time{};
    std::string_view session{};
    std::string_view workload{};
    std::string_view subject{};
    std::string_view issuer{};
    std::span<const std::string> groups{};
    std::span<const std::string> actors{};  // on whose behalf
    std::string_view resource{};
    std::string_view protocol{};
    AddressFields destination{};
    AddressFields client{};
    std::uint32_t pid{};
    std::uint32_t uid{};
    std::string_view comm{};
    std::uint64_t cgroup{};
    std::string_view bundle{};  // its digest
    bool refused{};
    std::string_view reason{};
    std::string_view peer{};
};

struct EndFields {
    std::int64_t time{};
    std::string_view session{};
    std::string_view reason{};
    std::uint64_t requests{};
    std::uint64_t rows{};
    std::uint64_t bytes_up{};
    std::uint64_t bytes_down{};
    std::int64_t duration{};   // ns
    AddressFields upstream{};  // without an address: none was reached
    bool upstream_reused{};
};

// Each appends a serialized Entry.
void encode_request(Buffer& to, const RequestFields& fields,
                    std::span<const ParameterFields> parameters);
void encode_result(Buffer& to, const ResultFields& fields);
void encode_start(Buffer& to, const StartFields& fields);
void encode_end(Buffer& to, const EndFields& fields);
// Appends one of RequestEntry's facts, for RequestFields::more.
void encode_fact(Buffer& to, std::string_view name, std::string_view value);

// Entries that are appended to the journal together: framed and hashed (FORMAT.md).
class Frames {
public:
    void add(const Entry& entry);
    void add(const RequestFields& fields, std::span<const ParameterFields> parameters);
    void add(const ResultFields& fields);
    void add(const StartFields& fields);
    void add(const EndFields& fields);
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
