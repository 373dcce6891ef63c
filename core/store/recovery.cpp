#include "core/store/recovery.hpp"

#include "core/clock.hpp"
#include "core/log/bytes.hpp"
#include "core/store/tail_recovery.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace cairn {

result<void> log_recovery::run() {
  auto state = database_.load_state();
  if (!state)
    return pass_failure(state);
  position_ = state->position;
  max_row_id_ = state->max_row_id;
  report_.value_files = static_cast<std::int64_t>(log_.files.size());
  report_.unknown_files = static_cast<std::int64_t>(log_.unknown.size());
  for (const auto& path : log_.unknown)
    spdlog::warn("unknown_file path={}", path);
  for (const auto& row : state->value_files) {
    next_file_.value = std::max(next_file_.value, row.id.value + 1);
    if (std::none_of(log_.files.begin(), log_.files.end(),
                     [&](const log_file& file) { return file.id == row.id; }))
      if (auto judged = judge_missing(row); !judged)
        return judged;
  }
  if (auto recovered = recover_open_files(state->value_files); !recovered)
    return recovered;
  if (log_end_ < position_ && end_was_scanned_ && report_.damaged_regions == 0)
    return fail(errc::conflict,
                fmt::format("the database stands at log position {}, the log ends at {}: value files were "
                            "lost or belong to an older copy; restore them, or run `cairn rebuild`",
                            position_.value, log_end_.value));
  auto replayed = replay_log(disk_, log_, database_, position_, std::max(log_end_, position_), options_);
  if (!replayed)
    return pass_failure(replayed);
  report_.records_replayed = replayed->records;
  report_.damaged_regions += replayed->damaged_sequences;
  gap_count_ = replayed->gaps;
  position_ = replayed->position;
  return database_.put_value_files(closed_rows_);
}

log_start log_recovery::start_of_log() const {
  log_start start;
  start.next_file = next_file_;
  start.next_lsn = log_sequence_number{std::max(position_, log_end_).value + 1};
  if (!log_.files.empty()) {
    // Behind a fence that nothing was written to, too: files are ordered by their first numbers.
    start.next_lsn = std::max(start.next_lsn, log_.files.back().header.first_lsn);
    start.predecessor = log_.files.back().id;
    start.predecessor_valid_end = last_valid_end_;
    start.predecessor_is_cut = last_valid_end_ != log_.files.back().size_bytes;
  }
  return start;
}

/// A row whose file is not there: of no use if it never held anything.
result<void> log_recovery::judge_missing(const value_file_row& row) {
  if (row.close_time && row.size_bytes > file_header_bytes) {
    ++report_.damaged_regions;
    spdlog::error("value_file_missing id={} size_bytes={} what_it_held=\"is reported as damaged when read\"",
                  row.id.value, row.size_bytes);
    return {};
  }
  return database_.drop_value_file(row.id); // made and removed again, or the node ended in between
}

result<void> log_recovery::recover_open_files(const std::vector<value_file_row>& rows) {
  for (const auto& file : log_.files) {
    next_file_.value = std::max(next_file_.value, file.id.value + 1);
    const auto row = std::find_if(rows.begin(), rows.end(),
                                  [&](const value_file_row& candidate) { return candidate.id == file.id; });
    if (row != rows.end() && row->close_time) {
      // Its row was written when all its records were in the database.
      last_valid_end_ = file.fence.value_or(row->size_bytes);
      end_was_scanned_ = end_was_scanned_ && row->size_bytes <= file_header_bytes;
      continue;
    }
    auto recovered = recover_file(disk_, file, position_, now_us());
    if (!recovered)
      return pass_failure(recovered);
    ++report_.files_closed;
    report_.torn_bytes += static_cast<std::int64_t>(recovered->torn_bytes);
    report_.damaged_regions += recovered->damaged_regions;
    log_end_ = std::max(log_end_, recovered->last_lsn);
    end_was_scanned_ = end_was_scanned_ || recovered->last_lsn != log_sequence_number{};
    max_row_id_ = std::max(max_row_id_, recovered->max_row_id);
    last_valid_end_ = recovered->row.size_bytes;
    closed_rows_.push_back(std::move(recovered->row));
  }
  for (const auto& path : log_.stillborn) {
    const auto id = path.substr(path.rfind('/') + 1);
    next_file_.value = std::max(next_file_.value, std::stoi(id) + 1);
    spdlog::info("stillborn_value_file path={} what=\"the node ended while it was made; left alone\"", path);
  }
  return {};
}

} // namespace cairn
