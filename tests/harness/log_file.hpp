#pragma once
/// What a program writes into a log while a test runs.

#include "core/db/child_process.hpp"

#include <string>

namespace cairn::harness {

/// Reads what was written to a file so far; waits for more.
class log_file {
public:
  explicit log_file(std::string path) : path_(std::move(path)) {}

  [[nodiscard]] const std::string& path() const { return path_; }
  /// All of it; empty when there is none.
  [[nodiscard]] std::string text() const;

  /// Waits until the text stands in the file behind the first `after` bytes.
  /// @param writer_end readable when nobody will write any more; -1 = unknown
  /// @returns the line that holds it
  /// @throws harness_error at the deadline, or when the writer has ended without it
  [[nodiscard]] std::string wait_for(const std::string& text, deadline until, int writer_end = -1,
                                     std::size_t after = 0) const;

private:
  std::string path_;
};

} // namespace cairn::harness
