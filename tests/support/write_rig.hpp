#pragma once
/// Drives a write_machine step by step over a log and a database that are plain data.

#include "core/write/write_machine.hpp"
#include "tests/support/model_database.hpp"

#include <deque>
#include <map>
#include <optional>
#include <string_view>
#include <vector>

namespace cairn {

/// What most tests archive: everything follows from a number.
segment_identity sample_identity(std::uint64_t version, node_id handoff = {});
segment_key sample_key(std::uint64_t version);
/// A sequence whose digests are checked; another `variant` is other content.
incoming_sequence sample_sequence(std::int32_t number, std::uint32_t variant = 0);
file_info sample_file(std::uint32_t variant = 0);

entire_request entire(std::uint64_t version, std::uint32_t variant = 0);
start_request start(std::uint64_t version, std::uint32_t variant = 0);
next_request next(std::uint64_t version, std::int32_t number, std::uint32_t variant = 0);
final_request final(std::uint64_t version, std::int32_t number, std::uint32_t variant = 0);
cancel_request cancel(std::uint64_t version);
destroy_request destroy(std::uint64_t version, std::uint64_t deletes = 0);
/// The same request with its digests yet to be checked.
template <class Request>
Request unchecked(Request request) {
  request.sequence.digests_checked = false;
  return request;
}

/// The machine, and what surrounds it. Each call is one event; nothing happens by itself.
class write_rig {
public:
  explicit write_rig(write_machine_options options = {}, write_machine_start start = {});

  write_machine& machine() { return machine_; }
  steady_time now() const { return now_; }
  void pass(std::chrono::milliseconds time);

  /// @returns the ticket of the request, which the machine now has
  write_ticket send(write_operation operation);
  /// So many entire archives, each of a version that none had before.
  std::vector<write_ticket> send_archives(std::size_t count);

  /// The answer to a request, or none so far. Each may have but one; the rig sees to it.
  std::optional<write_answer> answer(const write_ticket& ticket);
  std::optional<errc> code(const write_ticket& ticket);
  const std::map<write_ticket, write_answer>& answers();

  /// Takes an append_job, if the machine has one. @returns whether it had
  bool take_append();
  /// The log has written the job; of a round, the rows are on their way too.
  void finish_append();
  bool append();
  /// The sync that the last append ended with succeeds.
  void finish_sync();
  /// The round is committed. @returns false when the machine did not ask for it
  bool commit();
  /// start_round(), and its steps up to the sync: the rows are with the database, or wait for it.
  void write_and_sync();
  /// start_round(), and all the steps of the round.
  void round();
  /// Everything that is to be done, until nothing is.
  void settle();

  /// The log fails: of the outstanding append `held` records are in the file, and `rolled` of all that are in
  /// files and not synced are, by rollover.
  void fail(std::size_t held = 0, std::size_t rolled = 0, errc code = errc::storage_error);
  /// Answers the first digest job. @returns false when there is none
  bool digest(errc verdict = errc::success);

  std::size_t appended_count() const { return log_.size(); }
  const std::vector<placed_record>& log() const { return log_; } ///< without what is void
  std::size_t digest_job_count();
  bool append_is_outstanding() const { return job_.has_value(); }
  bool sync_is_outstanding() const { return syncing_.has_value(); }
  bool fold_is_sent() const { return fold_.has_value(); }
  /// What the last fold job held.
  const std::optional<fold_job>& last_fold() const { return last_fold_; }
  std::optional<std::size_t> last_append_count() const { return last_append_count_; }

  model_database database;
  /// What a start after a crash would see: the synced records folded into an empty database.
  model_database after_crash() const;

  /// The sequence's record lies where its row points, and counts.
  bool log_holds(const stored_segment& row, const stored_sequence& sequence) const;

  /// Status of the row that holds a key; none = no row.
  std::optional<segment_status> status(std::uint64_t version) const;

private:
  void collect();
  void take_fold();
  placement place();

  steady_time now_;
  write_machine machine_;
  std::uint64_t next_request_ = 1;
  std::uint64_t next_version_ = 1000;
  std::map<write_ticket, write_answer> answers_;

  std::optional<append_job> job_;
  std::optional<std::size_t> last_append_count_;
  std::optional<log_sequence_number> syncing_; ///< the last record that the outstanding sync covers
  std::vector<placed_record> log_;             ///< without what is void
  log_sequence_number next_lsn_{1};
  log_sequence_number synced_lsn_;
  value_file_id file_{1};
  std::uint64_t failures_ = 0;

  std::optional<fold_job> fold_;
  fold_result folded_; ///< of fold_
  std::optional<fold_job> last_fold_;
  bool commit_asked_ = false;
  log_sequence_number position_;
  std::deque<digest_job> digests_;
};

} // namespace cairn
