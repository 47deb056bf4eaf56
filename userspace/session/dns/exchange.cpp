// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/dns/exchange.h"

#include "userspace/base/ip_text.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <span>

namespace chaperone::session::dns {

using wire::dns::Message;
using wire::dns::Name;
using wire::dns::Record;

namespace {

constexpr std::size_t kMostAliases = 16;  // a chain that is longer is a loop, or made to hurt
constexpr std::size_t kMostLearned = 256;
constexpr std::size_t kMostSummary = 4;
constexpr std::uint32_t kLocalTtl = 60;
constexpr std::uint16_t kOurSize = 1232;  // a datagram of this size is not fragmented anywhere

Message reply_to(const Message& query, std::uint16_t rcode) {
    Message made{.id = query.id, .response = true};
    made.opcode = query.opcode;
    made.recursion_desired = query.recursion_desired;
    made.recursion_available = true;
    made.checking_disabled = query.checking_disabled;
    made.rcode = rcode;
    made.questions = query.questions;
    if (query.edns) {
        made.edns.emplace().size = kOurSize;
        made.edns->dnssec_ok = query.edns->dnssec_ok;
    }
    return made;
}

Buffer refusal(const Query& query, std::uint16_t rcode, std::uint16_t ede, std::string_view text) {
    Message made = reply_to(query.message, rcode);
    if (made.edns) made.edns->add_error(ede, text);
    return encode(made, query.most);
}

std::size_t room_of(const Message& message, bool stream) {
    if (stream) return wire::dns::kMostMessage;
    if (!message.edns) return wire::dns::kMostUdp;
    return std::clamp<std::size_t>(message.edns->size, wire::dns::kMostUdp, kMostDatagram);
}

// Transfers, and types that are no data: nothing an agent's library asks for.
bool is_meta(std::uint16_t type) {
    return type == 0 || type == wire::dns::kOpt ||
           (type >= wire::dns::kTkey && type < wire::dns::kAny);
}

std::string text_of(const wire::dns::Ip& ip) {
    static constexpr std::array<std::uint8_t, 12> kMapped{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255};
    const bool mapped = std::equal(kMapped.begin(), kMapped.end(), ip.begin());
    return ip_text(std::span{ip}.subspan(mapped ? kMapped.size() : 0));
}

// The names that the question's name stands for, itself first.
std::vector<Name> aliases_of(const Name& asked, const std::vector<Record>& answers) {
    std::vector<Name> names{asked};
    for (std::size_t i = 0; i != names.size(); ++i)
        for (const Record& record : answers) {
            if (names.size() == kMostAliases) return names;
            if (!(record.name == names[i])) continue;
            auto target = target_of(record);
            if (target && std::ranges::find(names, *target) == names.end())
                names.push_back(*std::move(target));
        }
    return names;
}

std::vector<Learned> learn(const Name& asked, const std::vector<Record>& answers) {
    const std::vector<Name> names = aliases_of(asked, answers);
    std::vector<Learned> all;
    for (const Record& record : answers) {
        if (std::ranges::find(names, record.name) == names.end()) continue;
        for (const wire::dns::Ip& ip : addresses_of(record)) {
            if (all.size() == kMostLearned) return all;
            all.push_back({text_of(ip), std::chrono::seconds{record.ttl}});
        }
    }
    return all;
}

}  // namespace

Taken take(Bytes bytes, bool stream) {
    const auto header = wire::dns::decode_header(bytes);
    // An answer to an answer would go round for ever.
    if (!header || header->response) return {};
    const auto answered = [&](std::uint16_t rcode) {
        Message bare = reply_to(*header, rcode);
        return Taken{.reply = encode(bare, wire::dns::kMostUdp)};
    };
    if (header->opcode != wire::dns::kQuery) return answered(wire::dns::kNotImp);
    auto message = wire::dns::decode(bytes);
    if (!message || message->questions.size() != 1 || !message->answers.empty() ||
        !message->authorities.empty())
        return answered(wire::dns::kFormErr);
    Query query{.message = *std::move(message)};
    query.most = room_of(query.message, stream);
    const wire::dns::Question& asked = query.message.questions.front();
    query.facts = {.name = asked.name.text(),
                   .type = wire::dns::type_text(asked.type),
                   .class_ = wire::dns::class_text(asked.class_)};
    if (query.message.edns && query.message.edns->version != 0)
        return {.reply = encode(reply_to(query.message, wire::dns::kBadVers), query.most)};
    if (asked.class_ != wire::dns::kIn || is_meta(asked.type))
        return {.reply = refused(query, "chaperone: questions of this kind are not asked")};
    return {.query = std::move(query)};
}

Buffer refused(const Query& query, std::string_view text) {
    return refusal(query, wire::dns::kRefused, wire::dns::kEdeBlocked, text);
}

Buffer absent(const Query& query, std::string_view text) {
    return refusal(query, wire::dns::kNxDomain, wire::dns::kEdeBlocked, text);
}

Buffer failed(const Query& query, std::uint16_t ede, std::string_view text) {
    return refusal(query, wire::dns::kServFail, ede, text);
}

Buffer local(const Query& query, std::string_view address) {
    const wire::dns::Question& asked = query.message.questions.front();
    Message made = reply_to(query.message, wire::dns::kNoError);
    made.authoritative = true;
    if (asked.type == wire::dns::kA || asked.type == wire::dns::kAny) {
        Record record{.name = asked.name, .type = wire::dns::kA, .class_ = wire::dns::kIn};
        record.ttl = kLocalTtl;
        record.data.resize(4);
        inet_pton(AF_INET, std::string{address}.c_str(), record.data.data());
        made.answers.push_back(std::move(record));
    }
    return encode(made, query.most);
}

Message to_resolver(const Query& query, std::uint16_t id) {
    Message made{.id = id, .recursion_desired = true};
    made.authentic_data = query.message.authentic_data;
    made.checking_disabled = query.message.checking_disabled;
    made.questions = query.message.questions;
    made.edns.emplace().size = kOurSize;
    made.edns->dnssec_ok = query.message.edns && query.message.edns->dnssec_ok;
    return made;
}

bool answers(const Message& asked, const Message& got) {
    if (!got.response || got.id != asked.id || got.opcode != asked.opcode) return false;
    // A server that did not understand the question may leave it out.
    if (got.questions.empty()) return got.rcode == wire::dns::kFormErr;
    return got.questions == asked.questions;
}

Answer answer(const Query& query, Message got) {
    strip_ech(got);
    Answer made{.code = wire::dns::rcode_text(got.rcode), .records = got.answers.size()};
    made.learned = learn(query.message.questions.front().name, got.answers);
    for (std::size_t i = 0; i != std::min(made.learned.size(), kMostSummary); ++i)
        made.summary += (i == 0 ? "" : " ") + made.learned[i].address;
    if (made.learned.size() > kMostSummary) made.summary += " …";

    Message reply = reply_to(query.message, got.rcode);
    const bool knows_dnssec =
        query.message.authentic_data || (query.message.edns && query.message.edns->dnssec_ok);
    reply.authentic_data = got.authentic_data && knows_dnssec;
    reply.answers = std::move(got.answers);
    reply.authorities = std::move(got.authorities);
    reply.additionals = std::move(got.additionals);
    for (auto* section : {&reply.answers, &reply.authorities, &reply.additionals})
        for (Record& record : *section) record.ttl = std::min(record.ttl, kMostTtl);
    if (reply.edns && got.edns)
        for (wire::dns::Option& option : got.edns->options)
            if (option.code == wire::dns::kOptionEde)
                reply.edns->options.push_back(std::move(option));
    made.reply = encode(reply, query.most);
    return made;
}

}  // namespace chaperone::session::dns
