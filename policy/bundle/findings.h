// SPDX-License-Identifier: Apache-2.0
// Collects what is wrong while a bundle is read, and knows the text that each mark points into.
#pragma once

#include "policy/bundle/bundle.h"
#include "policy/bundle/issue.h"
#include "policy/bundle/mark.h"

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace chaperone::policy::bundle {

// The issue at `at`, whose file is files[at.file] (a mark of no file: the bundle as a whole).
Issue make_issue(const std::vector<SourceFile>& files, Severity severity, const Mark& at,
                 std::string message, std::string suggestion = {});

// The mark of `length` code points that begin at byte `offset` of the scalar's value.
Mark inside_scalar(const std::vector<SourceFile>& files, const Mark& scalar, std::string_view value,
                   std::size_t offset, std::size_t length);

class Findings {
public:
    static constexpr std::uint32_t kNoFile = ~std::uint32_t{0};
    static constexpr std::size_t kMost = 1'000;  // nobody reads more; a file of noise makes more

    explicit Findings(const std::vector<SourceFile>& files) : files_(files) {}

    void error(const Mark& at, std::string message, std::string suggestion = {});
    void warning(const Mark& at, std::string id, std::string message, std::string suggestion = {});
    bool has_errors() const noexcept { return errors_ != 0; }

    const std::vector<SourceFile>& files() const noexcept { return files_; }
    // Sorted by file and position.
    std::vector<Issue> take();

private:
    void add(Issue issue);

    const std::vector<SourceFile>& files_;
    std::vector<Issue> issues_;
    std::size_t errors_ = 0;
};

// The one of `names` that was probably meant: "did you mean \"action\"?"; empty if none is near.
std::string did_you_mean(std::string_view wrong, const std::vector<std::string_view>& names);

}  // namespace chaperone::policy::bundle
