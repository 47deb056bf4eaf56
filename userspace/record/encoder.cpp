// SPDX-License-Identifier: Apache-2.0
// Protocol Buffers' encoding: a field is its key (number << 3 | wire type) as a varint and a value.
// Messages are measured before they are written, because their length stands before them.
#include "userspace/record/encoder.h"

#include "userspace/record/merkle.h"
#include "userspace/record/record.pb.h"
#include "userspace/record/segment.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

namespace chaperone::record {
namespace {

// What is kept between entries; a large statement's memory is given back.
constexpr std::size_t kKept = 8 * 1024;

constexpr unsigned kVarint = 0;
constexpr unsigned kFixed64 = 1;
constexpr unsigned kLength = 2;

std::size_t varint_size(std::uint64_t value) {
    return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7;
}

// All field numbers here are below 16, so a key is one byte.
std::size_t size_of(std::string_view text) {
    return text.empty() ? 0 : 1 + varint_size(text.size()) + text.size();
}
std::size_t size_of(Bytes bytes) {
    return size_of(as_text(bytes));
}
std::size_t size_of(std::uint64_t number) {
    return number == 0 ? 0 : 1 + varint_size(number);
}
std::size_t size_of_fixed(std::int64_t number) {
    return number == 0 ? 0 : 1 + sizeof number;
}
std::size_t size_of_message(std::size_t size) {
    return 1 + varint_size(size) + size;
}

class Out {
public:
    Out(Buffer& to, std::size_t size) {
        const std::size_t before = to.size();
        to.resize(before + size);
        at_ = to.data() + before;
    }
    void key(unsigned field, unsigned type) { byte(field << 3 | type); }
    void varint(std::uint64_t value) {
        for (; value >= 0x80; value >>= 7) byte((value & 0x7f) | 0x80);
        byte(value);
    }
    void raw(Bytes bytes) {
        if (bytes.empty()) return;
        std::memcpy(at_, bytes.data(), bytes.size());
        at_ += bytes.size();
    }
    void field(unsigned number, Bytes bytes) {
        if (bytes.empty()) return;
        message(number, bytes.size());
        raw(bytes);
    }
    void field(unsigned number, std::string_view text) { field(number, as_bytes(text)); }
    void field(unsigned number, std::uint64_t value) {
        if (value == 0) return;
        key(number, kVarint);
        varint(value);
    }
    void fixed(unsigned number, std::int64_t value) {
        if (value == 0) return;
        key(number, kFixed64);
        const auto bits = static_cast<std::uint64_t>(value);
        for (unsigned shift = 0; shift != 64; shift += 8) byte(bits >> shift & 0xff);
    }
    void message(unsigned number, std::size_t size) {
        key(number, kLength);
        varint(size);
    }

private:
    void byte(std::uint64_t value) { *at_++ = static_cast<std::byte>(value); }
    std::byte* at_;
};

std::uint64_t flag(bool value) {
    return value ? 1 : 0;
}

std::uint64_t form(const ParameterFields& parameter) {
    return parameter.absent ? Parameter::ABSENT : Parameter::TEXT;
}

std::size_t body_size(const ParameterFields& parameter) {
    return size_of(form(parameter)) + size_of(parameter.text) +
           size_of(std::uint64_t{parameter.type_oid}) + size_of(flag(parameter.truncated));
}

}  // namespace

void encode_request(Buffer& to, const RequestFields& f,
                    std::span<const ParameterFields> parameters) {
    std::size_t body =
        size_of(f.session) + size_of(f.number) + size_of(f.kind) + size_of(f.statement) +
        size_of(f.statement_digest) + size_of(flag(f.statement_truncated)) + size_of(f.database) +
        size_of(f.user) + size_of_message(f.decision.size()) + size_of(f.approval) + f.more.size();
    for (const ParameterFields& parameter : parameters)
        body += size_of_message(body_size(parameter));

    Out out{to, size_of_fixed(f.time) + size_of_message(body)};
    out.fixed(Entry::kTimeFieldNumber, f.time);
    out.message(Entry::kRequestFieldNumber, body);
    out.field(RequestEntry::kSessionFieldNumber, f.session);
    out.field(RequestEntry::kNumberFieldNumber, f.number);
    out.field(RequestEntry::kKindFieldNumber, f.kind);
    out.field(RequestEntry::kStatementFieldNumber, f.statement);
    out.field(RequestEntry::kStatementDigestFieldNumber, f.statement_digest);
    out.field(RequestEntry::kStatementTruncatedFieldNumber, flag(f.statement_truncated));
    for (const ParameterFields& parameter : parameters) {
        out.message(RequestEntry::kParametersFieldNumber, body_size(parameter));
        out.field(Parameter::kFormFieldNumber, form(parameter));
        out.field(Parameter::kTextFieldNumber, parameter.text);
        out.field(Parameter::kTypeOidFieldNumber, std::uint64_t{parameter.type_oid});
        out.field(Parameter::kTruncatedFieldNumber, flag(parameter.truncated));
    }
    out.field(RequestEntry::kDatabaseFieldNumber, f.database);
    out.field(RequestEntry::kUserFieldNumber, f.user);
    out.message(RequestEntry::kDecisionFieldNumber, f.decision.size());
    out.raw(f.decision);
    out.field(RequestEntry::kApprovalFieldNumber, f.approval);
    out.raw(f.more);
}

void encode_result(Buffer& to, const ResultFields& f) {
    const std::size_t body = size_of(f.session) + size_of(f.request) + size_of(f.status) +
                             size_of(f.code) + size_of(f.command_tag) + size_of(f.rows) +
                             size_of(f.bytes_up) + size_of(f.bytes_down) +
                             size_of_fixed(f.duration);
    Out out{to, size_of_fixed(f.time) + size_of_message(body)};
    out.fixed(Entry::kTimeFieldNumber, f.time);
    out.message(Entry::kResultFieldNumber, body);
    out.field(ResultEntry::kSessionFieldNumber, f.session);
    out.field(ResultEntry::kRequestFieldNumber, f.request);
    out.field(ResultEntry::kStatusFieldNumber, f.status);
    out.field(ResultEntry::kCodeFieldNumber, f.code);
    out.field(ResultEntry::kCommandTagFieldNumber, f.command_tag);
    out.field(ResultEntry::kRowsFieldNumber, f.rows);
    out.field(ResultEntry::kBytesUpFieldNumber, f.bytes_up);
    out.field(ResultEntry::kBytesDownFieldNumber, f.bytes_down);
    out.fixed(ResultEntry::kDurationFieldNumber, f.duration);
}

template <class Encode>
void Frames::frame(const Encode& encode) {
    const std::size_t head = bytes_.size();
    bytes_.resize(head + kFrameHead);
    encode(bytes_);
    const std::size_t size = bytes_.size() - head - kFrameHead;
    smallest_ = std::min(smallest_, size);
    largest_ = std::max(largest_, size);
    leaves_.push_back(leaf_hash(Bytes{bytes_}.subspan(head + kFrameHead)));
    write_frame_head(std::span{bytes_}.subspan(head).first<kFrameHead>(), size, leaves_.back());
}

void Frames::add(const Entry& entry) {
    frame([&](Buffer& to) {
        const std::size_t before = to.size();
        to.resize(before + entry.ByteSizeLong());
        entry.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(to.data() + before));
    });
}

void Frames::add(const RequestFields& fields, std::span<const ParameterFields> parameters) {
    frame([&](Buffer& to) { encode_request(to, fields, parameters); });
}

void Frames::add(const ResultFields& fields) {
    frame([&](Buffer& to) { encode_result(to, fields); });
}

void Frames::clear() {
    if (bytes_.capacity() > kKept) bytes_ = {};
    bytes_.clear();
    leaves_.clear();
    smallest_ = kNone;
    largest_ = 0;
}

Result<> Frames::fit() const {
    if (smallest_ == 0) return fail(Errc::Invalid, "an entry of 0 bytes");
    if (largest_ > kMaxEntry)
        return fail(Errc::TooLarge, "an entry of " + std::to_string(largest_) + " bytes");
    return {};
}

}  // namespace chaperone::record
