// SPDX-License-Identifier: Apache-2.0
// Two filters, one behind the other.
#pragma once

#include "userspace/session/http/body_filter.h"

#include <memory>
#include <utility>

namespace chaperone::session {

class FilterChain final : public BodyFilter {
public:
    FilterChain(std::unique_ptr<BodyFilter> first, std::unique_ptr<BodyFilter> second)
        : first_(std::move(first)), second_(std::move(second)) {}

    Result<> push(Bytes data, bool last, Buffer& out) override {
        between_.clear();
        if (auto done = first_->push(data, last, between_); !done) return done;
        return second_->push(between_, last, out);
    }
    Result<> flush(Buffer& out) override {
        between_.clear();
        if (auto done = first_->flush(between_); !done) return done;
        if (auto done = second_->push(between_, false, out); !done) return done;
        return second_->flush(out);
    }
    bool over() const override { return first_->over() || second_->over(); }
    bool keeps_length() const override { return first_->keeps_length() && second_->keeps_length(); }
    std::optional<std::string> trailer(std::string_view name, std::string_view value) override {
        const auto half = first_->trailer(name, value);
        return half ? second_->trailer(name, *half) : std::nullopt;
    }
    std::uint64_t masked() const override { return first_->masked() + second_->masked(); }

private:
    std::unique_ptr<BodyFilter> first_;
    std::unique_ptr<BodyFilter> second_;
    Buffer between_{};
};

// Either may be null, and the result is if both are.
inline std::unique_ptr<BodyFilter> chain(std::unique_ptr<BodyFilter> first,
                                         std::unique_ptr<BodyFilter> second) {
    if (!first) return second;
    if (!second) return first;
    return std::make_unique<FilterChain>(std::move(first), std::move(second));
}

}  // namespace chaperone::session
