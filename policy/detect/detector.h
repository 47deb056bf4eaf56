// SPDX-License-Identifier: Apache-2.0
// Finds personal data and secrets in text: one table-driven pass for the built-in recognisers, RE2
// for those of the bundle. Immutable once made: threads share one Detector.
#pragma once

#include "policy/detect/kind.h"
#include "userspace/base/error.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::detect {

struct Match {
    KindId kind{};               // Detector::name() tells its name
    std::size_t begin{}, end{};  // bytes of the text, end excluded
    std::uint8_t confidence{};   // 1 to 100
};

// A recogniser of the bundle. Without context words a hit counts with `confidence`; with them, only
// a hit that has one of the words near reaches it, others get half.
struct CustomRecognizer {
    std::string name{};     // EMPLOYEE_ID: upper case, digits and _, not a built-in's
    std::string pattern{};  // RE2 syntax; must not match the empty text
    std::vector<std::string> context{};
    std::uint8_t confidence{85};
};

struct Options {
    std::uint8_t least{50};  // matches below this confidence are not reported
};

class Detector {
public:
    static constexpr std::size_t kMaxCustom = 64;
    static constexpr std::size_t kMaxPattern = 1024;
    static constexpr std::size_t kMaxMatches = 65536;  // in one text; see find()

    // `kinds` are names of built-ins or of `custom`. Invalid names the offender: an unknown kind,
    // a pattern that RE2 does not take or that matches the empty text, a name given twice.
    static Result<Detector> make(std::span<const std::string> kinds,
                                 std::span<const CustomRecognizer> custom = {},
                                 Options options = {});
    Detector(Detector&&) noexcept;
    Detector& operator=(Detector&&) noexcept;
    ~Detector();

    // Replaces `out` by the matches in `text`, in order and without overlap (what overlaps is one
    // match over all of it, named by the more confident). `hint` is context that stands outside the
    // text, such as a column's name. Over kMaxMatches the last match reaches to the end of the
    // text, so that nothing after it is let through unseen. Built-ins allocate only in `out`.
    void find(std::string_view text, std::vector<Match>& out, std::string_view hint = {}) const;
    // Whether find() would find anything.
    bool contains(std::string_view text, std::string_view hint = {}) const;

    std::string_view name(KindId kind) const noexcept;
    // None of the bundle's: then what a value may look like is known.
    bool only_built_in() const noexcept;

private:
    struct Plan;
    explicit Detector(std::unique_ptr<const Plan> plan) noexcept;

    std::unique_ptr<const Plan> plan_;
};

}  // namespace chaperone::detect
