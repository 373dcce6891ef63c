#pragma once
/// One value file against its rows. Private to core/verify.

#include "core/db/audit_session.hpp"
#include "core/db/row_snapshot.hpp"
#include "core/log/value_file_row.hpp"
#include "core/store/log_directory.hpp"
#include "core/verify/open_questions.hpp"
#include "core/verify/verify.hpp"

#include <algorithm>
#include <set>
#include <vector>

namespace cairn {

/// Whose fact a record is; an empty key when it does not tell.
segment_info segment_of(const record_body& body);

/// What a run remembers from one value file to the next, in the order of the log.
struct run_memory {
  open_questions unexplained;
  /// The largest id so far of a record that brings a row into being. Ids grow along the log; only one that
  /// left no row may be given out again by a later start.
  segment_id newest_birth;
  /// Rows of tombstones up to here have been looked for. None: the files before were left out, so that the
  /// search begins with the first id that the run meets.
  std::optional<segment_id> tombstones_up_to = segment_id{0};
};

class file_verifier {
public:
  /// All must outlive this. `rows` and `database` are two connections: of its snapshots, the one of `rows` is
  /// taken first, so that whatever it shows, the other one knows as well.
  file_verifier(disk& disk, audit_session& database, row_snapshot& rows, const log_file& file,
                const verify_options& options, run_memory& memory);

  /// What is wrong with the file itself is a problem, not an error.
  /// @param trouble why its header could not be read before, if so
  /// @param on_bytes told how many bytes were read since the last time
  /// @error as verify_node()
  result<verify_counts> run(const std::optional<failure>& trouble,
                            const std::function<void(std::uint64_t)>& on_bytes);

  /// Nothing of it will change, and all of it was compared with the rows.
  [[nodiscard]] bool is_settled() const { return is_closed() && counts_.waiting_records == 0; }
  /// Records up to here were in the rows that it was compared with.
  [[nodiscard]] log_sequence_number position() const { return std::max(position_, file_row_.position); }

private:
  struct fact {
    record_body body;
    placement at;
    bool has_row = false; ///< of a sequence: its own row was compared already
  };

  result<void> look();
  result<void> open(const std::optional<failure>& trouble);
  result<bool> scan(const std::function<void(std::uint64_t)>& on_bytes);
  result<bool> give_up(failure& why);
  result<void> take(const scanned_record& record);
  result<void> take_sequence(const scanned_record& record, const sequence_record& sequence);
  result<bool> pass_row(const placement& at);
  std::string complain_of_data(const scanned_record& record, const sequence_record& sequence);
  void take_unparsed(const unparsed_bytes& bytes, std::uint64_t next);
  result<void> report_missed_rows(std::uint64_t before_bytes);

  result<void> add_fact(fact of);
  result<void> check_facts();
  result<void> check_fact(const fact& of, const row_answer& said);
  const stored_segment* own_row(const segment_identity& of, bool is_tombstone, const placement& at,
                                const row_answer& said);
  void judge(const sequence_record& record, const fact& of, const row_answer& said);
  void judge(const final_record& record, const fact& of, const row_answer& said);
  void judge(const cancel_record& record, const fact& of, const row_answer& said);
  void judge(const tombstone_record& record, const fact& of, const row_answer& said);
  void judge(const purge_record& record, const fact& of, const row_answer& said);
  void judge(const repair_record& record, const fact& of, const row_answer& said);
  template <class Other>
  void judge(const Other&, const fact&, const row_answer&) {}
  void doubt_key(doubt why, const segment_key& key, segment_id row, const placement& at);

  result<void> note_birth(const record_body& body);
  result<void> check_tombstone_rows();
  void compare_with_row();
  void report_unreadable(const failure& why);
  void report(verify_problem problem);
  void report(std::string what, const placement& at, const segment_info& segment,
              std::int32_t sequence_num = -1);
  void report_file(std::string what, std::uint64_t offset = 0);
  [[nodiscard]] bool is_closed() const { return file_row_.row && file_row_.row->close_time; }

  disk& disk_;
  audit_session& database_;
  row_snapshot& rows_;
  const log_file& file_;
  const verify_options& options_;
  run_memory& memory_;
  log_sequence_number position_; ///< of rows_; file_row_'s may be further on
  value_file_snapshot file_row_;
  std::size_t next_row_ = 0; ///< of file_row_.sequences: those before it lie before the scan's position
  std::unique_ptr<disk_file> data_;
  std::optional<log_scanner> scanner_;
  std::optional<value_file_summary> summary_;
  std::uint64_t scanned_end_ = 0;   ///< of the last record
  std::vector<fact> facts_;         ///< to be asked for together
  std::size_t meta_bytes_ = 0;      ///< of facts_
  std::set<segment_id> tombstones_; ///< met since their rows were last looked for
  std::vector<std::byte> buffer_;
  verify_counts counts_;
};

} // namespace cairn
