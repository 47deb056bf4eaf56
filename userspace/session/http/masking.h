// SPDX-License-Identifier: Apache-2.0
// The masks of decisions over HTTP messages: bodies through BodyMasker, the query of a request, the
// fields of a response. A message that cannot be masked does not pass.
#pragma once

#include "policy/proto/schema.h"
#include "userspace/session/http/body_filter.h"
#include "userspace/session/masking/text_stream.h"

#include <memory>

namespace chaperone::session {

// `source` and `masker` are used by all threads that use the result. `schema`: of the messages of
// gRPC; null: calls under masks do not pass.
std::shared_ptr<const Masking> make_masking(
    TextMasks::Source source, std::shared_ptr<const detect::Masker> masker,
    std::shared_ptr<const policy::proto::Schema> schema = nullptr);

// What anybody who changes bodies owes to their heads.
void accept_spoken_codings(const http::RequestHead& head, HeadEdits& edits);
void reframe_body(HeadEdits& edits);  // no length, digest or validator of what was sent
bool may_have_body(const http::RequestHead& request, const http::ResponseHead& response) noexcept;

}  // namespace chaperone::session
