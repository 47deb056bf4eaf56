// SPDX-License-Identifier: Apache-2.0
// Check digits and the other rules that tell a real number from a random one. Pure. The comment of
// each rule's definition names where it is published. For .cpp files of this layer and its tests.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace chaperone::detect {

using Digits = std::span<const std::uint8_t>;  // values 0 to 9; of the length that the rule is for

bool any_digits(Digits digits) noexcept;  // no rule
bool luhn(Digits digits) noexcept;
bool payment_card(Digits digits) noexcept;
bool imei(Digits digits) noexcept;
bool us_ssn(Digits digits) noexcept;
bool us_itin(Digits digits) noexcept;
bool aba_routing(Digits digits) noexcept;
bool ca_sin(Digits digits) noexcept;
bool br_cpf(Digits digits) noexcept;
bool br_cnpj(Digits digits) noexcept;
bool uk_nhs(Digits digits) noexcept;
bool pt_nif(Digits digits) noexcept;
bool fr_nir(Digits digits) noexcept;
bool de_tax_id(Digits digits) noexcept;
bool nl_bsn(Digits digits) noexcept;
bool be_national(Digits digits) noexcept;
bool ch_ahv(Digits digits) noexcept;
bool pl_pesel(Digits digits) noexcept;
bool se_personnummer(Digits digits) noexcept;  // 10 or 12
bool no_fodselsnummer(Digits digits) noexcept;
bool dk_cpr(Digits digits) noexcept;
bool tr_national_id(Digits digits) noexcept;
bool za_id(Digits digits) noexcept;
bool kr_rrn(Digits digits) noexcept;
bool jp_my_number(Digits digits) noexcept;
bool th_tnin(Digits digits) noexcept;
bool in_aadhaar(Digits digits) noexcept;
bool au_tfn(Digits digits) noexcept;
bool au_medicare(Digits digits) noexcept;
bool date_ymd(Digits digits) noexcept;  // yyyymmdd
bool date_dmy(Digits digits) noexcept;  // ddmmyyyy or mmddyyyy

// Words of letters and digits, without separators; letters in either case.
bool any_word(std::string_view word) noexcept;
bool es_nif(std::string_view word) noexcept;
bool es_nie(std::string_view word) noexcept;
bool it_fiscal_code(std::string_view word) noexcept;
bool ie_pps(std::string_view word) noexcept;
bool uk_nino(std::string_view word) noexcept;
bool mx_curp(std::string_view word) noexcept;
bool cn_resident_id(std::string_view word) noexcept;
bool sg_nric(std::string_view word) noexcept;
bool in_pan(std::string_view word) noexcept;
bool fr_nir_corsica(std::string_view word) noexcept;
bool iban(std::string_view word) noexcept;
bool bitcoin(std::string_view word) noexcept;   // base58check or bech32
bool ethereum(std::string_view word) noexcept;  // 0x and 40 hex digits
bool fi_hetu(std::string_view text) noexcept;   // 11 characters with the century's sign

}  // namespace chaperone::detect
