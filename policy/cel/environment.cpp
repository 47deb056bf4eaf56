// SPDX-License-Identifier: Apache-2.0
// Environments, and the signatures that functions are declared by.
#include "policy/cel/environment.h"

#include "policy/cel/functions/library.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

namespace chaperone::cel {
namespace {

[[noreturn]] void bad_signature(std::string_view signature) {
    std::fprintf(stderr, "cel: the signature '%.*s' does not parse\n",
                 static_cast<int>(signature.size()), signature.data());
    std::abort();
}

std::string_view trimmed(std::string_view text) {
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    return text;
}

// A receiver is a type of the language, or an object type: its last part begins with a capital.
bool is_receiver(std::string_view text, const Type& type) {
    if (!type.is(TypeKind::Object)) return true;
    const std::string_view last = text.substr(text.rfind('.') + 1);
    return last.front() >= 'A' && last.front() <= 'Z';
}

// The '(' that opens the parameters: the one that matches the last ')' before "->".
std::size_t parameters_at(std::string_view head) {
    int depth = 0;
    for (std::size_t i = head.size(); i-- != 0;) {
        if (head[i] == ')') ++depth;
        if (head[i] == '(' && --depth == 0) return i;
    }
    return head.npos;
}

void parse_parameters(std::string_view text, std::string_view signature, Overload& overload) {
    int depth = 0;
    std::size_t from = 0;
    for (std::size_t i = 0; i <= text.size(); ++i) {
        if (i != text.size() && text[i] == '(') ++depth;
        if (i != text.size() && text[i] == ')') --depth;
        if (i != text.size() && (text[i] != ',' || depth != 0)) continue;
        const std::string_view part = trimmed(text.substr(from, i - from));
        from = i + 1;
        if (part.empty() && trimmed(text).empty()) return;
        auto type = parse_type(part);
        if (!type) bad_signature(signature);
        overload.parameters.push_back(*std::move(type));
    }
}

Overload parse_signature(std::string_view signature) {
    const auto arrow = signature.find("->");
    if (arrow == signature.npos) bad_signature(signature);
    const std::string_view head = trimmed(signature.substr(0, arrow));
    const std::size_t open = parameters_at(head);
    auto result = parse_type(trimmed(signature.substr(arrow + 2)));
    if (open == head.npos || !result) bad_signature(signature);
    Overload overload;
    overload.result = *std::move(result);
    const std::string_view name = head.substr(0, open);
    overload.name = name;
    const auto dot = name.rfind('.');
    if (dot != name.npos) {
        const auto receiver = parse_type(name.substr(0, dot));
        if (receiver && is_receiver(name.substr(0, dot), *receiver)) {
            overload.member = true;
            overload.name = name.substr(dot + 1);
            overload.parameters.push_back(*receiver);
        }
    }
    parse_parameters(head.substr(open + 1, head.size() - open - 2), signature, overload);
    return overload;
}

}  // namespace

std::shared_ptr<const Environment> Environment::standard() {
    static const std::shared_ptr<const Environment> made = Builder{}.build();
    return made;
}

std::size_t Environment::slot(std::string_view name) const noexcept {
    const auto found = slots_.find(name);
    return found == slots_.end() ? kNone : found->second;
}

std::span<const Overload> Environment::functions(std::string_view name) const noexcept {
    if (const auto found = functions_.find(name); found != functions_.end()) return found->second;
    if (!library_) return {};
    const auto found = library_->find(name);
    if (found == library_->end()) return {};
    return found->second;
}

std::vector<std::string> Environment::function_names() const {
    std::vector<std::string> names;
    const auto add = [&](const Functions& functions) {
        for (const auto& [name, overloads] : functions)
            if (std::isalpha(static_cast<unsigned char>(name[0])) != 0) names.push_back(name);
    };
    add(functions_);
    if (library_) add(*library_);
    return names;
}

std::shared_ptr<const Environment::Functions> Environment::Builder::library() {
    static const std::shared_ptr<const Functions> made = [] {
        Builder builder{nullptr};
        add_standard_functions(builder);
        return std::make_shared<const Functions>(std::move(builder.made_->functions_));
    }();
    return made;
}

Environment::Builder::Builder(std::nullptr_t) : made_(new Environment) {}

Environment::Builder::Builder() : made_(new Environment) {
    made_->library_ = library();
}

Environment::Builder& Environment::Builder::variable(std::string_view name, Type type) {
    const auto [at, added] = made_->slots_.try_emplace(std::string{name}, made_->variables_.size());
    if (added)
        made_->variables_.push_back({std::string{name}, std::move(type)});
    else
        made_->variables_[at->second].type = std::move(type);
    return *this;
}

Environment::Builder& Environment::Builder::function(std::string_view signature, Function run,
                                                     bool pure) {
    Overload overload = parse_signature(signature);
    overload.run = std::move(run);
    overload.pure = pure;
    const auto known = made_->functions(overload.name);
    const auto [at, added] = made_->functions_.try_emplace(overload.name);
    if (added) at->second.assign(known.begin(), known.end());
    at->second.push_back(std::move(overload));
    return *this;
}

Environment::Builder& Environment::Builder::container(std::string_view name) {
    made_->container_ = name;
    return *this;
}

std::shared_ptr<const Environment> Environment::Builder::build() const {
    return std::shared_ptr<const Environment>{new Environment{*made_}};
}

}  // namespace chaperone::cel
