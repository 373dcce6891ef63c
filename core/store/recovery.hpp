#pragma once
/// Makes a database agree with the log that lies on disk. See README.md beside the folder,
/// "Recovery, step by step".

#include "core/db/node_database.hpp"
#include "core/log/value_log.hpp"
#include "core/messages.hpp"
#include "core/store/log_directory.hpp"
#include "core/store/replay.hpp"

#include <vector>

namespace cairn {

/// One run: finds the ends of files that nobody closed, and brings the database up to the log. Nothing is
/// appended. Each step can be repeated after a crash.
class log_recovery {
public:
  /// All must outlive this.
  log_recovery(disk& disk, node_database& database, const log_directory& log, replay_options options = {})
      : disk_(disk), database_(database), log_(log), options_(std::move(options)) {}

  /// @error conflict: names `cairn rebuild` where that helps; database_unavailable, storage_error,
  /// version_mismatch
  result<void> run();

  [[nodiscard]] const recovery_report& report() const { return report_; }
  /// Where the database stands.
  [[nodiscard]] log_sequence_number position() const { return position_; }
  [[nodiscard]] std::int64_t max_row_id() const { return max_row_id_; }
  /// Places where value files are missing.
  [[nodiscard]] std::int64_t gaps() const { return gap_count_; }
  /// How the log goes on.
  [[nodiscard]] log_start start_of_log() const;

private:
  [[nodiscard]] bool is_there(const value_file_row& row) const;
  result<void> check_spaces(const std::vector<value_file_row>& rows) const;
  result<void> recover_open_files(const std::vector<value_file_row>& rows);
  result<void> check_end(const std::vector<value_file_row>& rows);
  void judge_missing(const value_file_row& row);
  result<void> note_lost();
  result<std::int64_t> note(const lost_bytes& lost);

  disk& disk_;
  node_database& database_;
  const log_directory& log_;
  const replay_options options_;
  recovery_report report_;
  log_sequence_number position_;
  log_sequence_number log_end_; ///< of files that had to be scanned; 0 = none had records
  /// The newest file with records was: an older one that failed has no closed row, and says nothing of the
  /// end.
  bool end_was_scanned_ = false;
  bool is_damaged_ =
    false; ///< in a file that was scanned: the last record that parses may not be the last one
  std::int64_t max_row_id_ = 0;
  std::int64_t gap_count_ = 0;
  value_file_id next_file_{1};
  std::uint64_t last_valid_end_ = 0;
  std::vector<value_file_row> closed_rows_;
  std::vector<lost_bytes> lost_; ///< reported
  /// Where nothing that counts should have been: lost only if a row points there.
  std::vector<lost_bytes> doubtful_;
  std::vector<value_file_id> never_closed_; ///< rows of files that are not there
};

} // namespace cairn
