// SPDX-License-Identifier: Apache-2.0
// layer: sql
// Any text: the analysis ends, and says something about every text that is not empty of statements.
#include "policy/sql/analyzer.h"

#include <cstdint>
#include <cstdlib>

using namespace chaperone::policy::sql;

namespace {

std::shared_ptr<const Catalog> shop() {
    CatalogBuilder builder;
    const auto added = builder.add_literal(
        "table public.t(a int4, b text)\ntable public.customers(id int4, email text)\n"
        "view public.v(m) as select c.email from public.customers c\nfunction public.f volatile "
        "sql\n");
    if (!added) std::abort();
    return builder.build();
}

void check(const Facts& facts) {
    if (facts.parsed) return;
    if (!facts.statements.empty() || facts.effects.size() != 1 ||
        facts.effects[0].kind != EffectKind::Unknown || facts.error.empty())
        std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    static const auto catalog = shop();
    const std::string_view text{reinterpret_cast<const char*>(data), size};
    SessionNames session;
    Context context;
    context.session = &session;
    const auto plain = analyze(text, context);
    check(*plain);
    session.note(*plain);
    context.catalog = catalog.get();
    context.names.certain = false;
    const auto facts = analyze(text, context);
    check(*facts);
    if (facts->parsed != plain->parsed)
        std::abort();  // a catalog changes what is meant, not syntax
    return 0;
}
