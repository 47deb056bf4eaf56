// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/entry_view.h"

#include "userspace/record/record.pb.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

namespace chaperone::record {
namespace {

using google::protobuf::internal::WireFormatLite;

// A field of another type than it should have is unknown, as to every parser of the format.
constexpr std::uint32_t bytes_at(int field) {
    return WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
}
constexpr std::uint32_t number_at(int field) {
    return WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_VARINT);
}
constexpr std::uint32_t fixed_at(int field) {
    return WireFormatLite::MakeTag(field, WireFormatLite::WIRETYPE_FIXED64);
}

// The fields of one message, one after the other.
class Fields {
public:
    explicit Fields(std::string_view message)
        : in_(reinterpret_cast<const std::uint8_t*>(message.data()),
              static_cast<int>(message.size())) {}

    // False at the end, and where there is no field any more.
    bool next() {
        tag_ = in_.ReadTag();
        good_ = good_ && (tag_ != 0 || in_.ConsumedEntireMessage());
        return good_ && tag_ != 0;
    }
    std::uint32_t tag() const { return tag_; }
    std::string_view text() {
        std::uint32_t size = 0;
        const void* data = nullptr;
        int left = 0;
        if (!in_.ReadVarint32(&size)) return bad();
        if (size == 0) return {};
        if (!in_.GetDirectBufferPointer(&data, &left) || size > static_cast<std::uint32_t>(left) ||
            !in_.Skip(static_cast<int>(size)))
            return bad();
        return {static_cast<const char*>(data), size};
    }
    std::uint64_t varint() {
        std::uint64_t value = 0;
        if (!in_.ReadVarint64(&value)) (void)bad();
        return value;
    }
    std::int64_t fixed() {
        std::uint64_t value = 0;
        if (!in_.ReadLittleEndian64(&value)) (void)bad();
        return static_cast<std::int64_t>(value);
    }
    void skip() {
        if (!WireFormatLite::SkipField(&in_, tag_)) (void)bad();
    }
    bool good() const { return good_; }

private:
    std::string_view bad() {
        good_ = false;
        return {};
    }

    google::protobuf::io::CodedInputStream in_;
    std::uint32_t tag_ = 0;
    bool good_ = true;
};

bool read_address(std::string_view message, StartView& start) {
    Fields f{message};
    while (f.next()) switch (f.tag()) {
        case bytes_at(Address::kAddressFieldNumber): start.address = f.text(); break;
        case number_at(Address::kPortFieldNumber): start.port = f.varint(); break;
        case bytes_at(Address::kNameFieldNumber): start.name = f.text(); break;
        default: f.skip();
        }
    return f.good();
}

bool read_process(std::string_view message, StartView& start) {
    Fields f{message};
    while (f.next()) switch (f.tag()) {
        case number_at(Process::kPidFieldNumber): start.pid = f.varint(); break;
        case number_at(Process::kUidFieldNumber): start.uid = f.varint(); break;
        case bytes_at(Process::kCommFieldNumber): start.comm = f.text(); break;
        default: f.skip();
        }
    return f.good();
}

bool read_identity(std::string_view message, StartView& start) {
    Fields f{message};
    while (f.next())
        if (f.tag() == bytes_at(Identity::kSubjectFieldNumber))
            start.subject = f.text();
        else
            f.skip();
    return f.good();
}

bool read_start(std::string_view message, EntryView& entry) {
    Fields f{message};
    StartView& start = entry.start;
    bool good = true;
    while (good && f.next()) switch (f.tag()) {
        case bytes_at(SessionStart::kSessionFieldNumber): entry.session = f.text(); break;
        case bytes_at(SessionStart::kWorkloadFieldNumber): start.workload = f.text(); break;
        case bytes_at(SessionStart::kIdentityFieldNumber):
            good = read_identity(f.text(), start);
            break;
        case bytes_at(SessionStart::kResourceFieldNumber): start.resource = f.text(); break;
        case bytes_at(SessionStart::kProtocolFieldNumber): start.protocol = f.text(); break;
        case bytes_at(SessionStart::kDestinationFieldNumber):
            good = read_address(f.text(), start);
            break;
        case bytes_at(SessionStart::kProcessFieldNumber):
            good = read_process(f.text(), start);
            break;
        case number_at(SessionStart::kRefusedFieldNumber): start.refused = f.varint() != 0; break;
        case bytes_at(SessionStart::kPeerFieldNumber): entry.peer = f.text(); break;
        default: f.skip();
        }
    return good && f.good();
}

bool read_decision(std::string_view message, RequestView& request) {
    Fields f{message};
    while (f.next()) switch (f.tag()) {
        case bytes_at(Decision::kEffectFieldNumber): request.effect = f.text(); break;
        case bytes_at(Decision::kRuleFieldNumber): request.rule = f.text(); break;
        case bytes_at(Decision::kMasksFieldNumber): request.masks = true, f.skip(); break;
        case bytes_at(Decision::kShadowFieldNumber): request.shadow = true, f.skip(); break;
        default: f.skip();
        }
    return f.good();
}

bool read_request(std::string_view message, EntryView& entry) {
    Fields f{message};
    RequestView& request = entry.request;
    bool good = true;
    while (good && f.next()) switch (f.tag()) {
        case bytes_at(RequestEntry::kSessionFieldNumber): entry.session = f.text(); break;
        case number_at(RequestEntry::kNumberFieldNumber): entry.number = f.varint(); break;
        case bytes_at(RequestEntry::kKindFieldNumber): request.kind = f.text(); break;
        case bytes_at(RequestEntry::kStatementFieldNumber): request.statement = f.text(); break;
        case bytes_at(RequestEntry::kDecisionFieldNumber):
            good = read_decision(f.text(), request);
            break;
        case bytes_at(RequestEntry::kApprovalFieldNumber): request.approval = f.text(); break;
        default: f.skip();
        }
    return good && f.good();
}

bool read_result(std::string_view message, EntryView& entry) {
    Fields f{message};
    while (f.next()) switch (f.tag()) {
        case bytes_at(ResultEntry::kSessionFieldNumber): entry.session = f.text(); break;
        case number_at(ResultEntry::kRequestFieldNumber): entry.number = f.varint(); break;
        case bytes_at(ResultEntry::kStatusFieldNumber): entry.result.status = f.text(); break;
        case bytes_at(ResultEntry::kCodeFieldNumber): entry.result.code = f.text(); break;
        case number_at(ResultEntry::kRowsFieldNumber): entry.rows = f.varint(); break;
        case number_at(ResultEntry::kBytesUpFieldNumber): entry.bytes_up = f.varint(); break;
        case number_at(ResultEntry::kBytesDownFieldNumber): entry.bytes_down = f.varint(); break;
        case fixed_at(ResultEntry::kDurationFieldNumber): entry.result.duration = f.fixed(); break;
        default: f.skip();
        }
    return f.good();
}

bool read_end(std::string_view message, EntryView& entry) {
    Fields f{message};
    while (f.next()) switch (f.tag()) {
        case bytes_at(SessionEnd::kSessionFieldNumber): entry.session = f.text(); break;
        case bytes_at(SessionEnd::kReasonFieldNumber): entry.reason = f.text(); break;
        case number_at(SessionEnd::kRequestsFieldNumber): entry.requests = f.varint(); break;
        case number_at(SessionEnd::kRowsFieldNumber): entry.rows = f.varint(); break;
        case number_at(SessionEnd::kBytesUpFieldNumber): entry.bytes_up = f.varint(); break;
        case number_at(SessionEnd::kBytesDownFieldNumber): entry.bytes_down = f.varint(); break;
        case bytes_at(SessionEnd::kPeerFieldNumber): entry.peer = f.text(); break;
        default: f.skip();
        }
    return f.good();
}

bool read_admin(std::string_view message, EntryView& entry) {
    Fields f{message};
    while (f.next())
        if (f.tag() == number_at(AdminEntry::kActionFieldNumber))
            entry.kind = f.varint() == AdminEntry::DAEMON_START ? EntryView::Kind::DaemonStart
                                                                : EntryView::Kind::Other;
        else
            f.skip();
    return f.good();
}

// Of those that the index knows by their session alone.
bool read_session(std::string_view message, int number, EntryView& entry) {
    Fields f{message};
    while (f.next())
        if (f.tag() == bytes_at(number))
            entry.session = f.text();
        else
            f.skip();
    return f.good();
}

}  // namespace

Result<EntryView> view_entry(Bytes bytes) {
    using enum EntryView::Kind;
    EntryView entry;
    Fields f{as_text(bytes)};
    bool good = true;
    while (good && f.next()) switch (f.tag()) {
        case fixed_at(Entry::kTimeFieldNumber): entry.time = f.fixed(); break;
        case bytes_at(Entry::kSessionStartFieldNumber):
            entry.kind = Start;
            good = read_start(f.text(), entry);
            break;
        case bytes_at(Entry::kRequestFieldNumber):
            entry.kind = Request;
            good = read_request(f.text(), entry);
            break;
        case bytes_at(Entry::kResultFieldNumber):
            entry.kind = Outcome;
            good = read_result(f.text(), entry);
            break;
        case bytes_at(Entry::kSessionEndFieldNumber):
            entry.kind = End;
            good = read_end(f.text(), entry);
            break;
        case bytes_at(Entry::kAdminFieldNumber): good = read_admin(f.text(), entry); break;
        case bytes_at(Entry::kApprovalFieldNumber):
            good = read_session(f.text(), ApprovalEntry::kSessionFieldNumber, entry);
            break;
        case bytes_at(Entry::kStreamFieldNumber):
            good = read_session(f.text(), StreamEntry::kSessionFieldNumber, entry);
            break;
        default: f.skip();
        }
    if (!good || !f.good()) return fail(Errc::Corrupt, "no protobuf entry");
    return entry;
}

}  // namespace chaperone::record
