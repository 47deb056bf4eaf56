// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/masking.h"

#include "userspace/session/http/mask_filter.h"
#include "userspace/session/masking/form_masker.h"
#include "userspace/wire/coding/coding.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>

namespace chaperone::session {
namespace {

using http::Field;
using http::Fields;

// Fields that say how a message is to be read: never personal, and broken by a stand-in.
constexpr std::array<std::string_view, 22> kStructural{"date",
                                                       "content-type",
                                                       "content-length",
                                                       "content-encoding",
                                                       "transfer-encoding",
                                                       "connection",
                                                       "keep-alive",
                                                       "vary",
                                                       "cache-control",
                                                       "expires",
                                                       "age",
                                                       "sec-websocket-accept",
                                                       "sec-websocket-protocol",
                                                       "sec-websocket-extensions",
                                                       "allow",
                                                       "accept-ranges",
                                                       "upgrade",
                                                       "trailer",
                                                       "content-range",
                                                       "last-modified",
                                                       "etag",
                                                       "retry-after"};

std::string_view value_of(const Fields& fields, std::string_view name) {
    return http::find(fields, name).value_or(std::string_view{});
}

std::string joined(const Fields& fields, std::string_view name) {
    std::string all;
    for (const Field& field : fields) {
        if (!http::same(field.name, name)) continue;
        if (!all.empty()) all += ", ";
        all += field.value;
    }
    return all;
}

// Those codings of an Accept-Encoding that are spoken here; weights stay.
std::string spoken_codings(std::string_view accepted) {
    std::string kept;
    while (const auto element = http::next_element(accepted)) {
        const std::string coding = http::lower(http::trim(element->substr(0, element->find(';'))));
        std::string_view spoken = wire::kSpokenCodings;
        bool known = coding == "identity" || coding == "x-gzip";
        while (const auto one = http::next_element(spoken)) known = known || coding == *one;
        if (!known) continue;
        if (!kept.empty()) kept += ", ";
        kept += *element;
    }
    return kept.empty() ? "identity" : kept;
}

class HttpMasking final : public Masking {
public:
    HttpMasking(TextMasks::Source source, std::shared_ptr<const detect::Masker> masker,
                std::shared_ptr<const policy::proto::Schema> schema)
        : source_(std::move(source)), masker_(std::move(masker)), schema_(std::move(schema)) {}

    void prepare(const policy::MaskSet& masks, const http::RequestHead& head,
                 HeadEdits& edits) const override {
        if (masks.empty()) return;
        edits.remove("range");  // a part cannot be told from its whole
        edits.remove("if-range");
        accept_spoken_codings(head, edits);
        if (http::find(head.fields, "grpc-accept-encoding"))
            edits.set("grpc-accept-encoding", "identity, deflate, gzip");
    }

    Result<std::unique_ptr<BodyFilter>> request(const policy::MaskSet& masks,
                                                const http::RequestHead& head,
                                                HeadEdits& edits) const override {
        auto made = text_masks(masks);
        if (!made) return nullptr;
        if (auto done = mask_query(*made, head, edits); !done) return fail(done.error());
        const std::string_view length = value_of(head.fields, "content-length");
        if (length == "0") return nullptr;
        const bool announced =
            !length.empty() || !value_of(head.fields, "transfer-encoding").empty();
        auto filter = filter_of(std::move(made), head, head.fields);
        // Without an announcement there may be no body at all; the filter sees when one comes.
        if (announced)
            if (auto done = filter->prepare(); !done) return fail(done.error());
        reframe_body(edits);
        return filter;
    }

    Result<std::unique_ptr<BodyFilter>> response(const policy::MaskSet& masks,
                                                 const http::RequestHead& request,
                                                 const http::ResponseHead& head,
                                                 HeadEdits& edits) const override {
        auto made = tells_tokens(masks, request, head) ? text_masks(without_tokens(masks))
                                                       : text_masks(masks);
        if (!made) return nullptr;
        mask_fields(*made, head.fields, edits);
        if (!may_have_body(request, head)) {
            if (request.method == "HEAD") reframe_body(edits);
            return nullptr;
        }
        if (head.status == 206) return fail(Errc::Unsupported, "a part that nobody asked for");
        auto filter = filter_of(std::move(made), request, head.fields);
        if (auto done = filter->prepare(); !done) return fail(done.error());
        reframe_body(edits);
        edits.remove("accept-ranges");
        for (const Field& field : head.fields)
            if (is_of_the_bytes(field.name)) edits.remove(field.name);
        return filter;
    }

private:
    // Log probabilities of models tell the text again, in pieces in which no detector finds
    // anything (of streams see delta_masker).
    static bool tells_tokens(const policy::MaskSet& masks, const http::RequestHead& request,
                             const http::ResponseHead& head) {
        const std::string_view path = request.target.substr(0, request.target.find('?'));
        return !masks.detectors.empty() &&
               (path.ends_with("completions") || path.ends_with("/responses")) &&
               body_form(value_of(head.fields, "content-type")) == BodyForm::Json;
    }
    static policy::MaskSet without_tokens(policy::MaskSet masks) {
        static const policy::JsonPath kTokens = *policy::JsonPath::parse("$..logprobs");
        masks.json.push_back({kTokens, detect::With::Null, {}});
        return masks;
    }

    // Null: no mask of these means anything in HTTP.
    std::unique_ptr<const TextMasks> text_masks(const policy::MaskSet& masks) const {
        auto made = std::make_unique<const TextMasks>(masks, source_, masker_);
        if (made->empty() && made->json().empty()) return nullptr;
        return made;
    }

    // `fields`: of the message to be masked, which is the request itself or its response.
    std::unique_ptr<MaskFilter> filter_of(std::unique_ptr<const TextMasks> masks,
                                          const http::RequestHead& request,
                                          const Fields& fields) const {
        MaskedBody body{.type = std::string{value_of(fields, "content-type")},
                        .coding = joined(fields, "content-encoding"),
                        .encoding = joined(fields, "grpc-encoding"),
                        .schema = schema_,
                        .message = nullptr};
        if (schema_ && is_grpc_type(body.type))
            if (const auto method = schema_->method(request.target))
                body.message = &fields == &request.fields ? method->request : method->response;
        return std::make_unique<MaskFilter>(std::move(masks), std::move(body));
    }

    static Result<> mask_query(const TextMasks& masks, const http::RequestHead& head,
                               HeadEdits& edits) {
        const auto mark = head.target.find('?');
        if (mark == std::string_view::npos) return {};
        FormMasker form{masks};
        std::string target{head.target.substr(0, mark + 1)};
        const std::string_view query = head.target.substr(mark + 1);
        if (auto done = form.feed(query, target); !done) return done;
        if (auto done = form.finish(target); !done) return done;
        if (form.masked() != 0) edits.set_target(std::move(target));
        return {};
    }

    // All fields of a name together, because edits are by name.
    static void mask_fields(const TextMasks& masks, const Fields& fields, HeadEdits& edits) {
        const bool grpc = is_grpc_type(value_of(fields, "content-type"));
        for (std::size_t i = 0; i != fields.size(); ++i) {
            const std::string_view name = fields[i].name;
            if (grpc && is_binary_metadata(name)) edits.remove(name);
            if (masks.empty() || (grpc && is_binary_metadata(name))) continue;
            const auto is_it = [&](std::string_view other) { return http::same(name, other); };
            if (std::ranges::any_of(kStructural, is_it)) continue;
            const auto before = fields.begin() + static_cast<std::ptrdiff_t>(i);
            if (std::any_of(fields.begin(), before, [&](const Field& f) { return is_it(f.name); }))
                continue;
            std::uint64_t count = 0;
            std::vector<std::string> values;
            for (const Field& field : fields) {
                if (!is_it(field.name)) continue;
                const auto instead = masked_value(masks, name, field.value, count);
                values.emplace_back(instead ? *instead : field.value);
            }
            if (count == 0) continue;
            edits.remove(name);
            for (const std::string& value : values) edits.add(name, value);
        }
    }

    TextMasks::Source source_;
    std::shared_ptr<const detect::Masker> masker_;
    std::shared_ptr<const policy::proto::Schema> schema_;
};

}  // namespace

void accept_spoken_codings(const http::RequestHead& head, HeadEdits& edits) {
    if (const std::string accepted = joined(head.fields, "accept-encoding"); !accepted.empty())
        edits.set("accept-encoding", spoken_codings(accepted));
}

void reframe_body(HeadEdits& edits) {
    edits.remove("content-length");
    for (const std::string_view name : kOfTheBytes) edits.remove(name);
    edits.reframe();
}

bool may_have_body(const http::RequestHead& request, const http::ResponseHead& head) noexcept {
    return request.method != "HEAD" && head.status >= 200 && head.status != 204 &&
           head.status != 304 && value_of(head.fields, "content-length") != "0";
}

std::shared_ptr<const Masking> make_masking(TextMasks::Source source,
                                            std::shared_ptr<const detect::Masker> masker,
                                            std::shared_ptr<const policy::proto::Schema> schema) {
    return std::make_shared<const HttpMasking>(std::move(source), std::move(masker),
                                               std::move(schema));
}

}  // namespace chaperone::session
