// SPDX-License-Identifier: Apache-2.0
// Messages out of frames, at any cut: fragments, control frames between them, compression, limits.
#include "userspace/wire/websocket/message.h"

#include <gtest/gtest.h>

#include <string>

namespace chaperone::wire::websocket {
namespace {

using namespace std::string_literals;
using Kind = MessageReader::Piece::Kind;

// What comes of a stream: "text:Hello", "ping:", "error 1", with payload that passes as "+n".
std::string read_all(const MessageReader::Options& options, std::string_view input,
                     std::size_t piece = SIZE_MAX) {
    MessageReader reader{options};
    std::string said, waiting;
    std::size_t passed = 0;
    while (!input.empty()) {
        waiting += input.substr(0, piece);
        input.remove_prefix(std::min(piece, input.size()));
        for (;;) {
            const auto got = reader.read(as_bytes(waiting));
            if (!got) return said + "error " + std::to_string(static_cast<int>(got.error().code));
            if (!got->has_value()) break;
            const auto& found = **got;
            if (found.kind == Kind::Payload) passed += found.size;
            if (found.kind == Kind::Message || found.kind == Kind::Control)
                said += std::to_string(static_cast<int>(found.opcode)) + ":" +
                        std::string{as_text(found.content)} + ";";
            waiting.erase(0, found.size);
        }
    }
    if (passed != 0) said += "+" + std::to_string(passed);
    return said;
}

std::string frame(FrameHead head, std::string_view payload) {
    Buffer out;
    encode_frame(out, head, as_bytes(payload));
    return std::string{as_text(out)};
}

constexpr MaskKey kKey{std::byte{1}, std::byte{2}, std::byte{3}, std::byte{4}};
const auto kMalformed = "error " + std::to_string(static_cast<int>(Errc::Malformed));
const auto kInvalid = "error " + std::to_string(static_cast<int>(Errc::Invalid));
const auto kTooLarge = "error " + std::to_string(static_cast<int>(Errc::TooLarge));

TEST(MessageReader, TableAtEveryPieceSize) {
    const auto hel = frame({.fin = false}, "Hel"),
               lo = frame({.opcode = Opcode::Continuation}, "lo");
    const auto ping = frame({.opcode = Opcode::Ping}, "x");
    const std::pair<std::string, std::string> table[] = {
        {frame({}, "Hello"), "1:Hello;"},
        {hel + lo, "1:Hello;"},
        {hel + ping + lo, "9:x;1:Hello;"},
        {hel + frame({.fin = false, .opcode = Opcode::Continuation}, "") + lo, "1:Hello;"},
        {frame({}, "") + frame({.opcode = Opcode::Binary}, "\xff"), "1:;2:\xff;"},
        {frame({.opcode = Opcode::Close}, "\x03\xe8"s), "8:\x03\xe8;"},
        {hel + frame({}, "lo"), kMalformed},
        {lo, kMalformed},
        {hel + lo + lo, "1:Hello;" + kMalformed},
        {frame({}, "\xff"), kInvalid},
        {frame({}, "\xe2\x82"), kInvalid},
        {frame({.fin = false}, "\xe2") + frame({.opcode = Opcode::Continuation}, "\x82\xac"),
         "1:\xe2\x82\xac;"},
        {frame({}, std::string(101, 'a')), kTooLarge},
        {frame({.fin = false}, std::string(60, 'a')) +
             frame({.opcode = Opcode::Continuation}, std::string(60, 'a')),
         kTooLarge},
    };
    for (const auto& [input, said] : table)
        for (const std::size_t piece : {SIZE_MAX, std::size_t{1}, std::size_t{2}, std::size_t{7}})
            EXPECT_EQ(read_all({.watch = true, .limit = 100}, input, piece), said);
}

TEST(MessageReader, UnmasksWhatClientsSend) {
    const auto input = frame({.fin = false, .mask = kKey}, "Hell") +
                       frame({.opcode = Opcode::Continuation, .mask = kKey}, "o, you");
    for (const std::size_t piece : {SIZE_MAX, std::size_t{1}, std::size_t{3}})
        EXPECT_EQ(read_all({.from_client = true, .watch = true}, input, piece), "1:Hello, you;");
}

TEST(MessageReader, LetsPayloadPassWhenNobodyWatches) {
    const auto big = frame({.opcode = Opcode::Binary}, std::string(70'000, 'b'));
    for (const std::size_t piece : {SIZE_MAX, std::size_t{1000}})
        EXPECT_EQ(read_all({}, big + frame({}, "x"), piece), "+" + std::to_string(big.size() + 3));
    EXPECT_EQ(read_all({}, frame({.fin = false}, "a") + frame({}, "b")), kMalformed);
}

std::string deflated(Deflater& deflater, std::string_view text) {
    Buffer out;
    EXPECT_TRUE(deflater.message(as_bytes(text), out));
    return std::string{as_text(out)};
}

TEST(MessageReader, DecompressesWithAndWithoutContext) {
    for (const bool keep : {true, false}) {
        Deflater deflater{keep, 15};
        std::string input, said;
        for (const std::string_view text :
             {"hello hello hello", "", "hello hello hello", "other"}) {
            input += frame({.rsv1 = true}, deflated(deflater, text));
            said += "1:" + std::string{text} + ";";
        }
        input += frame({}, "not compressed");
        said += "1:not compressed;";
        const DeflateParameters agreed{.server_no_context_takeover = !keep};
        for (const std::size_t piece : {SIZE_MAX, std::size_t{1}})
            EXPECT_EQ(read_all({.watch = true, .deflate = agreed}, input, piece), said);
    }
}

TEST(MessageReader, ExamplesOfRfc7692) {
    const DeflateParameters agreed{};
    const MessageReader::Options options{.watch = true, .deflate = agreed};
    // 7.2.3.1: one block; 7.2.3.2: the window goes on; 7.2.3.3: stored; 7.2.3.4: a final block.
    const auto hello = "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00"s;
    EXPECT_EQ(read_all(options, hello), "1:Hello;");
    EXPECT_EQ(read_all(options, "\x41\x03\xf2\x48\xcd\x80\x04\xc9\xc9\x07\x00"s), "1:Hello;");
    EXPECT_EQ(read_all(options, hello + "\xc1\x05\xf2\x00\x11\x00\x00"s), "1:Hello;1:Hello;");
    EXPECT_EQ(read_all(options, "\xc1\x0b\x00\x05\x00\xfa\xffHello\x00"s), "1:Hello;");
    EXPECT_EQ(read_all(options, "\xc1\x08\xf3\x48\xcd\xc9\xc9\x07\x00\x00"s + hello),
              "1:Hello;1:Hello;");
}

TEST(MessageReader, BombsAndRubbishEnd) {
    Deflater deflater{true, 15};
    const auto packed = deflated(deflater, std::string(10'000'000, '\0'));
    EXPECT_LT(packed.size(), 20'000U);
    FrameHead head{.rsv1 = true, .opcode = Opcode::Binary};
    EXPECT_EQ(read_all({.watch = true, .limit = 1 << 20, .deflate = DeflateParameters{}},
                       frame(head, packed)),
              kTooLarge);
    EXPECT_EQ(
        read_all({.watch = true, .deflate = DeflateParameters{}}, frame(head, "\xff\xff\xff")),
        kMalformed);
}

}  // namespace
}  // namespace chaperone::wire::websocket
