#include "net/bench/latency_histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace cairn::bench {

std::size_t latency_histogram::bucket_of(std::uint64_t value) {
  const auto bits = static_cast<unsigned>(std::bit_width(value));
  const auto shift = bits > precise_bits ? bits - precise_bits : 0;
  return shift * half + static_cast<std::size_t>(value >> shift);
}

std::uint64_t latency_histogram::largest_in(std::size_t bucket) {
  if (bucket < 2 * half)
    return bucket;
  const auto shift = bucket / half - 1;
  return ((bucket - shift * half + 1) << shift) - 1;
}

void latency_histogram::add(duration latency) {
  const auto value = std::max<std::int64_t>(0, latency.count());
  ++counts_[bucket_of(static_cast<std::uint64_t>(value))];
  ++count_;
  largest_ = std::max(largest_, value);
}

void latency_histogram::add(const latency_histogram& other) {
  std::ranges::transform(counts_, other.counts_, counts_.begin(), std::plus{});
  count_ += other.count_;
  largest_ = std::max(largest_, other.largest_);
}

latency_histogram::duration latency_histogram::percentile(double percent) const {
  const auto wanted = static_cast<std::uint64_t>(std::ceil(static_cast<double>(count_) * percent / 100));
  std::uint64_t seen = 0;
  for (std::size_t bucket = 0; bucket < counts_.size(); ++bucket) {
    seen += counts_[bucket];
    if (seen >= std::max<std::uint64_t>(wanted, 1))
      return std::min(duration{largest_in(bucket)}, largest());
  }
  return {};
}

} // namespace cairn::bench
