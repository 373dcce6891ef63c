#pragma once
/// How long to wait before the next attempt: doubling delays, each between half and the whole at random, so
/// that many clients of a host that comes back do not all ask at once.

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <random>

namespace cairn {

struct back_off_limits {
  std::chrono::milliseconds first{100};
  std::chrono::milliseconds longest{5'000};
};

class back_off {
public:
  back_off(const back_off_limits& limits, std::uint32_t seed)
      : limits_(limits), whole_(limits.first), random_(seed) {}

  /// The delay before the next attempt.
  std::chrono::milliseconds next() {
    const auto whole = std::min(whole_, limits_.longest);
    whole_ = std::min(whole * 2, limits_.longest);
    const auto half = whole.count() / 2;
    return std::chrono::milliseconds{
      std::uniform_int_distribution<std::int64_t>(whole.count() - half, whole.count())(random_)};
  }
  /// After an attempt that succeeded: begins anew.
  void reset() { whole_ = limits_.first; }

private:
  back_off_limits limits_;
  std::chrono::milliseconds whole_; ///< of the next delay
  std::mt19937 random_;
};

} // namespace cairn
