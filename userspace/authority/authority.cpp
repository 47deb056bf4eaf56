// SPDX-License-Identifier: Apache-2.0
#include "userspace/authority/authority.h"

#include "userspace/authority/ca_folder.h"
#include "userspace/authority/certificate.h"
#include "userspace/authority/token_key.h"
#include "userspace/base/file.h"

#include <algorithm>
#include <list>
#include <map>
#include <new>
#include <utility>
#include <vector>

namespace chaperone::authority {
namespace {

constexpr std::chrono::hours kLeastLeft{24};  // of a cached leaf
struct FreeChain {
    void operator()(STACK_OF(X509) * chain) const noexcept { sk_X509_pop_free(chain, X509_free); }
};

}  // namespace

struct Leaf::Parts {
    Certificate certificate;
    Key key;
    std::unique_ptr<STACK_OF(X509), FreeChain> chain;
};

Leaf::Leaf(std::unique_ptr<Parts> parts) noexcept : parts_(std::move(parts)) {}
Leaf::~Leaf() = default;

x509_st* Leaf::certificate() const noexcept {
    return parts_->certificate.get();
}
evp_pkey_st* Leaf::key() const noexcept {
    return parts_->key.get();
}
stack_st_X509* Leaf::chain() const noexcept {
    return parts_->chain.get();
}
Time Leaf::not_before() const noexcept {
    return authority::not_before(*parts_->certificate);
}

Time Leaf::not_after() const noexcept {
    return authority::not_after(*parts_->certificate);
}

std::string Leaf::chain_pem() const {
    std::string pem = to_pem(*parts_->certificate);
    for (int i = 0; i != sk_X509_num(parts_->chain.get()); ++i)
        pem += to_pem(*sk_X509_value(parts_->chain.get(), i));
    return pem;
}

// The CA in use, and the leaves made with it: the most recently used first.
struct Authority::State {
    using Leaves = std::list<std::pair<std::string, std::shared_ptr<const Leaf>>>;

    std::shared_ptr<const Ca> ca{};
    Key leaf_key{};  // one for all leaves of this process: making one costs more than signing
    Leaves recent{};
    std::map<std::string, Leaves::iterator, std::less<>> by_name{};

    std::shared_ptr<const Leaf> find(std::string_view name, Time now) {
        const auto at = by_name.find(name);
        if (at == by_name.end()) return nullptr;
        const Leaf& leaf = *at->second->second;
        // Not valid yet: the clock was set back since.
        if (leaf.not_after() - now <= kLeastLeft || leaf.not_before() > now) return nullptr;
        recent.splice(recent.begin(), recent, at->second);
        return at->second->second;
    }

    void keep(std::string name, std::shared_ptr<const Leaf> leaf) {
        if (const auto at = by_name.find(name); at != by_name.end()) {
            recent.erase(at->second);
            by_name.erase(at);
        }
        recent.emplace_front(name, std::move(leaf));
        by_name.emplace(std::move(name), recent.begin());
        if (recent.size() <= kMaxCached) return;
        by_name.erase(recent.back().first);
        recent.pop_back();
    }

    void replace(Ca with) {
        recent.clear();
        by_name.clear();
        ca = std::make_shared<const Ca>(std::move(with));
    }
};

namespace {

Key reference(const Key& key) {
    EVP_PKEY_up_ref(key.get());
    return Key{key.get()};
}

Result<std::shared_ptr<const Leaf>> mint(const Ca& ca, Key leaf_key,
                                         std::span<const HostName> names, Time now) {
    const Time end = not_after(*ca.issuer.certificate);
    if (end <= now)
        return fail(Errc::Expired, ca.ours ? "the CA; make a new one: chaperone ca rotate"
                                           : "the operator's CA; exchange its ca.pem");
    auto certificate = make_leaf(ca.issuer, *leaf_key, names, now - Authority::kBackdate,
                                 std::min<Time>(now + Authority::kLeafValidity, end));
    if (!certificate) return fail(certificate.error());
    auto parts = std::make_unique<Leaf::Parts>(
        Leaf::Parts{std::move(*certificate), std::move(leaf_key), {}});
    parts->chain.reset(sk_X509_new_null());
    if (!parts->chain) throw std::bad_alloc();
    const auto send = [&](X509* next) {
        if (!is_self_signed(*next)) X509_add_cert(parts->chain.get(), next, X509_ADD_FLAG_UP_REF);
    };
    send(ca.issuer.certificate.get());
    for (const Certificate& next : ca.above) send(next.get());
    if (ca.cross) send(ca.cross.get());
    return std::make_shared<const Leaf>(std::move(parts));
}

// What leaves are kept under.
std::string cache_name(std::span<const HostName> hosts) {
    std::string all;
    for (const HostName& host : hosts) all += host.text + '\n';
    return all;
}

Result<std::vector<HostName>> read_names(std::span<const std::string> names) {
    if (names.empty() || names.size() > Authority::kMaxNames)
        return fail(Errc::Invalid, "a certificate has 1 to 16 names");
    std::vector<HostName> hosts;
    for (const std::string& name : names) {
        auto host = read_host_name(name);
        if (!host) return fail(host.error());
        hosts.push_back(std::move(*host));
    }
    return hosts;
}

}  // namespace

Authority::Authority(std::filesystem::path folder, std::unique_ptr<State> state)
    : folder_(std::move(folder)), state_(std::move(state)) {}
Authority::~Authority() = default;

Result<std::unique_ptr<Authority>> Authority::load_or_create(const std::filesystem::path& folder,
                                                             Time now,
                                                             std::shared_ptr<TokenKey> token) {
    std::error_code error;
    const bool made = std::filesystem::create_directories(folder, error);
    if (made)  // whatever the umask is: agents read ca-bundle.pem here
        std::filesystem::permissions(folder, std::filesystem::perms{0755}, error);
    if (error) return system_error("make " + folder.string(), error.value());
    auto ca = load_or_make(folder, now, std::move(token));
    if (!ca) return fail(ca.error());
    if (auto put = publish(folder, *ca); !put) return fail(put.error());
    auto key = make_key();
    if (!key) return fail(key.error());
    auto state = std::make_unique<State>();
    state->ca = std::make_shared<const Ca>(std::move(*ca));
    state->leaf_key = std::move(*key);
    return std::unique_ptr<Authority>{new Authority{folder, std::move(state)}};
}

std::string Authority::certificate_pem() const {
    return state_.with([](const auto& state) { return certificate_text(*state->ca); });
}

std::string Authority::bundle_pem() const {
    return state_.with(
        [](const auto& state) { return certificate_text(*state->ca) + previous_text(*state->ca); });
}

std::string Authority::fingerprint() const {
    return state_.with([](const auto& s) { return fingerprint_of(*s->ca->issuer.certificate); });
}

std::string Authority::subject() const {
    return state_.with([](const auto& s) { return subject_of(*s->ca->issuer.certificate); });
}

Time Authority::not_before() const {
    return state_.with(
        [](const auto& s) { return authority::not_before(*s->ca->issuer.certificate); });
}

Time Authority::not_after() const {
    return state_.with(
        [](const auto& s) { return authority::not_after(*s->ca->issuer.certificate); });
}

Result<> Authority::rotate(Time now) {
    return state_.with([&](auto& state) -> Result<> {
        if (!state->ca->ours)
            return fail(Errc::Unsupported,
                        state->ca->issuer.token
                            ? "the CA is the operator's, its key in a token: make the new one "
                              "there, exchange ca.pem, restart chaperoned"
                            : "the CA is the operator's: exchange ca.key and ca.pem");
        auto next = make(now);
        if (!next) return fail(next.error());
        // One of before this was possible may sign leaves only.
        if (X509_get_pathlen(state->ca->issuer.certificate.get()) != 0) {
            auto cross = make_cross(state->ca->issuer, *next->issuer.certificate, now - kBackdate);
            if (!cross) return fail(cross.error());
            next->cross = std::move(*cross);
        }
        X509_up_ref(state->ca->issuer.certificate.get());
        next->previous.emplace_back(state->ca->issuer.certificate.get());
        for (const Certificate& old : state->ca->previous) {
            if (next->previous.size() == kMaxPrevious || authority::not_after(*old) <= now) break;
            X509_up_ref(old.get());
            next->previous.emplace_back(old.get());
        }
        // First what is trusted, then who signs: at no moment is a leaf signed that the bundle on
        // disk does not cover, whenever this is interrupted.
        auto put = write_file(folder_ / "previous.pem", previous_text(*next), 0644);
        if (put)
            put = write_file(folder_ / "ca-bundle.pem",
                             certificate_text(*next) + previous_text(*next), 0644);
        if (put) put = write_key_file(folder_, *next);
        if (!put) return put;
        state->replace(std::move(*next));
        return publish(folder_, *state->ca);
    });
}

Result<> Authority::reload(Time now) {
    return state_.with([&](auto& state) -> Result<> {
        auto ca = load(folder_, now, state->ca->issuer.token);
        if (!ca) return fail(ca.error());
        if (auto put = publish(folder_, *ca); !put) return put;
        if (fingerprint_of(*ca->issuer.certificate) !=
            fingerprint_of(*state->ca->issuer.certificate))
            state->replace(std::move(*ca));
        return {};
    });
}

Result<std::shared_ptr<const Leaf>> Authority::leaf(std::string_view name, Time now) {
    const std::string one{name};
    return leaf(std::span{&one, 1}, now);
}

Result<std::shared_ptr<const Leaf>> Authority::leaf(std::span<const std::string> names, Time now) {
    const auto hosts = read_names(names);
    if (!hosts) return fail(hosts.error());
    const std::string all = cache_name(*hosts);
    std::shared_ptr<const Ca> ca;
    Key leaf_key;
    auto made = state_.with([&](auto& state) -> Result<std::shared_ptr<const Leaf>> {
        if (auto found = state->find(all, now)) return found;
        leaf_key = reference(state->leaf_key);
        if (state->ca->issuer.token) {
            ca = state->ca;  // signs below, while others are served
            return nullptr;
        }
        auto leaf = mint(*state->ca, std::move(leaf_key), *hosts, now);
        if (leaf) state->keep(all, *leaf);
        return leaf;
    });
    if (!ca) return made;
    made = mint(*ca, std::move(leaf_key), *hosts, now);
    if (made)
        state_.with([&](auto& state) {
            if (state->ca == ca) state->keep(all, *made);
        });
    return made;
}

bool Authority::blocks() const {
    return state_.with([](const auto& state) { return state->ca->issuer.token != nullptr; });
}

std::shared_ptr<const Leaf> Authority::cached(std::span<const std::string> names, Time now) {
    const auto hosts = read_names(names);
    if (!hosts) return nullptr;
    return state_.with([&](auto& state) { return state->find(cache_name(*hosts), now); });
}

Result<> Authority::prove() const {
    const auto ca = state_.with([](const auto& state) { return state->ca; });
    return check_issuer(ca->issuer);
}

std::string Authority::key_place() const {
    return state_.with([](const auto& state) {
        const auto& token = state->ca->issuer.token;
        return token ? "its key is " + token->describe() : std::string{};
    });
}

bool Authority::key_extractable() const {
    return state_.with([](const auto& state) {
        const auto& token = state->ca->issuer.token;
        return token && token->extractable();
    });
}

}  // namespace chaperone::authority
