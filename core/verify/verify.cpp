#include "core/verify/verify.hpp"

#include "core/verify/file_verifier.hpp"

#include <algorithm>
#include <map>
#include <thread>

#include <fmt/format.h>

namespace cairn {

namespace {

constexpr std::int32_t max_row_problems = 1'000;

/// Holds a reader back to so many bytes a second, over all that it has read.
class throttle {
public:
  explicit throttle(std::uint64_t bytes_per_second)
      : bytes_per_second_(bytes_per_second), begin_(std::chrono::steady_clock::now()) {}

  void took(std::uint64_t bytes) {
    taken_ += bytes;
    if (bytes_per_second_ != 0)
      std::this_thread::sleep_until( // lint: allow (a pace is a matter of time)
        begin_
        + std::chrono::microseconds(taken_ / bytes_per_second_ * 1'000'000
                                    + taken_ % bytes_per_second_ * 1'000'000 / bytes_per_second_));
  }

private:
  const std::uint64_t bytes_per_second_;
  const std::chrono::steady_clock::time_point begin_;
  std::uint64_t taken_ = 0;
};

} // namespace

verify_counts& verify_counts::operator+=(const verify_counts& more) {
  files += more.files;
  bytes += more.bytes;
  records += more.records;
  sequences += more.sequences;
  garbage_records += more.garbage_records;
  garbage_bytes += more.garbage_bytes;
  waiting_records += more.waiting_records;
  problems += more.problems;
  return *this;
}

namespace {

/// A value file, and why its header could not be read, if so.
struct listed_file {
  log_file file;
  std::optional<failure> trouble;
};

result<log_scanner> open_log(disk& disk, log_file& file) {
  auto opened = disk.open_for_read(file.path);
  if (!opened)
    return pass_failure(opened);
  auto size = (*opened)->size();
  if (!size)
    return pass_failure(size);
  file.size_bytes = *size;
  return log_scanner::open(std::move(*opened));
}

/// @returns none for one that was made, but never got its header
result<std::optional<listed_file>> list_file(disk& disk, found_value_file found,
                                             const node_identity& identity) {
  log_file file{found.id, found.space, std::move(found.path), {}, 0, std::nullopt};
  auto scanner = open_log(disk, file);
  if (!scanner) {
    auto& why = scanner.error();
    if (why.code == errc::version_mismatch)
      return fail(why.code, fmt::format("value file {}: {}", file.path, why.message));
    if (why.code == errc::damaged && file.size_bytes <= file_header_bytes)
      return std::nullopt;
    return listed_file{std::move(file), std::move(why)};
  }
  file.header = scanner->header();
  if (file.header.id != file.id || file.header.node != identity.id
      || file.header.cluster_name != identity.cluster_name)
    return fail(errc::conflict,
                fmt::format("value file {} is file {} of node {} of cluster {}: it does not belong here",
                            file.path, file.header.id.value, file.header.node_name,
                            file.header.cluster_name));
  return listed_file{std::move(file), std::nullopt};
}

/// The log's files in its order; those without a readable header by their ids, which grow along it.
result<std::vector<listed_file>> list_log(disk& disk, const file_spaces& spaces,
                                          const node_identity& identity) {
  auto found = spaces.scan();
  if (!found)
    return pass_failure(found);
  std::vector<listed_file> files;
  std::vector<listed_file> headless;
  for (auto& entry : found->files) {
    auto listed = list_file(disk, std::move(entry), identity);
    if (!listed)
      return pass_failure(listed);
    if (*listed)
      ((*listed)->trouble ? headless : files).push_back(std::move(**listed));
  }
  std::sort(files.begin(), files.end(), [](const listed_file& a, const listed_file& b) {
    return std::pair(a.file.header.first_lsn, a.file.id) < std::pair(b.file.header.first_lsn, b.file.id);
  });
  std::map<value_file_id, std::uint64_t> fences;
  for (const auto& [file, trouble] : files)
    fences[file.header.predecessor] = file.header.predecessor_valid_end;
  for (auto& [file, trouble] : files)
    if (const auto fence = fences.find(file.id); fence != fences.end())
      file.fence = fence->second;
  for (auto& each : headless) {
    const auto next = std::find_if(files.begin(), files.end(),
                                   [&](const listed_file& other) { return other.file.id > each.file.id; });
    files.insert(next, std::move(each));
  }
  return files;
}

/// Nothing when it cannot be read any more.
std::optional<record_body> read_record(disk& disk, const log_file& file, std::uint64_t offset) {
  auto opened = disk.open_for_read(file.path);
  if (!opened)
    return std::nullopt;
  std::vector<std::byte> bytes(max_record_header_bytes);
  const auto got = (*opened)->read_at(offset, bytes);
  if (!got || *got < record_frame_bytes)
    return std::nullopt;
  const auto prefix = decode_record_prefix(bytes, file.header.nonce);
  if (!prefix || prefix->header_bytes > *got)
    return std::nullopt;
  auto body = decode_record(*prefix, std::span(bytes).first(prefix->header_bytes), {});
  return body ? std::optional(std::move(*body)) : std::nullopt;
}

std::string text_of(doubt why, std::string_view type) {
  switch (why) {
    case doubt::lost: return fmt::format("the database knows nothing of this {} record", type);
    case doubt::cancelled: return "its row is cancelled, no cancel record that can be read tells of it";
    case doubt::undone: return fmt::format("what this {} record ended is in the rows all the same", type);
    case doubt::other_row: return "its row in segment says something else";
    case doubt::foreign:
      return "a row of another segment points here, no repair record that can be read tells of it";
    case doubt::no_record: break;
  }
  return "a row is a tombstone, no record that can be read tells of it";
}

/// One run over all files.
class verification {
public:
  verification(disk& disk, audit_session& database, row_snapshot& rows, const file_spaces& spaces,
               const node_identity& identity, const verify_options& options)
      : disk_(disk), database_(database), rows_(rows), spaces_(spaces), identity_(identity),
        options_(options) {}

  result<verify_counts> run() {
    for (const auto step :
         {&verification::begin, &verification::verify_files, &verification::explain_by_newer_files,
          &verification::report_unexplained, &verification::report_rows})
      if (auto done = (this->*step)(); !done)
        return pass_failure(done);
    return sum_;
  }

private:
  result<void> begin();
  result<void> verify_files();
  result<void> verify_file(const listed_file& listed);
  void tell_settled(bool at_end);
  result<void> explain_by_newer_files();
  void explain_by(const log_file& file);
  result<void> report_unexplained();
  result<void> report_rows();
  void report(const verify_problem& problem);
  void report_row(std::string what) { report({std::move(what), {}, 0, {}, -1}); }
  [[nodiscard]] bool is_left_out(const listed_file& listed) const {
    return options_.verified_before.contains(listed.file.id);
  }

  disk& disk_;
  audit_session& database_;
  row_snapshot& rows_;
  const file_spaces& spaces_;
  const node_identity& identity_;
  const verify_options& options_;

  std::vector<listed_file> files_;
  segment_id newest_row_; ///< when it began
  run_memory memory_;
  log_sequence_number position_; ///< of the last snapshot
  /// Done, but not told of: of the first or of a later one something is to be explained yet.
  std::vector<std::pair<value_file_id, verify_counts>> untold_;
  bool all_settled_ = true; ///< so far
  std::uint64_t total_bytes_ = 0;
  std::uint64_t done_bytes_ = 0;
  throttle pace_{options_.bytes_per_second};
  verify_counts sum_;
};

void verification::report(const verify_problem& problem) {
  ++sum_.problems;
  if (options_.on_problem)
    options_.on_problem(problem);
}

result<void> verification::begin() {
  // Before the files are listed: what is in these rows comes from records in these files.
  auto position = rows_.take();
  if (!position)
    return pass_failure(position);
  position_ = *position;
  auto newest = rows_.newest_segment();
  if (!newest)
    return pass_failure(newest);
  newest_row_ = *newest;
  auto files = list_log(disk_, spaces_, identity_);
  if (!files)
    return pass_failure(files);
  files_ = std::move(*files);
  for (const auto& listed : files_)
    total_bytes_ += is_left_out(listed) ? 0 : listed.file.size_bytes;
  if (std::any_of(files_.begin(), files_.end(),
                  [&](const listed_file& listed) { return is_left_out(listed); }))
    memory_.tombstones_up_to.reset();
  return {};
}

result<void> verification::verify_files() {
  for (const auto& listed : files_)
    if (!is_left_out(listed))
      if (auto verified = verify_file(listed); !verified)
        return verified;
  tell_settled(true);
  return {};
}

result<void> verification::verify_file(const listed_file& listed) {
  file_verifier verifier(disk_, database_, rows_, listed.file, options_, memory_);
  auto counts = verifier.run(listed.trouble, [&](std::uint64_t bytes) {
    done_bytes_ += bytes;
    pace_.took(bytes);
    if (options_.on_progress)
      options_.on_progress(done_bytes_, std::max(done_bytes_, total_bytes_));
  });
  if (!counts)
    return pass_failure(counts);
  position_ = verifier.position();
  sum_ += *counts;
  untold_.emplace_back(listed.file.id, *counts);
  all_settled_ = all_settled_ && verifier.is_settled();
  tell_settled(false);
  return {};
}

/// A later run that leaves files out must neither miss what explains what it finds, nor what they left open:
/// so it may leave out those up to a place in the log where nothing is open.
void verification::tell_settled(bool at_end) {
  const auto for_good = all_settled_ && memory_.unexplained.empty();
  if (!for_good && !at_end)
    return;
  for (const auto& [id, counts] : std::exchange(untold_, {}))
    if (options_.on_file)
      options_.on_file(id, for_good, counts);
}

/// The last snapshots are later than the list of files. What they show may be explained in files begun since.
result<void> verification::explain_by_newer_files() {
  if (memory_.unexplained.empty())
    return {};
  auto now = list_log(disk_, spaces_, identity_);
  if (!now)
    return pass_failure(now);
  for (const auto& [file, trouble] : *now) {
    const auto is_listed = std::any_of(
      files_.begin(), files_.end(), [id = file.id](const listed_file& known) { return known.file.id == id; });
    if (!is_listed && !trouble && file.header.first_lsn <= position_)
      explain_by(file);
  }
  return {};
}

void verification::explain_by(const log_file& file) {
  auto scanner = log_directory::open(disk_, file);
  while (scanner) {
    const auto step = scanner->next();
    if (!step || std::holds_alternative<end_of_file>(*step))
      return;
    const auto* record = std::get_if<scanned_record>(&*step);
    if (record == nullptr) {
      if (!scanner->resync())
        return;
      continue;
    }
    if (record->at.lsn > position_)
      return;
    pace_.took(record->at.header_bytes + record->at.data_bytes);
    if (record->body)
      memory_.unexplained.explain(*record->body);
  }
}

result<void> verification::report_unexplained() {
  for (const auto& question : memory_.unexplained.all()) {
    const auto listed = std::find_if(
      files_.begin(), files_.end(), [&](const listed_file& known) { return known.file.id == question.file; });
    verify_problem problem;
    if (listed == files_.end()) {
      auto segment = database_.segment_of(question.row);
      if (!segment)
        return pass_failure(segment);
      problem.segment = std::move(*segment);
      problem.what = fmt::format("row {}: {}", question.row.value, text_of(question.why, {}));
    } else {
      const auto body = read_record(disk_, listed->file, question.record_offset);
      problem.what = text_of(question.why, body ? type_name(*body) : std::string_view{});
      problem.file = listed->file.path;
      problem.offset_bytes = question.record_offset;
      problem.segment = body ? segment_of(*body) : segment_info{};
      problem.sequence_num = question.sequence_num;
    }
    report(problem);
  }
  // Without an id that the run met, all may come from files that were left out.
  const auto newest_is_known = memory_.tombstones_up_to.has_value();
  if (newest_is_known && newest_row_ > memory_.newest_birth)
    report_row(fmt::format("row {}: no record that can be read tells of a segment with so high a number",
                           newest_row_.value));
  return {};
}

result<void> verification::report_rows() {
  auto used = database_.files_in_use();
  if (!used)
    return pass_failure(used);
  auto found = spaces_.scan(); // the node may have begun new ones
  if (!found)
    return pass_failure(found);
  for (const auto& file : found->files)
    used->erase(file.id);
  for (const auto& missing : *used)
    report_row(
      fmt::format("value file {} is missing, rows of segment_sequence point into it", missing.value));
  auto inner = database_.inner_problems(max_row_problems);
  if (!inner)
    return pass_failure(inner);
  for (const auto& problem : *inner)
    report_row(fmt::format("row {}: {}", problem.id.value, problem.what));
  return {};
}

} // namespace

result<verify_counts> verify_node(disk& disk, const std::string& spaces_root, const std::string& database,
                                  const node_identity& identity, const verify_options& options) {
  auto session = audit_session::open(database, identity);
  if (!session)
    return pass_failure(session);
  auto rows = row_snapshot::open(database);
  if (!rows)
    return pass_failure(rows);
  auto space_rows = (*session)->file_spaces();
  if (!space_rows)
    return pass_failure(space_rows);
  const file_spaces spaces(disk, spaces_root, std::move(*space_rows), {});
  if (auto checked = spaces.check(); !checked)
    return pass_failure(checked);
  return verification(disk, **session, **rows, spaces, identity, options).run();
}

} // namespace cairn
