// SPDX-License-Identifier: Apache-2.0
#include "policy/sql/analyzer.h"

#include <pthread.h>

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
    key_ += text;
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
