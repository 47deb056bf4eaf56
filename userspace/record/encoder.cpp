// SPDX-License-Identifier: Apache-2.0
// Protocol Buffers' encoding: a field is its key (number << 3 | wire type) as a varint and a value.
// Messages are measured before they are written, because their length stands before them: what is
// put into one is said once, and to both.
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
constexpr std::size_t kUsual = 512;

constexpr unsigned kVarint = 0;
constexpr unsigned kFixed64 = 1;
constexpr unsigned kLength = 2;

std::size_t varint_size(std::uint64_t value) {
    return (static_cast<std::size_t>(std::bit_width(value | 1)) + 6) / 7;
}

// What a message will take, told what is then written. All field numbers here are below 16, so a
// key is one byte. Empty and zero fields are left out.
class Measure {
public:
    void raw(Bytes bytes) { size_ += bytes.size(); }
    void field(unsigned, std::string_view text) {
        if (!text.empty()) message(text.size());
    }
    void field(unsigned number, Bytes bytes) { field(number, as_text(bytes)); }
    void field(unsigned, std::uint64_t value) {
        if (value != 0) size_ += 1 + varint_size(value);
    }
    void fixed(unsigned, std::int64_t value) {
        if (value != 0) size_ += 1 + sizeof value;
    }
    template <class Put>
    void message(unsigned, const Put& put) {
        Measure inner;
        put(inner);
        message(inner.size_);
    }
    std::size_t size() const { return size_; }

private:
    void message(std::size_t size) { size_ += 1 + varint_size(size) + size; }
    std::size_t size_ = 0;
};

class Out {
public:
    explicit Out(std::byte* at) : at_(at) {}

    void raw(Bytes bytes) {
        if (bytes.empty()) return;
        std::memcpy(at_, bytes.data(), bytes.size());
        at_ += bytes.size();
    }
    void field(unsigned number, Bytes bytes) {
        if (bytes.empty()) return;
        key(number, kLength);
        varint(bytes.size());
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
    template <class Put>
    void message(unsigned number, const Put& put) {
        Measure inner;
        put(inner);
        key(number, kLength);
        varint(inner.size());
        put(*this);
    }

private:
    void key(unsigned number, unsigned type) { byte(number << 3 | type); }
    void varint(std::uint64_t value) {
        for (; value >= 0x80; value >>= 7) byte((value & 0x7f) | 0x80);
        byte(value);
    }
    void byte(std::uint64_t value) { *at_++ = static_cast<std::byte>(value); }

    std::byte* at_;
};

// What `put` says to whoever listens: first how much it is, then the bytes.
template <class Put>
void append(Buffer& to, const Put& put) {
    Measure measure;
    put(measure);
    const std::size_t before = to.size();
    to.resize(before + measure.size());
    Out out{to.data() + before};
    put(out);
}

template <class Put>
void append_entry(Buffer& to, std::int64_t time, unsigned kind, const Put& put) {
    append(to, [&](auto& out) {
        out.fixed(Entry::kTimeFieldNumber, time);
        out.message(kind, put);
    });
}

std::uint64_t flag(bool value) {
    return value ? 1 : 0;
}

void put(auto& out, const ParameterFields& f) {
    const Parameter::Form form = f.absent ? Parameter::ABSENT : Parameter::TEXT;
    out.field(Parameter::kFormFieldNumber, static_cast<std::uint64_t>(form));
    out.field(Parameter::kTextFieldNumber, f.text);
    out.field(Parameter::kTypeOidFieldNumber, std::uint64_t{f.type_oid});
    out.field(Parameter::kTruncatedFieldNumber, flag(f.truncated));
}

void put(auto& out, const AddressFields& f) {
    out.field(Address::kAddressFieldNumber, f.address);
    out.field(Address::kPortFieldNumber, std::uint64_t{f.port});
    out.field(Address::kNameFieldNumber, f.name);
}

}  // namespace

void encode_request(Buffer& to, const RequestFields& f,
                    std::span<const ParameterFields> parameters) {
    append_entry(to, f.time, Entry::kRequestFieldNumber, [&](auto& out) {
        out.field(RequestEntry::kSessionFieldNumber, f.session);
        out.field(RequestEntry::kNumberFieldNumber, f.number);
        out.field(RequestEntry::kKindFieldNumber, f.kind);
        out.field(RequestEntry::kStatementFieldNumber, f.statement);
        out.field(RequestEntry::kStatementDigestFieldNumber, f.statement_digest);
        out.field(RequestEntry::kStatementTruncatedFieldNumber, flag(f.statement_truncated));
        for (const ParameterFields& parameter : parameters)
            out.message(RequestEntry::kParametersFieldNumber,
                        [&](auto& inner) { put(inner, parameter); });
        out.field(RequestEntry::kDatabaseFieldNumber, f.database);
        out.field(RequestEntry::kUserFieldNumber, f.user);
        out.message(RequestEntry::kDecisionFieldNumber,
                    [&](auto& inner) { inner.raw(f.decision); });
        out.field(RequestEntry::kApprovalFieldNumber, f.approval);
        out.raw(f.more);
    });
}

void encode_result(Buffer& to, const ResultFields& f) {
    append_entry(to, f.time, Entry::kResultFieldNumber, [&](auto& out) {
        out.field(ResultEntry::kSessionFieldNumber, f.session);
        out.field(ResultEntry::kRequestFieldNumber, f.request);
        out.field(ResultEntry::kStatusFieldNumber, f.status);
        out.field(ResultEntry::kCodeFieldNumber, f.code);
        out.field(ResultEntry::kCommandTagFieldNumber, f.command_tag);
        out.field(ResultEntry::kRowsFieldNumber, f.rows);
        out.field(ResultEntry::kBytesUpFieldNumber, f.bytes_up);
        out.field(ResultEntry::kBytesDownFieldNumber, f.bytes_down);
        out.fixed(ResultEntry::kDurationFieldNumber, f.duration);
    });
}

void encode_start(Buffer& to, const StartFields& f) {
    append_entry(to, f.time, Entry::kSessionStartFieldNumber, [&](auto& out) {
        out.field(SessionStart::kSessionFieldNumber, f.session);
        out.field(SessionStart::kWorkloadFieldNumber, f.workload);
        out.message(SessionStart::kIdentityFieldNumber, [&](auto& inner) {
            inner.field(Identity::kSubjectFieldNumber, f.subject);
            for (const std::string& group : f.groups)
                inner.message(Identity::kGroupsFieldNumber,
                              [&](auto& text) { text.raw(as_bytes(group)); });
            inner.field(Identity::kIssuerFieldNumber, f.issuer);
            for (const std::string& actor : f.actors)
                inner.message(Identity::kOnBehalfOfFieldNumber, [&](auto& whom) {
                    whom.field(Identity::kSubjectFieldNumber, actor);
                });
        });
        out.field(SessionStart::kResourceFieldNumber, f.resource);
        out.field(SessionStart::kProtocolFieldNumber, f.protocol);
        out.message(SessionStart::kDestinationFieldNumber,
                    [&](auto& inner) { put(inner, f.destination); });
        out.message(SessionStart::kClientFieldNumber, [&](auto& inner) { put(inner, f.client); });
        out.message(SessionStart::kProcessFieldNumber, [&](auto& inner) {
            inner.field(Process::kPidFieldNumber, std::uint64_t{f.pid});
            inner.field(Process::kUidFieldNumber, std::uint64_t{f.uid});
            inner.field(Process::kCommFieldNumber, f.comm);
            inner.field(Process::kCgroupFieldNumber, f.cgroup);
        });
        out.field(SessionStart::kBundleFieldNumber, f.bundle);
        out.field(SessionStart::kRefusedFieldNumber, flag(f.refused));
        out.field(SessionStart::kReasonFieldNumber, f.reason);
        out.field(SessionStart::kPeerFieldNumber, f.peer);
    });
}

void encode_end(Buffer& to, const EndFields& f) {
    append_entry(to, f.time, Entry::kSessionEndFieldNumber, [&](auto& out) {
        out.field(SessionEnd::kSessionFieldNumber, f.session);
        out.field(SessionEnd::kReasonFieldNumber, f.reason);
        out.field(SessionEnd::kRequestsFieldNumber, f.requests);
        out.field(SessionEnd::kRowsFieldNumber, f.rows);
        out.field(SessionEnd::kBytesUpFieldNumber, f.bytes_up);
        out.field(SessionEnd::kBytesDownFieldNumber, f.bytes_down);
        out.fixed(SessionEnd::kDurationFieldNumber, f.duration);
        if (f.upstream.address.empty()) return;
        out.message(SessionEnd::kUpstreamFieldNumber, [&](auto& inner) { put(inner, f.upstream); });
        out.field(SessionEnd::kUpstreamReusedFieldNumber, flag(f.upstream_reused));
    });
}

void encode_fact(Buffer& to, std::string_view name, std::string_view value) {
    constexpr unsigned kName = 1, kValue = 2;  // of a map's entry, as the language guide says
    append(to, [&](auto& out) {
        out.message(RequestEntry::kFactsFieldNumber, [&](auto& inner) {
            inner.field(kName, name);
            inner.field(kValue, value);
        });
    });
}

template <class Encode>
void Frames::frame(const Encode& encode) {
    if (bytes_.capacity() == 0) bytes_.reserve(kUsual);
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

void Frames::add(const StartFields& fields) {
    frame([&](Buffer& to) { encode_start(to, fields); });
}

void Frames::add(const EndFields& fields) {
    frame([&](Buffer& to) { encode_end(to, fields); });
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
