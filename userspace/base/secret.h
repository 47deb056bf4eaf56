// SPDX-License-Identifier: Apache-2.0
// A value that must not be printed, logged, compared in variable time or left behind in memory.
// Move-only; wiped when it ends. expose() is the one way to the text, so that uses can be searched.
#pragma once

#include <string>
#include <string_view>

namespace chaperone {

class Secret {
public:
    Secret() = default;
    explicit Secret(std::string text) noexcept : text_(std::move(text)) {}
    // Copies, then wipes what it was given: for text read into a caller's buffer.
    static Secret take(std::string& text);

    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    Secret(Secret&& other) noexcept;
    Secret& operator=(Secret&& other) noexcept;
    ~Secret();

    // A copy that is asked for by name.
    Secret clone() const { return Secret{std::string{text_}}; }

    std::string_view expose() const noexcept { return text_; }
    bool empty() const noexcept { return text_.empty(); }
    // In constant time for equal lengths.
    bool equals(std::string_view other) const noexcept;

private:
    void wipe() noexcept;

    std::string text_;
};

}  // namespace chaperone
