// What holds a segment key already: is it the same archive, sent before?

#include "core/write/write_machine.hpp"

#include <algorithm>

namespace cairn {

/// The attempt has its row, but not all of its sequences.
bool write_machine::is_own_attempt(const completion& done, const std::optional<stored_segment>& existing) {
  return done.finalizing && existing && existing->id == *done.finalizing
         && existing->status == segment_status::active;
}

/// The database kept another row for the key: was it this very archive, sent before?
failure write_machine::judge_lost(const completion& done, const std::optional<stored_segment>& existing) {
  if (!done.content)
    return {errc::duplicate_segment, "the unified id belongs to another key: use a new one"};
  if (!existing || is_own_attempt(done, existing))
    return {errc::storage_error, "an earlier part of the segment is not in the database: archive it again"};
  return judge_repeat(*done.content, *existing);
}

/// Is what holds the key the same?
failure write_machine::judge_repeat(const segment_content& content, const stored_segment& existing) {
  if (existing.status == segment_status::cancelled)
    return {errc::cancelled, "the segment was cancelled: archive under a new unified id"};
  if (same_content(content, existing))
    return existing.is_damaged ? failure{errc::damaged, std::string(damaged_repeat)}
                               : failure{errc::success, {}};
  return {errc::duplicate_segment, "the segment key is taken by other content: use a new unified id"};
}

bool write_machine::same_content(const segment_content& content, const stored_segment& stored) {
  if (stored.segment != content.segment || stored.nodes != content.nodes)
    return false;
  if (stored.status == segment_status::tombstone)
    return content.sequences.empty() && stored.deletes == content.deletes;
  return stored.status == segment_status::final && stored.file == content.file && stored.meta == content.meta
         && std::equal(stored.sequences.begin(), stored.sequences.end(), content.sequences.begin(),
                       content.sequences.end(),
                       [](const stored_sequence& a, const sequence_info& b) { return a.info == b; });
}

void write_machine::answer_look_up(look_up asked, const std::optional<stored_segment>& existing) {
  if (!asked.ticket)
    return;
  if (existing && existing->is_damaged && is_being_repaired(asked.key)) {
    waiting_look_ups_.push_back(std::move(asked));
    return;
  }
  if (const auto* content = std::get_if<std::shared_ptr<const segment_content>>(&asked.repeat)) {
    const auto is_gone = !existing || existing->status == segment_status::active; // perhaps begun again
    const auto verdict =
      is_gone ? failure{errc::storage_error, "the segment was purged while it was archived: archive it again"}
              : judge_repeat(**content, *existing);
    answer(*asked.ticket, verdict.code, verdict.message);
    return;
  }
  if (!existing || existing->status == segment_status::tombstone
      || existing->status == segment_status::active) { // active: started only after this was asked
    answer(*asked.ticket, errc::unknown_segment, "no such active segment: send archive_key_start first");
    return;
  }
  if (existing->status == segment_status::cancelled) {
    answer(*asked.ticket, errc::cancelled, "the segment was cancelled: archive under a new unified id");
    return;
  }
  const auto has = [&](const sequence_info& info) {
    const auto number = static_cast<std::size_t>(info.sequence_num);
    return number < existing->sequences.size() && existing->sequences[number].info == info;
  };
  bool same = false;
  const auto* final = std::get_if<final_request>(&asked.repeat);
  if (final != nullptr)
    same = has(final->sequence.info) && existing->sequences.back().info == final->sequence.info
           && existing->file == final->file && existing->meta == final->meta;
  else
    same = has(std::get<next_request>(asked.repeat).sequence.info);
  if (same && final != nullptr && existing->is_damaged) {
    answer(*asked.ticket, errc::damaged, std::string(damaged_repeat));
    return;
  }
  answer(*asked.ticket, same ? errc::success : errc::duplicate_segment,
         same ? "" : "the segment is final, with other content");
}

} // namespace cairn
