// SPDX-License-Identifier: Apache-2.0
// What detectors cost, as JSON for tests/bench/run. `detect_bench texts DIR` writes the texts, so
// that others can be given the same; `detect_bench scan DIR` measures every built-in kind on them,
// in processor time, since a busy machine says nothing by the wall's.
#include "policy/detect/detector.h"

#include <algorithm>
#include <ctime>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <string_view>
#include <vector>

namespace {

using namespace chaperone;

constexpr std::size_t kSize = std::size_t{4} << 20;

double processor_seconds() {
    timespec at{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &at);
    return static_cast<double>(at.tv_sec) + static_cast<double>(at.tv_nsec) / 1e9;
}

// Made of a fixed seed: no personal data, so that nothing but looking costs.
class Writer {
public:
    std::string prose() {
        return filled([&](std::string& text) {
            const std::size_t words = 6 + random_() % 12;
            for (std::size_t i = 0; i != words; ++i)
                text += word(), text += i + 1 == words ? ". " : " ";
        });
    }
    std::string rows() {
        return filled([&](std::string& text) {
            text += "{\"id\":" + std::to_string(random_() % 100'000) + ",\"state\":\"" + word() +
                    "\",\"note\":\"" + word() + " " + word() +
                    "\",\"total\":" + std::to_string(random_() % 1'000) + "." +
                    std::to_string(10 + random_() % 90) + "}\n";
        });
    }
    std::string numbers() {
        return filled([&](std::string& text) {
            for (int i = 0; i != 8; ++i) text += std::to_string(random_() % 1'000'000) + ",";
            text += "\n";
        });
    }

private:
    template <class Add>
    std::string filled(Add add) {
        std::string text;
        while (text.size() < kSize) add(text);
        return text;
    }
    std::string word() {
        static constexpr const char* kWords[] = {
            "the",       "order",    "was",  "shipped", "from",    "our",
            "warehouse", "on",       "and",  "arrives", "at",      "your",
            "office",    "tomorrow", "with", "an",      "invoice", "that",
            "customers", "receive",  "by",   "post",    "in",      "autumn"};
        return kWords[random_() % std::size(kWords)];
    }

    std::mt19937 random_{20261128};
};

int write_texts(const std::filesystem::path& folder) {
    Writer write;
    for (const auto& [name, text] : {std::pair{"prose", write.prose()},
                                     {"rows", write.rows()},
                                     {"numbers", write.numbers()}}) {
        std::ofstream out{folder / name, std::ios::binary};
        if (!(out << text)) return 1;
    }
    return 0;
}

int scan(const std::filesystem::path& folder) {
    std::vector<std::string> kinds;
    for (const detect::KindInfo& kind : detect::builtin_kinds()) kinds.emplace_back(kind.name);
    const auto detector = detect::Detector::make(kinds);
    if (!detector) return 1;
    for (const char* name : {"prose", "rows", "numbers"}) {
        std::ifstream in{folder / name, std::ios::binary};
        const std::string text{std::istreambuf_iterator<char>{in}, {}};
        std::vector<detect::Match> matches;
        double best = 1e9;
        for (int round = 0; round != 15; ++round) {
            const double began = processor_seconds();
            detector->find(text, matches);
            best = std::min(best, processor_seconds() - began);
        }
        std::printf("{\"text\": \"%s\", \"kinds\": %zu, \"GB/s a core\": %.3f, \"found\": %zu}\n",
                    name, kinds.size(), static_cast<double>(text.size()) / best / 1e9,
                    matches.size());
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::string_view what = argc == 3 ? argv[1] : "";
    if (what == "texts") return write_texts(argv[2]);
    if (what == "scan") return scan(argv[2]);
    std::fputs("detect_bench texts DIR | scan DIR\n", stderr);
    return 2;
}
