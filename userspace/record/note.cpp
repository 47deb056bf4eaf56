// SPDX-License-Identifier: Apache-2.0
#include "userspace/record/note.h"

#include "userspace/base/encoding.h"
#include "userspace/base/file.h"
#include "userspace/base/secret.h"
#include "userspace/base/sha256.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include <algorithm>
#include <optional>
#include <stdexcept>

namespace chaperone::record {
namespace {

constexpr std::byte kEd25519{0x01};
constexpr std::size_t kSignature = 64;
constexpr std::string_view kDash =
    "\xe2\x80\x94 ";  // an em dash and a space begin a signature line
// The specification lets a verifier bound what it reads; a checkpoint takes about 300 bytes.
constexpr std::size_t kMaxNote = std::size_t{64} << 10;
constexpr std::size_t kMaxSignatures = 100;

struct KeyDeleter {
    void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
using Key = std::unique_ptr<EVP_PKEY, KeyDeleter>;
struct ContextDeleter {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, ContextDeleter>;
struct BioDeleter {
    void operator()(BIO* bio) const { BIO_free_all(bio); }
};
using Memory = std::unique_ptr<BIO, BioDeleter>;

const unsigned char* raw(std::string_view text) {
    return reinterpret_cast<const unsigned char*>(text.data());
}

// A name has no space and no plus, and is not empty.
bool is_name(std::string_view name) {
    return !name.empty() &&
           std::ranges::all_of(name, [](char c) { return c > ' ' && c != '+' && c != '\x7f'; });
}

Buffer public_bytes(EVP_PKEY* key) {
    Buffer bytes(32);
    std::size_t size = bytes.size();
    if (EVP_PKEY_get_raw_public_key(key, reinterpret_cast<unsigned char*>(bytes.data()), &size) !=
            1 ||
        size != bytes.size())
        throw std::runtime_error("OpenSSL gives no Ed25519 public key");
    return bytes;
}

Result<Secret> to_pem(EVP_PKEY* key) {
    const Memory memory{BIO_new(BIO_s_secmem())};
    if (!memory || PEM_write_bio_PKCS8PrivateKey(memory.get(), key, nullptr, nullptr, 0, nullptr,
                                                 nullptr) != 1)
        return fail(Errc::System, "cannot write the journal's key as PEM");
    const char* data = nullptr;
    const long size = BIO_get_mem_data(memory.get(), &data);
    return Secret{std::string{data, static_cast<std::size_t>(size)}};
}

Result<Key> from_pem(const Secret& pem, const std::filesystem::path& path) {
    const Memory memory{
        BIO_new_mem_buf(pem.expose().data(), static_cast<int>(pem.expose().size()))};
    Key key{memory ? PEM_read_bio_PrivateKey(memory.get(), nullptr, nullptr, nullptr) : nullptr};
    if (!key || EVP_PKEY_get_id(key.get()) != EVP_PKEY_ED25519)
        return fail(Errc::Corrupt, path.string() + " holds no Ed25519 private key");
    return key;
}

std::string_view trimmed(std::string_view text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
    return text;
}

}  // namespace

VerifierKey::VerifierKey(std::string name, const std::array<std::byte, 32>& key)
    : name_(std::move(name)), key_(key) {}

std::array<std::byte, 4> VerifierKey::id() const {
    Buffer text = copy(as_bytes(name_));
    text.push_back(std::byte{'\n'});
    text.push_back(kEd25519);
    append(text, Bytes{key_});
    const Digest digest = sha256(text);
    return {digest[0], digest[1], digest[2], digest[3]};
}

std::string VerifierKey::text() const {
    Buffer key{kEd25519};
    append(key, Bytes{key_});
    return name_ + "+" + to_hex(id()) + "+" + to_base64(key);
}

Result<VerifierKey> VerifierKey::parse(std::string_view vkey) {
    vkey = trimmed(vkey);
    const auto name_end = vkey.find('+');
    const auto id_end = name_end == vkey.npos ? vkey.npos : vkey.find('+', name_end + 1);
    if (id_end == vkey.npos) return fail(Errc::Malformed, "a vkey is NAME+ID+KEY");
    const auto id = from_hex(vkey.substr(name_end + 1, id_end - name_end - 1));
    const auto key = from_base64(vkey.substr(id_end + 1));
    if (!is_name(vkey.substr(0, name_end)) || !id || !key)
        return fail(Errc::Malformed, "a vkey is NAME+ID+KEY");
    if (key->size() != 33 || key->front() != kEd25519)
        return fail(Errc::Unsupported, "only Ed25519 keys verify a journal");
    std::array<std::byte, 32> bytes;
    std::copy(key->begin() + 1, key->end(), bytes.begin());
    VerifierKey parsed{std::string{vkey.substr(0, name_end)}, bytes};
    if (!std::ranges::equal(*id, parsed.id()))
        return fail(Errc::Malformed, "the vkey's id is not that of its name and key");
    return parsed;
}

bool VerifierKey::verifies(std::string_view text, std::string_view signature) const {
    const Key key{
        EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw(as_text(key_)), key_.size())};
    const Context context{EVP_MD_CTX_new()};
    return key && context && signature.size() == kSignature &&
           EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, key.get()) == 1 &&
           EVP_DigestVerify(context.get(), raw(signature), signature.size(), raw(text),
                            text.size()) == 1;
}

struct SigningKey::State {
    Key key;
    VerifierKey verifier;
};

SigningKey::SigningKey(std::unique_ptr<State> state) : state_(std::move(state)) {}
SigningKey::SigningKey(SigningKey&&) noexcept = default;
SigningKey& SigningKey::operator=(SigningKey&&) noexcept = default;
SigningKey::~SigningKey() = default;

SigningKey SigningKey::generate() {
    Key key{EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")};
    std::array<std::byte, 8> chance;
    if (!key || RAND_bytes(reinterpret_cast<unsigned char*>(chance.data()), chance.size()) != 1)
        throw std::runtime_error("OpenSSL makes no Ed25519 key");
    const Buffer bytes = public_bytes(key.get());
    std::array<std::byte, 32> array;
    std::ranges::copy(bytes, array.begin());
    VerifierKey verifier{"chaperone.dev/journal/" + to_hex(chance), array};
    return SigningKey{std::make_unique<State>(std::move(key), std::move(verifier))};
}

Result<SigningKey> SigningKey::load_or_make(const std::filesystem::path& path,
                                            const std::filesystem::path& public_path) {
    auto pem = read_file(path, kMaxNote);
    if (!pem && pem.error().code == Errc::NotFound) {
        SigningKey made = generate();
        const auto text = to_pem(made.state_->key.get());
        if (!text) return fail(text.error());
        // The public half first: a private key without one could not be told apart from a lost one.
        if (auto done = write_file(public_path, made.public_key().text() + "\n", 0644); !done)
            return fail(done.error());
        if (auto done = write_file(path, text->expose(), 0600); !done) return fail(done.error());
        return made;
    }
    if (!pem) return fail(pem.error());
    const Secret secret = Secret::take(*pem);
    auto key = from_pem(secret, path);
    if (!key) return fail(key.error());
    const auto vkey = read_file(public_path, kMaxNote);
    if (!vkey) return fail(vkey.error());
    auto verifier = VerifierKey::parse(*vkey);
    if (!verifier) return fail(verifier.error());
    const Buffer bytes = public_bytes(key->get());
    std::array<std::byte, 32> array;
    std::ranges::copy(bytes, array.begin());
    if (VerifierKey{verifier->name(), array} != *verifier)
        return fail(Errc::Corrupt,
                    path.string() + " and " + public_path.string() + " do not belong together");
    return SigningKey{std::make_unique<State>(*std::move(key), *std::move(verifier))};
}

VerifierKey SigningKey::public_key() const {
    return state_->verifier;
}

std::string SigningKey::sign(std::string_view text) const {
    std::string signature(kSignature, '\0');
    std::size_t size = signature.size();
    const Context context{EVP_MD_CTX_new()};
    if (!context ||
        EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, state_->key.get()) != 1 ||
        EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                       raw(text), text.size()) != 1)
        throw std::runtime_error("OpenSSL does not sign");
    Buffer blob;
    append(blob, Bytes{state_->verifier.id()});
    append(blob, signature);
    std::string note{text};
    note += '\n';
    note += kDash;
    return note + state_->verifier.name() + " " + to_base64(blob) + "\n";
}

namespace {

// What a signature line says: nullopt for one of another key.
Result<std::optional<std::string>> signature_of(std::string_view line, const VerifierKey& key) {
    if (!line.starts_with(kDash)) return fail(Errc::Malformed, "a signature line of a note");
    line.remove_prefix(kDash.size());
    const auto space = line.find(' ');
    if (space == line.npos || !is_name(line.substr(0, space)))
        return fail(Errc::Malformed, "a signature line of a note");
    const auto blob = from_base64(line.substr(space + 1));
    if (!blob || blob->size() < 5) return fail(Errc::Malformed, "a signature of a note");
    const auto id = key.id();
    if (line.substr(0, space) != key.name() || !std::equal(id.begin(), id.end(), blob->begin()))
        return std::nullopt;
    return std::string{as_text(Bytes{*blob}.subspan(id.size()))};
}

}  // namespace

Result<std::string> open_note(std::string_view note, const VerifierKey& key) {
    if (note.size() > kMaxNote) return fail(Errc::TooLarge, "a signed note");
    const auto split = note.rfind("\n\n");
    if (split == note.npos || !note.ends_with('\n')) return fail(Errc::Malformed, "a signed note");
    const std::string_view text = note.substr(0, split + 1);
    std::string_view lines = note.substr(split + 2);
    bool signed_by_key = false;
    for (std::size_t count = 0; !lines.empty(); ++count) {
        if (count == kMaxSignatures) return fail(Errc::TooLarge, "signatures of a note");
        const auto end = lines.find('\n');
        const auto signature = signature_of(lines.substr(0, end), key);
        if (!signature) return fail(signature.error());
        if (const auto& value = *signature; value.has_value()) {
            if (!key.verifies(text, *value)) return fail(Errc::Denied, "a wrong signature");
            signed_by_key = true;
        }
        lines.remove_prefix(end + 1);
    }
    if (!signed_by_key) return fail(Errc::Denied, "no signature by " + key.name());
    return std::string{text};
}

}  // namespace chaperone::record
