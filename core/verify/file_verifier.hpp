#pragma once
/// One value file against its rows. Private to core/verify.

#include "core/db/audit_session.hpp"
#include "core/log/value_file_row.hpp"
#include "core/store/log_directory.hpp"
#include "core/verify/verify.hpp"

#include <map>
#include <vector>

namespace cairn {

/// Facts whose trace is not there, which a later record about their key may explain.
using open_questions = std::multimap<segment_key, verify_problem>;

class file_verifier {
public:
  /// All must outlive this.
  file_verifier(disk& disk, audit_session& database, const log_file& file, const verify_options& options,
                open_questions& unexplained);

  /// @param on_bytes told how many bytes were read since the last time
  /// @error as verify_node()
  result<verify_counts> run(const std::function<void(std::uint64_t)>& on_bytes);
  [[nodiscard]] bool is_closed() const { return rows_.row && rows_.row->close_time; }

private:
  struct fact {
    record_body body;
    placement at;
  };

  result<void> take(const scanned_record& record);
  result<void> take_sequence(const scanned_record& record, const sequence_record& sequence);
  result<bool> data_have_their_digest(const scanned_record& record, const sequence_record& sequence);
  result<void> take_unparsed(const unparsed_bytes& bytes);
  result<void> check_facts();
  result<void> check_fact(const fact& of, const fact_answer& said);
  result<void> report_missed_rows(std::uint64_t before_bytes);
  result<void> compare_with_row();
  void report(verify_problem problem);
  void report(std::string what, const placement& at, const segment_info& segment,
              std::int32_t sequence_num = -1);

  disk& disk_;
  audit_session& database_;
  const log_file& file_;
  const verify_options& options_;
  open_questions& unexplained_;
  value_file_snapshot rows_;
  std::size_t next_row_ = 0; ///< of rows_.sequences: those before it lie before the scan's position
  std::unique_ptr<disk_file> data_;
  std::optional<log_scanner> scanner_;
  std::optional<value_file_summary> summary_;
  std::vector<fact> facts_; ///< to be asked for together
  std::vector<std::byte> buffer_;
  verify_counts counts_;
};

} // namespace cairn
