#pragma once
/// Counts of latencies in buckets whose width grows with the value, as HdrHistogram has them: any percentile
/// to three significant digits, in constant memory, and histograms of several clients add up.

#include <array>
#include <chrono>
#include <cstdint>

namespace cairn::bench {

class latency_histogram {
public:
  using duration = std::chrono::nanoseconds;

  void add(duration latency);
  void add(const latency_histogram& other);

  [[nodiscard]] std::uint64_t count() const { return count_; }
  [[nodiscard]] duration largest() const { return duration{largest_}; }
  /// The smallest latency that at least so many percent of all do not exceed, rounded up by at most 0.1 %;
  /// 0 when there are none. @param percent 0..100
  [[nodiscard]] duration percentile(double percent) const;

private:
  static constexpr unsigned precise_bits = 11;                   ///< values below 2^11 are kept as they are
  static constexpr std::size_t half = 1U << (precise_bits - 1U); ///< buckets of each further power of two
  static constexpr std::size_t bucket_count = (64 - precise_bits + 2) * half;

  static std::size_t bucket_of(std::uint64_t value);
  static std::uint64_t largest_in(std::size_t bucket);

  std::array<std::uint64_t, bucket_count> counts_{};
  std::uint64_t count_ = 0;
  std::int64_t largest_ = 0;
};

} // namespace cairn::bench
