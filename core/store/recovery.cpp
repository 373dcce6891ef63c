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
  if (auto checked = check_spaces(state->value_files); !checked)
    return checked;
  if (auto recovered = recover_open_files(state->value_files); !recovered)
    return recovered;
  if (auto checked = check_end(state->value_files); !checked)
    return checked;
  for (const auto& row : state->value_files) {
    next_file_.value = std::max(next_file_.value, row.id.value + 1);
    if (!is_there(row))
      judge_missing(row);
  }
  auto replayed = replay_log(disk_, log_, database_, position_, std::max(log_end_, position_), options_);
  if (!replayed)
    return pass_failure(replayed);
  report_.records_replayed = replayed->records;
  report_.damaged_regions += replayed->damaged_sequences;
  gap_count_ = replayed->gaps;
  position_ = replayed->position;
  if (auto noted = note_lost(); !noted) // before the files are closed, and not looked at any more
    return noted;
  return database_.put_value_files(closed_rows_);
}

/// An archive that repeats a segment mends it when it is known to be damaged. What the replay had to tell may
/// have been the last thing that points there, or no longer does.
result<void> log_recovery::note_lost() {
  for (const auto& lost : lost_)
    if (auto segments = note(lost); !segments)
      return pass_failure(segments);
  for (const auto& lost : doubtful_) {
    auto segments = note(lost);
    if (!segments)
      return pass_failure(segments);
    if (*segments != 0)
      ++report_.damaged_regions;
  }
  for (const auto id : never_closed_) // not before: the row is what tells of the file
    if (auto dropped = database_.drop_value_file(id); !dropped)
      return dropped;
  return {};
}

/// @returns segments of which this was not known
result<std::int64_t> log_recovery::note(const lost_bytes& lost) {
  auto segments = database_.put_lost(lost);
  if (segments && *segments != 0)
    spdlog::error("segments_damaged value_file={} offset_bytes={} count={} reason=\"{}\"", lost.file.value,
                  lost.begin, *segments,
                  lost.what == damage::missing ? "the file is missing" : "no records there");
  return segments;
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

bool log_recovery::is_there(const value_file_row& row) const {
  return std::any_of(log_.files.begin(), log_.files.end(),
                     [&](const log_file& file) { return file.id == row.id; });
}

/// One value file can get lost. When a space has none of its files, it is more likely that its volume is not
/// mounted: a node that went on would write beneath it.
result<void> log_recovery::check_spaces(const std::vector<value_file_row>& rows) const {
  for (const auto& row : rows) {
    if (!row.close_time || row.size_bytes <= file_header_bytes)
      continue;
    if (std::none_of(log_.files.begin(), log_.files.end(),
                     [&](const log_file& file) { return file.space == row.space; }))
      return fail(
        errc::conflict,
        fmt::format(
          "file space {} holds no value file, but value file {} should be there: mount its volume or "
          "restore it, or run `cairn rebuild` to go on with what is left",
          row.space.value, row.id.value));
  }
  return {};
}

namespace {

result<log_sequence_number> last_number_of(disk& disk, const log_file& file) {
  auto scanner = log_directory::open(disk, file);
  if (!scanner)
    return pass_failure(scanner);
  auto last = log_sequence_number{file.header.first_lsn.value - 1};
  for (;;) {
    auto step = scanner->next();
    if (!step)
      return pass_failure(step);
    if (std::holds_alternative<end_of_file>(*step))
      return last;
    if (const auto* record = std::get_if<scanned_record>(&*step))
      last = record->at.lsn;
    else if (auto at = scanner->resync(); !at)
      return pass_failure(at);
  }
}

} // namespace

/// A database that knows more than the log holds would let numbers be given out again.
result<void> log_recovery::check_end(const std::vector<value_file_row>& rows) {
  // A file that nobody closed and that is gone was removed because it held nothing, or was the end of the
  // log.
  const auto end_is_gone = std::any_of(
    rows.begin(), rows.end(), [&](const value_file_row& row) { return !row.close_time && !is_there(row); });
  if (end_is_gone && !end_was_scanned_ && !log_.files.empty()) {
    auto last = last_number_of(disk_, log_.files.back());
    if (!last)
      return pass_failure(last);
    log_end_ = std::max(log_end_, *last);
  }
  if (log_end_ < position_ && (end_was_scanned_ || end_is_gone) && !is_damaged_)
    return fail(errc::conflict,
                fmt::format("the database stands at log position {}, the log ends at {}: value files were "
                            "lost or belong to an older copy; restore them, or run `cairn rebuild`",
                            position_.value, log_end_.value));
  return {};
}

/// A row whose file is not there. One that nobody closed was made and removed again, or the node ended in
/// between, most likely; but a file whose disk failed once is not closed either.
void log_recovery::judge_missing(const value_file_row& row) {
  if (row.close_time && row.size_bytes > file_header_bytes) {
    ++report_.damaged_regions;
    spdlog::error("value_file_missing id={} size_bytes={} what_it_held=\"is reported as damaged when read\"",
                  row.id.value, row.size_bytes);
    lost_.push_back({row.id, 0, lost_bytes::to_the_end, damage::missing});
  } else {
    doubtful_.push_back({row.id, 0, lost_bytes::to_the_end, damage::missing});
    never_closed_.push_back(row.id);
  }
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
    auto recovered = recover_file(disk_, file, position_, now_us(), options_.gaps);
    if (!recovered)
      return pass_failure(recovered);
    ++report_.files_closed;
    report_.torn_bytes += static_cast<std::int64_t>(recovered->torn_bytes);
    report_.damaged_regions += recovered->damaged_regions;
    lost_.insert(lost_.end(), recovered->lost.begin(), recovered->lost.end());
    doubtful_.push_back({file.id, recovered->row.size_bytes, lost_bytes::to_the_end});
    is_damaged_ = is_damaged_ || recovered->damaged_regions != 0;
    log_end_ = std::max(log_end_, recovered->last_lsn);
    // The newest file's header alone tells which numbers were not given out before it.
    end_was_scanned_ = end_was_scanned_ || recovered->has_records || !file.fence;
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
