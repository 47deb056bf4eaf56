// SPDX-License-Identifier: Apache-2.0
// What policy sees of an HTTP request, whatever version carries it: the variable `http`. Owns its
// text; may be made again and again from new heads, keeping its room. One thread.
#pragma once

#include "userspace/base/http.h"
#include "userspace/base/sha256.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace chaperone::policy::http {

using chaperone::http::Field;
using chaperone::http::RequestHead;

struct Body {
    enum class State : std::uint8_t {
        NotSeen,   // there is one, and it was not read: what asks for it is not known yet
        Whole,     // `data` is all of it; empty where there is none
        TooLarge,  // it was to be read and is longer than the limit: cannot be evaluated
    };
    State state = State::Whole;
    std::string data{};
};

// One way in which a server may read the request. The first is canonical.
struct Reading {
    std::string method{};
    std::string path{};
    // A reading that some servers have and an allow rule need not match: letters in lower case,
    // and what the fields name that override method or path.
    bool only_forbids = false;
};

class Facts {
public:
    Facts() = default;
    Facts(const Facts&) = delete;
    Facts& operator=(const Facts&) = delete;

    // Of this head. `name`: the name that was asked for when the connection was opened (SNI or
    // DNS); empty: not known. The body is NotSeen if one follows, else Whole.
    void assign(const RequestHead& head, std::string_view name, bool body_follows);

    // The head again, with views of this object's text; field names in lower case.
    const RequestHead& head() const noexcept { return head_; }

    const std::string& host() const noexcept { return host_; }  // lower case, without last dot
    std::uint16_t port() const noexcept { return port_; }       // the scheme's own if none is named
    std::string_view raw_path() const noexcept { return raw_path_; }
    std::string_view raw_query() const noexcept { return raw_query_; }
    const std::string& url() const noexcept { return url_; }  // "https://host/path?query" as sent
    const std::string& content_type() const noexcept { return content_type_; }  // "text/html"
    std::string_view upgrade() const noexcept { return head_.protocol; }
    const std::vector<Reading>& readings() const noexcept { return readings_; }
    // Escapes that no server can mean: the path cannot be evaluated.
    bool bad_path() const noexcept { return bad_path_; }
    // The request names another host than the connection was opened to (domain fronting).
    bool fronted() const noexcept { return fronted_; }
    // So it is, although no name is known that would tell: the host is another's in the bundle.
    void set_fronted() noexcept { fronted_ = true; }

    // All values of a field, joined with ", " as RFC 9110, 5.3 allows; nullopt: none.
    std::optional<std::string> field(std::string_view name) const;
    // Names and values of the query (or of such a form), decoded, in their order.
    static std::vector<std::pair<std::string, std::string>> pairs(std::string_view query);
    std::vector<std::pair<std::string, std::string>> cookies() const;

    // Of what makes two requests the same: method, authority, target, the fields that change what a
    // request means, and the body, which must have been seen.
    Digest digest() const;

    Body body{};

private:
    void set_authority(std::string_view name);
    void set_readings();
    void add_loose(const std::string& method);
    void add(Reading reading);

    std::string text_{};  // what the views of head_ look at
    RequestHead head_{};
    std::string host_{};
    std::uint16_t port_ = 0;
    std::string_view raw_path_{};
    std::string_view raw_query_{};
    std::string url_{};
    std::string content_type_{};
    std::vector<Reading> readings_{};
    bool bad_path_ = false;
    bool fronted_ = false;
};

}  // namespace chaperone::policy::http
