#include "core/store/replay.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace cairn {

namespace {

constexpr std::size_t batch_records = 5'000;
constexpr std::size_t batch_repaired_sequences = 100'000;
constexpr std::size_t max_noted = 100'000;

/// Collects records and folds them batch by batch.
class replayer {
public:
  replayer(node_database& database, log_sequence_number from, log_sequence_number to,
           const replay_options& options)
      : database_(database), to_(to), options_(options) {
    outcome_.position = from;
  }

  [[nodiscard]] log_sequence_number position() const {
    return batch_.empty() ? outcome_.position : batch_.back().at.lsn;
  }

  /// Records may lie in blocks that cannot be read. Whether any is missing shows at the next number.
  void skip_unreadable(const std::string& path, const unparsed_bytes& bytes) {
    if (options_.gaps == log_gaps::refuse && !unread_)
      unread_ = failure{
        errc::storage_error,
        fmt::format("records after number {} may lie in value file {} at offset {}, where a block cannot "
                    "be read ({}): restore the file, or run `cairn rebuild` to go on with what can be "
                    "read",
                    position().value, path, bytes.offset, bytes.reason)};
  }

  result<void> add(record_body body, const placement& at, bool is_intact) {
    if (unread_ && at.lsn.value != position().value + 1)
      return tl::unexpected(*unread_);
    unread_.reset();
    if (!is_intact)
      damaged_.push_back(batch_.size());
    if (const auto* repair = std::get_if<repair_record>(&body)) {
      has_repairs_ = true;
      repaired_sequences_ += repair->sequences.size();
    }
    batch_.push_back({std::move(body), at});
    const auto is_full = batch_.size() >= batch_records || repaired_sequences_ >= batch_repaired_sequences;
    return is_full ? flush() : result<void>{};
  }

  /// @error storage_error: the log ends in blocks that cannot be read
  result<void> finish() {
    if (unread_ && position() < to_)
      return tl::unexpected(*unread_);
    if (auto flushed = flush(); !flushed || !has_repairs_)
      return flushed;
    for (const auto& [segment, sequence] : noted_) // a repair may point to what was read before it
      if (auto noted = database_.put_damaged(segment, sequence); !noted)
        return noted;
    return {};
  }

  [[nodiscard]] const replay_outcome& outcome() const { return outcome_; }

private:
  result<void> flush() {
    if (batch_.empty())
      return {};
    node_database::round round;
    round.expected_position = outcome_.position;
    round.new_position = batch_.back().at.lsn;
    round.records = batch_;
    if (auto begun = database_.begin_round(round); !begun)
      return pass_failure(begun);
    if (auto committed = database_.commit_round(); !committed)
      return committed;
    outcome_.position = round.new_position;
    outcome_.records += static_cast<std::int64_t>(batch_.size());
    for (const auto index : damaged_) {
      const auto& record = std::get<sequence_record>(batch_[index].body);
      const auto& at = batch_[index].at;
      const stored_sequence sequence{record.sequence, at.value_file, at.data_offset()};
      if (auto noted = database_.put_damaged(record.of.segment, sequence); !noted)
        return noted;
      if (noted_.size() < max_noted)
        noted_.emplace_back(record.of.segment, sequence);
    }
    outcome_.damaged_sequences += static_cast<std::int64_t>(damaged_.size());
    batch_.clear();
    damaged_.clear();
    repaired_sequences_ = 0;
    if (options_.on_progress)
      options_.on_progress(outcome_.position, to_);
    return {};
  }

  node_database& database_;
  const log_sequence_number to_;
  const replay_options& options_;
  replay_outcome outcome_;
  std::vector<placed_record> batch_;
  std::vector<std::size_t> damaged_; ///< indices in batch_
  /// Of earlier batches; of more, readers find what is damaged.
  std::vector<std::pair<segment_info, stored_sequence>> noted_;
  bool has_repairs_ = false;
  std::size_t repaired_sequences_ = 0; ///< in batch_
  std::optional<failure>
    unread_; ///< blocks were skipped, and what follows is yet to tell whether records were in them
};

result<void> replay_file(disk& disk, const log_file& file, log_sequence_number to, replayer& into) {
  auto scanner = log_directory::open(disk, file);
  if (!scanner)
    return pass_failure(scanner);
  for (;;) {
    auto step = scanner->next();
    if (!step)
      return pass_failure(step);
    if (std::holds_alternative<end_of_file>(*step))
      return {};
    if (const auto* unparsed = std::get_if<unparsed_bytes>(&*step)) {
      const auto at = scanner->resync();
      if (!at)
        return tl::unexpected(at.error());
      spdlog::error("log_damaged file={} offset_bytes={} next_record_at={} reason=\"{}\"", file.path,
                    unparsed->offset, *at, unparsed->reason);
      if (unparsed->is_unreadable)
        into.skip_unreadable(file.path, *unparsed);
      continue;
    }
    auto& record = std::get<scanned_record>(*step);
    if (record.at.lsn > to)
      return {};
    if (record.at.lsn <= into.position() || !record.body)
      continue; // known already, or of no meaning to this program
    auto intact = result<bool>{true};
    if (std::holds_alternative<sequence_record>(*record.body))
      intact = scanner->data_is_intact(record);
    if (!intact)
      return pass_failure(intact);
    if (!*intact)
      spdlog::error("sequence_damaged file={} offset_bytes={}", file.path, record.at.record_offset);
    if (auto added = into.add(std::move(*record.body), record.at, *intact); !added)
      return added;
  }
}

/// The file that a file's header names as the one before it.
bool predecessor_is_missing(const log_directory& log, const log_file& file) {
  return std::none_of(log.files.begin(), log.files.end(),
                      [&](const log_file& other) { return other.id == file.header.predecessor; });
}

} // namespace

result<replay_outcome> replay_log(disk& disk, const log_directory& log, node_database& database,
                                  log_sequence_number from, log_sequence_number to,
                                  const replay_options& options) {
  replayer replay(database, from, to, options);
  bool reaches_back = to <= from;
  bool is_first = true;
  std::int64_t missing = 0;
  for (std::size_t i = 0; i < log.files.size() && from < to; ++i) {
    const auto& file = log.files[i];
    const auto is_past =
      i + 1 < log.files.size() && log.files[i + 1].header.first_lsn.value <= from.value + 1;
    if (file.header.first_lsn.value <= from.value + 1)
      reaches_back = true;
    if (is_past)
      continue;
    if (file.header.first_lsn > to)
      break;
    const auto is_gap = is_first ? !reaches_back : predecessor_is_missing(log, file);
    if (is_gap && options.gaps == log_gaps::report) {
      ++missing;
      reaches_back = true;
      spdlog::error("value_files_missing before={} first_lsn={} what=\"what they held is lost\"", file.path,
                    file.header.first_lsn.value);
    } else if (!reaches_back) {
      break;
    } else if (is_gap) {
      return fail(errc::conflict,
                  fmt::format("value file {} is missing, the one before {}: restore it, or run `cairn "
                              "rebuild` to make a new database of what is there",
                              file.header.predecessor.value, file.path));
    }
    if (auto replayed = replay_file(disk, file, to, replay); !replayed)
      return pass_failure(replayed);
    is_first = false;
  }
  if (!reaches_back)
    return fail(errc::conflict,
                fmt::format("the database stands at log position {}, older than the log that is "
                            "still there: run `cairn rebuild` to make a new one from the value files",
                            from.value));
  if (auto finished = replay.finish(); !finished)
    return pass_failure(finished);
  auto outcome = replay.outcome();
  outcome.gaps = missing;
  return outcome;
}

} // namespace cairn
