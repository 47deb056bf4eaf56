// SPDX-License-Identifier: Apache-2.0
// A schema from the text of one .proto file, made by protoc.
#pragma once

#include "policy/proto/schema.h"
#include "userspace/base/file.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

namespace chaperone::testing {

inline std::string descriptor_set_of(const char* source, const char* more = "--include_imports") {
    namespace fs = std::filesystem;
    std::string folder = (fs::temp_directory_path() / "proto-XXXXXX").string();
    if (::mkdtemp(folder.data()) == nullptr) std::abort();
    std::ofstream{folder + "/test.proto"} << source;
    const std::string command = "protoc -I " + folder + " -I /usr/include " + more +
                                " --descriptor_set_out=" + folder + "/set " + folder +
                                "/test.proto";
    if (std::system(command.c_str()) != 0) std::abort();
    auto set = read_file(folder + "/set", std::size_t{1} << 20);
    fs::remove_all(folder);
    if (!set) std::abort();
    return *std::move(set);
}

inline std::shared_ptr<const policy::proto::Schema> schema_of(const char* source) {
    auto made = policy::proto::Schema::parse(descriptor_set_of(source));
    if (!made) std::abort();
    return *std::move(made);
}

}  // namespace chaperone::testing
