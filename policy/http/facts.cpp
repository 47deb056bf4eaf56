// SPDX-License-Identifier: Apache-2.0
#include "policy/http/facts.h"

#include "policy/http/authority.h"
#include "policy/http/letters.h"
#include "policy/http/meaning.h"
#include "policy/http/path.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace chaperone::policy::http {

using chaperone::http::lower;
using chaperone::http::same;
using chaperone::http::trim;

namespace {

// By these a server may take a request for another than its first line says.
constexpr std::array<std::string_view, 4> kMethodFields{"x-http-method-override", "x-http-method",
                                                        "x-method-override", "x-override-method"};
// Of queries and of forms, too, in whatever case.
constexpr std::array<std::string_view, 4> kMethodParameters{"-method", "-httpmethod", "$httpmethod",
                                                            "$method"};
constexpr std::array<std::string_view, 3> kPathFields{"x-original-url", "x-rewrite-url",
                                                      "x-override-url"};
// What is copied from there is read, also where the server copies by itself.
constexpr std::string_view kCopySource = "-copy-source";
// The port that a scheme has where none is named.
std::uint16_t port_of(std::string_view scheme) {
    return scheme == "https" || scheme == "wss" ? 443 : 80;
}

std::string upper(std::string_view text) {
    std::string made{text};
    for (char& c : made)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return made;
}

// Gateways to CGI, WSGI and the like make the same of a hyphen and an underscore.
bool alike(std::string_view name, std::string_view other) {
    return std::ranges::equal(name, other,
                              [](char a, char b) { return (a == '_' ? '-' : lower(a)) == b; });
}

// Most queries do not.
bool may_name_method(std::string_view query) {
    constexpr std::string_view kWord = "method";
    return query.contains('%') ||
           !std::ranges::search(query, kWord, [](char a, char b) { return lower(a) == b; }).empty();
}

// The path of a URL, or of what is a path already.
std::string path_of(std::string_view value) {
    value = trim(value);
    if (const std::size_t mark = value.find("://"); mark != value.npos && mark < 8) {
        value.remove_prefix(mark + 3);
        value.remove_prefix(std::min(value.find('/'), value.size()));
    }
    return value.starts_with('/') ? std::string{value} : "/" + std::string{value};
}

// As those read a path who take names from Windows' file system, where dots and spaces at an end
// are not part of them, or who look for parameters only after escapes are decoded.
std::string loosely(std::string_view path) {
    std::vector<std::string_view> kept;
    const bool folder = path.ends_with('/');
    while (!path.empty()) {
        const std::size_t slash = path.find('/');
        std::string_view segment = path.substr(0, slash);
        path.remove_prefix(slash == std::string_view::npos ? path.size() : slash + 1);
        segment = segment.substr(0, segment.find(';'));
        if (segment == "..") {
            if (!kept.empty()) kept.pop_back();
            continue;
        }
        segment = segment.substr(0, segment.find_last_not_of(". ") + 1);
        if (!segment.empty()) kept.push_back(segment);
    }
    std::string made;
    for (const std::string_view segment : kept) made.append("/").append(segment);
    if (folder || made.empty()) made += '/';
    return made;
}

// Clients ask much the same again and again, letter by letter.
bool is_again(const RequestHead& head, const RequestHead& last) noexcept {
    return head.target == last.target && head.method == last.method &&
           head.authority == last.authority && head.version == last.version &&
           same(head.scheme, last.scheme) && same(head.protocol, last.protocol) &&
           std::ranges::equal(head.fields, last.fields, [](const Field& a, const Field& b) {
               return a.value == b.value && same(a.name, b.name);
           });
}

}  // namespace

void Facts::assign(const RequestHead& head, std::string_view name, bool body_follows) {
    body.state = body_follows ? Body::State::NotSeen : Body::State::Whole;
    body.data.clear();
    // All that is known of a head follows from it, but for the name.
    if (!readings_.empty() && is_again(head, head_)) return set_authority(name);
    // Room first: views must not move.
    std::size_t size = head.method.size() + head.scheme.size() + head.authority.size() +
                       head.target.size() + head.version.size() + head.protocol.size();
    for (const Field& field : head.fields) size += field.name.size() + field.value.size();
    text_.clear();
    text_.reserve(size);
    const auto keep = [&](std::string_view text) {
        const std::size_t at = text_.size();
        text_ += text;
        return std::string_view{text_}.substr(at);
    };
    const auto keep_lower = [&](std::string_view text) {
        const std::size_t at = text_.size();
        for (const char c : text) text_ += lower(c);
        return std::string_view{text_}.substr(at);
    };
    head_.method = keep(head.method);
    head_.scheme = keep_lower(head.scheme);
    head_.authority = keep(head.authority);
    head_.target = keep(head.target);
    head_.version = keep(head.version);
    head_.protocol = keep_lower(head.protocol);
    head_.fields.clear();
    for (const Field& field : head.fields)
        head_.fields.push_back({keep_lower(field.name), keep(field.value)});

    const std::size_t question = head_.target.find('?');
    raw_path_ = head_.target.substr(0, question);
    raw_query_ =
        question == std::string_view::npos ? std::string_view{} : head_.target.substr(question + 1);
    url_.assign(head_.scheme).append("://").append(head_.authority).append(head_.target);
    content_type_.clear();
    if (const auto type = chaperone::http::find(head_.fields, "content-type"))
        content_type_ = lower(trim(type->substr(0, type->find(';'))));
    set_authority(name);
    set_readings();
}

void Facts::set_authority(std::string_view name) {
    host_.clear();
    port_ = port_of(head_.scheme);
    if (auto parts = split_authority(head_.authority)) {
        host_ = std::move(parts->host);
        if (parts->port) port_ = *parts->port;
    }
    std::string opened = lower(name);
    if (opened.ends_with('.')) opened.pop_back();
    fronted_ = !opened.empty() && opened != host_;
}

void Facts::add(Reading reading) {
    const bool there = std::ranges::any_of(readings_, [&](const Reading& other) {
        return other.method == reading.method && other.path == reading.path;
    });
    if (there) return;
    readings_.push_back(std::move(reading));
}

void Facts::set_readings() {
    readings_.clear();
    bad_path_ = has_bad_escape(raw_path_);
    const std::string method{head_.method};
    for (std::string& path : path_readings(raw_path_)) add({method, std::move(path), false});
    const auto is_one = [](const auto& names, std::string_view name) {
        return std::ranges::any_of(names, [&](auto one) { return alike(name, one); });
    };
    const auto add_path = [this](std::string_view by, std::string_view raw) {
        raw = raw.substr(0, raw.find('?'));
        bad_path_ = bad_path_ || has_bad_escape(raw);
        for (std::string& path : path_readings(raw)) add({std::string{by}, std::move(path), true});
    };
    // Of several of one name, servers take the first or the last.
    for (const Field& field : head_.fields) {
        if (field.name == "destination") {  // RFC 4918, 10.3: COPY and MOVE write there
            add_path(method, path_of(field.value));
            add_path("PUT", path_of(field.value));
        }
        if (!field.name.starts_with('x')) continue;
        if (is_one(kPathFields, field.name)) add_path(method, field.value);
        if (is_one(kMethodFields, field.name))
            add({upper(trim(field.value)), readings_.front().path, true});
        if (field.name.size() > kCopySource.size() &&
            alike(field.name.substr(field.name.size() - kCopySource.size()), kCopySource)) {
            add_path(method, path_of(field.value));
            add_path("GET", path_of(field.value));
        }
    }
    if (may_name_method(raw_query_))
        for (const auto& [name, value] : pairs(raw_query_))
            if (is_one(kMethodParameters, name) || is_one(kMethodFields, name))
                add({upper(trim(value)), readings_.front().path, true});
    add_loose(method);
}

void Facts::add_loose(const std::string& method) {
    if (std::string other = upper(method); other != method)
        add({std::move(other), readings_.front().path, true});
    for (std::size_t i = 0, all = readings_.size(); i != all; ++i) {
        add({readings_[i].method, lower(readings_[i].path), true});
        if (readings_[i].path.find_first_of(". ;") != std::string::npos)
            add({readings_[i].method, lower(loosely(readings_[i].path)), true});
        if (std::string plain = plain_letters(readings_[i].path); plain != readings_[i].path)
            for (const std::string& path : path_readings(plain))
                add({readings_[i].method, lower(loosely(path)), true});
    }
}

std::optional<std::string> Facts::field(std::string_view name) const {
    std::optional<std::string> joined;
    for (const Field& field : head_.fields) {
        if (!same(field.name, name)) continue;
        if (!joined)
            joined.emplace(field.value);
        else
            // RFC 6265, 5.4 and RFC 9113, 8.2.3: cookies are joined by their own separator.
            joined->append(same(name, "cookie") ? "; " : ", ").append(field.value);
    }
    return joined;
}

std::vector<std::pair<std::string, std::string>> Facts::pairs(std::string_view query) {
    std::vector<std::pair<std::string, std::string>> made;
    while (!query.empty()) {
        const std::size_t end = query.find('&');
        const std::string_view pair = query.substr(0, end);
        query.remove_prefix(end == std::string_view::npos ? query.size() : end + 1);
        if (pair.empty()) continue;
        const std::size_t equals = pair.find('=');
        made.emplace_back(
            unescape(pair.substr(0, equals), true),
            equals == std::string_view::npos ? "" : unescape(pair.substr(equals + 1), true));
    }
    return made;
}

std::vector<std::pair<std::string, std::string>> Facts::cookies() const {
    std::vector<std::pair<std::string, std::string>> made;
    for (const Field& field : head_.fields) {
        if (field.name != "cookie") continue;
        std::string_view rest = field.value;
        while (!rest.empty()) {
            const std::size_t end = rest.find(';');
            const std::string_view pair = trim(rest.substr(0, end));
            rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
            const std::size_t equals = pair.find('=');
            if (equals != std::string_view::npos)
                made.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
        }
    }
    return made;
}

Digest Facts::digest() const {
    Sha256 hash;
    const auto add = [&](std::string_view text) {
        const std::string size = std::to_string(text.size()) + ":";
        hash.add(as_bytes(size)).add(as_bytes(text));
    };
    add(head_.method);
    add(head_.scheme);
    add(host_);
    add(std::to_string(port_));
    add(head_.target);
    add(head_.protocol);
    for (const auto& [name, value] : meaningful(head_.fields)) {
        add(name);
        add(value);
    }
    add("");  // no field is called so: they end here
    add(body.state == Body::State::Whole ? "whole" : "not seen");
    add(body.data);
    return hash.finish();
}

}  // namespace chaperone::policy::http
