// SPDX-License-Identifier: Apache-2.0
#include "policy/bundle/decode.h"

#include "policy/bundle/shapes.h"
#include "policy/bundle/test_shapes.h"

#include <set>

namespace chaperone::policy::bundle {
namespace {

constexpr std::array<std::string_view, 7> kKinds{
    "Policy", "Resource", "Workload", "IdentityProvider", "Approvers", "Recognizer", "PolicyTest"};

template <class T>
struct Body {
    Metadata& metadata;
    T& spec;
};

template <class V, class T>
void shape(V& v, Body<T>& body) {
    std::string ignored;
    v.field({"apiVersion", "chaperone.dev/v1", true}, ignored);
    v.field({"kind", "What the document is.", true}, ignored);
    v.field({"metadata", "Its name and labels.", true}, body.metadata);
    v.field({"spec", "What it says.", true}, body.spec);
}

class Decoder {
public:
    Decoder(const yaml::Node& node, DecodeContext& context, Documents& to, Names& names)
        : node_(node), context_(context), to_(to), names_(names) {}

    void run() {
        if (node_.kind != yaml::Node::Kind::Mapping) {
            context_.findings.error(node_.at,
                                    "a document must be a mapping with apiVersion, kind, "
                                    "metadata and spec");
            return;
        }
        const std::string* kind = text("kind");
        const std::string* version = text("apiVersion");
        if (version != nullptr && *version != kApiVersion)
            context_.findings.error(node_.find("apiVersion")->value.at,
                                    "\"" + *version + "\" is no apiVersion that is known here",
                                    "write " + std::string{kApiVersion});
        if (kind != nullptr) dispatch(*kind);
    }

private:
    const std::string* text(std::string_view name) {
        const yaml::Field* field = node_.find(name);
        if (field != nullptr && field->value.kind == yaml::Node::Kind::Scalar)
            return &field->value.text;
        context_.findings.error(field == nullptr ? node_.at : field->value.at,
                                "\"" + std::string{name} + "\" is missing here");
        return nullptr;
    }

    void dispatch(const std::string& kind) {
        if (kind == "Policy") return policy();
        if (kind == "Resource") return take(kind, to_.resources);
        if (kind == "Workload") return take(kind, to_.workloads);
        if (kind == "IdentityProvider") return take(kind, to_.providers);
        if (kind == "Approvers") return take(kind, to_.approvers);
        if (kind == "PolicyTest") return take(kind, to_.tests);
        if (kind == "Recognizer") return recognizer();
        const std::vector<std::string_view> kinds{kKinds.begin(), kKinds.end()};
        std::string suggestion = did_you_mean(kind, kinds);
        if (suggestion.empty()) {
            suggestion = "known kinds: ";
            for (const std::string_view name : kKinds)
                suggestion += (name == kKinds.front() ? "" : ", ") + std::string{name};
        }
        context_.findings.error(node_.find("kind")->value.at, "unknown kind \"" + kind + "\"",
                                std::move(suggestion));
    }

    template <class T>
    T& take_body(const std::string& kind, std::vector<T>& all, Metadata& metadata) {
        T& made = all.emplace_back();
        Body<T> body{metadata, made};
        Reader reader{node_, context_};
        shape(reader, body);
        reader.finish();
        declare(kind, metadata);
        return made;
    }

    template <class T>
    void take(const std::string& kind, std::vector<T>& all) {
        Metadata metadata;
        take_body(kind, all, metadata).metadata = std::move(metadata);
    }

    void policy() {
        Metadata metadata;
        Policy& made = take_body("Policy", to_.policies, metadata);
        made.metadata = std::move(metadata);
        std::map<std::string_view, Mark> ids;
        for (const Rule& rule : made.rules) {
            if (rule.id.empty()) continue;
            const auto [first, added] = ids.try_emplace(rule.id, rule.at);
            if (!added)
                context_.findings.error(rule.at, "duplicate rule id \"" + rule.id +
                                                     "\", first on line " +
                                                     std::to_string(first->second.line));
        }
    }

    void recognizer() {
        detect::CustomRecognizer& made = to_.recognizers.emplace_back();
        Mark at = node_.at;
        Reader reader{node_, context_};
        std::string ignored;
        KindName name{made.name};
        reader.field({"apiVersion", {}, true}, ignored);
        reader.field({"kind", {}, true}, ignored);
        reader.field({"metadata", {}, true}, name);
        reader.field({"spec", {}, true}, made);
        reader.finish();
        at = reader.mark("metadata");
        declare("Recognizer", {.name = made.name, .at = at});
        if (!made.name.empty() && !made.pattern.empty())
            check_recognizer(made, reader.mark("spec"));
    }

    void check_recognizer(const detect::CustomRecognizer& made, const Mark& at) {
        const std::array<std::string, 1> kinds{made.name};
        const auto detector = detect::Detector::make(kinds, std::span{&made, 1});
        if (!detector) context_.findings.error(at, detector.error().message());
    }

    void declare(const std::string& kind, const Metadata& metadata) {
        if (metadata.name.empty()) return;
        const auto [first, added] = names_.try_emplace(kind + "/" + metadata.name, metadata.at);
        if (added) return;
        const Mark& other = first->second;
        context_.findings.error(metadata.at, "there is another " + kind + " \"" + metadata.name +
                                                 "\" at " +
                                                 context_.findings.files()[other.file].path + ":" +
                                                 std::to_string(other.line));
    }

    const yaml::Node& node_;
    DecodeContext& context_;
    Documents& to_;
    Names& names_;
};

}  // namespace

void decode_document(const yaml::Node& node, DecodeContext& context, Documents& to, Names& names) {
    Decoder{node, context, to, names}.run();
}

}  // namespace chaperone::policy::bundle
