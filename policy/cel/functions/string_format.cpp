// SPDX-License-Identifier: Apache-2.0
// string.format(list): %s %d %f %e %b %o %x %X and %%, with a precision for %f and %e.
#include "policy/cel/functions/library.h"
#include "policy/cel/utf8.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <map>

namespace chaperone::cel {
namespace {

constexpr int kMaxPrecision = 1000;  // digits; more would only make the text large
constexpr int kMaxDepth = 100;       // of lists in lists that %s writes

class Formatter {
public:
    Formatter(Call& call, std::string_view format, const List& arguments)
        : call_(call), format_(format), arguments_(arguments) {}

    Value run() {
        while (at_ < format_.size() && !failed_) {
            const std::size_t percent = std::min(format_.find('%', at_), format_.size());
            out_ += format_.substr(at_, percent - at_);
            at_ = percent;
            if (at_ < format_.size()) clause();
            if (out_.size() > call_.limits().value_size) break;
        }
        return failed_ ? std::move(failure_) : made_text(call_, out_);
    }

private:
    void fail(std::string message) {
        if (!failed_) failure_ = Value::own_error(message);
        failed_ = true;
    }
    void wrong(std::string_view wanted, const Value& given) {
        fail("error during formatting: " + std::string{wanted} + ", was given " +
             std::string{type_name(given)});
    }

    void clause() {
        ++at_;
        if (at_ < format_.size() && format_[at_] == '%') {
            out_ += '%';
            ++at_;
            return;
        }
        int precision = 6;
        if (at_ < format_.size() && format_[at_] == '.') {
            const char* from = format_.data() + at_ + 1;
            const auto got = std::from_chars(from, format_.data() + format_.size(), precision);
            if (got.ec != std::errc{} || precision < 0 || precision > kMaxPrecision)
                return fail("could not parse formatting clause: bad precision");
            at_ = static_cast<std::size_t>(got.ptr - format_.data());
        }
        if (at_ >= format_.size())
            return fail("could not parse formatting clause: it is cut short");
        const char verb = format_[at_++];
        if (!std::string_view{"sdfebxXo"}.contains(verb))
            return fail("could not parse formatting clause: unrecognized formatting clause \"" +
                        std::string{verb >= ' ' && verb < 127 ? std::string{verb} : "?"} + "\"");
        if (next_ >= arguments_.size())
            return fail("index " + std::to_string(next_) + " out of range");
        const Value argument = arguments_.at(next_++);
        if (verb == 's')
            text(argument, 0);
        else if (verb == 'd')
            decimal(argument);
        else if (verb == 'f' || verb == 'e')
            real(argument, verb, precision);
        else if (verb == 'b')
            binary(argument);
        else if (verb == 'o')
            octal(argument);
        else
            hexadecimal(argument, verb == 'X');
    }

    void text(const Value& value, int depth) {
        if (depth > kMaxDepth || out_.size() > call_.limits().value_size || !call_.spend(1))
            return fail("error during formatting: the value is too large");
        switch (value.kind()) {
        case Kind::Null: out_ += "null"; return;
        case Kind::Bool: out_ += value.as_bool() ? "true" : "false"; return;
        case Kind::Int: out_ += std::to_string(value.as_int()); return;
        case Kind::Uint: out_ += std::to_string(value.as_uint()); return;
        case Kind::Double: out_ += double_text(value.as_double()); return;
        case Kind::Bytes: out_ += utf8::repaired(value.as_text()); return;
        case Kind::String:
        case Kind::Type: out_ += value.as_text(); return;
        case Kind::Timestamp: out_ += timestamp_text(value); return;
        case Kind::Duration: out_ += duration_text(value); return;
        case Kind::List: return list(value.as_list(), depth);
        case Kind::Map: return map(value.as_map(), depth);
        case Kind::Object:
        case Kind::Optional:
        case Kind::Error:
        case Kind::Unknown:
            return wrong(
                "string clause can only be used on strings, bools, bytes, ints, doubles, "
                "maps, lists, types, durations, and timestamps",
                value);
        }
    }
    void list(const List& list, int depth) {
        out_ += '[';
        for (std::size_t i = 0; i != list.size() && !failed_; ++i) {
            if (i != 0) out_ += ", ";
            text(list.at(i), depth + 1);
        }
        out_ += ']';
    }
    // Entries in the order of their keys' texts, so that the result does not depend on the map.
    void map(const Map& map, int depth) {
        std::multimap<std::string, std::size_t> order;
        std::string before = std::move(out_);
        for (std::size_t i = 0; i != map.size() && !failed_; ++i) {
            out_.clear();
            text(map.key(i), depth + 1);
            order.emplace(std::move(out_), i);
        }
        out_ = std::move(before) + '{';
        for (bool first = true; const auto& [key, index] : order) {
            if (failed_) return;
            out_ += (first ? "" : ", ") + key + ": ";
            first = false;
            text(map.at(index), depth + 1);
        }
        out_ += '}';
    }

    void decimal(const Value& value) {
        if (value.is(Kind::Int) || value.is(Kind::Uint)) return text(value, 0);
        if (value.is(Kind::Double) && !std::isfinite(value.as_double())) return text(value, 0);
        wrong("decimal clause can only be used on integers", value);
    }
    void real(const Value& value, char verb, int precision) {
        double number = 0;
        if (value.is(Kind::Double))
            number = value.as_double();
        else if (value.is(Kind::Int))
            number = static_cast<double>(value.as_int());
        else if (value.is(Kind::Uint))
            number = static_cast<double>(value.as_uint());
        else
            return wrong(verb == 'f' ? "fixed-point clause can only be used on doubles"
                                     : "scientific clause can only be used on doubles",
                         value);
        if (!std::isfinite(number)) return text(Value::real(number), 0);
        char buffer[kMaxPrecision + 400];
        const auto got = std::to_chars(
            buffer, buffer + sizeof buffer, number,
            verb == 'f' ? std::chars_format::fixed : std::chars_format::scientific, precision);
        out_.append(buffer, got.ptr);
    }

    void digits(std::uint64_t magnitude, bool negative, int base) {
        char buffer[66];
        const auto got = std::to_chars(buffer, buffer + sizeof buffer, magnitude, base);
        if (negative) out_ += '-';
        out_.append(buffer, got.ptr);
    }
    bool integer(const Value& value, int base) {
        if (value.is(Kind::Uint)) {
            digits(value.as_uint(), false, base);
        } else if (value.is(Kind::Int)) {
            const bool negative = value.as_int() < 0;
            const auto bits = static_cast<std::uint64_t>(value.as_int());
            digits(negative ? ~bits + 1 : bits, negative, base);
        } else {
            return false;
        }
        return true;
    }
    void binary(const Value& value) {
        if (value.is(Kind::Bool))
            out_ += value.as_bool() ? '1' : '0';
        else if (!integer(value, 2))
            wrong("only integers and bools can be formatted as binary", value);
    }
    void octal(const Value& value) {
        if (!integer(value, 8)) wrong("octal clause can only be used on integers", value);
    }
    void hexadecimal(const Value& value, bool upper) {
        const std::size_t from = out_.size();
        if (value.is(Kind::String) || value.is(Kind::Bytes)) {
            for (const char c : value.as_text()) {
                constexpr std::string_view kDigits = "0123456789abcdef";
                const auto byte = static_cast<unsigned char>(c);
                out_ += kDigits[byte >> 4];
                out_ += kDigits[byte & 15];
            }
        } else if (!integer(value, 16)) {
            return wrong("only integers, byte buffers, and strings can be formatted as hex", value);
        }
        if (!upper) return;
        for (std::size_t i = from; i != out_.size(); ++i)
            if (out_[i] >= 'a' && out_[i] <= 'f') out_[i] = static_cast<char>(out_[i] - 32);
    }

    Call& call_;
    std::string_view format_;
    const List& arguments_;
    std::size_t at_ = 0;
    std::size_t next_ = 0;
    std::string out_;
    Value failure_;
    bool failed_ = false;
};

Value format(Call& call, Arguments a) {
    return Formatter{call, a[0].as_text(), a[1].as_list()}.run();
}

}  // namespace

void add_string_format(Environment::Builder& to) {
    to.function("string.format(list(dyn)) -> string", format);
}

}  // namespace chaperone::cel
