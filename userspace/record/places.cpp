// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/places.h"

#include <google/protobuf/io/coded_stream.h>

namespace chaperone::record {
namespace {

using google::protobuf::io::CodedInputStream;
using google::protobuf::io::CodedOutputStream;

constexpr std::size_t kMostOfOne = 3 * 10;  // three varints of 64 bits

}  // namespace

Buffer pack(std::span<const Place> places) {
    Buffer made(places.size() * kMostOfOne);
    auto* const begin = reinterpret_cast<std::uint8_t*>(made.data());
    auto* at = begin;
    Place last;
    for (const Place& one : places) {
        if (one.segment != last.segment) last.offset = 0;
        at = CodedOutputStream::WriteVarint64ToArray(one.index - last.index, at);
        at = CodedOutputStream::WriteVarint64ToArray(one.segment - last.segment, at);
        at = CodedOutputStream::WriteVarint64ToArray(one.offset - last.offset, at);
        last = one;
    }
    made.resize(static_cast<std::size_t>(at - begin));
    return made;
}

Result<> unpack(Bytes packed, std::vector<Place>& places) {
    CodedInputStream in{reinterpret_cast<const std::uint8_t*>(packed.data()),
                        static_cast<int>(packed.size())};
    Place last;
    while (static_cast<std::size_t>(in.CurrentPosition()) < packed.size()) {
        Place more;
        if (!in.ReadVarint64(&more.index) || !in.ReadVarint64(&more.segment) ||
            !in.ReadVarint64(&more.offset))
            return fail(Errc::Corrupt, "the index does not know where a session's entries are");
        if (more.segment != 0) last.offset = 0;
        last = {last.index + more.index, last.segment + more.segment, last.offset + more.offset};
        places.push_back(last);
    }
    return {};
}

}  // namespace chaperone::record
