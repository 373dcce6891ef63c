#pragma once
/// A progress bar on a terminal, for work that takes longer than a second.

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace cairn::cli {

class progress {
public:
  enum class unit { bytes, records };

  /// @param total none = not known
  /// @param wanted false: never shown (e.g. --json)
  progress(std::string what, std::optional<std::uint64_t> total, bool wanted, unit counts = unit::bytes);
  ~progress();
  progress(const progress&) = delete;
  progress& operator=(const progress&) = delete;

  void advance(std::uint64_t count);
  /// The total may become known later.
  void advance_to(std::uint64_t done, std::uint64_t total);

private:
  void draw(std::chrono::steady_clock::time_point now);
  [[nodiscard]] std::string amount(std::uint64_t count) const;

  std::string what_;
  std::optional<std::uint64_t> total_;
  unit unit_;
  bool enabled_;
  bool drawn_ = false;
  std::uint64_t done_ = 0;
  std::chrono::steady_clock::time_point begin_;
  std::chrono::steady_clock::time_point next_draw_;
};

} // namespace cairn::cli
