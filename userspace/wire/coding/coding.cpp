// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/coding/coding.h"

#include "userspace/wire/coding/codecs.h"

#include <string>

namespace chaperone::wire {
namespace {

std::string lower_trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t");
    if (first == std::string_view::npos) return {};
    text = text.substr(first, text.find_last_not_of(" \t") - first + 1);
    std::string lower{text};
    for (char& c : lower)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return lower;
}

std::optional<Coding> coding_named(std::string_view name) {
    if (name == "gzip" || name == "x-gzip") return Coding::Gzip;
    if (name == "deflate") return Coding::Deflate;
    if (name == "br") return Coding::Brotli;
    if (name == "zstd") return Coding::Zstd;
    return std::nullopt;
}

}  // namespace

std::string_view name_of(Coding coding) noexcept {
    switch (coding) {
    case Coding::Gzip: return "gzip";
    case Coding::Deflate: return "deflate";
    case Coding::Brotli: return "br";
    case Coding::Zstd: return "zstd";
    }
    return "identity";
}

Result<std::vector<Coding>> parse_codings(std::string_view field) {
    std::vector<Coding> codings;
    while (!field.empty()) {
        const auto comma = field.find(',');
        const std::string name = lower_trimmed(field.substr(0, comma));
        field = comma == std::string_view::npos ? std::string_view{} : field.substr(comma + 1);
        if (name.empty() || name == "identity") continue;
        const auto coding = coding_named(name);
        if (!coding) return fail(Errc::Unsupported, "the content coding " + name);
        if (codings.size() == kMaxCodings) return fail(Errc::TooLarge, "content codings");
        codings.push_back(*coding);
    }
    return codings;
}

std::unique_ptr<Decoder> make_decoder(Coding coding) {
    switch (coding) {
    case Coding::Gzip: return make_inflater(Wrapper::Gzip);
    case Coding::Deflate: return make_inflater(Wrapper::Zlib);
    case Coding::Brotli: return make_brotli_decoder();
    case Coding::Zstd: return make_zstd_decoder();
    }
    return nullptr;
}

std::unique_ptr<Encoder> make_encoder(Coding coding) {
    switch (coding) {
    case Coding::Gzip: return make_deflater(Wrapper::Gzip);
    case Coding::Deflate: return make_deflater(Wrapper::Zlib);
    case Coding::Brotli: return make_brotli_encoder();
    case Coding::Zstd: return make_zstd_encoder();
    }
    return nullptr;
}

}  // namespace chaperone::wire
