// SPDX-License-Identifier: Apache-2.0
#include "userspace/authority/token_uri.h"

#include <algorithm>
#include <charconv>
#include <set>

namespace chaperone::authority {
namespace {

constexpr std::string_view kScheme = "pkcs11:";
constexpr std::size_t kMaxUri = 4096;
constexpr std::size_t kMaxId = 255;

std::unexpected<Error> bad(std::string detail) {
    return fail(Errc::Invalid, "PKCS#11 URI: " + std::move(detail));
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

Result<std::string> decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i != text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        if (text.size() - i < 3) return bad("% without two digits behind it");
        const int high = hex_digit(text[i + 1]), low = hex_digit(text[i + 2]);
        if (high < 0 || low < 0) return bad("% without two digits behind it");
        out += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return out;
}

// A file: URI of this host, or a path.
Result<std::string> path_in(std::string_view name, std::string value) {
    if (value.starts_with('|'))
        return bad(std::string{name} + " names a program; it must be a file");
    if (value.starts_with("file:")) value.erase(0, 5);
    if (value.starts_with("//")) value.erase(0, 2);
    if (!value.starts_with('/') || value.find('\0') != value.npos)
        return bad(std::string{name} + " must be an absolute path, as in file:/etc/chaperone/pin");
    return value;
}

Result<> set_text(std::string& to, std::string value) {
    if (value.find('\0') != value.npos) return bad("a NUL in a name");
    to = std::move(value);
    return {};
}

Result<> set(TokenUri& uri, std::string_view name, std::string value) {
    if (name == "token") return set_text(uri.token, std::move(value));
    if (name == "manufacturer") return set_text(uri.manufacturer, std::move(value));
    if (name == "model") return set_text(uri.model, std::move(value));
    if (name == "serial") return set_text(uri.serial, std::move(value));
    if (name == "object") return set_text(uri.object, std::move(value));
    if (name == "id") {
        if (value.empty() || value.size() > kMaxId) return bad("id must have 1 to 255 octets");
        uri.id = std::move(value);
        return {};
    }
    if (name == "type") {
        if (value != "private") return bad("type must be private: it is the key that is meant");
        return {};
    }
    if (name == "slot-id") {
        unsigned long slot = 0;
        const auto end = value.data() + value.size();
        const auto read = std::from_chars(value.data(), end, slot);
        if (read.ec != std::errc{} || read.ptr != end) return bad("slot-id must be a number");
        uri.slot = slot;
        return {};
    }
    if (name == "pin-source" || name == "module-path") {
        auto path = path_in(name, std::move(value));
        if (!path) return fail(path.error());
        (name == "pin-source" ? uri.pin_source : uri.module) = *std::move(path);
        return {};
    }
    if (name == "pin-value")
        return bad(
            "the PIN must not stand in the configuration; give its file: "
            "pin-source=file:/etc/chaperone/ca.pin");
    return bad("attribute " + std::string{name} + " is not known");
}

Result<> read_attributes(TokenUri& uri, std::string_view text, char between,
                         std::set<std::string, std::less<>>& seen) {
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(between), text.size());
        const std::string_view attribute = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        const std::size_t equals = attribute.find('=');
        if (equals == attribute.npos) return bad("an attribute without =");
        const std::string_view name = attribute.substr(0, equals);
        if (!seen.emplace(name).second) return bad(std::string{name} + " is said twice");
        auto value = decoded(attribute.substr(equals + 1));
        if (!value) return fail(value.error());
        if (auto done = set(uri, name, *std::move(value)); !done) return done;
    }
    return {};
}

}  // namespace

std::string TokenUri::describe() const {
    std::string text = object.empty() ? "the key of that id" : "key \"" + object + '"';
    if (!token.empty()) return text + " in token \"" + token + '"';
    if (!serial.empty()) return text + " in the token with serial " + serial;
    return text + " in the token";
}

Result<TokenUri> read_token_uri(std::string_view text) {
    if (!text.starts_with(kScheme)) return bad("it must begin with pkcs11:");
    if (text.size() > kMaxUri) return bad("it is too long");
    text.remove_prefix(kScheme.size());
    const std::size_t question = std::min(text.find('?'), text.size());
    TokenUri uri;
    std::set<std::string, std::less<>> seen;
    if (auto done = read_attributes(uri, text.substr(0, question), ';', seen); !done)
        return fail(done.error());
    if (question != text.size()) {
        const std::string_view query = text.substr(question + 1);
        if (auto done = read_attributes(uri, query, '&', seen); !done) return fail(done.error());
    }
    if (uri.object.empty() && uri.id.empty())
        return bad("it must name the key: object=LABEL or id=%01");
    return uri;
}

}  // namespace chaperone::authority
