// SPDX-License-Identifier: Apache-2.0
// Values that a model's stream spreads over its events.
#include "userspace/session/masking/body_masker.h"

#include <gtest/gtest.h>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>

#include <functional>
#include <string>
#include <vector>

namespace chaperone::session {
namespace {

namespace json = boost::json;
using std::string;

struct Masks {
    policy::MaskSet set{};
    std::shared_ptr<TextMasks> made{};

    explicit Masks(std::vector<string> kinds, const char* path = nullptr,
                   detect::With with = detect::With::Redact) {
        if (!kinds.empty()) set.detectors.push_back({std::move(kinds), with, "r"});
        if (path != nullptr)
            set.json.push_back({*policy::JsonPath::parse(path), detect::With::Partial, "r"});
        made = std::make_shared<TextMasks>(
            set,
            [](const policy::DetectMask& mask) {
                return std::make_shared<const detect::Detector>(
                    *detect::Detector::make(mask.kinds));
            },
            std::make_shared<const detect::Masker>(as_bytes("key"), "scope"));
    }
};

string masked(const Masks& masks, std::string_view body, std::size_t piece) {
    auto masker = BodyMasker::make("text/event-stream", "", *masks.made);
    EXPECT_TRUE(masker);
    Buffer out;
    for (std::size_t at = 0; at < body.size(); at += piece)
        EXPECT_TRUE((*masker)->feed(as_bytes(body.substr(at, piece)), out));
    EXPECT_TRUE((*masker)->finish(out));
    return string{as_text(out)};
}

// The JSON of each event; every one must be whole.
std::vector<json::object> events_of(std::string_view text) {
    std::vector<json::object> made;
    while (!text.empty()) {
        const auto end = text.find("\n\n");
        EXPECT_NE(end, text.npos);
        if (end == text.npos) break;
        std::string_view event = text.substr(0, end);
        text.remove_prefix(end + 2);
        const auto data = event.find("data: ");
        if (data == event.npos || event.substr(data + 6) == "[DONE]") continue;
        made.push_back(json::parse(event.substr(data + 6)).as_object());
        if (const auto name = event.find("event: "); name != event.npos)
            EXPECT_EQ(event.substr(name + 7, event.find('\n', name) - name - 7),
                      made.back().at("type").as_string());
    }
    return made;
}

// How a vendor's stream brings a text in pieces, and how its clients put it together.
struct Vendor {
    const char* name;
    std::function<string(const string&)> piece;
    string before, after;
    std::function<string(const json::object&)> text;
};

string data(const json::value& value) {
    const auto* type = value.as_object().if_contains("type");
    return (type != nullptr ? "event: " + string{type->as_string()} + "\n" : "") +
           "data: " + json::serialize(value) + "\n\n";
}

json::value chunk(json::object delta, json::value finish = nullptr) {
    return json::object{
        {"id", "x"},
        {"fingerprint", ""},
        {"choices",
         json::array{json::object{
             {"index", 0}, {"delta", std::move(delta)}, {"finish_reason", std::move(finish)}}}}};
}

string member(const json::object& from, std::string_view name) {
    const auto* found = from.if_contains(name);
    return found != nullptr && found->is_string() ? string{found->as_string()} : "";
}

const Vendor kVendors[] = {
    {"Chat", [](const string& piece) { return data(chunk({{"content", piece}})); },
     data(chunk({{"role", "assistant"}, {"content", ""}})),
     data(chunk({}, "stop")) + "data: [DONE]\n\n",
     [](const json::object& event) {
         return member(event.at("choices").at(0).at("delta").as_object(), "content");
     }},
    {"ChatCall",
     [](const string& piece) {
         return data(chunk(
             {{"tool_calls",
               json::array{json::object{{"index", 3}, {"function", {{"arguments", piece}}}}}}}));
     },
     "", "data: [DONE]\n\n",
     [](const json::object& event) {
         const auto& call = event.at("choices").at(0).at("delta").at("tool_calls").at(0);
         EXPECT_EQ(call.at("index"), 3);
         return member(call.at("function").as_object(), "arguments");
     }},
    {"Completions",
     [](const string& piece) {
         return data(
             json::object{{"choices", json::array{json::object{{"index", 0}, {"text", piece}}}}});
     },
     "", "",  // not even an end
     [](const json::object& event) {
         return member(event.at("choices").at(0).as_object(), "text");
     }},
    {"Messages",
     [](const string& piece) {
         return data(json::object{{"type", "content_block_delta"},
                                  {"index", 2},
                                  {"delta", {{"type", "text_delta"}, {"text", piece}}}});
     },
     data(json::object{{"type", "message_start"}, {"message", json::object{}}}),
     data(json::object{{"type", "content_block_stop"}, {"index", 2}}) +
         data(json::object{{"type", "message_stop"}}),
     [](const json::object& event) {
         if (event.at("type") != "content_block_delta") return string{};
         EXPECT_EQ(event.at("index"), 2);
         EXPECT_EQ(event.at("delta").at("type"), "text_delta");
         return member(event.at("delta").as_object(), "text");
     }},
    {"Responses",
     [](const string& piece) {
         return data(json::object{{"type", "response.output_text.delta"},
                                  {"item_id", "m"},
                                  {"output_index", 0},
                                  {"content_index", 1},
                                  {"logprobs", json::array{json::object{{"token", piece}}}},
                                  {"delta", piece}});
     },
     data(json::object{{"type", "response.created"}, {"response", json::object{}}}),
     data(json::object{{"type", "response.output_text.done"}, {"output_index", 0}, {"text", ""}}),
     [](const json::object& event) {
         return event.at("type") == "response.output_text.delta" ? member(event, "delta") : "";
     }},
};

class Spread : public testing::TestWithParam<Vendor> {};
INSTANTIATE_TEST_SUITE_P(Deltas, Spread, testing::ValuesIn(kVendors),
                         [](const auto& info) { return info.param.name; });

TEST_P(Spread, ValuesAreMaskedWhereverTheyAreCut) {
    const Vendor& vendor = GetParam();
    const Masks masks{{"CREDIT_CARD", "EMAIL_ADDRESS"}};
    const string text = "Pay ann.b@shop.example with 4111 1111 1111 1111, she said. Or 4111 111";
    const string want = "Pay <EMAIL_ADDRESS> with <CREDIT_CARD>, she said. Or 4111 111";
    for (std::size_t piece = 1; piece <= text.size(); ++piece) {
        string body = vendor.before;
        for (std::size_t at = 0; at < text.size(); at += piece)
            body += vendor.piece(text.substr(at, piece));
        body += vendor.after;
        for (const std::size_t cut : {body.size(), std::size_t{5}}) {
            string got;
            for (const json::object& event : events_of(masked(masks, body, cut)))
                got += vendor.text(event);
            ASSERT_EQ(got, want) << piece;
        }
    }
}

TEST_P(Spread, WhatIsNoValueComesAtOnce) {
    const Vendor& vendor = GetParam();
    const Masks masks{{"CREDIT_CARD", "EMAIL_ADDRESS"}};
    auto masker = BodyMasker::make("text/event-stream", "", *masks.made);
    string said, got;
    for (const char* word : {"Here", " are", " 3", " words", " of", " prose", ", ", "which"}) {
        Buffer out;
        const string event = vendor.piece(word);
        ASSERT_TRUE((*masker)->feed(as_bytes(event), out));
        const auto events = events_of(as_text(out));
        ASSERT_EQ(events.size(), 1U) << "each event goes out at once";
        got += vendor.text(events[0]);
        said += word;
        EXPECT_LE(said.size() - got.size(), 8U) << said;  // a word or two
    }
}

TEST(Deltas, TextsOfOneStreamAreKeptApart) {
    const Masks masks{{"CREDIT_CARD"}};
    const auto choice = [](int index, const char* text, json::value finish = nullptr) {
        return json::object{
            {"index", index}, {"delta", {{"content", text}}}, {"finish_reason", finish}};
    };
    const auto both = [&](const char* one, const char* two) {
        return data(json::object{{"choices", json::array{choice(0, one), choice(1, two)}}});
    };
    const string body = both("4111 1111", "a 12") + both(" 1111 1111", "34 b ") +
                        data(json::object{{"choices", json::array{choice(1, "9", "stop")}}}) +
                        data(json::object{{"choices", json::array{choice(0, ".", "stop")}}});
    string texts[2];
    for (const json::object& event : events_of(masked(masks, body, 9)))
        for (const json::value& one : event.at("choices").as_array())
            texts[one.at("index").as_int64()] += one.at("delta").at("content").as_string();
    EXPECT_EQ(texts[0], "<CREDIT_CARD>.");
    EXPECT_EQ(texts[1], "a 1234 b 9");
}

TEST(Deltas, AnEmptyFinishReasonEndsNothing) {
    const Masks masks{{"CREDIT_CARD"}};
    const string got = masked(
        masks,
        data(chunk({{"content", "4111 1111"}}, "")) + data(chunk({{"content", " 1111 1111."}}, "")),
        9);
    EXPECT_EQ(got.find("1111"), string::npos) << got;
}

TEST(Deltas, WhatAPathMeansIsMaskedWhole) {
    const Masks masks{{"CREDIT_CARD"}, "$..content"};
    const string body = data(chunk({{"content", "secret text"}})) + data(chunk({}, "stop"));
    EXPECT_EQ(masked(masks, body, 7).find("secret t"), string::npos);
}

TEST(Deltas, TextIsNotToldAgainBeside) {
    const Masks masks{{"CREDIT_CARD"}};
    const string got = masked(masks, kVendors[4].piece("4111"), 99);
    EXPECT_EQ(got.find("token"), string::npos) << got;
}

TEST(Deltas, TheRestOfAnEventIsMaskedToo) {
    const Masks masks{{"EMAIL_ADDRESS"}};
    const string got = masked(masks,
                              data(json::object{{"type", "response.completed"},
                                                {"response", {{"user", "ann@shop.example"}}}}),
                              9);
    EXPECT_NE(got.find("<EMAIL_ADDRESS>"), string::npos) << got;
}

TEST(Deltas, WhatIsHeldBackComesBeforeAnError) {
    const Masks masks{{"CREDIT_CARD"}};
    for (const Vendor& vendor : kVendors) {
        const string got = masked(masks, vendor.piece("hm") + "data: {\"error\":{}}\n\n", 9);
        EXPECT_NE(got.find("\"hm\""), string::npos) << got;
        EXPECT_TRUE(got.ends_with("data: {\"error\":{}}\n\n")) << got;
    }
}

TEST(Deltas, AreBounded) {
    const Masks masks{{"EMAIL_ADDRESS"}};
    auto masker = BodyMasker::make("text/event-stream", "", *masks.made);
    Buffer out;
    bool passed = true;
    for (int i = 0; i != 300 && passed; ++i) {
        const string event = data(json::object{{"type", "content_block_delta"},
                                               {"index", i},
                                               {"delta", {{"type", "text_delta"}, {"text", "x"}}}});
        passed = (*masker)->feed(as_bytes(event), out).has_value();
    }
    EXPECT_FALSE(passed);
}

TEST(Deltas, OtherStreamsAreMaskedEventByEvent) {
    const Masks masks{{"EMAIL_ADDRESS"}};
    const string body = "data: {\"x\":\"ann@shop.example\"}\n\ndata: bob@shop.example\n\n";
    EXPECT_EQ(masked(masks, body, 3),
              "data: {\"x\":\"<EMAIL_ADDRESS>\"}\n\ndata: <EMAIL_ADDRESS>\n\n");
}

}  // namespace
}  // namespace chaperone::session
