// SPDX-License-Identifier: Apache-2.0
// layer: wire
// Any frames, any cut: the reader neither crashes nor sees other messages in other pieces, and
// never gathers more than its limit.
#include "userspace/wire/websocket/close.h"
#include "userspace/wire/websocket/extensions.h"
#include "userspace/wire/websocket/message.h"

#include <cstdint>
#include <cstdlib>
#include <string>

namespace chaperone::wire::websocket {
namespace {

constexpr std::size_t kLimit = 4096;

std::string play(const MessageReader::Options& options, Bytes input, std::size_t piece) {
    using Kind = MessageReader::Piece::Kind;
    MessageReader reader{options};
    std::string said;
    Buffer waiting;
    std::size_t passed = 0;
    while (!input.empty()) {
        const auto n = std::min(piece, input.size());
        append(waiting, input.first(n));
        input = input.subspan(n);
        for (;;) {
            const auto got = reader.read(waiting);
            if (!got) return said;
            const auto& found = *got;
            if (!found) break;
            if (found->size > waiting.size() || found->content.size() > kLimit) std::abort();
            if (found->kind == Kind::Payload) passed += found->size;
            if (found->kind == Kind::Message || found->kind == Kind::Control) {
                said += as_text(found->content);
                said += '|';
            }
            if (found->opcode == Opcode::Close) (void)decode_close(found->content);
            waiting.erase(waiting.begin(),
                          waiting.begin() + static_cast<std::ptrdiff_t>(found->size));
        }
    }
    return said + std::to_string(passed);
}

}  // namespace
}  // namespace chaperone::wire::websocket

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    using namespace chaperone::wire::websocket;
    if (size == 0) return 0;
    const chaperone::Bytes input = std::as_bytes(std::span{data, size}).subspan(1);
    MessageReader::Options options{
        .from_client = (data[0] & 1) != 0, .watch = (data[0] & 2) != 0, .limit = kLimit};
    if (data[0] & 4)
        options.deflate = DeflateParameters{.server_no_context_takeover = (data[0] & 8) != 0};
    if (play(options, input, SIZE_MAX) != play(options, input, 1)) std::abort();
    (void)filter_offers(chaperone::as_text(input));
    (void)decode_agreed(chaperone::as_text(input));
    return 0;
}
