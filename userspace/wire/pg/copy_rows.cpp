// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/pg/copy_rows.h"

#include "userspace/wire/reader.h"

namespace chaperone::wire::pg {
namespace {

char unescaped(char c) {
    switch (c) {
    case 'b': return '\b';
    case 'f': return '\f';
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'v': return '\v';
    default: return c;  // octal and hex forms are read, never written by the server
    }
}

std::string unescape(std::string_view field) {
    std::string out;
    out.reserve(field.size());
    for (std::size_t i = 0; i != field.size(); ++i) {
        if (field[i] == '\\' && i + 1 != field.size()) {
            out += unescaped(field[++i]);
            continue;
        }
        out += field[i];
    }
    return out;
}

void decode_text(std::string_view line, const CopyStyle& style, CopyValues& into) {
    std::size_t begin = 0;
    for (std::size_t i = 0; i <= line.size(); ++i) {
        if (i != line.size() && line[i] == '\\') {
            if (i + 1 != line.size()) ++i;
            continue;
        }
        if (i != line.size() && line[i] != style.delimiter) continue;
        const auto field = line.substr(begin, i - begin);
        if (field == style.null_text)
            into.push_back(std::nullopt);
        else
            into.push_back(unescape(field));
        begin = i + 1;
    }
}

Result<> decode_csv(std::string_view line, const CopyStyle& style, CopyValues& into) {
    std::size_t i = 0;
    for (;;) {
        std::string value;
        bool was_quoted = false;
        // Quotes may begin anywhere in a value (CopyReadAttributesCSV).
        while (i != line.size() && line[i] != style.delimiter) {
            if (line[i] != style.quote) {
                value += line[i++];
                continue;
            }
            was_quoted = true;
            for (++i;; ++i) {
                if (i == line.size()) return fail(Errc::Malformed, "COPY: a quote does not end");
                const bool escapes = line[i] == style.escape && i + 1 != line.size() &&
                                     (line[i + 1] == style.escape || line[i + 1] == style.quote);
                if (escapes)
                    value += line[++i];
                else if (line[i] == style.quote)
                    break;
                else
                    value += line[i];
            }
            ++i;
        }
        if (!was_quoted && value == style.null_text)
            into.push_back(std::nullopt);
        else
            into.push_back(std::move(value));
        if (i == line.size()) return {};
        ++i;
    }
}

void encode_text(std::string& out, std::string_view value, const CopyStyle& style) {
    for (const char c : value) {
        switch (c) {
        case '\b': out += "\\b"; continue;
        case '\f': out += "\\f"; continue;
        case '\n': out += "\\n"; continue;
        case '\r': out += "\\r"; continue;
        case '\t': out += "\\t"; continue;
        case '\v': out += "\\v"; continue;
        default: break;
        }
        if (c == '\\' || c == style.delimiter) out += '\\';
        out += c;
    }
}

}  // namespace

std::optional<std::size_t> find_line(Bytes in, const CopyStyle& style, LineScan& from) {
    const std::string_view text = as_text(in);
    for (; from.at < text.size(); ++from.at) {
        const char c = text[from.at];
        if (!style.csv) {
            if (c == '\\') {
                if (from.at + 1 == text.size()) return std::nullopt;
                ++from.at;
            } else if (c == '\n') {
                return from.at + 1;
            }
            continue;
        }
        if (from.quoted && c == style.escape && style.escape != style.quote) {
            if (from.at + 1 == text.size()) return std::nullopt;
            const char next = text[from.at + 1];
            if (next == style.quote || next == style.escape) ++from.at;
        } else if (c == style.quote) {
            from.quoted = !from.quoted;  // a doubled quote toggles twice
        } else if (c == '\n' && !from.quoted) {
            return from.at + 1;
        }
    }
    return std::nullopt;
}

Result<> decode_line(std::string_view line, const CopyStyle& style, CopyValues& into) {
    into.clear();
    if (style.csv) return decode_csv(line, style, into);
    decode_text(line, style, into);
    return {};
}

void encode_value(std::string& out, const std::optional<std::string>& value, const CopyStyle& style,
                  bool quoted) {
    if (!value) {
        out += style.null_text;
        return;
    }
    if (!style.csv) return encode_text(out, *value, style);
    const std::string_view special{"\r\n"};
    quoted = quoted || *value == style.null_text || value->empty() || *value == "\\." ||
             value->find_first_of(special) != std::string::npos ||
             value->find(style.delimiter) != std::string::npos ||
             value->find(style.quote) != std::string::npos || value->front() == ' ' ||
             value->back() == ' ';
    if (!quoted) {
        out += *value;
        return;
    }
    out += style.quote;
    for (const char c : *value) {
        if (c == style.quote || c == style.escape) out += style.escape;
        out += c;
    }
    out += style.quote;
}

Result<std::optional<std::size_t>> binary_header(Bytes in) {
    const std::size_t known = std::min(in.size(), kCopySignature.size());
    if (as_text(in.first(known)) != kCopySignature.substr(0, known))
        return fail(Errc::Malformed, "COPY: signature");
    Reader reader{in};
    reader.take(kCopySignature.size());
    const auto flags = reader.big_endian<std::uint32_t>();
    const auto extension = reader.big_endian<std::uint32_t>();
    if (!reader.ok()) return std::nullopt;
    // Bits 16 to 31 are critical: with them a row may mean something else.
    if (flags >> 16 != 0) return fail(Errc::Unsupported, "COPY: flags");
    if (extension > 65'536) return fail(Errc::TooLarge, "COPY: header extension");
    reader.take(extension);
    if (!reader.ok()) return std::nullopt;
    return in.size() - reader.rest().size();
}

Result<std::optional<BinaryRow>> binary_row(Bytes in, Row& into) {
    into.clear();
    Reader reader{in};
    const auto count = reader.big_endian<std::uint16_t>();
    if (!reader.ok()) return std::nullopt;
    if (count == 0xffff) return BinaryRow{.size = 2, .end = true};
    if (count > 0x7fff) return fail(Errc::Malformed, "COPY: number of values");
    for (int i = 0; i != count; ++i) {
        const auto length = reader.big_endian<std::uint32_t>();
        if (!reader.ok()) return std::nullopt;
        if (length == 0xffffffff) {
            into.push_back(std::nullopt);
            continue;
        }
        if (length > 0x7fffffff) return fail(Errc::Malformed, "COPY: length of a value");
        into.push_back(reader.take(length));
        if (!reader.ok()) return std::nullopt;
    }
    return BinaryRow{.size = in.size() - reader.rest().size()};
}

}  // namespace chaperone::wire::pg
