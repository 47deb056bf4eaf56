// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/dns/message.h"
#include "userspace/wire/writer.h"

#include <algorithm>
#include <map>

namespace chaperone::wire::dns {
namespace {

constexpr std::size_t kMostOffset = 0x3fff;  // that a pointer can hold

std::uint16_t flags_of(const Message& message) {
    unsigned flags = (message.opcode & 0xfU) << 11 | (message.rcode & 0xfU);
    const auto set = [&](bool wanted, unsigned bit) { flags |= wanted ? bit : 0; };
    set(message.response, 0x8000);
    set(message.authoritative, 0x0400);
    set(message.truncated, 0x0200);
    set(message.recursion_desired, 0x0100);
    set(message.recursion_available, 0x0080);
    set(message.authentic_data, 0x0020);
    set(message.checking_disabled, 0x0010);
    return static_cast<std::uint16_t>(flags);
}

class Encoder {
public:
    explicit Encoder(std::size_t most) : most_(most) { out_.reserve(kMostUdp); }

    void header(const Message& message) {
        Writer writer{out_};
        writer.big_endian(message.id).big_endian(flags_of(message));
        for (int i = 0; i != 4; ++i) writer.big_endian(std::uint16_t{});
    }

    void question(const Question& question) {
        name(question.name);
        Writer{out_}.big_endian(question.type).big_endian(question.class_);
        ++counts_[0];
    }

    // All of them, or none: false.
    bool section(std::size_t which, const std::vector<Record>& records, std::size_t reserved) {
        const std::size_t before = out_.size();
        for (const Record& one : records) {
            record(one);
            if (out_.size() + reserved <= most_) continue;
            undo(before);
            return false;
        }
        counts_[which] = static_cast<std::uint16_t>(counts_[which] + records.size());
        return true;
    }

    void options(const Edns& edns, std::uint16_t rcode) {
        Writer writer{out_};
        writer.byte('\0').big_endian(std::uint16_t{kOpt}).big_endian(edns.size);
        writer.big_endian(static_cast<std::uint32_t>((rcode >> 4 & 0xffU) << 24 |
                                                     std::uint32_t{edns.version} << 16 |
                                                     (edns.dnssec_ok ? 0x8000U : 0U)));
        std::size_t size = 0;
        for (const Option& option : edns.options) size += 4 + option.data.size();
        writer.big_endian(static_cast<std::uint16_t>(size));
        for (const Option& option : edns.options)
            writer.big_endian(option.code)
                .big_endian(static_cast<std::uint16_t>(option.data.size()))
                .bytes(option.data);
        ++counts_[3];
    }

    Buffer finish(bool truncated) {
        for (std::size_t i = 0; i != 4; ++i) {
            out_[4 + 2 * i] = static_cast<std::byte>(counts_[i] >> 8);
            out_[5 + 2 * i] = static_cast<std::byte>(counts_[i] & 0xff);
        }
        if (truncated) out_[2] |= std::byte{0x02};
        return std::move(out_);
    }

private:
    void record(const Record& record) {
        name(record.name);
        Writer{out_}
            .big_endian(record.type)
            .big_endian(record.class_)
            .big_endian(record.ttl)
            .big_endian(static_cast<std::uint16_t>(record.data.size()))
            .bytes(record.data);
    }

    // A tail that was written before is pointed at. Letters must be the same: case is kept.
    void name(const Name& name) {
        std::string_view rest = name.wire();
        while (rest.size() > 1) {
            if (const auto known = places_.find(rest); known != places_.end()) {
                Writer{out_}.big_endian(static_cast<std::uint16_t>(0xc000U | known->second));
                return;
            }
            if (out_.size() <= kMostOffset) places_.emplace(std::string{rest}, out_.size());
            const std::size_t label = std::size_t{1} + static_cast<unsigned char>(rest.front());
            append(out_, rest.substr(0, label));
            rest.remove_prefix(label);
        }
        out_.push_back(std::byte{0});
    }

    void undo(std::size_t size) {
        out_.resize(size);
        std::erase_if(places_, [&](const auto& place) { return place.second >= size; });
    }

    std::size_t most_;
    Buffer out_;
    std::map<std::string, std::size_t, std::less<>> places_;
    std::uint16_t counts_[4]{};
};

std::size_t size_of(const Edns& edns) {
    std::size_t size = 11;
    for (const Option& option : edns.options) size += 4 + option.data.size();
    return size;
}

}  // namespace

void Edns::add_error(std::uint16_t code, std::string_view text) {
    constexpr std::size_t kMostText = 200;  // it must leave room for the answer
    Option option{.code = kOptionEde};
    Writer{option.data}.big_endian(code).bytes(as_bytes(text.substr(0, kMostText)));
    options.push_back(std::move(option));
}

Buffer encode(const Message& message, std::size_t most) {
    most = std::clamp(most, kMostUdp, kMostMessage);
    Encoder encoder{most};
    encoder.header(message);
    for (const Question& question : message.questions) encoder.question(question);
    const std::size_t reserved = message.edns ? size_of(*message.edns) : 0;
    const bool whole = encoder.section(1, message.answers, reserved);
    if (whole && encoder.section(2, message.authorities, reserved))
        encoder.section(3, message.additionals, reserved);
    if (message.edns) encoder.options(*message.edns, message.rcode);
    return encoder.finish(!whole || message.truncated);
}

}  // namespace chaperone::wire::dns
