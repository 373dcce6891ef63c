// Segments of which stored bytes are damaged get those of an archive that repeats them. core/README.md has
// the order of the steps.

#include "core/log/codec.hpp"
#include "core/write/write_machine.hpp"

#include <algorithm>

namespace cairn {

static_assert(write_machine_options{}.max_repair_bytes <= max_record_data_bytes);

/// Remembers where the sequences of an attempt lie that has no rows: they may be needed.
void write_machine::note_lost(const sequence_record& record, const placement& at,
                              const fold_outcome& outcome) {
  if (record.sequence.sequence_num == 0) {
    if (outcome.what == fold_outcome::kind::lost)
      lost_attempts_[record.of.id] = {record.of.key(), {at}};
  } else if (!lost_attempts_.empty()) {
    if (const auto found = lost_attempts_.find(record.of.id); found != lost_attempts_.end())
      found->second.sequences.push_back(at);
  }
}

/// Drops what is remembered of attempts that are over.
void write_machine::forget_lost() {
  std::erase_if(lost_attempts_, [&](const auto& entry) {
    const auto& [id, attempt] = entry;
    if (const auto found = active_.find(attempt.key); found != active_.end() && found->second.of.id == id)
      return false;
    const auto* waiting = finalizing(attempt.key);
    return waiting == nullptr || waiting->finalizing != id;
  });
}

/// The archive repeats a segment whose stored bytes are damaged: that one gets the bytes of this attempt,
/// which are synced. What waits for the archive waits on: for the repair, or, where something under way ends
/// the segment, for what the database says next.
/// @returns why not
std::optional<std::string_view> write_machine::repair(completion& done, segment_id damaged) {
  const auto found = done.finalizing ? lost_attempts_.find(*done.finalizing) : lost_attempts_.end();
  if (found == lost_attempts_.end() || found->second.sequences.size() != done.content->sequences.size())
    return damaged_repeat;
  if (is_ended_by_pending(done.key, damaged)) {
    ask_database(done, 0);
    return std::nullopt;
  }
  if (is_ended_by_pending(done.key, *done.finalizing)) // the attempt alone
    return damaged_repeat;
  record_body record = repair_of(*done.content, damaged, found->second.sequences);
  if (record_data_bytes(record) > options_.max_repair_bytes)
    return "the segment is stored, but its bytes here are damaged, and it has too many sequences to be "
           "mended: archive the object under a new unified id";
  add_record(std::move(record));
  auto& entry = add_entry({}, done.key);
  entry.has_records = true;
  auto& repairs = add_completion(done.since);
  repairs = std::move(done);
  repairs.finalizing.reset();
  repairs.is_repair = true;
  entry.completes = next_completion_ - 1;
  return std::nullopt;
}

repair_record write_machine::repair_of(const segment_content& content, segment_id damaged,
                                       const std::vector<placement>& places) {
  repair_record record{{damaged, content.segment, content.nodes}, content.file, {}, content.meta};
  record.sequences.reserve(places.size());
  for (std::size_t i = 0; i < places.size(); ++i)
    record.sequences.push_back({content.sequences[i], places[i].value_file, places[i].data_offset()});
  return record;
}

/// A cancel or purge of the segment is under way. No repair may come behind it in the log: where the
/// segment's own records are lost, a repair makes it anew.
bool write_machine::is_ended_by_pending(const segment_key& key, segment_id segment) {
  if (!ended_by_pending_)
    ended_by_pending_ = find_ended();
  const auto [begin, end] = ended_by_pending_->equal_range(key);
  return std::any_of(
    begin, end, [&](const auto& ended) { return ended.second == segment_id{} || ended.second == segment; });
}

write_machine::ended_segments write_machine::find_ended() const {
  ended_segments ended;
  const auto note = [&](const record_body& body) {
    if (const auto* cancel = std::get_if<cancel_record>(&body))
      ended.emplace(cancel->key, cancel->id);
    else if (const auto* purge = std::get_if<purge_record>(&body))
      ended.emplace(purge->key, segment_id{});
  };
  const auto note_placed = [&](const round& of) {
    for (const auto& record : of.records)
      note(record.body);
  };
  if (committing_ != nullptr)
    note_placed(*committing_);
  if (next_)
    note_placed(*next_);
  note_placed(filling_);
  if (appending_)
    std::for_each(appending_->begin(), appending_->end(), note);
  std::for_each(unwritten_.begin(), unwritten_.end(), note);
  return ended;
}

bool write_machine::is_being_repaired(const segment_key& key) const {
  return std::any_of(completions_.begin(), completions_.end(),
                     [&](const auto& each) { return each.second.is_repair && each.second.key == key; });
}

/// What waits for an archive that is over is answered by the rows that the next round finds.
/// @param first_ticket those before it are answered otherwise
void write_machine::ask_database(completion& done, std::size_t first_ticket) {
  if (first_ticket >= done.tickets.size())
    return;
  const auto content = std::make_shared<const segment_content>(std::move(*done.content));
  for (auto i = first_ticket; i < done.tickets.size(); ++i)
    waiting_look_ups_.push_back({done.key, done.tickets[i], done.since, content});
  done.tickets.resize(first_ticket);
}

} // namespace cairn
