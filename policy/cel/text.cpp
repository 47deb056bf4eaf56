// SPDX-License-Identifier: Apache-2.0
// Values and syntax trees as CEL text.
#include "policy/cel/ast.h"
#include "policy/cel/functions/library.h"
#include "policy/cel/utf8.h"

#include <cmath>

namespace chaperone::cel {
namespace {

class Writer {
public:
    explicit Writer(std::size_t limit) : limit_(limit) {}

    void value(const Value& value, int depth = 0) {
        constexpr int kMaxDepth = 50;
        if (full() || depth > kMaxDepth) return put("…");
        switch (value.kind()) {
        case Kind::Null: return put("null");
        case Kind::Bool: return put(value.as_bool() ? "true" : "false");
        case Kind::Int: return put(std::to_string(value.as_int()));
        case Kind::Uint: return put(std::to_string(value.as_uint()) + "u");
        case Kind::Double: return real(value.as_double());
        case Kind::String: return put(quote(value.as_text().substr(0, limit_)));
        case Kind::Bytes: return put(quote(value.as_text().substr(0, limit_), true));
        case Kind::List: return list(value.as_list(), depth);
        case Kind::Map: return map(value.as_map(), depth);
        case Kind::Object: return object(value.as_object());
        case Kind::Timestamp: return put("timestamp(\"" + timestamp_text(value) + "\")");
        case Kind::Duration: return put("duration(\"" + duration_text(value) + "\")");
        case Kind::Type: return put(value.as_text());
        case Kind::Optional:
            if (value.held() == nullptr) return put("optional.none()");
            put("optional.of(");
            this->value(*value.held(), depth + 1);
            return put(")");
        case Kind::Error: return put("error(" + quote(value.as_text()) + ")");
        case Kind::Unknown: return put("unknown");
        }
    }
    std::string take() {
        if (out_.size() <= limit_) return std::move(out_);
        std::size_t end = limit_;
        while (end != 0 && (static_cast<unsigned char>(out_[end]) & 0xC0) == 0x80) --end;
        return out_.substr(0, end) + "…";
    }

private:
    bool full() const { return out_.size() > limit_; }
    void put(std::string_view text) { out_ += text; }
    void real(double number) {
        if (!std::isfinite(number)) return put("double(\"" + double_text(number) + "\")");
        std::string text = double_text(number);
        if (text.find_first_of(".e") == text.npos) text += ".0";
        put(text);
    }
    void list(const List& list, int depth) {
        put("[");
        for (std::size_t i = 0; i != list.size() && !full(); ++i) {
            if (i != 0) put(", ");
            value(list.at(i), depth + 1);
        }
        put("]");
    }
    void map(const Map& map, int depth) {
        put("{");
        for (std::size_t i = 0; i != map.size() && !full(); ++i) {
            if (i != 0) put(", ");
            value(map.key(i), depth + 1);
            put(": ");
            value(map.at(i), depth + 1);
        }
        put("}");
    }
    void object(const Object& object) {
        const std::string text = object.text();
        put(text.empty() ? object.type().name + "{…}"
                         : object.type().name + "(" + quote(text) + ")");
    }

    std::size_t limit_;
    std::string out_;
};

bool is_name(std::string_view text) {
    return !text.empty() &&
           text.find_first_not_of(
               "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTU"
               "VWXYZ0123456789_@") == text.npos &&
           !(text[0] >= '0' && text[0] <= '9') && text != "in" && text != "true" &&
           text != "false" && text != "null";
}
std::string field(std::string_view name) {
    return is_name(name) ? std::string{name} : "`" + std::string{name} + "`";
}

// Everything that is no call, index or selection stands in parentheses where it is an operand.
std::string operand(const Expr& expr) {
    const bool negative = expr.op == Op::Constant && unparse(expr).starts_with('-');
    const bool symbol = expr.op == Op::Call && !expr.name.empty() &&
                        (expr.name.starts_with('_') || expr.name == kIn || expr.name == kNot ||
                         expr.name == kNegate) &&
                        !expr.member;
    const bool whole = !negative && !symbol && expr.op != Op::And && expr.op != Op::Or &&
                       expr.op != Op::Conditional;
    return whole ? unparse(expr) : "(" + unparse(expr) + ")";
}

std::string joined(const std::vector<Expr*>& args, std::size_t from) {
    std::string text;
    for (std::size_t i = from; i < args.size(); ++i)
        text += (i == from ? "" : ", ") + unparse(*args[i]);
    return text;
}

std::string call(const Expr& expr) {
    if (expr.name == kNot && expr.args.size() == 1) return "!" + operand(*expr.args[0]);
    if (expr.name == kNegate && expr.args.size() == 1) return "-" + operand(*expr.args[0]);
    if (expr.name == kIn) return operand(*expr.args[0]) + " in " + operand(*expr.args[1]);
    if (expr.name.size() > 2 && expr.name.starts_with('_') && expr.name.ends_with('_') &&
        !expr.member && expr.args.size() == 2)
        return operand(*expr.args[0]) + " " + expr.name.substr(1, expr.name.size() - 2) + " " +
               operand(*expr.args[1]);
    if (expr.name == "math.@max" || expr.name == "math.@min")
        return (expr.name == "math.@max" ? "math.greatest(" : "math.least(") +
               joined(expr.args, 0) + ")";
    if (expr.member)
        return operand(*expr.args[0]) + "." + expr.name + "(" + joined(expr.args, 1) + ")";
    return (expr.leading_dot ? "." : "") + expr.name + "(" + joined(expr.args, 0) + ")";
}

std::string loop(const Expr& expr) {
    constexpr const char* kNames[]{"all",    "exists",        "existsOne",    "map",
                                   "filter", "transformList", "transformMap", "transformMapEntry",
                                   "sortBy"};
    std::string text = operand(*expr.args[0]) + "." + kNames[static_cast<std::size_t>(expr.loop)] +
                       "(" + expr.variable;
    if (!expr.variable2.empty()) text += ", " + expr.variable2;
    return text + ", " + joined(expr.args, 1) + ")";
}

std::string braces(const Expr& expr) {
    std::string text =
        expr.op == Op::Struct ? (expr.leading_dot ? "." : "") + expr.name + "{" : "{";
    for (std::size_t i = 0; i != expr.marked.size(); ++i) {
        text += i == 0 ? "" : ", ";
        if (expr.marked[i]) text += "?";
        text += expr.op == Op::Struct
                    ? field(expr.fields[i]) + ": " + unparse(*expr.args[i])
                    : unparse(*expr.args[2 * i]) + ": " + unparse(*expr.args[2 * i + 1]);
    }
    return text + "}";
}

}  // namespace

std::string describe(const Value& value, std::size_t limit) {
    Writer writer{limit};
    writer.value(value);
    return writer.take();
}

std::string quote(std::string_view text, bool bytes) {
    constexpr std::string_view kDigits = "0123456789abcdef";
    std::string made = bytes ? "b\"" : "\"";
    for (const char c : bytes ? std::string{text} : utf8::repaired(text)) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            made.append({'\\', c});
        else if (c == '\n')
            made += "\\n";
        else if (byte < 0x20 || byte == 0x7F || (bytes && byte >= 0x80))
            made.append({'\\', 'x', kDigits[byte >> 4], kDigits[byte & 15]});
        else
            made += c;
    }
    return made + '"';
}

std::string unparse(const Expr& expr) {
    constexpr std::size_t kWhole = ~std::size_t{0} / 2;
    switch (expr.op) {
    case Op::Constant: return describe(expr.value, kWhole);
    case Op::Identifier: return (expr.leading_dot ? "." : "") + expr.name;
    case Op::Select:
        return operand(*expr.args[0]) + (expr.optional ? ".?" : ".") + field(expr.name);
    case Op::Has: return "has(" + operand(*expr.args[0]) + "." + field(expr.name) + ")";
    case Op::Index:
        return operand(*expr.args[0]) + (expr.optional ? "[?" : "[") + unparse(*expr.args[1]) + "]";
    case Op::Call: return call(expr);
    case Op::And: return operand(*expr.args[0]) + " && " + operand(*expr.args[1]);
    case Op::Or: return operand(*expr.args[0]) + " || " + operand(*expr.args[1]);
    case Op::Conditional:
        return operand(*expr.args[0]) + " ? " + operand(*expr.args[1]) + " : " +
               operand(*expr.args[2]);
    case Op::List: {
        std::string text = "[";
        for (std::size_t i = 0; i != expr.args.size(); ++i) {
            text += i == 0 ? "" : ", ";
            text += (expr.marked[i] ? "?" : "") + unparse(*expr.args[i]);
        }
        return text + "]";
    }
    case Op::Map:
    case Op::Struct: return braces(expr);
    case Op::Loop: return loop(expr);
    case Op::Bind: return "cel.bind(" + expr.variable + ", " + joined(expr.args, 0) + ")";
    case Op::OptMap:
        return operand(*expr.args[0]) + (expr.optional ? ".optFlatMap(" : ".optMap(") +
               expr.variable + ", " + unparse(*expr.args[1]) + ")";
    case Op::Block: {
        std::string text = "cel.block([";
        for (std::size_t i = 0; i + 1 != expr.args.size(); ++i)
            text += (i == 0 ? "" : ", ") + unparse(*expr.args[i]);
        return text + "], " + unparse(*expr.args.back()) + ")";
    }
    }
    return {};
}

}  // namespace chaperone::cel
