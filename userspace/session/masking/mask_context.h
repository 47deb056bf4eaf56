// SPDX-License-Identifier: Apache-2.0
// What is masked in one answer, column by column, and with what. Views live as long as the answer
// is read: the machine holds the decision, the catalog and the facts.
#pragma once

#include "policy/mask.h"
#include "policy/sql/catalog.h"
#include "userspace/session/masking/value_mask.h"
#include "userspace/session/pg_session.h"

#include <memory>
#include <optional>
#include <vector>

namespace chaperone::session {

struct MaskContext {
    const policy::MaskSet* masks = nullptr;
    const policy::sql::Catalog* catalog = nullptr;  // null: only names are known
    std::shared_ptr<const detect::Masker> masker{};
    const DetectorSource* detectors = nullptr;
    bool iso_dates = true;
};

// The strongest mask on what an output column derives from; nullopt: none applies. `output` null:
// where it comes from is not known.
std::optional<detect::With> mask_of(const policy::sql::OutputColumn* output,
                                    const MaskContext& context);

// The detectors of a decision over one text. Made once for an answer.
class TextScan {
public:
    TextScan() = default;
    explicit TextScan(const MaskContext& context);

    bool empty() const noexcept { return scans_.empty(); }
    bool contains(std::string_view text) const;
    // `text` with what was found replaced; nullopt: nothing was found.
    std::optional<std::string> replace(std::string_view text, std::size_t max_length) const;
    // The same for a value of a type: nullopt: unchanged. `null` says that only NULL will do.
    std::optional<std::string> replace_value(Bytes value, ValueType type, bool binary,
                                             bool& null) const;

private:
    struct Scan {
        std::shared_ptr<const detect::Detector> detector;  // null: could not be had
        detect::With with;
    };
    std::optional<std::string> replace_json(std::string_view text, bool versioned) const;

    std::vector<Scan> scans_;
    std::shared_ptr<const detect::Masker> masker_;
    mutable std::vector<detect::Match> matches_;
};

}  // namespace chaperone::session
