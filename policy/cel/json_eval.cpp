// SPDX-License-Identifier: Apache-2.0
// The line protocol of `chaperone policy eval --stdin`.
#include "policy/cel/json_eval.h"

#include "policy/cel/containers.h"
#include "policy/cel/functions/library.h"
#include "policy/cel/number.h"
#include "policy/cel/program.h"
#include "policy/cel/utf8.h"
#include "userspace/base/encoding.h"

#include <boost/json.hpp>

#include <charconv>
#include <cmath>

namespace chaperone::cel {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxLine = 16U << 20;    // bytes; a longer one is answered with an error
constexpr std::size_t kMaxDepth = 200;         // of JSON and of values written as JSON
constexpr std::size_t kMaxContainer = 4'096;   // bytes; each part is tried with each name
constexpr std::size_t kMaxOutput = 64U << 20;  // bytes; values share parts and can be larger

std::string_view view(const json::string& text) {
    return {text.data(), text.size()};
}

// --- typed JSON in ---

Result<Value> read(const json::value& typed);

std::unexpected<Error> bad(std::string detail) {
    return fail(Errc::Invalid, std::move(detail));
}

// Numbers arrive as marked text (see prepared()): Boost.JSON 1.81 rounds some doubles wrongly.
// A string that begins so is nobody's: U+FFFF is not a character.
constexpr std::string_view kNumberMark = "\x01\xEF\xBF\xBF#";

bool is_number(const json::string& text) {
    return view(text).starts_with(kNumberMark);
}

template <class Number>
Result<Number> digits(const json::value& text) {
    const json::string* given = text.if_string();
    Number number = 0;
    if (given == nullptr || is_number(*given))
        return bad("a number is written as digits in a string");
    const auto got = std::from_chars(given->data(), given->data() + given->size(), number);
    if (got.ec != std::errc{} || got.ptr != given->data() + given->size())
        return bad("'" + std::string{view(*given)} + "' is no number of this type");
    return number;
}

Result<Value> read_real(const json::value& given) {
    const json::string* text = given.if_string();
    if (text == nullptr) return bad("a double is a JSON number");
    if (*text == "NaN") return Value::real(NAN);
    if (*text == "Infinity") return Value::real(HUGE_VAL);
    if (*text == "-Infinity") return Value::real(-HUGE_VAL);
    if (!is_number(*text)) return bad("no such double");
    double number = 0;
    const auto got = cel::read_double(view(*text).substr(kNumberMark.size()), number);
    if (got.ec != std::errc{}) return bad("the number does not fit a double");
    return Value::real(number);
}

Result<Value> read_list(const json::value& given) {
    const json::array* array = given.if_array();
    if (array == nullptr) return bad("a list is a JSON array");
    std::vector<Value> elements;
    for (const json::value& next : *array) {
        auto element = read(next);
        if (!element) return element;
        elements.push_back(*std::move(element));
    }
    return Value::list_of(std::move(elements));
}

Result<Value> read_map(const json::value& given) {
    const json::array* array = given.if_array();
    if (array == nullptr) return bad("a map is a JSON array of pairs");
    auto map = std::make_unique<VectorMap>();
    for (const json::value& next : *array) {
        const json::array* pair = next.if_array();
        if (pair == nullptr || pair->size() != 2) return bad("an entry of a map is a pair");
        auto key = read((*pair)[0]);
        if (!key) return key;
        auto value = read((*pair)[1]);
        if (!value) return value;
        if (!is_key(*key)) return bad("a map's key is a bool, int, uint or string");
        if (!map->add(*std::move(key), *std::move(value))) return bad("a map has a key twice");
    }
    return Value::own_map(map.release());
}

Result<Value> read_text(std::string_view kind, const json::value& given) {
    const json::string* text = given.if_string();
    if (text == nullptr || is_number(*text))
        return bad(std::string{kind} + " is written as a string");
    if (kind == "string") return Value::own_text(utf8::repaired(view(*text)));
    if (kind == "type") return Value::own_type(view(*text));
    if (kind == "bytes") {
        const auto decoded = from_base64(view(*text));
        if (!decoded) return fail(decoded.error());
        return Value::own_bytes(as_text(*decoded));
    }
    Value time =
        kind == "timestamp" ? parse_timestamp(view(*text)) : parse_duration_text(view(*text));
    if (time.is(Kind::Error)) return bad(std::string{time.as_text()});
    return time;
}

Result<Value> read(const json::value& typed) {
    const json::object* object = typed.if_object();
    if (object == nullptr || object->size() != 1) return bad("a typed value has one member");
    const json::string_view name = object->begin()->key();
    const std::string_view kind{name.data(), name.size()};
    const json::value& given = object->begin()->value();
    if (kind == "null") return Value{};
    if (kind == "bool") {
        if (!given.is_bool()) return bad("a bool is true or false");
        return Value::boolean(given.get_bool());
    }
    if (kind == "int") {
        const auto number = digits<std::int64_t>(given);
        if (!number) return fail(number.error());
        return Value::integer(*number);
    }
    if (kind == "uint") {
        const auto number = digits<std::uint64_t>(given);
        if (!number) return fail(number.error());
        return Value::unsigned_integer(*number);
    }
    if (kind == "double") return read_real(given);
    if (kind == "list") return read_list(given);
    if (kind == "map") return read_map(given);
    if (kind == "optional") {
        if (given.is_null()) return Value::none();
        auto held = read(given);
        if (!held) return held;
        return Value::some(*std::move(held));
    }
    for (const std::string_view text : {"string", "bytes", "timestamp", "duration", "type"})
        if (kind == text) return read_text(kind, given);
    return bad("no such type: " + std::string{kind});
}

// --- typed JSON out ---

std::string quoted(std::string_view text) {
    return json::serialize(json::string(utf8::repaired(text)));
}

class Writer {
public:
    bool value(const Value& value, std::size_t depth = 0) {
        if (depth > kMaxDepth || out_.size() > kMaxOutput) return false;
        switch (value.kind()) {
        case Kind::Null: return put("{\"null\":null}");
        case Kind::Bool: return put(value.as_bool() ? "{\"bool\":true}" : "{\"bool\":false}");
        case Kind::Int: return member("int", "\"" + std::to_string(value.as_int()) + "\"");
        case Kind::Uint: return member("uint", "\"" + std::to_string(value.as_uint()) + "\"");
        case Kind::Double: return member("double", number(value.as_double()));
        case Kind::String: return member("string", quoted(value.as_text()));
        case Kind::Bytes: return member("bytes", quoted(to_base64(as_bytes(value.as_text()))));
        case Kind::Timestamp: return member("timestamp", quoted(timestamp_text(value)));
        case Kind::Duration: return member("duration", quoted(duration_text(value)));
        case Kind::Type: return member("type", quoted(value.as_text()));
        case Kind::List: return list(value.as_list(), depth);
        case Kind::Map: return map(value.as_map(), depth);
        case Kind::Optional:
            if (value.held() == nullptr) return put("{\"optional\":null}");
            put("{\"optional\":");
            return this->value(*value.held(), depth + 1) && put("}");
        case Kind::Object:
        case Kind::Error:
        case Kind::Unknown: return false;
        }
        return false;
    }
    std::string take() { return std::move(out_); }

private:
    bool put(std::string_view text) {
        out_ += text;
        return true;
    }
    bool member(std::string_view name, std::string_view text) {
        out_.append("{\"").append(name).append("\":").append(text) += '}';
        return true;
    }
    static std::string number(double value) {
        if (!std::isfinite(value)) return "\"" + double_text(value) + "\"";
        char buffer[32];
        const auto end = std::to_chars(buffer, buffer + sizeof buffer, value);
        std::string text{buffer, end.ptr};
        if (text.find_first_of(".e") == text.npos) text += ".0";
        return text;
    }
    bool list(const List& list, std::size_t depth) {
        put("{\"list\":[");
        for (std::size_t i = 0; i != list.size(); ++i) {
            if (i != 0) put(",");
            if (!value(list.at(i), depth + 1)) return false;
        }
        return put("]}");
    }
    bool map(const Map& map, std::size_t depth) {
        put("{\"map\":[");
        for (std::size_t i = 0; i != map.size(); ++i) {
            put(i == 0 ? "[" : ",[");
            if (!value(map.key(i), depth + 1)) return false;
            put(",");
            if (!value(map.at(i), depth + 1)) return false;
            put("]");
        }
        return put("]}");
    }

    std::string out_;
};

// --- one request ---

class Request {
public:
    explicit Request(const json::object& object) : object_(object) {
        const json::value* id = object.if_contains("id");
        id_ = id != nullptr && id->is_string() ? json::serialize(*id) : "null";
    }

    std::string answer() {
        const json::value* expr = object_.if_contains("expr");
        if (expr == nullptr || !expr->is_string()) return error("'expr' is not a string");
        if (auto set_up = prepare(); !set_up) return error(set_up.error().message());
        Options options;
        options.check = !flag("no_check");
        options.macros = !flag("no_macros");
        const Compiled compiled = compile(view(expr->get_string()), environment_, options);
        if (!compiled.program) return error(text_of(compiled.issues));
        if (flag("check_only")) return with("type", quoted(compiled.type.text()));
        MapActivation activation{environment_};
        for (auto& [name, value] : values_) activation.set(name, value);
        return answer(compiled, compiled.program->evaluate(activation), options.check);
    }

private:
    bool flag(std::string_view name) const {
        const json::value* given = object_.if_contains({name.data(), name.size()});
        return given != nullptr && given->is_bool() && given->get_bool();
    }
    std::string with(std::string_view name, std::string_view text) const {
        return "{\"id\":" + id_ + ",\"" + std::string{name} + "\":" + std::string{text} + "}";
    }
    std::string error(std::string_view text) const { return with("error", quoted(text)); }

    Result<> prepare() {
        Environment::Builder builder;
        if (const json::value* container = object_.if_contains("container");
            container != nullptr && container->is_string()) {
            if (container->get_string().size() > kMaxContainer)
                return bad("the container's name is too long");
            builder.container(view(container->get_string()));
        }
        if (auto read = read_variables(builder); !read) return read;
        if (auto read = read_declarations(builder); !read) return read;
        environment_ = builder.build();
        return {};
    }
    Result<> read_variables(Environment::Builder& builder) {
        const json::value* vars = object_.if_contains("vars");
        if (vars == nullptr || vars->is_null()) return {};
        if (!vars->is_object()) return bad("'vars' is not an object");
        for (const auto& [name, typed] : vars->get_object()) {
            auto value = read(typed);
            if (!value) return fail(value.error());
            values_.emplace_back(std::string{name}, *std::move(value));
            builder.variable({name.data(), name.size()}, TypeKind::Dyn);
        }
        return {};
    }
    Result<> read_declarations(Environment::Builder& builder) {
        const json::value* decls = object_.if_contains("decls");
        if (decls == nullptr || decls->is_null()) return {};
        if (!decls->is_object()) return bad("'decls' is not an object");
        for (const auto& [name, text] : decls->get_object()) {
            if (!text.is_string()) return bad("a declaration is a type's text");
            auto type = parse_type(view(text.get_string()));
            if (!type) return fail(type.error());
            builder.variable({name.data(), name.size()}, *std::move(type));
        }
        return {};
    }

    static std::string text_of(const std::vector<Issue>& issues) {
        std::string text;
        for (const Issue& issue : issues) {
            if (!text.empty()) text += "\n";
            text += std::to_string(issue.line) + ":" + std::to_string(issue.column) + ": " +
                    issue.message;
            if (!issue.suggestion.empty()) text += "; " + issue.suggestion;
        }
        return text;
    }

    std::string answer(const Compiled& compiled, const Value& value, bool checked) const {
        if (value.is(Kind::Error)) return error(value.as_text());
        if (value.is(Kind::Unknown)) {
            std::string names;
            for (const std::string& name : value.attributes())
                names += (names.empty() ? "" : ",") + quoted(name);
            return with("unknown", "[" + names + "]");
        }
        Writer writer;
        if (!writer.value(value))
            return error("the result has no JSON form: " + std::string{type_name(value)});
        std::string text = writer.take();
        if (flag("want_type") && checked) text += ",\"type\":" + quoted(compiled.type.text());
        return with("value", text);
    }

    const json::object& object_;
    std::string id_;
    std::shared_ptr<const Environment> environment_;
    std::vector<std::pair<std::string, Value>> values_;
};

std::string refused(std::string_view why) {
    return "{\"id\":null,\"error\":" + quoted(why) + "}";
}

// The length of the JSON number at the front (RFC 8259, section 6), 0 if there is none.
std::size_t number_length(std::string_view text) {
    std::size_t at = text.starts_with('-') ? 1 : 0;
    const auto digits = [&] {
        const std::size_t from = at;
        while (at < text.size() && text[at] >= '0' && text[at] <= '9') ++at;
        return at - from;
    };
    const bool zero = at < text.size() && text[at] == '0';
    const std::size_t whole = digits();
    if (whole == 0 || (zero && whole > 1)) return 0;
    if (at < text.size() && text[at] == '.') {
        ++at;
        if (digits() == 0) return 0;
    }
    if (at < text.size() && (text[at] == 'e' || text[at] == 'E')) {
        ++at;
        if (at < text.size() && (text[at] == '+' || text[at] == '-')) ++at;
        if (digits() == 0) return 0;
    }
    return at;
}

// The line as Boost.JSON shall read it: numbers that are values of members as marked strings, and
// lone surrogates, which have no UTF-8, as U+FFFD, like raw malformed bytes.
class Preparation {
public:
    explicit Preparation(std::string_view line) : line_(line) {}

    std::string run() {
        made_.reserve(line_.size());
        bool in_string = false;
        bool after_colon = false;
        while (at_ < line_.size()) {
            const char c = line_[at_];
            if (c == '\\' && in_string) {
                escape();
                continue;
            }
            if (c == '"') in_string = !in_string;
            const std::size_t number =
                after_colon && !in_string ? number_length(line_.substr(at_)) : 0;
            if (number != 0) {
                made_.append("\"\\u0001\\uFFFF#").append(line_.substr(at_, number)) += '"';
                at_ += number;
                after_colon = false;
                continue;
            }
            if (c != ' ' && c != '\t') after_colon = c == ':' && !in_string;
            take(1);
        }
        return utf8::repaired(made_);
    }

private:
    void take(std::size_t count) {
        made_ += line_.substr(at_, count);
        at_ += count;
    }
    int unit(std::size_t at) const {
        unsigned value = 0;
        if (at + 6 > line_.size() || line_[at] != '\\' || line_[at + 1] != 'u') return -1;
        const auto got = std::from_chars(line_.data() + at + 2, line_.data() + at + 6, value, 16);
        return got.ptr == line_.data() + at + 6 ? static_cast<int>(value) : -1;
    }
    void escape() {
        const int high = unit(at_);
        if (high < 0xD800 || high > 0xDFFF) return take(2);
        const int low = unit(at_ + 6);
        if (high < 0xDC00 && low >= 0xDC00 && low <= 0xDFFF) return take(12);
        made_ += "\\uFFFD";
        at_ += 6;
    }

    std::string_view line_;
    std::size_t at_ = 0;
    std::string made_;
};

}  // namespace

std::string evaluate_json_line(std::string_view line) {
    if (line.size() > kMaxLine) return refused("the line is too long");
    json::parse_options options;
    options.max_depth = kMaxDepth * 2;
    json::error_code error;
    const json::value parsed = json::parse(Preparation{line}.run(), error, {}, options);
    if (error) return refused("not JSON: " + error.message());
    const json::object* object = parsed.if_object();
    if (object == nullptr) return refused("not a JSON object");
    return Request{*object}.answer();
}

}  // namespace chaperone::cel
