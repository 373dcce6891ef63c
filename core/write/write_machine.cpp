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

void write_machine::digested(std::uint64_t number, result<data_checksums> verdict, steady_time now) {
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
      sequence->checksums = std::move(*verdict);
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

/// Asked last: a repeat stores nothing and needs no space, and its first one may yet become visible.
bool write_machine::refuse_for_space(const write_ticket& ticket) {
  if (has_space_)
    return refuse_overdue(ticket);
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
  add_record(sequence_record{request.of, request.sequence.info, std::move(request.sequence.checksums),
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
  if (active_.size() >= options_.max_active_segments) {
    answer(ticket, errc::busy,
           fmt::format("{} segments are active, and no more may be: finish or cancel some", active_.size()));
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
  if (segment.sequences.size() >= options_.max_sequences) {
    answer(ticket, errc::invalid_message,
           fmt::format("a segment has at most {} sequences", options_.max_sequences));
    return false;
  }
  if (refuse_for_space(ticket))
    return false;
  segment.sequences.push_back(sequence.info);
  segment.total_bytes += sequence.info.size_bytes;
  add_record(
    sequence_record{segment.of, sequence.info, std::move(sequence.checksums), std::move(sequence.data)});
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
  std::optional<segment_content> content;
  if (const auto found = active_.find(key); found != active_.end()) {
    attempt = found->second.of.id;
    active_.erase(found);
  }
  if (auto* waiting = finalizing(key)) {
    // Its final is in the log, or on its way; nobody will hear of it before the cancel that follows is
    // durable.
    attempt = *waiting->finalizing;
    overtaken = std::exchange(waiting->tickets, {});
    content = waiting->content;
    finalizing_.erase(key);
  }
  remember_cancelled(key, now);
  auto& done =
    add_cancel({reason == cancel_reason::client ? segment_id{} : attempt, key, now_us(), reason}, now);
  done.overtaken = std::move(overtaken);
  done.content = std::move(content);
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

/// @param when the cancel came that turned out to be none; a later one counts
void write_machine::forget_cancelled(const segment_key& key, steady_time when) {
  if (const auto found = cancelled_.find(key); found != cancelled_.end() && found->second == when)
    cancelled_.erase(found);
}

void write_machine::perform_one(const write_ticket& ticket, cancel_request& request, steady_time now) {
  // Of segments that are known here there are not without bound.
  if (!active_.contains(request.key) && finalizing(request.key) == nullptr && refuse_overdue(ticket))
    return;
  cancel_segment(request.key, cancel_reason::client, now).tickets.push_back(ticket);
}

void write_machine::perform_one(const write_ticket& ticket, destroy_request& request, steady_time now) {
  if (refuse_overdue(ticket))
    return;
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
  if (refuse_overdue(ticket))
    return;
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
  if (refuse_overdue(ticket))
    return;
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
  if (!has_unsynced() && !in_database_ && !next_ && !append_syncs_) {
    answer(ticket, errc::success);
    return;
  }
  if (refuse_overdue(ticket))
    return;
  add_completion(now).tickets.push_back(ticket);
  add_entry({}, {}).completes = next_completion_ - 1;
}

void write_machine::perform_one(const write_ticket& ticket, configure_request& request, steady_time now) {
  if (refuse_overdue(ticket))
    return;
  add_record(std::move(request.change));
  add_completion(now).tickets.push_back(ticket);
  auto& entry = add_entry({}, {});
  entry.has_records = true;
  entry.completes = next_completion_ - 1;
}

void write_machine::tick(steady_time now) {
  std::vector<segment_key> idle;
  for (const auto& [key, segment] : active_) {
    if (idle.size() >= options_.max_idle_cancels)
      break; // the others at the next ticks
    if (now - segment.last_used > options_.idle_limit && !queues_.contains(key))
      idle.push_back(key);
  }
  for (const auto& key : idle)
    cancel_segment(key, cancel_reason::idle, now);
  give_up_slow_waits(now);
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
  if (in_database_)
    std::for_each(in_database_->look_ups.begin(), in_database_->look_ups.end(), look);
  return oldest;
}

} // namespace cairn
