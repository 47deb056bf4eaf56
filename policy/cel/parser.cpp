// SPDX-License-Identifier: Apache-2.0
// Recursive descent over the grammar of the language definition. After an error the parser skips to
// where the enclosing list, argument or bracket goes on, so that one run finds all errors.
#include "policy/cel/parser.h"

#include "policy/cel/lexer.h"

#include <algorithm>
#include <array>

namespace chaperone::cel {
namespace {

constexpr std::array<std::string_view, 17> kReserved{
    "as",  "break", "const",   "continue",  "else",   "for", "function", "if",   "import",
    "let", "loop",  "package", "namespace", "return", "var", "void",     "while"};

bool is_reserved(std::string_view name) {
    return std::ranges::find(kReserved, name) != kReserved.end();
}
bool is_keyword(std::string_view name) {
    return name == "in" || name == "true" || name == "false" || name == "null";
}

class Parser {
public:
    Parser(const Source& source, const Options& options, Issues& issues)
        : options_(options), issues_(issues), tokens_(lex(source, issues)) {}

    Ast run() {
        if (peek().kind == Token::End) {
            error(peek(), "an expression is missing");
        } else {
            ast_.root = expression();
            if (peek().kind != Token::End && !panic_ && !issues_.failed())
                error(peek(), "unexpected " + shown(peek()) + " after the expression");
        }
        return std::move(ast_);
    }

private:
    // Counts the nesting of the source; the guard of all recursion.
    class Nest {
    public:
        explicit Nest(Parser& parser) : parser_(parser) { ++parser_.depth_; }
        ~Nest() { --parser_.depth_; }
        Nest(const Nest&) = delete;
        Nest& operator=(const Nest&) = delete;

    private:
        Parser& parser_;
    };

    const Lexeme& peek(std::size_t ahead = 0) const {
        return tokens_[std::min(at_ + ahead, tokens_.size() - 1)];
    }
    bool is(std::string_view punctuation, std::size_t ahead = 0) const {
        return peek(ahead).kind == Token::Punctuation && peek(ahead).text == punctuation;
    }
    bool take(std::string_view punctuation) {
        if (!is(punctuation)) return false;
        ++at_;
        return true;
    }
    std::uint32_t last_end() const { return at_ == 0 ? 0 : tokens_[at_ - 1].end; }

    static std::string shown(const Lexeme& token) {
        if (token.kind == Token::End) return "end of the expression";
        return "'" + std::string{token.text} + "'";
    }
    void error(const Lexeme& token, std::string message) {
        // A malformed token was reported by the lexer; and one error is enough until recovery.
        if (!panic_ && token.kind != Token::Bad)
            issues_.error(token.begin, token.end, std::move(message));
        panic_ = true;
    }
    void expect(std::string_view punctuation) {
        if (!panic_ && !take(punctuation))
            error(peek(), "expected '" + std::string{punctuation} + "', not " + shown(peek()));
        if (!panic_) return;
        recover();
        take(punctuation);
    }
    // To the next ',' or closing bracket of this level, or the end.
    void recover() {
        int depth = 0;
        for (; peek().kind != Token::End; ++at_) {
            if (is("(") || is("[") || is("{")) ++depth;
            const bool closes = is(")") || is("]") || is("}");
            if (depth == 0 && (closes || is(","))) break;
            if (closes) --depth;
        }
        panic_ = false;
    }

    Expr* finish(Expr* node) {
        std::uint16_t height = 0;
        for (const Expr* arg : node->args) height = std::max(height, arg->height);
        node->height = static_cast<std::uint16_t>(height + 1);
        if (node->height > kMaxHeight) {
            if (!too_high_) issues_.error(node->at, node->end, "the expression is too complex");
            too_high_ = true;
            node->args.clear();  // keeps what is built from here on low
            node->op = Op::Constant;
            node->height = 1;
        }
        return node;
    }
    Expr* node(Op op, std::uint32_t begin, std::vector<Expr*> args, std::uint32_t at) {
        Expr* made = ast_.make(op, begin, last_end());
        made->at = at;
        made->args = std::move(args);
        return finish(made);
    }
    Expr* call(std::string_view name, std::uint32_t begin, std::vector<Expr*> args,
               std::uint32_t at) {
        Expr* made = node(Op::Call, begin, std::move(args), at);
        made->name = name;
        return made;
    }
    Expr* nothing() { return ast_.make(Op::Constant, peek().begin, peek().end); }

    Expr* expression() {
        const Nest nest{*this};
        if (depth_ > options_.max_depth) {
            if (!too_deep_) error(peek(), "the expression is nested too deeply");
            too_deep_ = true;
            panic_ = true;
            at_ = tokens_.size() - 1;
            return nothing();
        }
        const std::uint32_t begin = peek().begin;
        Expr* condition = disjunction();
        if (panic_ || !is("?")) return condition;
        const std::uint32_t at = peek().begin;
        ++at_;
        Expr* then = disjunction();
        if (panic_) return condition;
        if (!take(":")) {
            error(peek(), "expected ':' of '?:', not " + shown(peek()));
            return condition;
        }
        Expr* otherwise = expression();
        return node(Op::Conditional, begin, {condition, then, otherwise}, at);
    }

    // a || b || c … as a balanced tree, so that long chains stay low.
    Expr* chain(Op op, std::string_view symbol, Expr* (Parser::*part)()) {
        std::vector<Expr*> parts{(this->*part)()};
        std::vector<std::uint32_t> ats{0};
        while (!panic_ && is(symbol)) {
            ats.push_back(peek().begin);
            ++at_;
            parts.push_back((this->*part)());
        }
        return balance(op, parts, ats, 0, parts.size());
    }
    Expr* balance(Op op, const std::vector<Expr*>& parts, const std::vector<std::uint32_t>& ats,
                  std::size_t from, std::size_t to) {
        if (to - from == 1) return parts[from];
        const std::size_t middle = from + (to - from + 1) / 2;
        Expr* left = balance(op, parts, ats, from, middle);
        Expr* right = balance(op, parts, ats, middle, to);
        Expr* made = ast_.make(op, left->begin, right->end);
        made->at = ats[middle];
        made->args = {left, right};
        return finish(made);
    }
    Expr* disjunction() { return chain(Op::Or, "||", &Parser::conjunction); }
    Expr* conjunction() { return chain(Op::And, "&&", &Parser::relation); }

    std::string_view binary(const auto& symbols, const auto& names) const {
        for (std::size_t i = 0; i != symbols.size(); ++i)
            if (is(symbols[i])) return names[i];
        return {};
    }
    Expr* relation() {
        constexpr std::array<std::string_view, 6> kSymbols{"==", "!=", "<", "<=", ">", ">="};
        constexpr std::array<std::string_view, 6> kNames{"_==_", "_!=_", "_<_",
                                                         "_<=_", "_>_",  "_>=_"};
        const std::uint32_t begin = peek().begin;
        Expr* left = addition();
        while (!panic_) {
            std::string_view name = binary(kSymbols, kNames);
            if (name.empty() && peek().kind == Token::Identifier && peek().text == "in") name = kIn;
            if (name.empty()) break;
            const std::uint32_t at = peek().begin;
            ++at_;
            Expr* right = addition();
            left = call(name, begin, {left, right}, at);
        }
        return left;
    }
    Expr* addition() {
        constexpr std::array<std::string_view, 2> kSymbols{"+", "-"};
        constexpr std::array<std::string_view, 2> kNames{"_+_", "_-_"};
        return left_chain(kSymbols, kNames, &Parser::multiplication);
    }
    Expr* multiplication() {
        constexpr std::array<std::string_view, 3> kSymbols{"*", "/", "%"};
        constexpr std::array<std::string_view, 3> kNames{"_*_", "_/_", "_%_"};
        return left_chain(kSymbols, kNames, &Parser::unary);
    }
    Expr* left_chain(const auto& symbols, const auto& names, Expr* (Parser::*part)()) {
        const std::uint32_t begin = peek().begin;
        Expr* left = (this->*part)();
        while (!panic_) {
            const std::string_view name = binary(symbols, names);
            if (name.empty()) break;
            const std::uint32_t at = peek().begin;
            ++at_;
            Expr* right = (this->*part)();
            left = call(name, begin, {left, right}, at);
        }
        return left;
    }

    Expr* unary() {
        const std::uint32_t begin = peek().begin;
        if (!is("!") && !is("-")) return member();
        const bool negates = is("-");
        std::size_t signs = 0;
        while (is(negates ? "-" : "!")) {
            ++at_;
            ++signs;
        }
        Expr* operand = nullptr;
        // -9223372036854775808 is one literal: its digits alone fit no int.
        if (negates && peek().kind == Token::Literal && is_numeric(peek().value)) {
            operand = negative_literal(begin);
            --signs;
        } else {
            operand = is("!") || is("-") ? nested_unary() : member();
        }
        // An even number of signs still checks its operand's type, so two are left of them.
        if (signs > 2) signs = 2 - signs % 2;
        for (; signs != 0; --signs)
            operand = call(negates ? kNegate : kNot, begin, {operand}, begin);
        return operand;
    }
    Expr* nested_unary() {
        const Nest nest{*this};
        if (depth_ > options_.max_depth) {
            error(peek(), "the expression is nested too deeply");
            at_ = tokens_.size() - 1;
            return nothing();
        }
        return unary();
    }
    static bool is_numeric(const Value& value) {
        return value.is(Kind::Int) || value.is(Kind::Double) || value.is(Kind::Error);
    }
    Expr* negative_literal(std::uint32_t begin) {
        const Value& digits = peek().value;
        Expr* made = ast_.make(Op::Constant, begin, peek().end);
        if (digits.is(Kind::Double)) made->value = Value::real(-digits.as_double());
        if (digits.is(Kind::Int)) made->value = Value::integer(-digits.as_int());
        if (digits.is(Kind::Error)) made->value = Value::integer(INT64_MIN);
        ++at_;
        return members(made, begin);
    }

    Expr* member() {
        const std::uint32_t begin = peek().begin;
        return members(primary(), begin);
    }
    Expr* members(Expr* operand, std::uint32_t begin) {
        while (!panic_) {
            if (is(".")) {
                ++at_;
                operand = select(operand, begin);
            } else if (is("[")) {
                operand = index(operand, begin);
            } else if (is("{")) {
                const std::string name = type_of_message(*operand);
                if (name.empty()) {
                    error(peek(), "unexpected '{': only a type name may come before it");
                    break;
                }
                operand = message(operand, name, begin);
            } else {
                break;
            }
        }
        return operand;
    }
    // "a.b.c" of plain selections, or empty.
    static std::string type_of_message(const Expr& expr) {
        if (expr.op == Op::Identifier) return expr.name;
        if (expr.op != Op::Select || expr.optional) return {};
        std::string name = type_of_message(*expr.args[0]);
        return name.empty() ? name : name + "." + expr.name;
    }
    static bool has_leading_dot(const Expr* expr) {
        while (expr->op == Op::Select) expr = expr->args[0];
        return expr->leading_dot;
    }

    Expr* select(Expr* operand, std::uint32_t begin) {
        const bool optional = take("?");
        const Lexeme name = peek();
        if ((name.kind != Token::Identifier && name.kind != Token::Quoted) ||
            (name.kind == Token::Identifier && is_keyword(name.text))) {
            error(name, "expected the name of a field or function, not " + shown(name));
            return operand;
        }
        ++at_;
        if (is("(") && !optional && name.kind == Token::Identifier) {
            std::vector<Expr*> args = arguments({operand});
            Expr* made = call(name.text, begin, std::move(args), name.begin);
            made->member = true;
            return macro(made);
        }
        Expr* made = node(Op::Select, begin, {operand}, name.begin);
        made->name = name.text;
        made->optional = optional;
        return made;
    }
    Expr* index(Expr* operand, std::uint32_t begin) {
        const std::uint32_t at = peek().begin;
        ++at_;
        const bool optional = take("?");
        Expr* key = expression();
        expect("]");
        Expr* made = node(Op::Index, begin, {operand, key}, at);
        made->optional = optional;
        return made;
    }

    // "(" expressions ")"
    std::vector<Expr*> arguments(std::vector<Expr*> args) {
        ++at_;
        if (take(")")) return args;
        do {
            args.push_back(expression());
            if (panic_) recover();
        } while (take(","));
        expect(")");
        return args;
    }
    Expr* macro(Expr* made) {
        if (!options_.macros || issues_.failed()) return made;
        Expr* expanded = expand_macro(ast_, *made, issues_);
        return expanded == nullptr ? made : finish(expanded);
    }

    Expr* primary() {
        const Lexeme token = peek();
        if (token.kind == Token::Literal) return literal(token);
        if (token.kind == Token::Identifier || is(".")) return identifier();
        if (is("[")) return list();
        if (is("{")) return map();
        if (is("(")) {
            ++at_;
            Expr* inner = expression();
            expect(")");
            return inner;
        }
        error(token, token.kind == Token::End ? "the expression ends too early"
                                              : "unexpected " + shown(token));
        return nothing();
    }
    Expr* literal(const Lexeme& token) {
        ++at_;
        Expr* made = ast_.make(Op::Constant, token.begin, token.end);
        made->value = token.value;
        if (token.value.is(Kind::Error))
            issues_.error(token.begin, token.end, std::string{token.value.as_text()});
        return made;
    }
    Expr* identifier() {
        const std::uint32_t begin = peek().begin;
        const bool dot = take(".");
        const Lexeme name = peek();
        if (name.kind != Token::Identifier) {
            error(name, "expected a name after '.', not " + shown(name));
            return nothing();
        }
        ++at_;
        Expr* made = ast_.make(Op::Constant, begin, name.end);
        if (name.text == "true" || name.text == "false") {
            made->value = Value::boolean(name.text == "true");
            return made;
        }
        if (name.text == "null") return made;
        if (is_reserved(name.text) || name.text == "in")
            error(name, "'" + std::string{name.text} + "' is a reserved word");
        if (!panic_ && is("(")) {
            std::vector<Expr*> args = arguments({});
            Expr* function = call(name.text, begin, std::move(args), name.begin);
            function->leading_dot = dot;
            return macro(function);
        }
        made->op = Op::Identifier;
        made->name = name.text;
        made->leading_dot = dot;
        return made;
    }

    Expr* list() {
        const std::uint32_t begin = peek().begin;
        ++at_;
        std::vector<Expr*> args;
        std::vector<bool> marked;
        while (!panic_ && !is("]")) {
            marked.push_back(take("?"));
            args.push_back(expression());
            if (panic_) recover();
            if (!take(",")) break;
        }
        expect("]");
        Expr* made = node(Op::List, begin, std::move(args), begin);
        made->marked = std::move(marked);
        return made;
    }
    Expr* map() {
        const std::uint32_t begin = peek().begin;
        ++at_;
        std::vector<Expr*> args;
        std::vector<bool> marked;
        while (!panic_ && !is("}")) {
            const bool mark = take("?");
            Expr* key = expression();
            if (!panic_ && !take(":"))
                error(peek(), "expected ':' after the key, not " + shown(peek()));
            if (!panic_) {
                marked.push_back(mark);
                args.push_back(key);
                args.push_back(expression());
            }
            if (panic_) recover();
            if (!take(",")) break;
        }
        expect("}");
        Expr* made = node(Op::Map, begin, std::move(args), begin);
        made->marked = std::move(marked);
        if (made->args.size() != 2 * made->marked.size()) made->marked.clear();
        return made;
    }
    Expr* message(const Expr* type, std::string name, std::uint32_t begin) {
        ++at_;
        std::vector<Expr*> args;
        std::vector<std::string> fields;
        std::vector<bool> marked;
        while (!panic_ && !is("}")) {
            const bool mark = take("?");
            const Lexeme field = peek();
            if (field.kind != Token::Identifier && field.kind != Token::Quoted)
                error(field, "expected a field name, not " + shown(field));
            ++at_;
            if (!panic_ && !take(":"))
                error(peek(), "expected ':' after the field, not " + shown(peek()));
            if (!panic_) {
                marked.push_back(mark);
                fields.emplace_back(field.text);
                args.push_back(expression());
            }
            if (panic_) recover();
            if (!take(",")) break;
        }
        expect("}");
        Expr* made = node(Op::Struct, begin, std::move(args), begin);
        made->name = std::move(name);
        made->leading_dot = has_leading_dot(type);
        made->fields = std::move(fields);
        made->marked = std::move(marked);
        return made;
    }

    const Options& options_;
    Issues& issues_;
    std::vector<Lexeme> tokens_;
    Ast ast_;
    std::size_t at_ = 0;
    std::size_t depth_ = 0;
    bool panic_ = false;  // an error was reported and nothing was skipped yet
    bool too_deep_ = false;
    bool too_high_ = false;
};

}  // namespace

Ast parse(const Source& source, const Options& options, Issues& issues) {
    return Parser{source, options, issues}.run();
}

}  // namespace chaperone::cel
