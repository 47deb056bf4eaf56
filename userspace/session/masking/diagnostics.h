// SPDX-License-Identifier: Apache-2.0
// Masks ErrorResponse and NoticeResponse: the server quotes values in its messages. Pure.
#pragma once

#include "userspace/session/masking/mask_context.h"
#include "userspace/wire/pg/message.h"

namespace chaperone::session {

// Whether what a text reads or writes may be under a column mask of the context: then its messages
// may quote masked values. `facts` null: not known, so yes.
bool touches_masked(const policy::sql::Facts* facts, const MaskContext& context);

// The message (tag 'E' or 'N') with its fields in their order: texts scanned by the detectors, and
// where `sensitive` values in M, D, H, W and q redacted. Appended to `out`.
void mask_diagnostic(char tag, const wire::pg::Diagnostic& diagnostic, bool sensitive,
                     const MaskContext& context, Buffer& out);

}  // namespace chaperone::session
