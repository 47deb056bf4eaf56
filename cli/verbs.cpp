// SPDX-License-Identifier: Apache-2.0
// All verbs, in the order of the help.
#include "cli/verb.h"

#include <array>

namespace chaperone::cli {

std::span<const Noun> nouns() {
    static constexpr std::array<Noun, 7> kNouns{
        {{"workload", "Which cgroups are governed, and as whom"},
         {"session", "What agents did and do"},
         {"approval", "Requests that wait for a person"},
         {"policy", "The bundle: check, test, explain, apply"},
         {"journal", "The record that cannot be altered unseen"},
         {"secret", "Credentials that agents never see"},
         {"ca", "The certificate authority that agents trust"}}};
    return kNouns;
}

std::vector<VerbEntry> all_verbs() {
    std::vector<VerbEntry> all;
    for (const auto some : {run_verbs(), workload_verbs(), session_verbs(), approval_verbs(),
                            policy_verbs(), policy_ask_verbs(), policy_bundle_verbs(),
                            journal_verbs(), admin_verbs(), ca_verbs(), completion_verbs()})
        all.insert(all.end(), some.begin(), some.end());
    return all;
}

}  // namespace chaperone::cli
