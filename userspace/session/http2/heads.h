// SPDX-License-Identifier: Apache-2.0
// Heads of HTTP/2 as every version carries them, and back (RFC 9113, 8.2 and 8.3).
#pragma once

#include "userspace/base/error.h"
#include "userspace/base/http.h"
#include "userspace/session/http/body_filter.h"
#include "userspace/session/http/head_edits.h"
#include "userspace/session/http/refusal.h"
#include "userspace/wire/http2/message.h"

namespace chaperone::session::http2 {

// Views of `fields`, which it makes canonical first: cookies in one field (8.2.3), Host only where
// there is no :authority. Malformed: a Host that names another host than :authority.
Result<http::RequestHead> request_head(wire::http2::Fields& fields);
http::ResponseHead response_head(const wire::http2::Fields& fields);

// What goes on, after the edits. Fields keep what they said of compression (RFC 7541, 7.1.3); those
// that an edit adds are never put into a table, for they may be credentials.
wire::http2::Fields edited_request(const http::RequestHead& head, const wire::http2::Fields& sent,
                                   const HeadEdits& edits);
wire::http2::Fields edited_response(const wire::http2::Fields& sent, const HeadEdits& edits);
wire::http2::Fields local_response(const LocalResponse& response);

// Trailers, without what no trailers may hold (RFC 9110, 6.5.1) and could be merged into the head.
wire::http2::Fields safe_trailers(wire::http2::Fields fields);

// Those that the filter of the body before them lets go on. A call of gRPC without its status would
// be none: that one always does.
wire::http2::Fields filtered_trailers(wire::http2::Fields fields, BodyFilter* filter);

}  // namespace chaperone::session::http2
