// SPDX-License-Identifier: Apache-2.0
#include "userspace/wire/websocket/extensions.h"

#include <algorithm>
#include <vector>

namespace chaperone::wire::websocket {
namespace {

constexpr std::size_t kMaxElements = 32;  // offers, and parameters of one
constexpr std::string_view kDeflate = "permessage-deflate";

struct Parameter {
    std::string_view name{};
    std::optional<std::string_view> value{};
};

struct Element {
    std::string_view text{};  // the whole of it
    std::string_view name{};
    std::vector<Parameter> parameters{};
};

bool is_token(std::string_view text) {
    constexpr std::string_view kOthers = "!#$%&'*+-.^_`|~";
    return !text.empty() && std::ranges::all_of(text, [&](char c) {
        return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
               kOthers.find(c) != std::string_view::npos;
    });
}

std::string_view trim(std::string_view text) {
    const auto begin = text.find_first_not_of(" \t");
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

std::string_view take_until(std::string_view& rest, char end) {
    const auto at = rest.find(end);
    const auto part = trim(rest.substr(0, at));
    rest = at == std::string_view::npos ? std::string_view{} : rest.substr(at + 1);
    return part;
}

Result<Parameter> parse_parameter(std::string_view text) {
    const auto equals = text.find('=');
    Parameter parameter{.name = trim(text.substr(0, equals))};
    if (equals != std::string_view::npos) {
        auto value = trim(text.substr(equals + 1));
        // A quoted value must be a token all the same (RFC 6455, 9.1).
        if (value.size() >= 2 && value.front() == '"' && value.back() == '"')
            value = value.substr(1, value.size() - 2);
        if (!is_token(value)) return fail(Errc::Malformed, "WebSocket: value of a parameter");
        parameter.value = value;
    }
    if (!is_token(parameter.name)) return fail(Errc::Malformed, "WebSocket: name of a parameter");
    return parameter;
}

Result<std::vector<Element>> parse(std::string_view field) {
    std::vector<Element> elements;
    while (!field.empty()) {
        Element element{.text = take_until(field, ',')};
        if (element.text.empty()) continue;  // RFC 9110, 5.6.1.2: ignored by who reads a list
        std::string_view rest = element.text;
        element.name = take_until(rest, ';');
        if (!is_token(element.name))
            return fail(Errc::Malformed, "WebSocket: name of an extension");
        while (!rest.empty()) {
            auto parameter = parse_parameter(take_until(rest, ';'));
            if (!parameter) return fail(parameter.error());
            element.parameters.push_back(*parameter);
            if (element.parameters.size() > kMaxElements)
                return fail(Errc::TooLarge, "WebSocket: parameters of an extension");
        }
        elements.push_back(std::move(element));
        if (elements.size() > kMaxElements) return fail(Errc::TooLarge, "WebSocket: extensions");
    }
    return elements;
}

std::optional<int> window_bits(std::string_view text) {
    if (text == "8" || text == "9") return text.front() - '0';
    if (text.size() == 2 && text[0] == '1' && text[1] >= '0' && text[1] <= '5')
        return 10 + text[1] - '0';
    return std::nullopt;
}

// nullopt: not what 7.1 allows. In an offer client_max_window_bits may stand without a value.
std::optional<DeflateParameters> deflate_parameters(const Element& element, bool offer) {
    DeflateParameters found;
    for (std::size_t i = 0; i != element.parameters.size(); ++i) {
        const Parameter& parameter = element.parameters[i];
        for (std::size_t j = 0; j != i; ++j)
            if (element.parameters[j].name == parameter.name) return std::nullopt;
        if (parameter.name == "server_no_context_takeover" && !parameter.value) {
            found.server_no_context_takeover = true;
        } else if (parameter.name == "client_no_context_takeover" && !parameter.value) {
            found.client_no_context_takeover = true;
        } else if (parameter.name == "client_max_window_bits" && !parameter.value && offer) {
            continue;
        } else if (parameter.name == "client_max_window_bits" ||
                   parameter.name == "server_max_window_bits") {
            const auto bits = window_bits(parameter.value.value_or(""));
            if (!bits) return std::nullopt;
            (parameter.name[0] == 'c' ? found.client_max_window_bits
                                      : found.server_max_window_bits) = *bits;
        } else {
            return std::nullopt;
        }
    }
    return found;
}

}  // namespace

Result<std::string> filter_offers(std::string_view field) {
    const auto elements = parse(field);
    if (!elements) return fail(elements.error());
    std::string kept;
    for (const Element& element : *elements) {
        if (element.name != kDeflate || !deflate_parameters(element, true)) continue;
        if (!kept.empty()) kept += ", ";
        kept += element.text;
    }
    return kept;
}

Result<std::optional<DeflateParameters>> decode_agreed(std::string_view field) {
    const auto elements = parse(field);
    if (!elements) return fail(elements.error());
    if (elements->empty()) return std::nullopt;
    const Element& element = elements->front();
    if (elements->size() != 1 || element.name != kDeflate)
        return fail(Errc::Unsupported, "WebSocket: extensions of the server");
    const auto parameters = deflate_parameters(element, false);
    if (!parameters) return fail(Errc::Malformed, "WebSocket: parameters of permessage-deflate");
    return parameters;
}

}  // namespace chaperone::wire::websocket
