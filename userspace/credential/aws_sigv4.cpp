// SPDX-License-Identifier: Apache-2.0
#include "userspace/credential/aws_sigv4.h"

#include "userspace/base/encoding.h"
#include "userspace/base/percent.h"
#include "userspace/base/sha256.h"

#include <algorithm>
#include <array>
#include <ctime>
#include <map>

namespace chaperone::credential {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

std::string hmac(std::string_view key, std::string_view text) {
    const Digest digest = hmac_sha256(as_bytes(key), as_bytes(text));
    return std::string{as_text(digest)};
}

std::string hex_of(std::string_view bytes) {
    return to_hex(as_bytes(bytes));
}

std::string hash(std::string_view text) {
    const Digest digest = sha256(as_bytes(text));
    return to_hex(digest);
}

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string decode(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i != text.size(); ++i) {
        const bool escape = text[i] == '%' && text.size() - i > 2 && hex_digit(text[i + 1]) >= 0 &&
                            hex_digit(text[i + 2]) >= 0;
        if (escape) {
            out += static_cast<char>(hex_digit(text[i + 1]) * 16 + hex_digit(text[i + 2]));
            i += 2;
        } else {
            out += text[i];
        }
    }
    return out;
}

// Without "." and "..", and without doubled slashes: as every service but S3 reads a path.
std::string without_dots(std::string_view path) {
    std::vector<std::string_view> parts;
    const bool folder = path.ends_with('/') || path.ends_with("/.") || path.ends_with("/..");
    while (!path.empty()) {
        const auto slash = path.find('/');
        const std::string_view part = path.substr(0, slash);
        path.remove_prefix(slash == path.npos ? path.size() : slash + 1);
        if (part == ".." && !parts.empty()) parts.pop_back();
        if (!part.empty() && part != "." && part != "..") parts.push_back(part);
    }
    std::string out;
    for (const std::string_view part : parts) (out += '/') += part;
    if (folder || out.empty()) out += '/';
    return out;
}

std::string canonical_path(std::string_view path, bool s3) {
    if (path.empty()) return "/";
    // S3 decodes once what is sent; the others sign what is sent as if it were not encoded yet.
    return s3 ? percent_encoded(decode(path), "/") : percent_encoded(without_dots(path), "/");
}

std::string canonical_query(std::string_view query) {
    std::vector<std::pair<std::string, std::string>> pairs;
    while (!query.empty()) {
        const auto end = query.find('&');
        const std::string_view pair = query.substr(0, end);
        query.remove_prefix(end == query.npos ? query.size() : end + 1);
        if (pair.empty()) continue;
        const auto equals = pair.find('=');
        const auto value = equals == pair.npos ? std::string_view{} : pair.substr(equals + 1);
        pairs.emplace_back(percent_encoded(decode(pair.substr(0, equals))),
                           percent_encoded(decode(value)));
    }
    std::ranges::sort(pairs);
    std::string out;
    for (const auto& [name, value] : pairs) {
        if (!out.empty()) out += '&';
        out += name + '=' + value;
    }
    return out;
}

// Runs of spaces are one.
std::string squeezed(std::string_view value) {
    std::string out;
    for (const char c : value)
        if (c != ' ' || out.empty() || out.back() != ' ') out += c;
    return out;
}

using Names = std::vector<std::pair<std::string, std::string>>;

Names sorted(const AwsRequest& request) {
    std::map<std::string, std::string, std::less<>> merged;
    for (const auto& [name, value] : request.fields) {
        const auto [entry, added] = merged.try_emplace(name, squeezed(value));
        if (!added) entry->second += ',' + squeezed(value);
    }
    return {merged.begin(), merged.end()};
}

std::string names_of(const Names& fields) {
    std::string out;
    for (const auto& [name, value] : fields) {
        if (!out.empty()) out += ';';
        out += name;
    }
    return out;
}

std::string signing_key(const Secret& secret, std::string_view day, const AwsScope& scope) {
    const std::string first = hmac("AWS4" + std::string{secret.expose()}, day);
    return hmac(hmac(hmac(first, scope.region), scope.service), "aws4_request");
}

}  // namespace

std::string aws_date(Time time) {
    const std::time_t seconds = std::chrono::system_clock::to_time_t(
        std::chrono::time_point_cast<std::chrono::system_clock::duration>(time));
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    std::array<char, 32> text{};
    const std::size_t size = std::strftime(text.data(), text.size(), "%Y%m%dT%H%M%SZ", &parts);
    return {text.data(), size};
}

std::string aws_canonical(const AwsRequest& request, const AwsScope& scope) {
    const Names fields = sorted(request);
    std::string out{request.method};
    out += '\n' + canonical_path(request.path, scope.service == "s3") + '\n';
    out += canonical_query(request.query) + '\n';
    for (const auto& [name, value] : fields) out += name + ':' + value + '\n';
    return out + '\n' + names_of(fields) + '\n' + request.payload;
}

AwsSigner::AwsSigner(std::string access_key, const Secret& secret_key, AwsScope scope,
                     std::string date)
    : access_key_(std::move(access_key)),
      key_(signing_key(secret_key, std::string_view{date}.substr(0, 8), scope)),
      scope_(std::move(scope)),
      date_(std::move(date)) {}

std::string AwsSigner::scope_text() const {
    return date_.substr(0, 8) + '/' + scope_.region + '/' + scope_.service + "/aws4_request";
}

std::string AwsSigner::sign(std::string_view text) const {
    return hex_of(hmac(key_.expose(), text));
}

std::string AwsSigner::authorize(const AwsRequest& request) {
    std::string text{kAlgorithm};
    text += '\n' + date_ + '\n' + scope_text() + '\n' + hash(aws_canonical(request, scope_));
    signature_ = sign(text);
    return std::string{kAlgorithm} + " Credential=" + access_key_ + '/' + scope_text() +
           ", SignedHeaders=" + names_of(sorted(request)) + ", Signature=" + signature_;
}

std::string AwsSigner::sign_chunk(std::string_view data) {
    std::string text{kAlgorithm};
    text += "-PAYLOAD\n" + date_ + '\n' + scope_text() + '\n' + signature_ + '\n' + hash("") +
            '\n' + hash(data);
    return signature_ = sign(text);
}

std::string AwsSigner::sign_trailer(std::string_view fields) {
    std::string text{kAlgorithm};
    text += "-TRAILER\n" + date_ + '\n' + scope_text() + '\n' + signature_ + '\n' + hash(fields);
    return signature_ = sign(text);
}

AwsScope aws_scope_in(std::string_view authorization) {
    // "…Credential=KEY/20130524/us-east-1/s3/aws4_request, …"
    const auto end = authorization.find("/aws4_request");
    if (end == authorization.npos) return {};
    std::string_view rest = authorization.substr(0, end);
    const auto slash = rest.rfind('/');
    if (slash == rest.npos) return {};
    AwsScope scope;
    scope.service = rest.substr(slash + 1);
    rest = rest.substr(0, slash);
    const auto before = rest.rfind('/');
    if (before == rest.npos) return {};
    scope.region = rest.substr(before + 1);
    const auto is_word = [](const std::string& text) {
        return !text.empty() && text.size() <= 64 &&
               std::ranges::all_of(text, [](char c) { return is_unreserved(c); });
    };
    if (!is_word(scope.service) || !is_word(scope.region)) return {};
    return scope;
}

}  // namespace chaperone::credential
