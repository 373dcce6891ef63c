#include "tests/support/write_rig.hpp"

#include "core/log/codec.hpp"

#include <algorithm>

#include <gtest/gtest.h>

namespace cairn {

segment_identity sample_identity(std::uint64_t version, node_id handoff) {
  segment_identity of;
  of.segment.collection = collection_id{7};
  of.segment.key = "key-" + std::to_string(version);
  of.segment.version = unified_id{version};
  of.segment.timestamp = timestamp_us{static_cast<std::int64_t>(version) * 1000};
  of.segment.segment_num = 1;
  of.nodes = {node_id{2}, handoff};
  return of;
}

segment_key sample_key(std::uint64_t version) { return sample_identity(version).key(); }

incoming_sequence sample_sequence(std::int32_t number, std::uint32_t variant) {
  incoming_sequence sequence;
  sequence.info.sequence_num = number;
  sequence.info.size_bytes = static_cast<std::uint32_t>(number) + 10;
  sequence.info.adler32 = 1000 + variant;
  sequence.digests_checked = true;
  return sequence;
}

file_info sample_file(std::uint32_t variant) { return {100, 2000 + variant, {}}; }

entire_request entire(std::uint64_t version, std::uint32_t variant) {
  return {sample_identity(version), sample_sequence(0, variant), sample_file(variant), {{"color", "red"}}};
}
start_request start(std::uint64_t version, std::uint32_t variant) {
  return {sample_identity(version), sample_sequence(0, variant)};
}
next_request next(std::uint64_t version, std::int32_t number, std::uint32_t variant) {
  return {sample_key(version), sample_sequence(number, variant)};
}
final_request final(std::uint64_t version, std::int32_t number, std::uint32_t variant) {
  return {sample_key(version), sample_sequence(number, variant), sample_file(variant), {{"color", "red"}}};
}
cancel_request cancel(std::uint64_t version) { return {sample_key(version)}; }
destroy_request destroy(std::uint64_t version, std::uint64_t deletes) {
  return {sample_identity(version), unified_id{deletes}};
}

write_rig::write_rig(write_machine_options options, write_machine_start start)
    : now_(std::chrono::steady_clock::now()), machine_(options, std::move(start)) {}

void write_rig::pass(std::chrono::milliseconds time) {
  now_ += time;
  machine_.tick(now_);
}

write_ticket write_rig::send(write_operation operation) {
  const write_ticket ticket{1, next_request_++};
  machine_.admit({ticket, std::move(operation)}, now_);
  return ticket;
}

void write_rig::collect() {
  for (auto& answer : machine_.take_answers()) {
    EXPECT_EQ(answer.code == errc::success, answer.message.empty());
    EXPECT_LE(answer.proof.lsn, synced_lsn_) << "acknowledged before it was synced";
    EXPECT_LE(answer.proof.lsn, position_) << "acknowledged before it was committed";
    const auto ticket = answer.ticket;
    EXPECT_TRUE(answers_.emplace(ticket, std::move(answer)).second) << "second answer to " << ticket.request;
  }
}

const std::map<write_ticket, write_answer>& write_rig::answers() {
  collect();
  return answers_;
}

std::vector<write_ticket> write_rig::send_archives(std::size_t count) {
  std::vector<write_ticket> sent;
  while (sent.size() < count)
    sent.push_back(send(entire(next_version_++)));
  return sent;
}

std::optional<write_answer> write_rig::answer(const write_ticket& ticket) {
  collect();
  const auto found = answers_.find(ticket);
  return found == answers_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<errc> write_rig::code(const write_ticket& ticket) {
  const auto found = answer(ticket);
  return found ? std::optional(found->code) : std::nullopt;
}

placement write_rig::place() {
  placement at;
  at.lsn = next_lsn_;
  at.value_file = file_;
  at.record_offset = 4096 + next_lsn_.value * 512;
  at.header_bytes = 128;
  ++next_lsn_.value;
  return at;
}

bool write_rig::take_append() {
  auto job = machine_.take_append();
  take_fold(); // look-ups alone make a round without an append
  if (!job)
    return false;
  EXPECT_FALSE(job_) << "a second append while one is outstanding";
  EXPECT_EQ(job->failures_seen, failures_);
  last_append_count_ = job->records.size();
  job_ = std::move(job);
  return true;
}

void write_rig::finish_append() {
  ASSERT_TRUE(job_);
  const auto job = *std::exchange(job_, {});
  std::vector<placement> placements;
  for (const auto& record : job.records) {
    placements.push_back(place());
    log_.push_back({record, placements.back()});
  }
  if (job.then_sync) {
    EXPECT_FALSE(syncing_) << "a second sync while one is outstanding";
    syncing_ = log_sequence_number{next_lsn_.value - 1};
  }
  machine_.appended(std::move(placements), {});
  take_fold();
}

bool write_rig::append() {
  if (!take_append())
    return false;
  finish_append();
  return true;
}

void write_rig::take_fold() {
  if (machine_.take_abandon()) {
    EXPECT_TRUE(fold_) << "abandons a round that was not sent";
    fold_.reset();
  }
  if (auto job = machine_.take_fold()) {
    EXPECT_FALSE(fold_) << "a second round while one is outstanding";
    fold_ = last_fold_ = std::move(job);
    // The database tells now what it will have committed, and knows nothing of what changes until then.
    auto uncommitted = database;
    folded_ = {};
    folded_.records = uncommitted.fold(fold_->records);
    for (const auto& key : fold_->look_ups)
      folded_.look_ups.push_back(uncommitted.load(key));
  }
  if (machine_.take_commit()) {
    EXPECT_TRUE(fold_);
    commit_asked_ = true;
  }
}

void write_rig::finish_sync() {
  ASSERT_TRUE(syncing_);
  // What was appended after the sync began may be covered too; that is not to be relied on.
  synced_lsn_ = std::max(synced_lsn_, *std::exchange(syncing_, {}));
  machine_.synced();
  take_fold();
}

bool write_rig::commit() {
  take_fold();
  if (!std::exchange(commit_asked_, false))
    return false;
  const auto job = *std::exchange(fold_, {});
  EXPECT_LE(position_, job.new_position);
  if (!job.records.empty()) {
    EXPECT_LE(job.records.back().at.lsn, synced_lsn_) << "committed before it was synced";
    EXPECT_EQ(job.records.back().at.lsn, job.new_position);
  }
  database.fold(job.records);
  position_ = job.new_position;
  machine_.committed(std::move(folded_));
  EXPECT_EQ(machine_.position(), position_);
  take_fold();
  return true;
}

void write_rig::write_and_sync() {
  machine_.start_round();
  append();
  if (syncing_)
    finish_sync();
}

void write_rig::round() {
  write_and_sync();
  commit();
}

void write_rig::settle() {
  for (bool busy = true; busy;) {
    busy = digest();
    if (machine_.round_is_due() || machine_.has_unsynced())
      machine_.start_round();
    if (job_) {
      finish_append();
      busy = true;
    }
    busy = append() || busy;
    if (syncing_) {
      finish_sync();
      busy = true;
    }
    busy = commit() || busy;
  }
  collect();
}

void write_rig::fail(std::size_t held, std::size_t rolled, errc code) {
  std::vector<placement> placements;
  if (job_) {
    for (std::size_t i = 0; i < std::min(held, job_->records.size()); ++i) {
      placements.push_back(place());
      log_.push_back({job_->records[i], placements.back()});
    }
    job_.reset();
  }
  for (const auto& record : log_)
    if (record.at.lsn > synced_lsn_ && rolled-- > 0)
      synced_lsn_ = record.at.lsn;
    else if (record.at.lsn > synced_lsn_)
      break;
  std::erase_if(log_, [&](const placed_record& record) { return record.at.lsn > synced_lsn_; });
  std::erase_if(placements, [&](const placement& at) { return at.lsn > synced_lsn_; });
  syncing_.reset();
  ++failures_;
  ++file_.value;
  machine_.write_failed(synced_lsn_, std::move(placements), {}, {code, "the disk failed"});
  take_fold();
}

std::size_t write_rig::digest_job_count() {
  for (auto& job : machine_.take_digest_jobs())
    digests_.push_back(std::move(job));
  return digests_.size();
}

bool write_rig::digest(errc verdict) {
  if (digest_job_count() == 0)
    return false;
  const auto number = digests_.front().number;
  digests_.pop_front();
  if (verdict == errc::success)
    machine_.digested(number, data_checksums{17, {}}, now_);
  else
    machine_.digested(number, cairn::fail(verdict, "damaged on the way"), now_);
  return true;
}

model_database write_rig::after_crash() const {
  model_database fresh;
  fresh.refuse = database.refuse;
  const auto end =
    std::find_if(log_.begin(), log_.end(), [&](const placed_record& r) { return r.at.lsn > synced_lsn_; });
  fresh.fold({log_.begin(), end});
  return fresh;
}

bool write_rig::log_holds(const stored_segment& row, const stored_sequence& sequence) const {
  return std::any_of(log_.begin(), log_.end(), [&](const placed_record& record) {
    const auto* found = std::get_if<sequence_record>(&record.body);
    return found != nullptr && record.at.value_file == sequence.value_file
           && record.at.data_offset() == sequence.data_offset_bytes && found->sequence == sequence.info
           && found->of.key() == key_of(row.segment, row.nodes.handoff);
  });
}

std::optional<segment_status> write_rig::status(std::uint64_t version) const {
  const auto row = database.load(sample_key(version));
  return row ? std::optional(row->status) : std::nullopt;
}

} // namespace cairn
