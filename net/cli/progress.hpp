#pragma once
/// A progress bar on a terminal, for transfers that take longer than a second.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace cairn::cli {

class progress {
public:
  /// @param total_bytes none = not known
  /// @param wanted false: never shown (e.g. --json)
  progress(std::string what, std::optional<std::uint64_t> total_bytes, bool wanted);
  ~progress();
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;

  void advance(std::uint64_t bytes);

private:
  void draw(std::chrono::steady_clock::time_point now);

  std::string what_;
  std::optional<std::uint64_t> total_bytes_;
  bool enabled_;
  bool drawn_ = false;
  std::uint64_t done_bytes_ = 0;
  std::chrono::steady_clock::time_point begin_;
  std::chrono::steady_clock::time_point next_draw_;
};

} // namespace cairn::cli
