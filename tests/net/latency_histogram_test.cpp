/// Percentiles against the same numbers, sorted.

#include "net/bench/latency_histogram.hpp"
#include "tests/support/test_seed.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

namespace cairn::bench {
namespace {

using nanoseconds = latency_histogram::duration;

TEST(LatencyHistogramTest, PercentilesAreRightToAThousandth) {
  std::mt19937_64 random(test_seed());
  std::vector<std::int64_t> sorted;
  latency_histogram all;
  latency_histogram half;
  for (int i = 0; i < 20'000; ++i) {
    const auto latency = static_cast<std::int64_t>(random() >> (1 + random() % 62)); // every magnitude
    sorted.push_back(latency);
    (i % 2 == 0 ? all : half).add(nanoseconds{latency});
  }
  all.add(half);
  std::ranges::sort(sorted);
  ASSERT_EQ(all.count(), sorted.size());
  EXPECT_EQ(all.largest().count(), sorted.back());
  for (const double percent : {0.0, 0.01, 1.0, 25.0, 50.0, 90.0, 99.0, 99.99, 100.0}) {
    const auto rank = std::max(1.0, std::ceil(static_cast<double>(sorted.size()) * percent / 100));
    const auto exact = sorted[static_cast<std::size_t>(rank) - 1];
    const auto told = all.percentile(percent).count();
    EXPECT_GE(told, exact) << percent;
    EXPECT_LE(static_cast<double>(told), static_cast<double>(exact) * 1.001) << percent;
  }
}

TEST(LatencyHistogramTest, EmptyOneHasNoLatencies) {
  const latency_histogram none;
  EXPECT_EQ(none.percentile(50).count(), 0);
  EXPECT_EQ(none.largest().count(), 0);
}

} // namespace
} // namespace cairn::bench
