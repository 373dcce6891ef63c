#include "core/clock.hpp"
#include "core/write/write_machine.hpp"

#include <algorithm>

/// What the write machine does when a write or sync failed.

namespace cairn {

void write_machine::write_failed(log_sequence_number synced_lsn, std::vector<placement> placements,
                                 std::vector<value_file_row> file_rows, const failure& why) {
  ++failures_;
  attempts lost;
  if (appending_) {
    for (auto i = placements.size(); i < appending_->size(); ++i)
      note_attempt((*appending_)[i], lost);
    place_batch(placements, &why);
  }
  std::move(file_rows.begin(), file_rows.end(), std::back_inserter(filling_.file_rows));
  append_syncs_ = false;
  take_back_round(synced_lsn);
  void_unsynced(synced_lsn, lost, why);
  fail_attempts(lost, synced_lsn, why);
}

void write_machine::note_attempt(const record_body& record, attempts& noted) {
  if (const auto* sequence = std::get_if<sequence_record>(&record))
    noted.insert(sequence->of.id);
  else if (const auto* final = std::get_if<final_record>(&record))
    noted.insert(final->of.id);
}

/// A round of which the sync failed goes back to where the next one fills. One that the database has besides
/// was synced before, and is not touched.
void write_machine::take_back_round(log_sequence_number synced_lsn) {
  auto& failed = next_ ? next_ : in_database_;
  if (!failed || failed->synced)
    return;
  if (failed->records.empty() || failed->records.back().at.lsn <= synced_lsn) {
    synced(); // what it holds was durable before
    return;
  }
  if (!next_)
    abandon_due_ = !std::exchange(fold_due_, false);
  auto back = std::move(*failed);
  failed.reset();
  add_to(back, std::exchange(filling_, {}));
  std::move(waiting_look_ups_.begin(), waiting_look_ups_.end(), std::back_inserter(back.look_ups));
  waiting_look_ups_ = std::exchange(back.look_ups, {});
  filling_ = std::move(back);
}

/// Drops what is void of the round that fills, and notes the attempts that lose records by it.
void write_machine::void_unsynced(log_sequence_number synced_lsn, attempts& lost, const failure& why) {
  auto& records = filling_.records; // in LSN order: what is void is the tail
  const auto first_void = std::find_if(
    records.begin(), records.end(), [&](const placed_record& record) { return record.at.lsn > synced_lsn; });
  const auto kept = static_cast<std::size_t>(first_void - records.begin());
  std::for_each(first_void, records.end(), [&](const placed_record& record) {
    note_attempt(record.body, lost);
    held_bytes_ -= memory_of(record.body);
  });
  records.erase(first_void, records.end());
  std::erase_if(filling_.completes, [&](const auto& completes) {
    const auto& [record, id] = completes;
    if (record && *record < kept)
      return false;
    fail_completion(id, why);
    return true;
  });
}

/// Ends active segments that lost records, and what is yet to be written for such attempts: it could never be
/// applied.
void write_machine::fail_attempts(const attempts& lost, log_sequence_number synced_lsn, const failure& why) {
  std::vector<completion_id> completions;
  for (auto& entry : unwritten_entries_) {
    if (!entry.segment || !lost.contains(*entry.segment))
      continue;
    for (const auto& ticket : std::exchange(entry.written, {}))
      answer(ticket, why.code, why.message);
    if (const auto id = std::exchange(entry.completes, {}))
      completions.push_back(*id);
  }
  for (const auto id : completions)
    fail_completion(id, why);
  for (auto it = active_.begin(); it != active_.end();) {
    const auto& segment = it->second;
    if (!lost.contains(segment.of.id)) {
      ++it;
      continue;
    }
    if (segment.first_placed != log_sequence_number{} && segment.first_placed <= synced_lsn)
      forget_attempt(segment.of.id, it->first, segment.last_used);
    it = active_.erase(it);
  }
}

void write_machine::fail_completion(completion_id id, const failure& why) {
  const auto node = completions_.extract(id);
  if (node.empty())
    return;
  auto& done = node.mapped();
  if (const auto found = finalizing_.find(done.key); found != finalizing_.end() && found->second == id)
    finalizing_.erase(found);
  for (const auto& ticket : done.tickets)
    answer(ticket, why.code, why.message);
  if (done.cancels) {
    // The finals that it overtook may be durable, and an attempt's rows would block its key: so it is tried
    // again, for as long as it takes.
    auto& again = add_cancel(*done.cancels, done.since);
    again.overtaken = std::move(done.overtaken);
    again.content = std::move(done.content);
  }
  if (done.finalizing)
    forget_attempt(*done.finalizing, done.key, done.since);
}

/// What survives of an attempt that failed must not block its repeat.
void write_machine::forget_attempt(segment_id id, const segment_key& key, steady_time since) {
  add_cancel({id, key, now_us(), cancel_reason::storage_fault}, since);
}

} // namespace cairn
