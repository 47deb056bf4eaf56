// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/dns/message.h"
#include "userspace/wire/dns/record.h"
#include "userspace/wire/reader.h"

namespace chaperone::wire::dns {
namespace {

constexpr std::size_t kHeader = 12;

struct Counts {
    std::uint16_t questions{};
    std::uint16_t answers{};
    std::uint16_t authorities{};
    std::uint16_t additionals{};
};

Message read_flags(Reader& reader) {
    Message made{.id = reader.big_endian<std::uint16_t>()};
    const auto flags = reader.big_endian<std::uint16_t>();
    made.response = (flags & 0x8000U) != 0;
    made.opcode = static_cast<std::uint8_t>(flags >> 11 & 0xfU);
    made.authoritative = (flags & 0x0400U) != 0;
    made.truncated = (flags & 0x0200U) != 0;
    made.recursion_desired = (flags & 0x0100U) != 0;
    made.recursion_available = (flags & 0x0080U) != 0;
    made.authentic_data = (flags & 0x0020U) != 0;
    made.checking_disabled = (flags & 0x0010U) != 0;
    made.rcode = flags & 0xfU;
    return made;
}

// Reads one message from its front to its end.
class Decoder {
public:
    explicit Decoder(Bytes message) : message_(message) {}

    Result<Message> run() {
        if (message_.size() < kHeader) return fail(Errc::Truncated, "DNS header");
        if (message_.size() > kMostMessage) return fail(Errc::TooLarge, "DNS message");
        Reader header{message_.first(kHeader)};
        made_ = read_flags(header);
        Counts counts;
        for (auto* count :
             {&counts.questions, &counts.answers, &counts.authorities, &counts.additionals})
            *count = header.big_endian<std::uint16_t>();
        at_ = kHeader;
        // Each question and record takes bytes of the message: the loops end with it.
        for (int i = 0; i != counts.questions; ++i)
            if (auto done = question(); !done) return fail(done.error());
        if (auto done = section(counts.answers, made_.answers); !done) return fail(done.error());
        if (auto done = section(counts.authorities, made_.authorities); !done)
            return fail(done.error());
        for (int i = 0; i != counts.additionals; ++i)
            if (auto done = additional(); !done) return fail(done.error());
        if (at_ != message_.size()) return fail(Errc::Malformed, "bytes behind a DNS message");
        return std::move(made_);
    }

private:
    Result<> question() {
        auto name = Name::read(message_, at_);
        if (!name) return fail(name.error());
        Reader rest{message_.subspan(at_)};
        Question made{.name = *std::move(name)};
        made.type = rest.big_endian<std::uint16_t>();
        made.class_ = rest.big_endian<std::uint16_t>();
        if (!rest.ok()) return fail(Errc::Truncated, "DNS question");
        at_ += 4;
        made_.questions.push_back(std::move(made));
        return {};
    }

    Result<Record> record() {
        auto name = Name::read(message_, at_);
        if (!name) return fail(name.error());
        Reader rest{message_.subspan(at_)};
        Record made{.name = *std::move(name)};
        made.type = rest.big_endian<std::uint16_t>();
        made.class_ = rest.big_endian<std::uint16_t>();
        made.ttl = rest.big_endian<std::uint32_t>();
        const auto size = rest.big_endian<std::uint16_t>();
        if (!rest.ok() || rest.rest().size() < size) return fail(Errc::Truncated, "DNS record");
        at_ += 10;
        auto data = read_data(message_, at_, size, made.type);
        if (!data) return fail(data.error());
        at_ += size;
        made.data = *std::move(data);
        return made;
    }

    Result<> section(int count, std::vector<Record>& to) {
        for (int i = 0; i != count; ++i) {
            auto made = record();
            if (!made) return fail(made.error());
            if (made->type == kOpt) return fail(Errc::Malformed, "OPT outside of additionals");
            if ((made->ttl & 0x80000000U) != 0) made->ttl = 0;
            to.push_back(*std::move(made));
        }
        return {};
    }

    Result<> additional() {
        auto made = record();
        if (!made) return fail(made.error());
        if (made->type == kOpt) return options(*made);
        if ((made->ttl & 0x80000000U) != 0) made->ttl = 0;
        made_.additionals.push_back(*std::move(made));
        return {};
    }

    // RFC 6891, 6.1.2: class and TTL of this record mean other things.
    Result<> options(const Record& opt) {
        if (made_.edns || !opt.name.is_root()) return fail(Errc::Malformed, "OPT record");
        Edns edns{.size = opt.class_};
        edns.version = static_cast<std::uint8_t>(opt.ttl >> 16);
        edns.dnssec_ok = (opt.ttl & 0x8000U) != 0;
        made_.rcode = static_cast<std::uint16_t>(made_.rcode | (opt.ttl >> 24) << 4);
        Reader rest{opt.data};
        while (!rest.rest().empty()) {
            Option option{.code = rest.big_endian<std::uint16_t>()};
            const auto size = rest.big_endian<std::uint16_t>();
            option.data = copy(rest.take(size));
            if (!rest.ok()) return fail(Errc::Truncated, "EDNS option");
            edns.options.push_back(std::move(option));
        }
        made_.edns = std::move(edns);
        return {};
    }

    Bytes message_;
    std::size_t at_ = 0;
    Message made_{};
};

}  // namespace

Result<Message> decode(Bytes message) {
    return Decoder{message}.run();
}

Result<Message> decode_header(Bytes message) {
    if (message.size() < kHeader) return fail(Errc::Truncated, "DNS header");
    Reader reader{message};
    return read_flags(reader);
}

}  // namespace chaperone::wire::dns
