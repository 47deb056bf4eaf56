// SPDX-License-Identifier: Apache-2.0
// layer: cel
// Any source compiles to issues or to a program that ends; folding nothing changes nothing; and any
// line of the JSON protocol is answered by one line.
#include "policy/cel/json_eval.h"
#include "policy/cel/program.h"

#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

namespace chaperone::cel {
namespace {

constexpr Limits kLimits{.steps = 20'000, .value_size = 1U << 18};

std::string outcome(const Value& value) {
    return value.is(Kind::Error) ? "error" : describe(value, 1000);
}

void try_source(std::string_view source) {
    static const auto environment = [] {
        Environment::Builder builder;
        builder.variable("x", TypeKind::Int)
            .variable("s", TypeKind::String)
            .variable("l", Type::list(TypeKind::Dyn))
            .variable("m", Type::map(TypeKind::String, TypeKind::Dyn));
        return builder.build();
    }();
    for (const bool check : {true, false}) {
        const Compiled compiled = compile(source, environment, {.check = check, .max_bytes = 4096});
        if (compiled.program.has_value() != compiled.issues.empty()) std::abort();
        if (!compiled.program) continue;
        MapActivation all{environment};
        MapActivation some{environment};
        all.set("x", Value::integer(1));
        all.set("s", Value::text("text"));
        all.set("l", Value::list_of({Value::integer(1), Value::text("a")}));
        all.set("m", Value::map_of({{Value::text("k"), Value::real(1.5)}}));
        some.set("x", Value::integer(1));
        const std::string whole = outcome(compiled.program->evaluate(all, kLimits));
        const Program residual = compiled.program->partial(some, kLimits);
        // A part that was folded costs nothing later, so only a result that is no error must stay.
        if (whole != "error" && outcome(residual.evaluate(all, kLimits)) != whole) std::abort();
        compiled.program->evaluate(some, kLimits);
    }
}

}  // namespace
}  // namespace chaperone::cel

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view input{reinterpret_cast<const char*>(data), size};
    if (input.starts_with('{') && input.contains("expr")) {
        if (chaperone::cel::evaluate_json_line(input).contains('\n')) std::abort();
        return 0;
    }
    chaperone::cel::try_source(input);
    return 0;
}
