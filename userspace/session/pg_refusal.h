// SPDX-License-Identifier: Apache-2.0
// The errors and notices of our own that an agent receives, worded as REFUSALS says: an ordinary
// PostgreSQL error of the right SQLSTATE, with the rule, and never a word of the evaluator.
#pragma once

#include "userspace/session/machine.h"

#include <string>
#include <string_view>

namespace chaperone::session {

struct PgRefusal {
    std::string sqlstate{};
    std::string message{};
    std::string detail{};
    std::string hint{};
};

// Why a request of this session was not let through; `answer.verdict` is not Allowed.
PgRefusal refusal_of(const Answer& answer, std::string_view session);

// ErrorResponse of severity ERROR: the session lives on.
void encode_refusal(Buffer& out, const PgRefusal& refusal);
// ErrorResponse of severity FATAL: the session ends.
void encode_fatal(Buffer& out, const PgRefusal& refusal);
// The one NoticeResponse that a held request gives.
void encode_waiting(Buffer& out, std::string_view approval, Time expires, std::string_view session);

}  // namespace chaperone::session
