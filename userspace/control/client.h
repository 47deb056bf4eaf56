// SPDX-License-Identifier: Apache-2.0
// Speaks the API: what the CLI uses. Blocking; one thread.
#pragma once

#include "userspace/base/clock.h"
#include "userspace/base/error.h"
#include "userspace/control/control.pb.h"

#include <expected>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace chaperone::control {

// Why a call has no answer.
struct Failure {
    Error error{};
    std::string hint{};
    bool unreachable = false;  // the daemon is not there: nothing was asked
};

template <class T = void>
using Answer = std::expected<T, Failure>;

class Client {
public:
    // `root` as in chaperoned --root: the socket is root/run/chaperone/api.sock.
    // `patience`: how long to wait for each part of an answer; by default over the longest poll.
    explicit Client(std::filesystem::path root, Duration patience = std::chrono::minutes{6})
        : root_(std::move(root)), patience_(patience) {}

    // One call. With GET and DELETE the request's fields go into the query, else into the body.
    Answer<> call(std::string_view method, std::string_view path,
                  const google::protobuf::Message& request, google::protobuf::Message& response);
    template <class Response>
    Answer<Response> call(std::string_view method, std::string_view path,
                          const google::protobuf::Message& request = v1::Empty{}) {
        Response response;
        if (auto called = call(method, path, request, response); !called)
            return std::unexpected{called.error()};
        return response;
    }

    // A streaming GET; false from `line` ends it. An error that the stream ends with is returned.
    Answer<> stream(std::string_view path, const google::protobuf::Message& request,
                    const std::function<bool(std::string_view line)>& line);

    std::filesystem::path socket() const;

private:
    std::filesystem::path root_;
    Duration patience_{};
};

}  // namespace chaperone::control
