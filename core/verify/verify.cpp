#include "core/verify/verify.hpp"

#include "core/verify/file_verifier.hpp"

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

result<verify_counts> verify_node(disk& disk, const std::string& spaces_root, const std::string& database,
                                  const node_identity& identity, const verify_options& options) {
  auto session = audit_session::open(database, identity);
  if (!session)
    return pass_failure(session);
  auto rows = (*session)->file_spaces();
  if (!rows)
    return pass_failure(rows);
  const file_spaces spaces(disk, spaces_root, std::move(*rows), {});
  if (auto checked = spaces.check(); !checked)
    return pass_failure(checked);
  auto log = log_directory::scan(disk, spaces, identity.cluster_name, identity.id);
  if (!log)
    return pass_failure(log);

  std::uint64_t total_bytes = 0;
  std::uint64_t done_bytes = 0;
  for (const auto& file : log->files)
    total_bytes += options.verified_before.contains(file.id) ? 0 : file.size_bytes;
  throttle pace(options.bytes_per_second);
  verify_counts sum;
  open_questions unexplained;
  for (const auto& file : log->files) {
    if (options.verified_before.contains(file.id))
      continue;
    const auto unexplained_before = unexplained.size();
    file_verifier verifier(disk, **session, file, options, unexplained);
    auto counts = verifier.run([&](std::uint64_t bytes) {
      done_bytes += bytes;
      pace.took(bytes);
      if (options.on_progress)
        options.on_progress(done_bytes, std::max(done_bytes, total_bytes));
    });
    if (!counts)
      return pass_failure(counts);
    sum += *counts;
    if (options.on_file)
      options.on_file(file.id, verifier.is_closed() && unexplained.size() <= unexplained_before, *counts);
  }

  const auto report = [&](const verify_problem& problem) {
    ++sum.problems;
    if (options.on_problem)
      options.on_problem(problem);
  };
  for (const auto& [key, problem] : unexplained)
    report(problem);
  auto used = (*session)->files_in_use();
  if (!used)
    return pass_failure(used);
  log =
    log_directory::scan(disk, spaces, identity.cluster_name, identity.id); // the node may have begun new ones
  if (!log)
    return pass_failure(log);
  for (const auto& file : log->files)
    used->erase(file.id);
  for (const auto& missing : *used)
    report({fmt::format("value file {} is missing, rows of segment_sequence point into it", missing.value),
            {},
            0,
            {},
            -1});
  auto inner = (*session)->inner_problems(max_row_problems);
  if (!inner)
    return pass_failure(inner);
  for (const auto& problem : *inner)
    report({fmt::format("row {}: {}", problem.id.value, problem.what), {}, 0, {}, -1});
  return sum;
}

} // namespace cairn
