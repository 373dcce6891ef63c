#include "core/write/write_machine.hpp"

#include "core/clock.hpp"
#include "core/log/codec.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace cairn {

write_machine::write_machine(write_machine_options options, write_machine_start start)
    : options_(options), next_row_id_(start.next_row_id), position_(start.position) {
  for (const auto& key : start.cancelled)
    remember_cancelled(key, std::chrono::steady_clock::now());
}

// --- order of arrival ---

std::optional<segment_key> write_machine::key_of_operation(const write_operation& operation) {
  struct visitor {
    std::optional<segment_key> operator()(const entire_request& r) const { return r.of.key(); }
    std::optional<segment_key> operator()(const start_request& r) const { return r.of.key(); }
    std::optional<segment_key> operator()(const next_request& r) const { return r.key; }
    std::optional<segment_key> operator()(const final_request& r) const { return r.key; }
    std::optional<segment_key> operator()(const cancel_request& r) const { return r.key; }
    std::optional<segment_key> operator()(const destroy_request& r) const { return r.of.key(); }
    std::optional<segment_key> operator()(const conjoined_request&) const { return {}; }
    std::optional<segment_key> operator()(const gateway_start_request&) const { return {}; }
    std::optional<segment_key> operator()(const purge_request&) const { return {}; }
    std::optional<segment_key> operator()(const sync_request&) const { return {}; }
    std::optional<segment_key> operator()(const configure_request&) const { return {}; }
  };
  return std::visit(visitor{}, operation);
}

incoming_sequence* write_machine::sequence_of(write_operation& operation) {
  return std::visit(
    [](auto& request) -> incoming_sequence* {
      if constexpr (requires { request.sequence; })
        return &request.sequence;
      else
        return nullptr;
    },
    operation);
}

void write_machine::admit(write_request request, steady_time now) {
  const auto key = key_of_operation(request.operation);
  auto* sequence = sequence_of(request.operation);
  const auto needs_digest = sequence != nullptr && !sequence->digests_checked;
  if (!key || (!needs_digest && !queues_.contains(*key))) {
    perform(std::move(request), now);
    return;
  }
  // Messages of one segment take effect in the order in which they came, however long each one's digests
  // take.
  const auto number = next_request_number_++;
  if (needs_digest) {
    digesting_.emplace(number, *key);
    digest_jobs_.push_back({number, sequence->info, sequence->data});
  }
  queues_[*key].push_back({number, std::move(request), needs_digest, {}});
}

void write_machine::digested(std::uint64_t number, result<std::uint32_t> verdict, steady_time now) {
  const auto found = digesting_.find(number);
  if (found == digesting_.end())
    return;
  const auto key = found->second;
  digesting_.erase(found);
  for (auto& queued : queues_[key]) {
    if (queued.number != number)
      continue;
    queued.waits_for_digest = false;
    auto* sequence = sequence_of(queued.request.operation);
    sequence->digests_checked = true;
    if (verdict)
      sequence->data_crc32c = *verdict;
    else
      queued.bad_data = std::move(verdict.error());
  }
  drain_queue(key, now);
}

void write_machine::drain_queue(const segment_key& key, steady_time now) {
  auto& queue = queues_[key];
  while (!queue.empty() && !queue.front().waits_for_digest) {
    auto next = std::move(queue.front());
    queue.pop_front();
    if (next.bad_data)
      answer(next.request.ticket, next.bad_data->code, std::move(next.bad_data->message));
    else
      perform(std::move(next.request), now);
  }
  if (queue.empty())
    queues_.erase(key);
}

// --- transitions ---

void write_machine::perform(write_request request, steady_time now) {
  if (stopping_) {
    answer(request.ticket, errc::shutting_down, "the node is stopping");
    return;
  }
  std::visit([&](auto& operation) { perform_one(request.ticket, operation, now); }, request.operation);
}

bool write_machine::refuse_cancelled(const write_ticket& ticket, const segment_key& key) {
  if (!cancelled_.contains(key))
    return false;
  answer(ticket, errc::cancelled, "the segment was cancelled: archive under a new unified id");
  return true;
}

/// Asked last: a repeat stores nothing and needs no space.
bool write_machine::refuse_for_space(const write_ticket& ticket) {
  if (has_space_)
    return false;
  answer(ticket, errc::no_space, "the node's journal space is below its reserve");
  return true;
}

write_machine::completion* write_machine::finalizing(const segment_key& key) {
  const auto found = finalizing_.find(key);
  return found == finalizing_.end() ? nullptr : &completions_.at(found->second);
}

void write_machine::perform_one(const write_ticket& ticket, entire_request& request, steady_time now) {
  const auto key = request.of.key();
  if (refuse_cancelled(ticket, key))
    return;
  const segment_content content{request.of.segment, request.of.nodes, {request.sequence.info},
                                request.file,       request.meta,     {}};
  if (auto* waiting = finalizing(key)) {
    if (*waiting->content == content)
      waiting->tickets.push_back(ticket);
    else
      answer(ticket, errc::duplicate_segment, "the segment key is being stored with other content");
    return;
  }
  if (active_.contains(key)) {
    answer(ticket, errc::duplicate_segment,
           "the segment key has an active segment: finish or cancel that one");
    return;
  }
  if (refuse_for_space(ticket))
    return;
  request.of.id = segment_id{next_row_id_++};
  final_record final{request.of, request.file, 1, request.sequence.info.size_bytes, std::move(request.meta)};
  add_record(sequence_record{request.of, request.sequence.info, request.sequence.data_crc32c,
                             std::move(request.sequence.data)});
  add_record(std::move(final));
  auto& done = add_completion(now);
  done.tickets.push_back(ticket);
  done.content = content;
  done.finalizing = request.of.id;
  done.key = key;
  finalizing_[key] = next_completion_ - 1;
  auto& entry = add_entry(request.of.id, key);
  entry.completes = next_completion_ - 1;
}

void write_machine::perform_one(const write_ticket& ticket, start_request& request, steady_time now) {
  const auto key = request.of.key();
  if (refuse_cancelled(ticket, key))
    return;
  if (const auto* waiting = finalizing(key)) {
    const auto& other = *waiting->content;
    const auto same = other.segment == request.of.segment && other.nodes == request.of.nodes
                      && other.sequences.front() == request.sequence.info;
    answer(ticket, same ? errc::success : errc::duplicate_segment,
           same ? "" : "the segment key is being stored with other content");
    return;
  }
  if (const auto found = active_.find(key); found != active_.end()) {
    auto& segment = found->second;
    if (segment.of.segment != request.of.segment || segment.of.nodes != request.of.nodes) {
      answer(ticket, errc::duplicate_segment, "the segment key has an active segment of other content");
      return;
    }
    segment.last_used = now;
    if (segment.sequences.front() != request.sequence.info)
      answer(ticket, errc::duplicate_segment, "the active segment began with other data");
    else
      add_repeat(ticket, segment);
    return;
  }
  active_segment segment;
  segment.of = request.of;
  segment.of.id = segment_id{next_row_id_};
  segment.last_used = now;
  if (!accept_sequence(ticket, segment, request.sequence))
    return;
  ++next_row_id_;
  active_.emplace(key, std::move(segment));
}

/// A repeat stores nothing, and is answered when all before it is written.
void write_machine::add_repeat(const write_ticket& ticket, const active_segment& segment) {
  auto& entry = add_entry(segment.of.id, segment.of.key());
  entry.has_records = false;
  entry.written.push_back(ticket);
}

/// Checks the number, and gives the log the sequence. @returns false when the request was answered instead
bool write_machine::accept_sequence(const write_ticket& ticket, active_segment& segment,
                                    incoming_sequence& sequence) {
  const auto expected = static_cast<std::int32_t>(segment.sequences.size());
  const auto number = sequence.info.sequence_num;
  if (number > expected || number < 0) {
    answer(ticket, errc::sequence_out_of_order,
           fmt::format("sequence {} does not follow: {} is next", number, expected));
    return false;
  }
  if (number < expected) {
    if (segment.sequences[static_cast<std::size_t>(number)] == sequence.info)
      add_repeat(ticket, segment);
    else
      answer(ticket, errc::sequence_out_of_order,
             fmt::format("sequence {} is stored with other content; {} is next", number, expected));
    return false;
  }
  if (refuse_for_space(ticket))
    return false;
  segment.sequences.push_back(sequence.info);
  segment.total_bytes += sequence.info.size_bytes;
  add_record(sequence_record{segment.of, sequence.info, sequence.data_crc32c, std::move(sequence.data)});
  add_entry(segment.of.id, segment.of.key()).written.push_back(ticket);
  return true;
}

void write_machine::perform_one(const write_ticket& ticket, next_request& request, steady_time now) {
  if (refuse_cancelled(ticket, request.key))
    return;
  if (const auto found = active_.find(request.key); found != active_.end()) {
    found->second.last_used = now;
    accept_sequence(ticket, found->second, request.sequence);
    return;
  }
  if (const auto* waiting = finalizing(request.key)) {
    const auto& stored = waiting->content->sequences;
    const auto number = static_cast<std::size_t>(request.sequence.info.sequence_num);
    const auto same = number < stored.size() && stored[number] == request.sequence.info;
    answer(ticket, same ? errc::success : errc::sequence_out_of_order,
           same ? "" : "the segment has had its final sequence");
    return;
  }
  request.sequence.data = {};
  waiting_look_ups_.push_back({request.key, ticket, now, std::move(request)});
}

void write_machine::perform_one(const write_ticket& ticket, final_request& request, steady_time now) {
  if (refuse_cancelled(ticket, request.key))
    return;
  if (auto* waiting = finalizing(request.key)) {
    const auto& other = *waiting->content;
    if (other.sequences.back() == request.sequence.info && other.file == request.file
        && other.meta == request.meta)
      waiting->tickets.push_back(ticket);
    else
      answer(ticket, errc::duplicate_segment, "the segment has had another final sequence");
    return;
  }
  const auto found = active_.find(request.key);
  if (found == active_.end()) {
    request.sequence.data = {};
    waiting_look_ups_.push_back({request.key, ticket, now, std::move(request)});
    return;
  }
  auto& segment = found->second;
  segment.last_used = now;
  if (request.sequence.info.sequence_num != static_cast<std::int32_t>(segment.sequences.size())) {
    answer(ticket, errc::sequence_out_of_order,
           fmt::format("sequence {} does not follow: {} is next", request.sequence.info.sequence_num,
                       segment.sequences.size()));
    return;
  }
  if (!accept_sequence(ticket, segment, request.sequence))
    return;
  unwritten_entries_.back().written.clear(); // it is answered when durable, below

  auto& done = add_completion(now);
  done.tickets.push_back(ticket);
  done.finalizing = segment.of.id;
  done.key = request.key;
  add_record(final_record{segment.of, request.file, static_cast<std::int32_t>(segment.sequences.size()),
                          segment.total_bytes, request.meta});
  done.content = segment_content{segment.of.segment, segment.of.nodes,        std::move(segment.sequences),
                                 request.file,       std::move(request.meta), {}};
  auto& entry = add_entry(segment.of.id, request.key);
  entry.completes = next_completion_ - 1;
  finalizing_[request.key] = next_completion_ - 1;
  active_.erase(found);
}

write_machine::completion& write_machine::cancel_segment(const segment_key& key, cancel_reason reason,
                                                         steady_time now) {
  segment_id attempt;
  std::vector<write_ticket> overtaken;
  if (const auto found = active_.find(key); found != active_.end()) {
    attempt = found->second.of.id;
    active_.erase(found);
  }
  if (auto* waiting = finalizing(key)) {
    // Its final is in the log, or on its way; nobody will hear of it before the cancel that follows is
    // durable.
    attempt = *waiting->finalizing;
    overtaken = std::exchange(waiting->tickets, {});
    finalizing_.erase(key);
  }
  remember_cancelled(key, now);
  auto& done =
    add_cancel({reason == cancel_reason::client ? segment_id{} : attempt, key, now_us(), reason}, now);
  done.overtaken = std::move(overtaken);
  return done;
}

write_machine::completion& write_machine::add_cancel(cancel_record record, steady_time since) {
  add_record(record);
  auto& done = add_completion(since);
  done.key = record.key;
  auto& entry = add_entry({}, record.key);
  entry.has_records = true;
  entry.completes = next_completion_ - 1;
  done.cancels = std::move(record);
  return done;
}

void write_machine::remember_cancelled(const segment_key& key, steady_time now) {
  if (cancelled_.insert_or_assign(key, now).second
      || cancelled_order_.size() < 2 * options_.max_cancelled_keys)
    cancelled_order_.emplace_back(now, key);
  while (!cancelled_order_.empty()
         && (now - cancelled_order_.front().first > options_.cancel_grace
             || cancelled_order_.size() > options_.max_cancelled_keys)) {
    const auto& [when, oldest] = cancelled_order_.front();
    if (const auto found = cancelled_.find(oldest); found != cancelled_.end() && found->second == when)
      cancelled_.erase(found);
    cancelled_order_.pop_front();
  }
}

void write_machine::perform_one(const write_ticket& ticket, cancel_request& request, steady_time now) {
  cancel_segment(request.key, cancel_reason::client, now).tickets.push_back(ticket);
}

void write_machine::perform_one(const write_ticket& ticket, destroy_request& request, steady_time now) {
  request.of.id = segment_id{next_row_id_++};
  add_record(tombstone_record{request.of, request.deletes});
  auto& done = add_completion(now);
  done.tickets.push_back(ticket);
  done.key = request.of.key();
  done.content = segment_content{request.of.segment, request.of.nodes, {}, {}, {}, request.deletes};
  auto& entry = add_entry({}, request.of.key());
  entry.has_records = true;
  entry.completes = next_completion_ - 1;
}

void write_machine::perform_one(const write_ticket& ticket, conjoined_request& request, steady_time now) {
  request.step.row_id = next_row_id_++;
  add_record(std::move(request.step));
  add_completion(now).tickets.push_back(ticket);
  auto& entry = add_entry({}, {});
  entry.has_records = true;
  entry.completes = next_completion_ - 1;
}

void write_machine::perform_one(const write_ticket& ticket, gateway_start_request& request, steady_time now) {
  std::vector<segment_key> keys;
  for (const auto& [key, segment] : active_)
    if (segment.of.nodes.source == request.source && segment.of.segment.timestamp < request.timestamp)
      keys.push_back(key);
  for (const auto& [key, id] : finalizing_) {
    const auto& content = *completions_.at(id).content;
    if (content.nodes.source == request.source && content.segment.timestamp < request.timestamp)
      keys.push_back(key);
  }
  std::sort(keys.begin(), keys.end());
  completion* last = nullptr;
  for (const auto& key : keys)
    last = &cancel_segment(key, cancel_reason::gateway_start, now);
  if (last == nullptr) { // those of an earlier one may still be on their way
    sync_request everything;
    perform_one(ticket, everything, now);
    return;
  }
  last->tickets.push_back(ticket);
  last->count = static_cast<std::int64_t>(keys.size());
}

void write_machine::perform_one(const write_ticket& ticket, purge_request& request, steady_time now) {
  for (const auto& key : request.keys)
    add_record(purge_record{{}, key, now_us()});
  auto& done = add_completion(now);
  done.tickets.push_back(ticket);
  done.count = static_cast<std::int64_t>(request.keys.size());
  auto& entry = add_entry({}, {});
  entry.has_records = true;
  entry.completes = next_completion_ - 1;
}

void write_machine::perform_one(const write_ticket& ticket, sync_request&, steady_time now) {
  if (!has_unsynced() && !under_way_ && !append_syncs_) {
    answer(ticket, errc::success);
    return;
  }
  add_completion(now).tickets.push_back(ticket);
  add_entry({}, {}).completes = next_completion_ - 1;
}

void write_machine::perform_one(const write_ticket& ticket, configure_request& request, steady_time now) {
  add_record(std::move(request.change));
  add_completion(now).tickets.push_back(ticket);
  auto& entry = add_entry({}, {});
  entry.has_records = true;
  entry.completes = next_completion_ - 1;
}

void write_machine::tick(steady_time now) {
  std::vector<segment_key> idle;
  for (const auto& [key, segment] : active_)
    if (now - segment.last_used > options_.idle_limit && !queues_.contains(key))
      idle.push_back(key);
  for (const auto& key : idle)
    cancel_segment(key, cancel_reason::idle, now);
  give_up_slow_waits(now);
}

/// Answers what waits too long; the records go their way all the same.
void write_machine::give_up_slow_waits(steady_time now) {
  const auto text = fmt::format("not committed within {} s: it may have been stored, repeat it",
                                options_.database_patience.count() / 1000);
  for (auto& [id, waiting] : completions_) {
    if (now - waiting.since <= options_.database_patience)
      continue;
    for (auto* tickets : {&waiting.tickets, &waiting.overtaken})
      for (const auto& ticket : std::exchange(*tickets, {}))
        answer(ticket, errc::database_unavailable, text);
  }
  const auto give_up = [&](look_up& asked) {
    if (now - asked.since <= options_.database_patience)
      return false;
    if (asked.ticket)
      answer(*asked.ticket, errc::database_unavailable, text);
    asked.ticket.reset();
    return true;
  };
  std::erase_if(waiting_look_ups_, give_up);
  if (under_way_)
    std::for_each(under_way_->look_ups.begin(), under_way_->look_ups.end(), give_up);
}

void write_machine::stop() {
  if (stopping_)
    return;
  stopping_ = true;
  std::vector<segment_key> keys;
  for (const auto& [key, segment] : active_)
    keys.push_back(key);
  for (const auto& key : keys)
    cancel_segment(key, cancel_reason::restart, std::chrono::steady_clock::now());
}

// --- batches ---

void write_machine::add_record(record_body record) {
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
  if (round_wanted_ && !under_way_) {
    round_wanted_ = false;
    if (!has_unsynced()) { // at most look-ups: nothing to sync
      if (!waiting_look_ups_.empty()) {
        begin_fold();
        synced();
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
  unwritten_bytes_ = 0;
  return job;
}

/// Gives the outstanding batch's records their places; with `why`, those past the end of `placements` failed.
void write_machine::place_batch(const std::vector<placement>& placements, const failure* why) {
  auto records = std::move(*appending_);
  appending_.reset();
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
      if (entry.completes)
        completions_.at(*entry.completes).acknowledged = last;
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
  if (append_syncs_)
    begin_fold();
}

// --- rounds ---

bool write_machine::round_is_due() const {
  if (under_way_ || append_syncs_ || round_wanted_)
    return false;
  const auto completes = [](const auto& entries) {
    return std::any_of(entries.begin(), entries.end(),
                       [](const auto& entry) { return entry.completes.has_value(); });
  };
  return (stopping_ && has_unsynced()) || !filling_.completes.empty() || !waiting_look_ups_.empty()
         || completes(unwritten_entries_) || completes(appending_entries_);
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
  return queues_.empty() && active_.empty() && completions_.empty() && !has_unsynced() && !under_way_
         && !appending_ && waiting_look_ups_.empty();
}

void write_machine::start_round() {
  if (under_way_ || append_syncs_)
    return;
  round_wanted_ = has_unsynced() || !waiting_look_ups_.empty();
}

void write_machine::begin_fold() {
  under_way_ = std::exchange(filling_, {});
  under_way_->number = last_round_ = round_number{last_round_.value + 1};
  under_way_->look_ups = std::exchange(waiting_look_ups_, {});
  fold_due_ = true;
}

std::optional<fold_job> write_machine::take_fold() {
  if (!std::exchange(fold_due_, false))
    return std::nullopt;
  fold_job job;
  job.round = under_way_->number;
  job.records = under_way_->records;
  job.new_position = job.records.empty() ? position_ : job.records.back().at.lsn;
  job.file_rows = under_way_->file_rows;
  for (const auto& waiting : under_way_->look_ups)
    job.look_ups.push_back(waiting.key);
  return job;
}

void write_machine::synced() {
  append_syncs_ = false;
  if (!under_way_)
    return;
  under_way_->synced = true;
  commit_due_ = true;
}

void write_machine::committed(fold_result outcome) {
  auto done = std::move(*under_way_);
  under_way_.reset();
  if (!done.records.empty())
    position_ = done.records.back().at.lsn;
  std::unordered_map<segment_id, const fold_outcome*> refused; // a final fails with its sequence
  for (std::size_t i = 0; i < done.records.size(); ++i)
    if (const auto* sequence = std::get_if<sequence_record>(&done.records[i].body);
        sequence != nullptr && outcome.records[i].what == fold_outcome::kind::refused)
      refused.emplace(sequence->of.id, &outcome.records[i]);
  for (const auto& [record, id] : done.completes) {
    const auto& finalized = completions_.at(id).finalizing;
    const auto bad = finalized ? refused.find(*finalized) : refused.end();
    if (bad != refused.end())
      finish_completion(id, *bad->second);
    else
      finish_completion(id, record ? outcome.records[*record] : fold_outcome{});
  }
  for (std::size_t i = 0; i < done.look_ups.size(); ++i)
    answer_look_up(done.look_ups[i], outcome.look_ups[i]);
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
  const auto& done = node.mapped();
  if (const auto found = finalizing_.find(done.key); found != finalizing_.end() && found->second == id)
    finalizing_.erase(found);

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
      if (is_own_attempt(done, outcome.existing))
        forget_attempt(*done.finalizing, done.key, done.since);
      const auto verdict = judge_lost(done, outcome.existing);
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
    answer(ticket, errc::cancelled, "the segment was cancelled before it was durable");
}

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
  if (existing->status == segment_status::cancelled)
    return {errc::cancelled, "the segment was cancelled: archive under a new unified id"};
  if (same_content(*done.content, *existing))
    return {errc::success, {}};
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

void write_machine::answer_look_up(const look_up& asked, const std::optional<stored_segment>& existing) {
  if (!asked.ticket)
    return;
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
  if (const auto* final = std::get_if<final_request>(&asked.repeat))
    same = has(final->sequence.info) && existing->sequences.back().info == final->sequence.info
           && existing->file == final->file && existing->meta == final->meta;
  else
    same = has(std::get<next_request>(asked.repeat).sequence.info);
  answer(*asked.ticket, same ? errc::success : errc::duplicate_segment,
         same ? "" : "the segment is final, with other content");
}

// --- failures ---

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

/// A round of which the sync failed goes back to where the next one fills.
void write_machine::take_back_round(log_sequence_number synced_lsn) {
  if (!under_way_ || under_way_->synced)
    return;
  if (under_way_->records.empty() || under_way_->records.back().at.lsn <= synced_lsn) {
    synced(); // what it holds was durable before
    return;
  }
  auto back = std::move(*under_way_);
  under_way_.reset();
  abandon_due_ = !std::exchange(fold_due_, false);
  const auto shift = back.records.size();
  std::move(filling_.records.begin(), filling_.records.end(), std::back_inserter(back.records));
  for (const auto& [record, id] : filling_.completes)
    back.completes.emplace_back(record ? std::optional(*record + shift) : std::nullopt, id);
  std::move(filling_.file_rows.begin(), filling_.file_rows.end(), std::back_inserter(back.file_rows));
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
  std::for_each(first_void, records.end(),
                [&](const placed_record& record) { note_attempt(record.body, lost); });
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
    auto overtaken = std::move(done.overtaken);
    add_cancel(*done.cancels, done.since).overtaken = std::move(overtaken);
  }
  if (done.finalizing)
    forget_attempt(*done.finalizing, done.key, done.since);
}

/// What survives of an attempt that failed must not block its repeat.
void write_machine::forget_attempt(segment_id id, const segment_key& key, steady_time since) {
  add_cancel({id, key, now_us(), cancel_reason::storage_fault}, since);
}

// --- answers ---

void write_machine::answer(const write_ticket& ticket, errc code, std::string message) {
  write_answer reply;
  reply.ticket = ticket;
  reply.code = code;
  reply.message = std::move(message);
  answers_.push_back(std::move(reply));
}

std::vector<write_answer> write_machine::take_answers() { return std::exchange(answers_, {}); }
std::vector<digest_job> write_machine::take_digest_jobs() { return std::exchange(digest_jobs_, {}); }

std::optional<steady_time> write_machine::oldest_wait() const {
  std::optional<steady_time> oldest;
  for (const auto& [id, waiting] : completions_)
    if (!oldest || waiting.since < *oldest)
      oldest = waiting.since;
  const auto look = [&](const look_up& asked) {
    if (!oldest || asked.since < *oldest)
      oldest = asked.since;
  };
  std::for_each(waiting_look_ups_.begin(), waiting_look_ups_.end(), look);
  if (under_way_)
    std::for_each(under_way_->look_ups.begin(), under_way_->look_ups.end(), look);
  return oldest;
}

} // namespace cairn
