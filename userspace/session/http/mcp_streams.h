// SPDX-License-Identifier: Apache-2.0
// Streams of events of MCP's older transport (HTTP with SSE, of 2024-11-05), where what a POST asks
// is answered in the stream that a GET of another connection has open, and clients take a POST that
// fails for the end of the session. A refusal is left here for the stream, which says it within a
// second. Thread-safe.
#pragma once

#include "policy/http/facts.h"
#include "policy/request.h"
#include "userspace/base/guarded.h"

#include <cstddef>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::session {

class McpStreams {
public:
    static constexpr std::size_t kMaxWaiting = 64;  // messages of one stream that were not said yet
    static constexpr std::size_t kMaxStreams = 4096;

    // One stream's; it ends when it is closed or its holders let go of it.
    class Inbox {
    public:
        bool empty() const;
        std::vector<std::string> take();
        void close();  // nobody will take what comes: it is not left here any more

    private:
        friend class McpStreams;
        struct Messages {
            std::vector<std::string> waiting{};
            bool closed = false;
        };
        Guarded<Messages> messages_;
    };

    // The stream of this request has said where to POST to ("endpoint", a path or a URL). Null: too
    // many are open.
    std::shared_ptr<Inbox> open(const policy::SessionFacts& session,
                                const policy::http::Facts& stream, std::string_view endpoint);
    // For the stream that this request was told by to come here. False: nobody has it open here.
    bool deliver(const policy::SessionFacts& session, const policy::http::Facts& post,
                 std::string message);

private:
    using Open = std::map<std::string, std::weak_ptr<Inbox>, std::less<>>;
    Guarded<Open> open_;
};

}  // namespace chaperone::session
