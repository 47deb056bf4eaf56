// SPDX-License-Identifier: Apache-2.0
#include "policy/sql/analyzer.h"

#include <pthread.h>

#include <algorithm>
#include <array>

namespace chaperone::policy::sql {
namespace {

// What an entry costs besides its text; an estimate, on the high side.
std::size_t weight(const std::string& key, const Facts& facts) {
    std::size_t bytes = 2 * key.size() + 1'024;
    for (const Statement& statement : facts.statements) {
        bytes += sizeof(Statement);
        for (const OutputColumn& column : statement.outputs)
            bytes += sizeof column + column.name.size() + column.sources.size() * 160;
    }
    for (const Effect& effect : facts.effects)
        bytes += sizeof effect + effect.object.size() + effect.columns.size() * 48;
    return bytes + (facts.filters.size() + facts.flows.size()) * 200;
}

bool cacheable(const Context& context) {
    const SessionNames* session = context.session;
    return session == nullptr || (session->changed.empty() && !session->all_changed);
}

bool is_word(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
           c == '.';
}

// Only statements that read and write rows: elsewhere a number may be what the facts tell.
bool begins_with_dml(std::string_view text) {
    static constexpr std::string_view kVerbs[] = {"select ", "insert ", "update ", "delete "};
    if (text.size() < 7) return false;
    std::array<char, 7> head;
    for (std::size_t i = 0; i != head.size(); ++i)
        head[i] = text[i] >= 'A' && text[i] <= 'Z' ? static_cast<char>(text[i] + 32) : text[i];
    return std::ranges::find(kVerbs, std::string_view{head.data(), head.size()}) !=
           std::end(kVerbs);
}

// Appends the text with every whole number that is compared or assigned (that follows =, < or >)
// as 0: texts that differ in such numbers have the same facts, but for the length. Position
// numbers (ORDER BY 1), parameters, subscripts and the like stay as they are. False, with nothing
// appended, for texts that hold quotes, comments, several statements or anything else in which a
// digit may not be a number.
bool append_skeleton(std::string& key, std::string_view text) {
    if (!begins_with_dml(text)) return false;
    const std::size_t before = key.size();
    bool compared = false;  // the last thing but blanks was =, < or >
    for (std::size_t i = 0; i != text.size();) {
        const char c = text[i];
        const bool last = i + 1 == text.size();
        const bool comment =
            !last && ((c == '-' && text[i + 1] == '-') || (c == '/' && text[i + 1] == '*'));
        if (c < ' ' || c > '~' || c == '\'' || c == '"' || c == '$' || c == '\\' ||
            (c == ';' && !last) || comment) {
            key.resize(before);
            return false;
        }
        if (!is_word(c)) {
            key += c;
            if (c != ' ') compared = c == '=' || c == '<' || c == '>';
            ++i;
            continue;
        }
        std::size_t end = i;
        bool digits = true;
        for (; end != text.size() && is_word(text[end]); ++end)
            digits = digits && text[end] >= '0' && text[end] <= '9';
        if (compared && digits)
            key += '0';
        else
            key += text.substr(i, end - i);
        compared = false;
        i = end;
    }
    return true;
}

}  // namespace

AnalysisCache::AnalysisCache(std::size_t entries, std::size_t bytes)
    : max_entries_(entries), max_bytes_(bytes) {}

std::shared_ptr<const Facts> AnalysisCache::analyze(const Analyzer& analyzer, std::string_view text,
                                                    const Context& context) {
    if (!cacheable(context)) return analyzer.analyze(text, context);
    key_.assign(analyzer.dialect());
    key_ += '\0';
    key_ += std::to_string(context.catalog == nullptr ? 0 : context.catalog->generation());
    key_ += context.names.certain ? '+' : '?';
    key_ += context.standard_conforming_strings ? '+' : '-';
    for (const std::string& schema : context.names.search_path) {
        key_ += schema;
        key_ += '\0';
    }
    key_ += '\1';
    if (!append_skeleton(key_, text)) key_ += text;
    if (const auto found = index_.find(key_); found != index_.end()) {
        ++hits_;
        order_.splice(order_.begin(), order_, found->second);
        return found->second->facts;
    }
    auto facts = analyzer.analyze(text, context);
    const std::size_t cost = weight(key_, *facts);
    if (facts->uses_session || cost > max_bytes_ / 8) return facts;
    order_.push_front({key_, facts});
    index_.emplace(order_.front().key, order_.begin());
    bytes_ += cost;
    while (order_.size() > max_entries_ || bytes_ > max_bytes_) {
        bytes_ -= weight(order_.back().key, *order_.back().facts);
        index_.erase(order_.back().key);
        order_.pop_back();
    }
    return facts;
}

bool run_with_big_stack(const std::function<void()>& work, std::size_t bytes) {
    pthread_attr_t attributes;
    if (pthread_attr_init(&attributes) != 0) return false;
    pthread_t thread;
    const auto entry = [](void* argument) -> void* {
        (*static_cast<const std::function<void()>*>(argument))();
        return nullptr;
    };
    void* argument = const_cast<std::function<void()>*>(&work);
    const bool made = pthread_attr_setstacksize(&attributes, bytes) == 0 &&
                      pthread_create(&thread, &attributes, entry, argument) == 0;
    pthread_attr_destroy(&attributes);
    if (made) pthread_join(thread, nullptr);
    return made;
}

}  // namespace chaperone::policy::sql
