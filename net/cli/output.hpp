#pragma once
/// Results on standard output, for people or as one JSON object a line; everything else on standard error.

#include "core/archive.hpp"

#include <string>

#include <nlohmann/json_fwd.hpp>

namespace cairn::cli {

class output {
public:
  explicit output(bool json) : json_(json) {}

  [[nodiscard]] bool is_json() const { return json_; }
  /// A result: `object` with --json, else `line`.
  void result(const nlohmann::json& object, const std::string& line);
  /// A result's part that only people want to see.
  void note(const std::string& line);
  /// One line on standard error.
  void error(const std::string& line);
  /// Results may lie in a buffer until now. @returns false when they could not be written: that was told
  bool flush();
  /// Moves notes to standard error: standard output carries an object's bytes.
  void keep_stdout_for_data() { notes_to_stderr_ = true; }

private:
  bool json_;
  bool notes_to_stderr_ = false;
};

/// Has warnings and errors that core logs printed on standard error: for commands that work on files.
void log_to_stderr();

/// 2026-11-24T03:46:00.123456Z
std::string time_text(timestamp_us time);

} // namespace cairn::cli
