// SPDX-License-Identifier: Apache-2.0
#include "userspace/session/http/mask_filter.h"

#include "userspace/base/http.h"
#include "userspace/base/percent.h"
#include "userspace/session/masking/grpc_masker.h"

#include <algorithm>
#include <utility>

namespace chaperone::session {
namespace {

// The same of object stores, by the beginnings of their names.
constexpr std::array<std::string_view, 2> kOfTheBytesToo{"x-amz-checksum-", "x-goog-hash"};

}  // namespace

bool is_of_the_bytes(std::string_view name) {
    return std::ranges::any_of(kOfTheBytes, [&](auto one) { return http::same(one, name); }) ||
           std::ranges::any_of(kOfTheBytesToo, [&](auto one) {
               return http::same(one, name.substr(0, one.size()));
           });
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

bool is_grpc_type(std::string_view content_type) {
    const std::string type =
        http::lower(http::trim(content_type.substr(0, content_type.find(';'))));
    return type == "application/grpc" || type == "application/grpc+proto";
}

bool is_binary_metadata(std::string_view name) {
    return http::lower(name).ends_with("-bin");
}

MaskFilter::MaskFilter(std::unique_ptr<const TextMasks> masks, MaskedBody body)
    : masks_(std::move(masks)), body_(std::move(body)) {}

Result<> MaskFilter::prepare() {
    auto made = make();
    if (!made) return fail(made.error());
    masker_ = *std::move(made);
    return {};
}

Result<> MaskFilter::push(Bytes data, bool last, Buffer& out) {
    if (!masker_ && data.empty()) return {};  // no body came: nothing to be masked
    if (!masker_)
        if (auto done = prepare(); !done) return done;
    if (auto done = masker_->feed(data, out); !done || !last) return done;
    return masker_->finish(out);
}

std::optional<std::string> MaskFilter::trailer(std::string_view name, std::string_view value) {
    if (is_of_the_bytes(name)) return std::nullopt;
    if (is_grpc_type(body_.type) && is_binary_metadata(name)) return std::nullopt;
    std::uint64_t count = 0;
    auto instead = masked_value(*masks_, name, value, count);
    in_trailers_ += count;
    return instead ? std::move(*instead) : std::string{value};
}

std::uint64_t MaskFilter::masked() const {
    return in_trailers_ + (masker_ ? masker_->masked() : 0);
}

Result<std::unique_ptr<BodyMasker>> MaskFilter::make() const {
    if (!is_grpc_type(body_.type)) return BodyMasker::make(body_.type, body_.coding, *masks_);
    if (!body_.schema)
        return fail(Errc::Unsupported,
                    "a gRPC call that must be masked: its resource has no protoDescriptor");
    if (body_.message == nullptr)
        return fail(Errc::Unsupported,
                    "a gRPC call that must be masked: the resource's protoDescriptor lacks its "
                    "method");
    return make_coded(body_.coding,
                      make_grpc_masker({body_.schema, *body_.message, *masks_}, body_.encoding));
}

}  // namespace chaperone::session
