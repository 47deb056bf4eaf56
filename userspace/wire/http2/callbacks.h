// SPDX-License-Identifier: Apache-2.0
// nghttp2's callbacks for a Connection. Included by connection*.cpp only.
#pragma once

#include "userspace/wire/http2/connection.h"

#include <nghttp2/nghttp2.h>

namespace chaperone::wire::http2 {

struct Connection::Callbacks {
    static nghttp2_session_callbacks* table();  // made once, never freed

    static int begin_headers(nghttp2_session*, const nghttp2_frame* frame, void* self);
    static int header(nghttp2_session*, const nghttp2_frame* frame, nghttp2_rcbuf* name,
                      nghttp2_rcbuf* value, std::uint8_t flags, void* self);
    static int invalid_header(nghttp2_session*, const nghttp2_frame*, nghttp2_rcbuf*,
                              nghttp2_rcbuf*, std::uint8_t, void*);
    static int begin_frame(nghttp2_session*, const nghttp2_frame_hd* head, void* self);
    static int frame(nghttp2_session*, const nghttp2_frame* frame, void* self);
    static int invalid_frame(nghttp2_session*, const nghttp2_frame*, int, void* self);
    static int not_sent(nghttp2_session*, const nghttp2_frame* frame, int error, void* self);
    static int chunk(nghttp2_session*, std::uint8_t, StreamId stream, const std::uint8_t* data,
                     std::size_t size, void* self);
    static int closed(nghttp2_session*, StreamId stream, std::uint32_t code, void* self);
    static ssize_t read(nghttp2_session*, StreamId stream, std::uint8_t* to, std::size_t room,
                        std::uint32_t* flags, nghttp2_data_source*, void* self);
};

// Views of the fields, for nghttp2, which copies what it is given.
std::vector<nghttp2_nv> views(const Fields& fields);

}  // namespace chaperone::wire::http2
