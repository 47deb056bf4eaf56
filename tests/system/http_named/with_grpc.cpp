// SPDX-License-Identifier: Apache-2.0
// gRPC's own C++ client against ../http2/grpc_server.py, over bytes; prints "fine" or fails.
// Argument: host:port.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <map>
#include <string>
#include <vector>

namespace {

struct Got {
    std::vector<std::string> answers{};
    grpc::Status status{};
    std::map<std::string, std::string> trailers{};
};

void expect(bool fine, const std::string& what) {
    if (fine) return;
    std::cerr << what << '\n';
    std::exit(1);
}

class Client {
public:
    explicit Client(const std::string& target) {
        grpc::ChannelArguments arguments;
        arguments.SetInt("grpc.enable_http_proxy", 0);
        arguments.SetMaxReceiveMessageSize(-1);
        channel_ = grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
        stub_ = std::make_unique<grpc::GenericStub>(channel_);
    }

    // `turns`: each answer is read before the next question is asked.
    Got call(const std::string& name, const std::vector<std::string>& questions, bool turns = false,
             std::chrono::milliseconds patience = std::chrono::seconds{20}) {
        grpc::CompletionQueue queue;
        grpc::ClientContext context;
        context.set_deadline(std::chrono::system_clock::now() + patience);
        auto call = stub_->PrepareCall(&context, "/shop.v1.Orders/" + name, &queue);
        const auto done = [&queue] {
            void* tag = nullptr;
            bool fine = false;
            return queue.Next(&tag, &fine) && fine;
        };
        Got got;
        const auto read = [&] {
            grpc::ByteBuffer buffer;
            call->Read(&buffer, this);
            if (!done()) return false;
            std::vector<grpc::Slice> slices;
            (void)buffer.Dump(&slices);
            std::string text;
            for (const grpc::Slice& slice : slices)
                text.append(reinterpret_cast<const char*>(slice.begin()), slice.size());
            got.answers.push_back(std::move(text));
            return true;
        };
        call->StartCall(this);
        bool open = done();
        for (const std::string& question : questions) {
            if (!open) break;
            grpc::Slice slice{question};
            call->Write(grpc::ByteBuffer{&slice, 1}, this);
            open = done() && (!turns || read());
        }
        if (open) {
            call->WritesDone(this);
            (void)done();
        }
        while (read()) {
        }
        call->Finish(&got.status, this);
        (void)done();
        for (const auto& [key, value] : context.GetServerTrailingMetadata())
            got.trailers[{key.data(), key.size()}] = {value.data(), value.size()};
        queue.Shutdown();
        return got;
    }

private:
    std::shared_ptr<grpc::Channel> channel_;
    std::unique_ptr<grpc::GenericStub> stub_;
};

}  // namespace

int main(int, char** argv) {
    using std::chrono::milliseconds;
    Client client{argv[1]};

    Got got = client.call("Unary", {"x"});
    expect(got.status.ok() && got.answers == std::vector<std::string>{"one x"}, "unary");
    const double left = std::stod(got.trailers["x-left"]);
    expect(left > 10 && left < 21, "the deadline goes along");

    const std::string big(3'000'000, 'b');
    expect(client.call("Unary", {big}).answers.at(0) == "one " + big, "a large message");
    expect(client.call("ToMany", {"n"}).answers.size() == 50, "a stream down");
    expect(client.call("FromMany", std::vector<std::string>(100, "12345")).answers.at(0) == "500",
           "a stream up");
    got = client.call("Both", {"a", "b", "c"}, true);
    expect(got.answers == std::vector<std::string>{"echo a", "echo b", "echo c"}, "in turns");

    got = client.call("Fails", {"x"});
    expect(got.status.error_code() == grpc::StatusCode::NOT_FOUND, "the server's own error");
    got = client.call("Drop", {"x"});
    expect(got.status.error_code() == grpc::StatusCode::PERMISSION_DENIED &&
               got.status.error_message().find("no-drop") != std::string::npos,
           "a refusal: " + got.status.error_message());
    const auto begun = std::chrono::steady_clock::now();
    got = client.call("Slow", {"x"}, false, milliseconds{1000});
    expect(got.status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED &&
               std::chrono::steady_clock::now() - begun < milliseconds{4000},
           "a deadline");
    got = client.call("Held", {"x"}, false, milliseconds{4000});
    expect(got.status.error_code() == grpc::StatusCode::FAILED_PRECONDITION &&
               got.status.error_message().find("approval") != std::string::npos,
           "a hold: " + got.status.error_message());
    expect(client.call("Unary", {"y"}).status.ok(), "the channel lives on");
    std::cout << "fine\n";
}
