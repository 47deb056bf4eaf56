// SPDX-License-Identifier: Apache-2.0
#include "userspace/authority/token_module.h"

#include "userspace/base/file.h"
#include "userspace/base/secret.h"

#include <p11-kit-1/p11-kit/pkcs11.h>

#include <dlfcn.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <vector>

namespace chaperone::authority {
namespace {

constexpr const char* kAnyModule = "p11-kit-proxy.so";  // every module that p11-kit(8) knows
constexpr std::size_t kMaxPin = 4096;
constexpr std::size_t kMaxSlots = 256;
constexpr std::size_t kMaxSignature = 1024;  // RSA of 8192 bits
// DigestInfo of SHA-256, RFC 8017 section 9.2: what PKCS#1 v1.5 signs.
constexpr std::array<unsigned char, 19> kDigestInfo{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60,
                                                    0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02,
                                                    0x01, 0x05, 0x00, 0x04, 0x20};

// Of a field that PKCS#11 fills up with blanks.
template <std::size_t N>
std::string trimmed(const unsigned char (&field)[N]) {
    std::string text{reinterpret_cast<const char*>(field), N};
    text.erase(text.find_last_not_of(std::string_view{" \0", 2}) + 1);
    return text;
}

std::string code_of(CK_RV code) {
    switch (code) {
    case CKR_DEVICE_ERROR: return "device error";
    case CKR_DEVICE_MEMORY: return "the device is out of memory";
    case CKR_DEVICE_REMOVED: return "the device was removed";
    case CKR_TOKEN_NOT_PRESENT: return "the token is not there";
    case CKR_TOKEN_NOT_RECOGNIZED: return "the token is not recognised";
    case CKR_SESSION_HANDLE_INVALID: return "its session has ended";
    case CKR_USER_NOT_LOGGED_IN: return "the login has ended";
    case CKR_KEY_FUNCTION_NOT_PERMITTED: return "the key may not sign (CKA_SIGN is false)";
    case CKR_MECHANISM_INVALID: return "the token does not sign in this way";
    case CKR_KEY_TYPE_INCONSISTENT: return "the key is of another type than ca.pem's";
    case CKR_PIN_INCORRECT: return "the PIN is not correct";
    case CKR_PIN_LOCKED: return "the PIN is locked";
    case CKR_PIN_EXPIRED: return "the PIN has expired";
    default: break;
    }
    std::array<char, 32> text{};
    std::snprintf(text.data(), text.size(), "CKR 0x%lx", static_cast<unsigned long>(code));
    return text.data();
}

Result<Secret> read_pin(const std::string& path) {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) {
        const Error why = system_error("", errno).error();
        return fail(Errc::Invalid, "the PIN's file " + path + " cannot be read" + why.detail +
                                       "; write the PIN there, readable by the daemon alone");
    }
    if ((status.st_mode & 07) != 0)
        return fail(Errc::Invalid, "everybody may read the PIN in " + path + "; chmod 640 " + path);
    auto text = read_file(path, kMaxPin);
    if (!text) return fail(Errc::Invalid, "the PIN: " + text.error().detail);
    text->resize(std::min(text->find_first_of("\r\n"), text->size()));
    if (text->empty()) return fail(Errc::Invalid, "the PIN's file " + path + " is empty");
    return Secret::take(*text);
}

}  // namespace

struct TokenModule::State {
    TokenUri uri{};
    CK_FUNCTION_LIST* call = nullptr;
    CK_SLOT_ID slot{};
    CK_SESSION_HANDLE session{};
    CK_OBJECT_HANDLE key{};
    Secret pin{};
    bool extractable = false;
    bool login_each_time = false;  // CKA_ALWAYS_AUTHENTICATE
    bool asks_on_its_own = false;  // a reader with keys of its own

    std::string token() const {
        return uri.token.empty() ? "the token" : "token \"" + uri.token + '"';
    }

    Result<> load() {
        const char* path = uri.module.empty() ? kAnyModule : uri.module.c_str();
        void* library = ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
        if (library == nullptr)
            return fail(
                Errc::Invalid,
                std::string{"the PKCS#11 module cannot be loaded: "} + ::dlerror() +
                    "; in chaperone.yaml, ca.module names the library of the token's maker");
        const auto list =
            reinterpret_cast<CK_C_GetFunctionList>(::dlsym(library, "C_GetFunctionList"));
        if (list == nullptr || list(&call) != CKR_OK || call == nullptr)
            return fail(Errc::Invalid, std::string{path} + " is not a PKCS#11 module");
        if (const CK_RV code = call->C_Initialize(nullptr); code != CKR_OK)
            return fail(Errc::Unavailable, "the PKCS#11 module " + std::string{path} +
                                               " does not start: " + code_of(code) +
                                               "; see its maker's documentation (can the service "
                                               "read its configuration and reach its device?)");
        return {};
    }

    bool fits(CK_SLOT_ID id, const CK_TOKEN_INFO& info) const {
        const auto is = [](const std::string& wanted, const std::string& there) {
            return wanted.empty() || wanted == there;
        };
        return (!uri.slot || *uri.slot == id) && is(uri.token, trimmed(info.label)) &&
               is(uri.manufacturer, trimmed(info.manufacturerID)) &&
               is(uri.model, trimmed(info.model)) && is(uri.serial, trimmed(info.serialNumber));
    }

    Result<CK_TOKEN_INFO> find_token() {
        std::vector<CK_SLOT_ID> slots(kMaxSlots);
        CK_ULONG count = slots.size();
        if (const CK_RV code = call->C_GetSlotList(CK_TRUE, slots.data(), &count); code != CKR_OK)
            return fail(Errc::Unavailable, "the PKCS#11 module lists no tokens: " + code_of(code));
        slots.resize(std::min<CK_ULONG>(count, slots.size()));
        std::vector<CK_TOKEN_INFO> found;
        std::string there;
        for (const CK_SLOT_ID id : slots) {
            CK_TOKEN_INFO info{};
            if (call->C_GetTokenInfo(id, &info) != CKR_OK) continue;
            if ((info.flags & CKF_TOKEN_INITIALIZED) == 0) continue;
            there += (there.empty() ? "\"" : ", \"") + trimmed(info.label) + '"';
            if (!fits(id, info)) continue;
            slot = id;
            found.push_back(info);
        }
        if (found.size() > 1)
            return fail(Errc::NotFound,
                        "several tokens fit " + token() + "; add its serial= to the URI");
        if (found.empty())
            return fail(Errc::NotFound,
                        token() + " is not there" +
                            (there.empty() ? ", nor is any other" : "; there is " + there) +
                            "; is it plugged in, and may the service reach it?");
        return found.front();
    }

    Result<> log_in(const CK_TOKEN_INFO& info) {
        asks_on_its_own = (info.flags & CKF_PROTECTED_AUTHENTICATION_PATH) != 0;
        if (!uri.pin_source.empty()) {
            auto read = read_pin(uri.pin_source);
            if (!read) return fail(read.error());
            pin = *std::move(read);
        } else if ((info.flags & CKF_LOGIN_REQUIRED) == 0) {
            return {};
        } else if (!asks_on_its_own) {
            return fail(Errc::Invalid, token() +
                                           " wants a PIN: add its file to the URI, "
                                           "?pin-source=file:/etc/chaperone/ca.pin");
        }
        if ((info.flags & CKF_USER_PIN_LOCKED) != 0)
            return fail(Errc::Denied, token() + " has locked its PIN; unlock it with its own tool");
        // The daemon is started again and again: it must not be what locks a token for good.
        if ((info.flags & CKF_USER_PIN_FINAL_TRY) != 0)
            return fail(Errc::Denied, token() +
                                          " gives its PIN one more try, which is left to you:"
                                          " log in once with its own tool, correct " +
                                          uri.pin_source + " and restart chaperoned");
        const CK_RV code = enter(CKU_USER);
        if (code == CKR_OK || code == CKR_USER_ALREADY_LOGGED_IN) return {};
        const bool refused = code == CKR_PIN_INCORRECT || code == CKR_PIN_INVALID ||
                             code == CKR_PIN_LEN_RANGE || code == CKR_PIN_LOCKED ||
                             code == CKR_PIN_EXPIRED;
        return fail(refused ? Errc::Denied : Errc::Unavailable,
                    token() + " refuses the login: " + code_of(code) +
                        (refused ? "; correct " + uri.pin_source + " and restart chaperoned"
                                 : std::string{}));
    }

    CK_RV enter(CK_USER_TYPE user) const {
        if (pin.empty() && asks_on_its_own) return call->C_Login(session, user, nullptr, 0);
        // The parameter is not const, though the call does not change what we see.
        auto* octets = reinterpret_cast<unsigned char*>(const_cast<char*>(pin.expose().data()));
        return call->C_Login(session, user, octets, pin.expose().size());
    }

    bool flag(CK_ATTRIBUTE_TYPE type) const {
        CK_BBOOL value = CK_FALSE;
        CK_ATTRIBUTE attribute{type, &value, sizeof value};
        return call->C_GetAttributeValue(session, key, &attribute, 1) == CKR_OK && value == CK_TRUE;
    }

    Result<> find_key() {
        CK_OBJECT_CLASS kind = CKO_PRIVATE_KEY;
        std::vector<CK_ATTRIBUTE> wanted{{CKA_CLASS, &kind, sizeof kind}};
        if (!uri.object.empty())
            wanted.push_back({CKA_LABEL, uri.object.data(), uri.object.size()});
        if (!uri.id.empty()) wanted.push_back({CKA_ID, uri.id.data(), uri.id.size()});
        std::array<CK_OBJECT_HANDLE, 2> found{};
        CK_ULONG count = 0;
        CK_RV code = call->C_FindObjectsInit(session, wanted.data(), wanted.size());
        if (code == CKR_OK) code = call->C_FindObjects(session, found.data(), 2, &count);
        (void)call->C_FindObjectsFinal(session);
        if (code != CKR_OK)
            return fail(Errc::Unavailable, token() + " lists no keys: " + code_of(code));
        if (count == 0)
            return fail(Errc::NotFound, "no " + uri.describe() +
                                            "; list its private keys with its own tool, and name "
                                            "one in the URI by object= or id=");
        if (count > 1)
            return fail(Errc::NotFound,
                        "several keys fit " + uri.describe() + "; add its id= to the URI");
        key = found[0];
        extractable = flag(CKA_EXTRACTABLE);
        login_each_time = flag(CKA_ALWAYS_AUTHENTICATE);
        return {};
    }
};

TokenModule::TokenModule(std::unique_ptr<State> state) : state_(std::move(state)) {}

TokenModule::~TokenModule() {
    if (state_->session != 0) (void)state_->call->C_CloseSession(state_->session);
    (void)state_->call->C_Finalize(nullptr);
}

Result<std::unique_ptr<TokenModule>> TokenModule::open(const TokenUri& uri) {
    auto state = std::make_unique<State>();
    state->uri = uri;
    if (auto done = state->load(); !done) return fail(done.error());
    std::unique_ptr<TokenModule> made{new TokenModule{std::move(state)}};
    State& it = *made->state_;
    const auto info = it.find_token();
    if (!info) return fail(info.error());
    const CK_RV code =
        it.call->C_OpenSession(it.slot, CKF_SERIAL_SESSION, nullptr, nullptr, &it.session);
    if (code != CKR_OK)
        return fail(Errc::Unavailable, it.token() + " opens no session: " + code_of(code));
    if (auto done = it.log_in(*info); !done) return fail(done.error());
    if (auto done = it.find_key(); !done) return fail(done.error());
    return made;
}

bool TokenModule::extractable() const noexcept {
    return state_->extractable;
}

Result<Buffer> TokenModule::sign(TokenScheme scheme, Bytes sha256) {
    State& it = *state_;
    const bool rsa = scheme == TokenScheme::Rsa;
    CK_MECHANISM mechanism{rsa ? CKM_RSA_PKCS : CKM_ECDSA, nullptr, 0};
    std::vector<unsigned char> data;
    if (rsa) data.assign(kDigestInfo.begin(), kDigestInfo.end());
    std::ranges::transform(sha256, std::back_inserter(data),
                           [](std::byte b) { return std::to_integer<unsigned char>(b); });
    Buffer signature(kMaxSignature);
    CK_ULONG size = signature.size();
    CK_RV code = it.call->C_SignInit(it.session, &mechanism, it.key);
    if (code == CKR_OK && it.login_each_time) code = it.enter(CKU_CONTEXT_SPECIFIC);
    if (code == CKR_OK)
        code = it.call->C_Sign(it.session, data.data(), data.size(),
                               reinterpret_cast<unsigned char*>(signature.data()), &size);
    if (code != CKR_OK)
        return fail(
            code == CKR_PIN_INCORRECT || code == CKR_PIN_LOCKED ? Errc::Denied : Errc::Unavailable,
            it.uri.describe() + " does not sign: " + code_of(code));
    if (size > signature.size()) return fail(Errc::Corrupt, "the token's signature is too long");
    signature.resize(size);
    return signature;
}

}  // namespace chaperone::authority
