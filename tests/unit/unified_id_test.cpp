/// Unified ids grow whatever the clock does.

#include "core/unified_id.hpp"
#include "tests/support/test_seed.hpp"

#include <limits>
#include <random>
#include <set>

#include <gtest/gtest.h>

namespace cairn {

namespace {

constexpr std::int64_t epoch_ms = 1'577'836'800'000; // 2020-01-01T00:00:00Z

class UnifiedIdTest : public testing::Test {
protected:
  unified_id_generator generator(std::int32_t shard) {
    return unified_id_generator({shard_number{shard}}, [this] { return std::chrono::milliseconds{now_ms_}; });
  }

  std::int64_t now_ms_ = epoch_ms + 5000;
};

} // namespace

TEST_F(UnifiedIdTest, BitsAreTimeShardCounter) {
  EXPECT_EQ(compose({1, shard_number{0}, 0}).value, std::uint64_t{1} << 23);
  EXPECT_EQ(compose({0, shard_number{1}, 0}).value, std::uint64_t{1} << 10);
  EXPECT_EQ(compose({0, shard_number{0}, 1}).value, 1U);
  EXPECT_EQ(compose({(std::uint64_t{1} << 40) - 1, shard_number{8191}, 1023}).value, max_unified_id);
}

TEST_F(UnifiedIdTest, DecomposeTakesApartWhatComposeMade) {
  std::mt19937_64 random(test_seed());
  for (int i = 0; i < 1000; ++i) {
    const unified_id_parts parts{random() >> 24, shard_number{static_cast<std::int32_t>(random() % 8192)},
                                 static_cast<std::int32_t>(random() % 1024)};
    EXPECT_EQ(decompose(compose(parts)), parts);
    EXPECT_LE(compose(parts).value, max_unified_id);
  }
}

TEST_F(UnifiedIdTest, IdHoldsClockShardAndCounter) {
  auto ids = generator(77);
  EXPECT_EQ(decompose(ids.next()), (unified_id_parts{5000, shard_number{77}, 0}));
  EXPECT_EQ(decompose(ids.next()), (unified_id_parts{5000, shard_number{77}, 1}));
  ++now_ms_;
  EXPECT_EQ(decompose(ids.next()), (unified_id_parts{5001, shard_number{77}, 0}));
}

TEST_F(UnifiedIdTest, IdsOfALeaseKeepToItsCountersAndRunAheadOfTheClockBeyondThem) {
  unified_id_generator ids({shard_number{5}, 256, 128},
                           [this] { return std::chrono::milliseconds{now_ms_}; });
  unified_id last;
  for (int i = 0; i < 300; ++i) {
    const auto id = ids.next();
    EXPECT_GT(id, last);
    const auto parts = decompose(id);
    EXPECT_EQ(parts.milliseconds, 5000U + static_cast<unsigned>(i) / 128);
    EXPECT_GE(parts.counter, 256);
    EXPECT_LT(parts.counter, 256 + 128);
    last = id;
  }
  ids.use({shard_number{5}, 0, 128});
  EXPECT_GT(ids.next(), last);
}

TEST(IdLeaseTest, HoldsPartsOfTheIdSpaceAlone) {
  EXPECT_TRUE(is_valid({shard_number{8191}, 0, 1024}));
  EXPECT_TRUE(is_valid({shard_number{0}, 1023, 1}));
  constexpr auto max = std::numeric_limits<std::int32_t>::max();
  for (const id_lease& wrong :
       {id_lease{shard_number{-1}, 0, 1}, id_lease{shard_number{8192}, 0, 1},
        id_lease{shard_number{0}, -1, 1}, id_lease{shard_number{0}, 0, 0}, id_lease{shard_number{0}, 0, 1025},
        id_lease{shard_number{0}, 1023, 2}, id_lease{shard_number{0}, max, max}})
    EXPECT_FALSE(is_valid(wrong)) << wrong.shard.value << " " << wrong.first_counter << " "
                                  << wrong.counter_count;
}

TEST_F(UnifiedIdTest, GrowsWhenTheClockGoesBack) {
  auto ids = generator(1);
  const auto before = ids.next();
  now_ms_ -= 3000;
  const auto after = ids.next();
  EXPECT_GT(after, before);
  EXPECT_EQ(decompose(after).milliseconds, 5000U);
}

TEST_F(UnifiedIdTest, BurstRunsAheadOfTheClockAndTheClockCatchesUp) {
  auto ids = generator(8191);
  auto last = ids.next();
  for (int i = 1; i < 5000; ++i) {
    const auto id = ids.next();
    ASSERT_GT(id, last);
    last = id;
  }
  EXPECT_EQ(decompose(last), (unified_id_parts{5004, shard_number{8191}, 5000 - 4 * 1024 - 1}));
  now_ms_ += 4;
  EXPECT_GT(ids.next(), last);
  now_ms_ += 1;
  EXPECT_EQ(decompose(ids.next()), (unified_id_parts{5005, shard_number{8191}, 0}));
}

TEST_F(UnifiedIdTest, MovesPastAnIdThatItSaw) {
  auto ids = generator(1);
  const auto seen = compose({9000, shard_number{4000}, 500});
  ids.saw(seen);
  EXPECT_GT(ids.next(), seen);
}

TEST_F(UnifiedIdTest, MovesPastAnIdOfTheSameMillisecondAndAHigherShard) {
  auto ids = generator(1);
  const auto own = ids.next();
  const auto seen = compose({5000, shard_number{2}, 0});
  ids.saw(seen);
  const auto next = ids.next();
  EXPECT_GT(next, seen);
  EXPECT_GT(next, own);
}

TEST_F(UnifiedIdTest, AnOldIdChangesNothing) {
  auto ids = generator(1);
  ids.next();
  ids.saw(compose({4999, shard_number{8191}, 1023}));
  ids.saw(unified_id{});
  EXPECT_EQ(decompose(ids.next()), (unified_id_parts{5000, shard_number{1}, 1}));
}

TEST_F(UnifiedIdTest, AnIdWithNothingAfterItIsNotFollowedOutOfTheRange) {
  auto ids = generator(1);
  ids.saw(unified_id{max_unified_id});
  ids.saw(unified_id{max_unified_id + 1});
  EXPECT_EQ(decompose(ids.next()), (unified_id_parts{5000, shard_number{1}, 0}));
}

TEST_F(UnifiedIdTest, IsNeverZeroHoweverWrongTheClock) {
  for (const std::int64_t wrong_ms : {std::int64_t{0}, std::int64_t{-5}, epoch_ms}) {
    now_ms_ = wrong_ms;
    auto ids = generator(0);
    const auto first = ids.next();
    EXPECT_GT(first.value, 0U);
    EXPECT_GT(ids.next(), first);
  }
}

TEST_F(UnifiedIdTest, ShardsNeverShareAnId) {
  std::set<unified_id> all;
  auto a = generator(5);
  auto b = generator(6);
  for (int i = 0; i < 3000; ++i) {
    EXPECT_TRUE(all.insert(a.next()).second);
    EXPECT_TRUE(all.insert(b.next()).second);
  }
}

TEST_F(UnifiedIdTest, GrowsOverAChangeToASmallerShard) {
  auto ids = generator(7);
  ids.next();
  const auto before = ids.next();
  ids.use({shard_number{3}});
  const auto after = ids.next();
  EXPECT_GT(after, before);
  EXPECT_EQ(decompose(after).shard, shard_number{3});
}

TEST_F(UnifiedIdTest, KeepsTheMillisecondWhenTheShardStays) {
  auto ids = generator(7);
  ids.next();
  ids.use({shard_number{7}});
  EXPECT_EQ(decompose(ids.next()), (unified_id_parts{5000, shard_number{7}, 1}));
}

TEST_F(UnifiedIdTest, GrowsUnderAnyClockAndAnySeenIds) {
  std::mt19937_64 random(test_seed());
  auto ids = generator(3000);
  unified_id highest;
  for (int i = 0; i < 20000; ++i) {
    if (random() % 4 == 0)
      now_ms_ = epoch_ms + static_cast<std::int64_t>(random() % 10000);
    if (random() % 8 == 0) {
      const unified_id seen{(random() % 12000) << 23 | random() % (1U << 23)};
      ids.saw(seen);
      highest = std::max(highest, seen);
    }
    const auto id = ids.next();
    ASSERT_GT(id, highest);
    ASSERT_EQ(decompose(id).shard, shard_number{3000});
    highest = id;
  }
}

TEST_F(UnifiedIdTest, DefaultClockIsTheWallClock) {
  unified_id_generator ids({shard_number{0}});
  const auto id = decompose(ids.next());
  const std::chrono::milliseconds at{epoch_ms + static_cast<std::int64_t>(id.milliseconds)};
  const auto distance = std::chrono::system_clock::now().time_since_epoch() - at;
  EXPECT_LT(std::chrono::abs(distance), std::chrono::hours{24}); // it may be set in between
}

} // namespace cairn
