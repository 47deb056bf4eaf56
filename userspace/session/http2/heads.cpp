// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http2/heads.h"

#include <algorithm>
#include <charconv>

namespace chaperone::session::http2 {
namespace {

using wire::http2::Field;
using wire::http2::Fields;

bool is_pseudo(const Field& field) {
    return field.name.starts_with(':');
}

void join_cookies(Fields& fields) {
    const auto first = std::ranges::find(fields, "cookie", &Field::name);
    if (first == fields.end()) return;
    for (auto next = std::next(first); next != fields.end(); ++next)
        if (next->name == "cookie") first->value += "; " + next->value;
    fields.erase(std::remove_if(std::next(first), fields.end(),
                                [](const Field& field) { return field.name == "cookie"; }),
                 fields.end());
}

// Whether the field stood there before, with this very value: then it keeps its flags.
bool was_sent(const Fields& sent, const http::Field& field, bool& never_index) {
    for (const Field& other : sent)
        if (other.name == field.name && other.value == field.value) {
            never_index = other.never_index;
            return true;
        }
    return false;
}

void add(Fields& to, const http::Fields& fields, const Fields& sent, const HeadEdits& edits) {
    for (const http::Field& field : fields) {
        if (edits.reframes() && http::same(field.name, "content-length")) continue;
        bool never_index = true;
        was_sent(sent, field, never_index);
        to.push_back({http::lower(field.name), std::string{field.value}, never_index});
    }
}

}  // namespace

Result<http::RequestHead> request_head(Fields& fields) {
    join_cookies(fields);
    const std::string_view authority = wire::http2::find(fields, ":authority");
    if (!authority.empty()) {
        for (const Field& field : fields)
            if (field.name == "host" && !http::same(field.value, authority))
                return fail(Errc::Malformed, "Host is not what :authority is");
        // Nobody behind us may choose the other one of two.
        std::erase_if(fields, [](const Field& field) { return field.name == "host"; });
    }
    http::RequestHead head;
    head.version = "2";
    for (const Field& field : fields) {
        if (field.name == ":method")
            head.method = field.value;
        else if (field.name == ":scheme")
            head.scheme = field.value;
        else if (field.name == ":authority")
            head.authority = field.value;
        else if (field.name == ":path")
            head.target = field.value;
        else if (field.name == ":protocol")
            head.protocol = field.value;
        else
            head.fields.push_back({field.name, field.value});
    }
    if (head.authority.empty()) head.authority = wire::http2::find(fields, "host");
    return head;
}

http::ResponseHead response_head(const Fields& fields) {
    http::ResponseHead head;
    head.version = "2";
    for (const Field& field : fields) {
        if (!is_pseudo(field)) head.fields.push_back({field.name, field.value});
        if (field.name != ":status") continue;
        std::from_chars(field.value.data(), field.value.data() + field.value.size(), head.status);
    }
    return head;
}

Fields edited_request(const http::RequestHead& head, const Fields& sent, const HeadEdits& edits) {
    if (edits.empty()) return sent;
    Fields made;
    for (const Field& field : sent) {
        if (!is_pseudo(field)) continue;
        made.push_back(field);
        if (field.name == ":path") made.back().value = edits.target(head.target);
    }
    add(made, edits.apply(head.fields), sent, edits);
    return made;
}

Fields edited_response(const Fields& sent, const HeadEdits& edits) {
    if (edits.empty()) return sent;
    Fields made;
    for (const Field& field : sent)
        if (is_pseudo(field)) made.push_back(field);
    add(made, edits.apply(response_head(sent).fields), sent, edits);
    return made;
}

Fields local_response(const LocalResponse& response) {
    Fields made{{":status", std::to_string(response.status)}};
    for (const auto& [name, value] : response.fields) made.push_back({http::lower(name), value});
    return made;
}

Fields safe_trailers(Fields fields) {
    std::erase_if(fields, [](const Field& field) {
        return is_pseudo(field) || !http::may_trail(field.name);
    });
    return fields;
}

Fields filtered_trailers(Fields fields, BodyFilter* filter) {
    if (filter == nullptr) return fields;
    std::erase_if(fields, [filter](Field& field) {
        if (field.name == "grpc-status") return false;
        auto passed = filter->trailer(field.name, field.value);
        if (passed) field.value = *std::move(passed);
        return !passed;
    });
    return fields;
}

}  // namespace chaperone::session::http2
