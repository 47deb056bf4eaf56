// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/http2/message.h"

namespace chaperone::wire::http2 {

std::string_view find(const Fields& fields, std::string_view name) noexcept {
    for (const Field& field : fields)
        if (field.name == name) return field.value;
    return {};
}

std::string_view to_text(Code code) noexcept {
    switch (code) {
    case Code::NoError: return "NO_ERROR";
    case Code::ProtocolError: return "PROTOCOL_ERROR";
    case Code::InternalError: return "INTERNAL_ERROR";
    case Code::FlowControlError: return "FLOW_CONTROL_ERROR";
    case Code::SettingsTimeout: return "SETTINGS_TIMEOUT";
    case Code::StreamClosed: return "STREAM_CLOSED";
    case Code::FrameSizeError: return "FRAME_SIZE_ERROR";
    case Code::RefusedStream: return "REFUSED_STREAM";
    case Code::Cancel: return "CANCEL";
    case Code::CompressionError: return "COMPRESSION_ERROR";
    case Code::ConnectError: return "CONNECT_ERROR";
    case Code::EnhanceYourCalm: return "ENHANCE_YOUR_CALM";
    case Code::InadequateSecurity: return "INADEQUATE_SECURITY";
    case Code::Http11Required: return "HTTP_1_1_REQUIRED";
    }
    return "unknown";  // codes of the wire are not limited to those above
}

}  // namespace chaperone::wire::http2
