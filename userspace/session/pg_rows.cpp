// SPDX-License-Identifier: Apache-2.0
// Where answers meet their masks.
#include "userspace/session/pg_machine.h"

#include <algorithm>
#include <array>

namespace chaperone::session {

namespace pg = wire::pg;

namespace {

// Encodings of clients in which bytes of ASCII may be the second half of another character.
bool hides_ascii(std::string_view encoding) {
    constexpr std::array<std::string_view, 7> kUnsafe{"BIG5", "GBK",   "UHC",           "GB18030",
                                                      "SJIS", "JOHAB", "SHIFT_JIS_2004"};
    return std::ranges::find(kUnsafe, encoding) != kUnsafe.end();
}

}  // namespace

const policy::MaskSet* PgMachine::masks_of(const Owed& head) const {
    const policy::DecisionPtr& decision = head.portal ? head.portal->decision : head.decision;
    return decision ? &decision->masks : nullptr;
}

// Null: which statement the answer belongs to is not known.
const policy::sql::Statement* PgMachine::statement_of(const Owed& head) const {
    const Facts& facts = head.portal ? head.portal->facts : head.facts;
    if (!facts || !facts->parsed || head.unplanned) return nullptr;
    if (head.kind == Owed::Kind::Query)
        return head.statement < facts->statements.size() ? &facts->statements[head.statement]
                                                         : nullptr;
    return facts->statements.size() == 1 ? &facts->statements.front() : nullptr;
}

MaskContext PgMachine::mask_context(const policy::MaskSet& masks) const {
    return {.masks = &masks,
            .catalog = catalog_.get(),
            .masker = masker_,
            .detectors = &detectors_,
            .iso_dates = date_style_.starts_with("ISO")};
}

// False: the session has ended, because rows that must be masked cannot be.
bool PgMachine::plan_rows(Owed& head, const pg::RowDescription& columns, Actions& out) {
    const policy::MaskSet* masks = masks_of(head);
    masking_rows_ = false;
    if (masks == nullptr || masks->empty()) return true;
    if (head.kind == Owed::Kind::Execute && !head.portal->described) {
        unexpected("rows that nothing described", out);
        return false;
    }
    const policy::sql::Statement* statement = statement_of(head);
    const bool known = statement != nullptr && statement->returns_rows && statement->outputs_known;
    rows_.plan(columns, known ? &statement->outputs : nullptr, mask_context(*masks));
    masking_rows_ = rows_.needed();
    return true;
}

bool PgMachine::plan_copy(Owed& head, const pg::CopyResponse& response, Actions& out) {
    const policy::MaskSet* masks = masks_of(head);
    masking_copy_ = false;
    if (masks == nullptr || masks->empty()) return true;
    const policy::sql::Statement* statement = statement_of(head);
    if (statement == nullptr || !statement->copy_out || !statement->copy_out->to_client) {
        unexpected("a copy that was not asked for", out);
        return false;
    }
    const policy::sql::CopyFormat& format = statement->copy_out->format;
    const bool binary = format.kind == policy::sql::CopyFormat::Kind::Binary;
    std::string encoding = format.encoding.empty() ? encoding_ : format.encoding;
    std::ranges::transform(encoding, encoding.begin(), [](char c) {
        return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    });
    if (binary != response.binary || (!binary && hides_ascii(encoding))) {
        unexpected("a copy that cannot be masked", out);
        return false;
    }
    copy_.plan(format, response.formats.size(),
               statement->outputs_known ? &statement->outputs : nullptr, mask_context(*masks),
               config_.limits.row);
    masking_copy_ = copy_.needed();
    return true;
}

void PgMachine::on_masked_row(Bytes body, Bytes raw, Actions& out) {
    scratch_.clear();
    if (!rows_.rewrite(body, scratch_)) return unexpected("a row that cannot be masked", out);
    skip(out, raw.size());
    out.send(Side::Client, scratch_);
}

void PgMachine::on_masked_copy(Bytes body, Bytes raw, Actions& out) {
    scratch_.clear();
    if (!copy_.feed(body, scratch_)) return unexpected("copy data that cannot be masked", out);
    skip(out, raw.size());
    if (!scratch_.empty()) out.send(Side::Client, scratch_);
}

bool PgMachine::finish_masked_copy(Actions& out) {
    if (!masking_copy_ || copy_.finish()) return true;
    unexpected("copy data that ends too early", out);
    return false;
}

// Whoever notified, and of what, no statement of this session tells: the detectors look at it.
void PgMachine::pass_notification(Bytes body, Bytes raw, Actions& out) {
    if (!last_masks_ || last_masks_->masks.detectors.empty()) return pass_reply(raw);
    const auto notification = pg::decode_notification(body);
    if (!notification) return unexpected("NotificationResponse", out);
    const TextScan scan{mask_context(last_masks_->masks)};
    const auto payload = scan.replace(notification->payload, detect::Masker::kUnlimited);
    if (!payload) return pass_reply(raw);
    scratch_.clear();
    pg::encode_notification(scratch_, {notification->pid, notification->channel, *payload});
    skip(out, raw.size());
    out.send(Side::Client, scratch_);
}

// An ErrorResponse or NoticeResponse, masked as the statement that it answers, or as the last one.
void PgMachine::pass_diagnostic(Bytes body, Bytes raw, Actions& out) {
    const Owed* head = owed_.empty() ? nullptr : &owed_.front();
    const policy::MaskSet* masks = head == nullptr ? nullptr : masks_of(*head);
    if ((masks == nullptr || masks->empty()) && last_masks_) masks = &last_masks_->masks;
    if (masks == nullptr || masks->empty()) return pass_reply(raw);
    const auto diagnostic = pg::decode_diagnostic(body);
    if (!diagnostic) return unexpected("ErrorResponse or NoticeResponse", out);
    const MaskContext context = mask_context(*masks);
    const Facts facts = head == nullptr           ? Facts{}
                        : head->portal != nullptr ? head->portal->facts
                                                  : head->facts;
    scratch_.clear();
    mask_diagnostic(std::to_integer<char>(raw.front()), *diagnostic,
                    touches_masked(facts.get(), context), context, scratch_);
    skip(out, raw.size());
    out.send(Side::Client, scratch_);
}

}  // namespace chaperone::session
