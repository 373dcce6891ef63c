#pragma once
/// The writer's state machine as plain data: active segments, completions, and the rounds that make them
/// durable. It does no I/O and knows no clock: the writer actor feeds it events and carries out what it asks
/// for.
///
/// A request's way: admit() -> (digests) -> a transition gives records -> take_append() -> appended():
/// placed, starts and nexts are answered -> start_round() -> synced() and folded rows -> committed():
/// completions are answered. While the database has one round, the next is written and synced. See
/// actors/README.md: "A round", and the table "States and messages".

#include "core/db/stored_segment.hpp"
#include "core/log/value_file_row.hpp"
#include "core/write/write_request.hpp"

#include <chrono>
#include <deque>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace cairn {

using steady_time = std::chrono::steady_clock::time_point;

struct write_machine_options {
  std::chrono::milliseconds idle_limit{60'000};        ///< an active segment without a message is cancelled
  std::chrono::milliseconds database_patience{10'000}; ///< then what waits is answered
  std::chrono::milliseconds cancel_grace{600'000};     ///< how long a cancelled key is remembered here
  std::size_t max_cancelled_keys = 100'000;            ///< at most so many of them
  std::size_t early_write_bytes = 8U << 20U; ///< payload that is written without waiting for a round
  std::size_t min_overlapping_round = 12;    ///< completions; fewer wait for the database's round
  /// About the memory that records may take while some have waited past database_patience, and their clients
  /// go on: past it what would add to them is refused, until there is room again.
  std::size_t max_overdue_bytes = 64U << 20U;
  /// A start past it is answered busy: each takes memory, and one that is left behind a cancel of its own.
  std::size_t max_active_segments = 65'536;
  std::size_t max_idle_cancels = 1'000;      ///< at one tick: a round must stay short
  std::size_t max_sequences = 1'000'000;     ///< of a segment
  std::size_t max_repair_bytes = 16U << 20U; ///< data of a repair's record
};

/// Payload to be digested and compared.
struct digest_job {
  std::uint64_t number = 0;
  sequence_info expected;
  payload data;
};

/// Records for the log; at most one job is outstanding.
struct append_job {
  std::vector<record_body> records; ///< may be empty when then_sync
  bool then_sync = false;
  /// write_failed() calls before it was made. A log that has failed more often drops it without an answer.
  std::uint64_t failures_seen = 0;
};

/// A round's rows; at most one job is outstanding.
struct fold_job {
  round_number round;
  log_sequence_number new_position;
  std::vector<placed_record> records;
  std::vector<value_file_row> file_rows;
  std::vector<segment_key> look_ups;
};

/// What the database made of a round.
struct fold_result {
  std::vector<fold_outcome> records;
  std::vector<std::optional<stored_segment>> look_ups;
};

struct write_machine_start {
  std::int64_t next_row_id = 1;       ///< larger than every id of a segment or conjoined row, ever
  log_sequence_number position;       ///< everything up to here is in the database
  std::vector<segment_key> cancelled; ///< keys cancelled lately, recovery's own among them
};

class write_machine {
public:
  write_machine(write_machine_options options, write_machine_start start);

  // --- events ---

  /// A request, in order of arrival. Its one answer follows, sooner or later.
  void admit(write_request request, steady_time now);
  /// Verdict on a digest_job: the data's CRC-32C, or the failure to answer with.
  void digested(std::uint64_t number, result<data_checksums> verdict, steady_time now);
  /// The sync timer: what was asked for so far is written and synced, unless a sync is under way already.
  void start_round();
  /// Time passes: idle segments are cancelled, waits for the database bounded.
  void tick(steady_time now);
  /// From the value file: whether archives have room above the reserve.
  void space_changed(bool has_space) { has_space_ = has_space; }
  /// From here on new requests are answered shutting_down and active segments are cancelled.
  void stop();

  void appended(std::vector<placement> placements, std::vector<value_file_row> file_rows);
  void synced();
  /// A write or sync failed, and everything above `synced_lsn` is void and fenced off for ever. It ends the
  /// outstanding append, even one that the log has not seen yet: see append_job::failures_seen.
  /// @param placements of the outstanding append's records: those that hold
  void write_failed(log_sequence_number synced_lsn, std::vector<placement> placements,
                    std::vector<value_file_row> file_rows, const failure& why);
  void committed(fold_result outcome);

  // --- what it asks for ---

  std::vector<write_answer> take_answers();
  std::vector<digest_job> take_digest_jobs();
  std::optional<append_job> take_append();
  std::optional<fold_job> take_fold();
  /// True once when the folded round may be committed: its records are synced.
  bool take_commit() { return std::exchange(commit_due_, false); }
  /// True once when the folded round must be abandoned: its records are void.
  bool take_abandon() { return std::exchange(abandon_due_, false); }

  /// A completion waits, or the end does, and no sync is under way: start_round() at once. Of a few, not
  /// while the database has a round.
  [[nodiscard]] bool round_is_due() const;
  /// About as many wait, for the database too, as had the last round or waited beside it: more are not to be
  /// expected at once.
  [[nodiscard]] bool round_is_full() const;
  /// Something is written or about to be, and no sync of it is under way.
  [[nodiscard]] bool has_unsynced() const;
  /// Nothing active, nothing waiting, nothing under way.
  [[nodiscard]] bool is_quiet() const;

  // --- for status ---

  [[nodiscard]] std::size_t active_segment_count() const { return active_.size(); }
  /// About the memory of all records that are not committed, with the payload of those not written.
  [[nodiscard]] std::size_t held_bytes() const { return held_bytes_ + unwritten_bytes_ + appending_bytes_; }
  [[nodiscard]] std::size_t completion_count() const { return completions_.size(); }
  [[nodiscard]] round_number last_round() const { return last_round_; }
  /// Every acknowledged fact has a number up to this one, and readers may see it.
  [[nodiscard]] log_sequence_number position() const { return position_; }
  [[nodiscard]] std::optional<steady_time> oldest_wait() const;

private:
  static constexpr std::string_view damaged_repeat = "the segment is stored, but its bytes here are damaged: "
                                                     "archive it again, all of it from its start and with "
                                                     "the same ids, and they are mended";

  using completion_id = std::uint64_t;

  /// What makes two archives of one segment key the same.
  struct segment_content {
    segment_info segment;
    node_ids nodes;
    std::vector<sequence_info> sequences;
    file_info file;
    metadata meta;
    unified_id deletes; ///< of a tombstone, which has no sequences

    bool operator==(const segment_content&) const = default;
  };

  struct active_segment {
    segment_identity of;
    std::vector<sequence_info> sequences; ///< accepted so far; their numbers are their places
    std::uint64_t total_bytes = 0;
    steady_time last_used;
    log_sequence_number first_placed; ///< of its records; 0 = none yet
  };

  /// A request that is answered when its round is committed.
  struct completion {
    std::vector<write_ticket> tickets;
    std::vector<write_ticket> overtaken; ///< finals that this cancel overtook: answered `cancelled`
    steady_time since;
    std::optional<segment_content> content; ///< of a segment or tombstone; of what a cancel overtook
    std::optional<segment_id> finalizing;   ///< the segment that is final by it
    std::optional<cancel_record> cancels;   ///< must come to pass: written again when it is void
    segment_key key;                        ///< of a segment
    std::int64_t count = 0;
    placement acknowledged; ///< of its last record, once appended; of the final of a repair's attempt
    std::size_t tickets_at_fold = 0; ///< those that joined later may know more than the database told
    bool is_repair = false;          ///< the segment is stored, and gets the bytes of this attempt
  };

  /// An attempt whose key another segment holds: it has no rows, but its bytes are in the log.
  struct lost_attempt {
    segment_key key;
    std::vector<placement> sequences; ///< by number
  };

  /// What hangs on records of a batch.
  struct batch_entry {
    std::size_t records_end = 0; ///< number of the batch's records up to and including its last one
    bool has_records = false;
    std::vector<write_ticket> written; ///< answered when appended
    std::optional<completion_id> completes;
    std::optional<segment_id> segment; ///< the attempt it belongs to
    segment_key key;
  };

  /// The database tells whether it is a repeat: a next or final without an active segment, or an archive that
  /// lost, and for which something may have changed since.
  struct look_up {
    segment_key key;
    std::optional<write_ticket> ticket; ///< none: answered, the database was too slow
    steady_time since;
    std::variant<next_request, final_request, std::shared_ptr<const segment_content>> repeat;
  };

  /// What cancels and purges end; segment 0 = whatever holds the key.
  using ended_segments = std::unordered_multimap<segment_key, segment_id>;

  struct round {
    round_number number;
    std::vector<placed_record> records;
    std::vector<value_file_row> file_rows;
    std::vector<std::pair<std::optional<std::size_t>, completion_id>>
      completes; ///< (its last record, if any; whose)
    std::vector<look_up> look_ups;
    bool synced = false;
  };

  struct queued_request {
    std::uint64_t number = 0;
    write_request request;
    bool waits_for_digest = false;
    std::optional<failure> bad_data;
  };

  // Order of arrival for each segment.
  static std::optional<segment_key> key_of_operation(const write_operation& operation);
  static incoming_sequence* sequence_of(write_operation& operation);
  void drain_queue(const segment_key& key, steady_time now);

  // Transitions; each answers or leaves a completion behind.
  void perform(write_request request, steady_time now);
  void perform_one(const write_ticket& ticket, entire_request& request, steady_time now);
  void perform_one(const write_ticket& ticket, start_request& request, steady_time now);
  void perform_one(const write_ticket& ticket, next_request& request, steady_time now);
  void perform_one(const write_ticket& ticket, final_request& request, steady_time now);
  void perform_one(const write_ticket& ticket, cancel_request& request, steady_time now);
  void perform_one(const write_ticket& ticket, destroy_request& request, steady_time now);
  void perform_one(const write_ticket& ticket, conjoined_request& request, steady_time now);
  void perform_one(const write_ticket& ticket, gateway_start_request& request, steady_time now);
  void perform_one(const write_ticket& ticket, purge_request& request, steady_time now);
  void perform_one(const write_ticket& ticket, sync_request& request, steady_time now);
  void perform_one(const write_ticket& ticket, configure_request& request, steady_time now);

  bool refuse_cancelled(const write_ticket& ticket, const segment_key& key);
  bool refuse_for_space(const write_ticket& ticket);
  bool refuse_overdue(const write_ticket& ticket);
  completion* finalizing(const segment_key& key);
  bool accept_sequence(const write_ticket& ticket, active_segment& segment, incoming_sequence& sequence);
  void add_repeat(const write_ticket& ticket, const active_segment& segment);
  completion& cancel_segment(const segment_key& key, cancel_reason reason, steady_time now);
  completion& add_cancel(cancel_record record, steady_time since);
  void remember_cancelled(const segment_key& key, steady_time now);
  void forget_cancelled(const segment_key& key, steady_time when);
  void give_up_slow_waits(steady_time now);
  void watch_database(steady_time now);
  [[nodiscard]] bool waits_for_disk() const;
  [[nodiscard]] failure overdue_failure(std::string_view what) const;
  static std::size_t memory_of(const record_body& record);

  // Batches and rounds.
  void add_record(record_body record);
  batch_entry& add_entry(std::optional<segment_id> segment, const segment_key& key);
  completion& add_completion(steady_time now);
  void place_batch(const std::vector<placement>& placements, const failure* why);
  [[nodiscard]] bool sync_is_under_way() const;
  [[nodiscard]] bool is_worth_a_round() const;
  static void add_to(round& earlier, round later);
  void begin_fold();
  void finish_completion(completion_id id, const fold_outcome& outcome);
  void note_lost(const sequence_record& record, const placement& at, const fold_outcome& outcome);
  void forget_lost();
  std::optional<std::string_view> repair(completion& done, segment_id damaged);
  static repair_record repair_of(const segment_content& content, segment_id damaged,
                                 const std::vector<placement>& places);
  bool is_ended_by_pending(const segment_key& key, segment_id segment);
  [[nodiscard]] ended_segments find_ended() const;
  [[nodiscard]] bool is_being_repaired(const segment_key& key) const;
  void ask_database(completion& done, std::size_t first_ticket);
  void answer_look_up(look_up asked, const std::optional<stored_segment>& existing);
  using attempts = std::unordered_set<segment_id>;
  static void note_attempt(const record_body& record, attempts& noted);
  void take_back_round(log_sequence_number synced_lsn);
  void void_unsynced(log_sequence_number synced_lsn, attempts& lost, const failure& why);
  void fail_attempts(const attempts& lost, log_sequence_number synced_lsn, const failure& why);
  void fail_completion(completion_id id, const failure& why);
  void forget_attempt(segment_id id, const segment_key& key, steady_time since);

  void answer(const write_ticket& ticket, errc code, std::string message = {});
  [[nodiscard]] receipt receipt_for(const completion& done) const;
  static failure judge_lost(const completion& done, const std::optional<stored_segment>& existing);
  static bool is_own_attempt(const completion& done, const std::optional<stored_segment>& existing);
  static failure judge_repeat(const segment_content& content, const stored_segment& existing);
  static bool same_content(const segment_content& content, const stored_segment& stored);
  /// A start or next waits for its append.
  [[nodiscard]] bool written_waits() const;

  write_machine_options options_;
  std::int64_t next_row_id_;
  log_sequence_number position_;
  bool has_space_ = true;
  bool stopping_ = false;

  std::uint64_t next_request_number_ = 1;
  std::unordered_map<segment_key, std::deque<queued_request>> queues_; ///< keys with a request that waits
  std::unordered_map<std::uint64_t, segment_key> digesting_;           ///< request number -> its queue

  std::unordered_map<segment_key, active_segment> active_;
  std::unordered_map<segment_key, completion_id> finalizing_;  ///< completions that make a segment final
  std::unordered_map<segment_id, lost_attempt> lost_attempts_; ///< of active_ and finalizing_
  std::unordered_map<completion_id, completion> completions_;
  completion_id next_completion_ = 1;
  std::unordered_map<segment_key, steady_time> cancelled_;
  std::deque<std::pair<steady_time, segment_key>> cancelled_order_;

  std::vector<record_body> unwritten_; ///< records not yet given to the log
  std::vector<batch_entry> unwritten_entries_;
  std::size_t unwritten_bytes_ = 0;
  std::size_t held_bytes_ = 0;      ///< memory_of() all records that are not committed yet
  std::size_t appending_bytes_ = 0; ///< like unwritten_bytes_, of the outstanding append_job
  std::optional<std::vector<record_body>> appending_; ///< the outstanding append_job's records
  std::vector<batch_entry> appending_entries_;
  std::uint64_t failures_ = 0; ///< of the log
  bool append_syncs_ = false;  ///< the outstanding append ends with a sync

  // Records pass through these three in the order of their numbers.
  round filling_;                     ///< appended; waits for a sync
  std::optional<round> next_;         ///< synced, or about to be, while the database has another one
  std::optional<round> in_database_;  ///< synced, or about to be
  const round* committing_ = nullptr; ///< whose completions are being finished
  std::optional<ended_segments> ended_by_pending_; ///< once asked for, while completions are being finished
  std::vector<look_up> waiting_look_ups_;
  bool round_wanted_ = false; ///< start_round() came while an append was outstanding
  bool fold_due_ = false;
  bool commit_due_ = false;
  bool abandon_due_ = false;
  round_number last_round_;
  bool is_overdue_ = false;    ///< at the last tick something had waited past the patience
  round_number watched_round_; ///< that the database had at the last tick; 0 = none
  steady_time watched_since_;
  std::size_t expected_waits_ = 0; ///< completions and look-ups of the last round, and beside it

  std::vector<write_answer> answers_;
  std::vector<digest_job> digest_jobs_;
};

} // namespace cairn
