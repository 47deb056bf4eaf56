// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/masking.h"

#include "userspace/base/percent.h"
#include "userspace/session/masking/body_masker.h"
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

// What vouches for bytes that are no longer those that were sent (RFC 9110, 8.8; RFC 9530).
constexpr std::array<std::string_view, 5> kOfTheBytes{"etag", "content-md5", "digest",
                                                      "content-digest", "repr-digest"};

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

// The same of object stores, by the beginnings of their names.
constexpr std::array<std::string_view, 2> kOfTheBytesToo{"x-amz-checksum-", "x-goog-hash"};

bool is_of_the_bytes(std::string_view name) {
    return std::ranges::any_of(kOfTheBytes, [&](auto one) { return http::same(one, name); }) ||
           std::ranges::any_of(kOfTheBytesToo, [&](auto one) {
               return http::same(one, name.substr(0, one.size()));
           });
}

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

// Addresses and cookies are often percent-encoded, and whoever follows or reads them decodes them.
std::optional<std::string> masked_value(const TextMasks& masks, std::string_view name,
                                        std::string_view value, std::uint64_t& count) {
    auto instead = masks.replace(value, name, count);
    const std::string_view now = instead ? std::string_view{*instead} : value;
    if (!now.contains('%')) return instead;
    const std::string plain = percent_decoded(now);
    const auto again = masks.replace(plain, name, count);
    if (again) instead = percent_encoded(*again, ":/?#[]@!$&'()*+,;= \"");
    return instead;
}

class MaskFilter final : public BodyFilter {
public:
    MaskFilter(std::unique_ptr<const TextMasks> masks, std::string type, std::string coding)
        : masks_(std::move(masks)), type_(std::move(type)), coding_(std::move(coding)) {}

    // Now, so that what cannot be masked is known before anything has gone out.
    Result<> prepare() {
        auto made = BodyMasker::make(type_, coding_, *masks_);
        if (!made) return fail(made.error());
        masker_ = *std::move(made);
        return {};
    }

    Result<> push(Bytes data, bool last, Buffer& out) override {
        if (!masker_ && data.empty()) return {};  // no body came: nothing to be masked
        if (!masker_)
            if (auto done = prepare(); !done) return done;
        if (auto done = masker_->feed(data, out); !done || !last) return done;
        return masker_->finish(out);
    }
    std::optional<std::string> trailer(std::string_view name, std::string_view value) override {
        if (is_of_the_bytes(name)) return std::nullopt;
        std::uint64_t count = 0;
        auto instead = masked_value(*masks_, name, value, count);
        in_trailers_ += count;
        return instead ? std::move(*instead) : std::string{value};
    }
    std::uint64_t masked() const override {
        return in_trailers_ + (masker_ ? masker_->masked() : 0);
    }

private:
    std::unique_ptr<const TextMasks> masks_;
    std::string type_;
    std::string coding_;
    std::unique_ptr<BodyMasker> masker_;
    std::uint64_t in_trailers_ = 0;
};

class HttpMasking final : public Masking {
public:
    HttpMasking(TextMasks::Source source, std::shared_ptr<const detect::Masker> masker)
        : source_(std::move(source)), masker_(std::move(masker)) {}

    void prepare(const policy::MaskSet& masks, const http::RequestHead& head,
                 HeadEdits& edits) const override {
        if (masks.empty()) return;
        edits.remove("range");  // a part cannot be told from its whole
        edits.remove("if-range");
        accept_spoken_codings(head, edits);
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
        auto filter = filter_of(std::move(made), head.fields);
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
        auto filter = filter_of(std::move(made), head.fields);
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

    static std::unique_ptr<MaskFilter> filter_of(std::unique_ptr<const TextMasks> masks,
                                                 const Fields& fields) {
        return std::make_unique<MaskFilter>(std::move(masks),
                                            std::string{value_of(fields, "content-type")},
                                            joined(fields, "content-encoding"));
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
        if (masks.empty()) return;
        for (std::size_t i = 0; i != fields.size(); ++i) {
            const std::string_view name = fields[i].name;
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
                                            std::shared_ptr<const detect::Masker> masker) {
    return std::make_shared<const HttpMasking>(std::move(source), std::move(masker));
}

}  // namespace chaperone::session
