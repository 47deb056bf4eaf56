// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/mcp_streams.h"

#include <utility>

namespace chaperone::session {
namespace {

// Of one agent's sessions alone: nobody else's stream is told anything.
std::string key_of(const policy::SessionFacts& session, std::string_view authority,
                   std::string_view target) {
    std::string key;
    for (const std::string_view part :
         {std::string_view{session.workload}, std::string_view{session.identity.subject},
          std::string_view{session.resource}, authority, target})
        key.append(part).append(1, '\0');
    return key;
}

// What a client asks for that is told to come to `endpoint` by what `at` names (RFC 3986, 5.2; what
// climbs up by dots is not followed, and then nothing is found).
std::string resolved(std::string_view endpoint, std::string_view at) {
    endpoint = endpoint.substr(0, endpoint.find('#'));
    const auto scheme = endpoint.find("://");
    if (scheme != endpoint.npos && scheme < endpoint.find_first_of("/?")) {
        const auto path = endpoint.find('/', scheme + 3);
        return path == endpoint.npos ? "/" : std::string{endpoint.substr(path)};
    }
    if (endpoint.starts_with('/')) return std::string{endpoint};
    const std::string_view path = at.substr(0, at.find('?'));
    if (endpoint.starts_with('?')) return std::string{path}.append(endpoint);
    return std::string{path.substr(0, path.rfind('/') + 1)}.append(endpoint);
}

}  // namespace

bool McpStreams::Inbox::empty() const {
    return messages_.with([](const Messages& all) { return all.waiting.empty(); });
}

std::vector<std::string> McpStreams::Inbox::take() {
    return messages_.with([](Messages& all) { return std::exchange(all.waiting, {}); });
}

void McpStreams::Inbox::close() {
    messages_.with([](Messages& all) { all.closed = true; });
}

std::shared_ptr<McpStreams::Inbox> McpStreams::open(const policy::SessionFacts& session,
                                                    const policy::http::Facts& stream,
                                                    std::string_view endpoint) {
    std::string key =
        key_of(session, stream.head().authority, resolved(endpoint, stream.head().target));
    return open_.with([&](Open& open) -> std::shared_ptr<Inbox> {
        std::erase_if(open, [](const auto& one) { return one.second.expired(); });
        if (open.size() >= kMaxStreams) return nullptr;
        auto made = std::make_shared<Inbox>();
        open[std::move(key)] = made;
        return made;
    });
}

bool McpStreams::deliver(const policy::SessionFacts& session, const policy::http::Facts& post,
                         std::string message) {
    const std::string key = key_of(session, post.head().authority, post.head().target);
    const std::shared_ptr<Inbox> inbox = open_.with([&](const Open& open) {
        const auto found = open.find(key);
        return found == open.end() ? nullptr : found->second.lock();
    });
    if (!inbox) return false;
    return inbox->messages_.with([&](Inbox::Messages& all) {
        if (all.closed || all.waiting.size() >= kMaxWaiting) return false;
        all.waiting.push_back(std::move(message));
        return true;
    });
}

}  // namespace chaperone::session
