#include "core/log/codec.hpp"
#include "core/write/write_machine.hpp"

#include <algorithm>

/// The part of the write machine that groups records into batches and rounds.

namespace cairn {

// --- batches ---

/// About what a record and its completion take while they wait, without payload.
std::size_t write_machine::memory_of(const record_body& record) {
  auto bytes = sizeof(placed_record);
  if (const auto* sequence = std::get_if<sequence_record>(&record))
    return bytes + sequence->of.segment.key.size();
  bytes += sizeof(completion);
  const auto add_content = [&](const segment_identity& of, const metadata& meta) {
    constexpr std::size_t pair_bytes = 128; // of a node of the map
    bytes += 2 * of.segment.key.size();
    for (const auto& [key, value] : meta)
      bytes += 2 * (key.size() + value.size() + pair_bytes);
  };
  if (const auto* final = std::get_if<final_record>(&record))
    add_content(final->of, final->meta);
  if (const auto* repair = std::get_if<repair_record>(&record)) {
    add_content(repair->of, repair->meta);
    bytes += repair->sequences.size() * sizeof(stored_sequence);
  }
  return bytes;
}

void write_machine::add_record(record_body record) {
  held_bytes_ += memory_of(record);
  unwritten_bytes_ += record_total_bytes(record);
  unwritten_.push_back(std::move(record));
}

write_machine::batch_entry& write_machine::add_entry(std::optional<segment_id> segment,
                                                     const segment_key& key) {
  auto& entry = unwritten_entries_.emplace_back();
  entry.records_end = unwritten_.size();
  entry.segment = segment;
  entry.has_records = segment.has_value();
  entry.key = key;
  return entry;
}

write_machine::completion& write_machine::add_completion(steady_time now) {
  auto& done = completions_[next_completion_++];
  done.since = now;
  return done;
}

std::optional<append_job> write_machine::take_append() {
  if (appending_)
    return std::nullopt;
  append_job job;
  if (round_wanted_ && !sync_is_under_way()) {
    round_wanted_ = false;
    if (!has_unsynced()) { // at most look-ups: nothing to sync
      if (!waiting_look_ups_.empty() && !in_database_) {
        next_ = round{};
        next_->synced = true;
        begin_fold();
      }
      return std::nullopt;
    }
    job.then_sync = true;
  } else if (!written_waits() && unwritten_bytes_ < options_.early_write_bytes) {
    return std::nullopt;
  }
  append_syncs_ = job.then_sync;
  job.failures_seen = failures_;
  job.records = unwritten_; // payloads are shared, not copied
  appending_ = std::exchange(unwritten_, {});
  appending_entries_ = std::exchange(unwritten_entries_, {});
  appending_bytes_ = std::exchange(unwritten_bytes_, 0);
  return job;
}

/// Gives the outstanding batch's records their places; with `why`, those past the end of `placements` failed.
void write_machine::place_batch(const std::vector<placement>& placements, const failure* why) {
  auto records = std::move(*appending_);
  appending_.reset();
  appending_bytes_ = 0;
  for (auto i = placements.size(); i < records.size(); ++i)
    held_bytes_ -= memory_of(records[i]);
  const auto base = filling_.records.size();
  for (std::size_t i = 0; i < placements.size(); ++i) {
    if (auto* sequence = std::get_if<sequence_record>(&records[i]))
      sequence->data = {}; // it is in the log; rows do not need it
    filling_.records.push_back({std::move(records[i]), placements[i]});
  }
  for (auto& entry : std::exchange(appending_entries_, {})) {
    if (why != nullptr && (!entry.has_records || entry.records_end > placements.size())) {
      for (const auto& ticket : entry.written)
        answer(ticket, why->code, why->message);
      if (entry.completes)
        fail_completion(*entry.completes, *why);
      continue;
    }
    for (const auto& ticket : entry.written)
      answer(ticket, errc::success);
    if (entry.has_records) {
      const auto& last = placements[entry.records_end - 1];
      if (const auto found = active_.find(entry.key); entry.segment && found != active_.end()
                                                      && found->second.of.id == *entry.segment
                                                      && found->second.first_placed == log_sequence_number{})
        found->second.first_placed = last.lsn;
      if (entry.completes) {
        auto& done = completions_.at(*entry.completes);
        if (!done.is_repair)
          done.acknowledged = last;
      }
    }
    if (entry.completes) {
      const auto record = entry.has_records ? std::optional(base + entry.records_end - 1) : std::nullopt;
      filling_.completes.emplace_back(record, *entry.completes);
    }
  }
}

void write_machine::appended(std::vector<placement> placements, std::vector<value_file_row> file_rows) {
  place_batch(placements, nullptr);
  std::move(file_rows.begin(), file_rows.end(), std::back_inserter(filling_.file_rows));
  if (!append_syncs_)
    return;
  if (!next_)
    next_ = round{};
  add_to(*next_, std::exchange(filling_, {}));
  next_->synced = false;
  if (!in_database_)
    begin_fold();
}

// --- rounds ---

/// From the append that asks for it to synced() or write_failed().
bool write_machine::sync_is_under_way() const {
  return append_syncs_ || (next_ && !next_->synced) || (in_database_ && !in_database_->synced);
}

/// A round costs the same for one as for many. So another is written beside one that the database has only
/// when it is not much smaller; fewer requests wait for more.
bool write_machine::is_worth_a_round() const {
  if (!in_database_)
    return true;
  const auto earlier = in_database_->completes.size() + (next_ ? next_->completes.size() : 0);
  const auto waiting = completions_.size() - std::min(earlier, completions_.size());
  return waiting >= options_.min_overlapping_round && 4 * waiting >= 3 * earlier;
}

bool write_machine::round_is_due() const {
  if (round_wanted_ || sync_is_under_way() || !is_worth_a_round())
    return false;
  const auto completes = [](const auto& entries) {
    return std::any_of(entries.begin(), entries.end(),
                       [](const auto& entry) { return entry.completes.has_value(); });
  };
  return (stopping_ && has_unsynced()) || !filling_.completes.empty()
         || (!waiting_look_ups_.empty() && !in_database_) || completes(unwritten_entries_)
         || completes(appending_entries_);
}

bool write_machine::round_is_full() const {
  constexpr std::size_t tolerance = 8; // a client in so many may have gone, or do something else
  return stopping_
         || completions_.size() + waiting_look_ups_.size() >= expected_waits_ - expected_waits_ / tolerance;
}

bool write_machine::written_waits() const {
  return std::any_of(unwritten_entries_.begin(), unwritten_entries_.end(),
                     [](const batch_entry& entry) { return !entry.written.empty(); });
}

bool write_machine::has_unsynced() const {
  return !unwritten_.empty() || !unwritten_entries_.empty() || (appending_ && !append_syncs_)
         || !filling_.records.empty() || !filling_.completes.empty() || !filling_.file_rows.empty();
}

bool write_machine::is_quiet() const {
  return queues_.empty() && active_.empty() && completions_.empty() && !has_unsynced() && !in_database_
         && !next_ && !appending_ && waiting_look_ups_.empty();
}

void write_machine::start_round() {
  if (!sync_is_under_way())
    round_wanted_ = has_unsynced() || (!waiting_look_ups_.empty() && !in_database_);
}

void write_machine::add_to(round& earlier, round later) {
  const auto shift = earlier.records.size();
  std::move(later.records.begin(), later.records.end(), std::back_inserter(earlier.records));
  for (const auto& [record, id] : later.completes)
    earlier.completes.emplace_back(record ? std::optional(*record + shift) : std::nullopt, id);
  std::move(later.file_rows.begin(), later.file_rows.end(), std::back_inserter(earlier.file_rows));
}

/// The next round's rows go to the database, and look-ups with them.
void write_machine::begin_fold() {
  in_database_ = std::exchange(next_, std::nullopt);
  in_database_->number = last_round_ = round_number{last_round_.value + 1};
  in_database_->look_ups = std::exchange(waiting_look_ups_, {});
  fold_due_ = true;
  commit_due_ = in_database_->synced;
}

std::optional<fold_job> write_machine::take_fold() {
  if (!std::exchange(fold_due_, false))
    return std::nullopt;
  fold_job job;
  job.round = in_database_->number;
  job.records = in_database_->records;
  job.new_position = job.records.empty() ? position_ : job.records.back().at.lsn;
  job.file_rows = in_database_->file_rows;
  for (const auto& waiting : in_database_->look_ups)
    job.look_ups.push_back(waiting.key);
  for (const auto& [record, id] : in_database_->completes)
    if (const auto found = completions_.find(id); found != completions_.end())
      found->second.tickets_at_fold = found->second.tickets.size();
  return job;
}

void write_machine::synced() {
  append_syncs_ = false;
  if (next_) {
    next_->synced = true;
  } else if (in_database_) {
    in_database_->synced = true;
    commit_due_ = true;
  }
}

void write_machine::committed(fold_result outcome) {
  auto done = std::move(*in_database_);
  in_database_.reset();
  if (!done.records.empty())
    position_ = done.records.back().at.lsn;
  for (const auto& record : done.records)
    held_bytes_ -= memory_of(record.body);
  committing_ = &done;
  std::unordered_map<segment_id, const fold_outcome*> refused; // a final fails with its sequence
  for (std::size_t i = 0; i < done.records.size(); ++i) {
    const auto* sequence = std::get_if<sequence_record>(&done.records[i].body);
    if (sequence == nullptr)
      continue;
    if (outcome.records[i].what == fold_outcome::kind::refused)
      refused.emplace(sequence->of.id, &outcome.records[i]);
    note_lost(*sequence, done.records[i].at, outcome.records[i]);
  }
  for (const auto& [record, id] : done.completes) {
    const auto& finalized = completions_.at(id).finalizing;
    const auto bad = finalized ? refused.find(*finalized) : refused.end();
    if (bad != refused.end())
      finish_completion(id, *bad->second);
    else
      finish_completion(id, record ? outcome.records[*record] : fold_outcome{});
  }
  committing_ = nullptr;
  ended_by_pending_.reset();
  forget_lost();
  for (std::size_t i = 0; i < done.look_ups.size(); ++i)
    answer_look_up(std::move(done.look_ups[i]), outcome.look_ups[i]);
  expected_waits_ =
    done.completes.size() + done.look_ups.size() + completions_.size() + waiting_look_ups_.size();
  if (next_)
    begin_fold();
}

receipt write_machine::receipt_for(const completion& done) const {
  const auto& at = done.acknowledged;
  return {at.lsn,           at.value_file, at.record_offset, at.header_bytes + at.data_bytes,
          at.header_crc32c, last_round_};
}

void write_machine::finish_completion(completion_id id, const fold_outcome& outcome) {
  const auto node = completions_.extract(id);
  if (node.empty())
    return;
  auto& done = node.mapped();
  if (const auto found = finalizing_.find(done.key); found != finalizing_.end() && found->second == id)
    finalizing_.erase(found);

  failure overtaken{errc::cancelled, "the segment was cancelled before it was durable"};
  write_answer reply;
  reply.count = done.count;
  switch (outcome.what) {
    case fold_outcome::kind::applied: reply.proof = receipt_for(done); break;
    case fold_outcome::kind::refused:
      reply.code = errc::invalid_message;
      reply.message = "the database refused it: " + outcome.reason;
      if (done.finalizing)
        forget_attempt(*done.finalizing, done.key, done.since);
      break;
    case fold_outcome::kind::lost: {
      if (done.cancels) { // of an attempt to repeat what is final, and stays so: the key is not cancelled
        forget_cancelled(done.key, done.since);
        if (done.content) // what was overtaken was a repeat: what it repeats tells
          overtaken = judge_lost(done, outcome.existing);
        reply.proof = receipt_for(done);
        break;
      }
      if (is_own_attempt(done, outcome.existing))
        forget_attempt(*done.finalizing, done.key, done.since);
      auto verdict = outcome.reason.empty() ? judge_lost(done, outcome.existing)
                                            : failure{errc::invalid_message, outcome.reason};
      if (verdict.code == errc::damaged) {
        const auto refused = repair(done, outcome.existing->id);
        if (!refused)
          return;
        verdict.message = *refused;
      }
      if (verdict.code == errc::success && done.finalizing)
        ask_database(done, done.tickets_at_fold);
      reply.code = verdict.code;
      reply.message = verdict.message;
      break;
    }
  }
  for (const auto& ticket : done.tickets) {
    reply.ticket = ticket;
    answers_.push_back(reply);
  }
  for (const auto& ticket : done.overtaken)
    answer(ticket, overtaken.code, overtaken.message);
}

} // namespace cairn
