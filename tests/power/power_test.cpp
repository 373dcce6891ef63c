/// Power is lost, again and again. Each seed is one run: clients send to a whole node, power goes at any
/// moment (between two steps of actors, or between two operations of the disk), disk and database forget what
/// was not durable, the node recovers (or power goes again), and everything that clients know is compared. In
/// some lives an operation of the disk fails before, in some the process alone dies, or the node is told to
/// stop.
///
/// CAIRN_SEED=N is the first seed, CAIRN_SEEDS=N how many follow one another (200), CAIRN_POWER_TRACE=1
/// prints every step.

#include "tests/power/inspection.hpp"
#include "tests/power/volatile_directory.hpp"
#include "tests/power/workload.hpp"
#include "tests/support/test_seed.hpp"

#include <array>
#include <chrono>
#include <iostream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace cairn::power {
namespace {

constexpr std::size_t seeds_of_a_line = 100;
constexpr std::array<std::uint64_t, 4> file_sizes{1ULL << 30U, 1ULL << 30U, 64U << 10U, 16U << 10U};

/// What happened in all runs: a run in which nothing happens proves nothing.
struct tally {
  std::size_t messages = 0, cuts = 0, cuts_while_starting = 0, kills = 0, stops = 0, faults = 0;
  std::uint64_t lost_commits = 0;
  std::size_t acknowledged = 0, mended = 0;
};

std::string describe(const tally& counts) {
  return fmt::format("{} messages, {} acknowledged archives, power lost {} times at work and {} times in "
                     "recovery ({} records of the database with it), {} kills, {} stops, {} lives with a "
                     "disk that failed, {} damaged archives mended",
                     counts.messages, counts.acknowledged, counts.cuts, counts.cuts_while_starting,
                     counts.lost_commits, counts.kills, counts.stops, counts.faults, counts.mended);
}

class run {
public:
  run(std::uint64_t seed, flushed_database& database, const std::string& data_directory, tally& counts)
      : random_(seed), counts_(counts),
        node_(database, data_directory, random_(), file_sizes[pick(random_, file_sizes.size())]) {}

  void lives() {
    start();
    for (auto left = 1 + pick(random_, 3); left > 0; --left) {
      live();
      start();
      inspection(node_, facts_).run();
    }
    serve();
    counts_.lost_commits += node_.lost_commits();
    for (const auto& u : facts_.uploads)
      counts_.acknowledged += u.stored.proof ? 1 : 0;
    counts_.mended += facts_.mended;
  }

  /// The bad moment after a failed sync: the fence is durable, and power goes before anything is behind it.
  /// The numbers that were given out before the failure are void; what comes next must find its place all the
  /// same.
  void fence_without_records() {
    start();
    clients_.add_east();
    settle();
    node_.disk().inject({disk_operation::sync, 1, errc::storage_error, 0, 1, "/spaces/"});
    clients_.begin_life();
    clients_.expect_faults(read_failures_of_disk, write_failures_of_disk);
    for (auto left = 1 + pick(random_, 4); left > 0; --left)
      clients_.archive_new();
    const auto files = node_.disk().count(disk_operation::create);
    while (node_.disk().count(disk_operation::create) == files && node_.step())
      clients_.take_replies();
    node_.lose_power();
    start();
    for (auto left = 1 + pick(random_, 8); left > 0; --left) {
      clients_.archive_new();
      settle();
    }
    node_.lose_power();
    start();
    inspection(node_, facts_).run();
    serve();
  }

private:
  void settle() {
    node_.run();
    clients_.take_replies();
  }

  /// Recovery, in which power may go, too.
  void start() {
    for (;;) {
      if (chance(random_, 30))
        node_.disk().cut_power_after(pick(random_, 80));
      if (node_.start() && chance(random_, 95))
        break;
      ++counts_.cuts_while_starting;
      node_.lose_power();
    }
    node_.disk().cut_power_after(power_node::never);
    clients_.begin_life();
    trace("the node is ready");
  }

  /// Clients and node go on until power goes, or something else ends the node.
  void live() {
    clients_.add_east();
    node_.run();
    clients_.take_replies();
    const auto has_fault = chance(random_, 15);
    if (has_fault) {
      ++counts_.faults;
      clients_.fail_disk();
    }
    const auto is_cut_between_operations = chance(random_, 50);
    if (is_cut_between_operations)
      node_.disk().cut_power_after(pick(random_, 120));
    auto is_over = false;
    for (auto left = 3 + pick(random_, 40); left > 0 && node_.has_power() && !is_over; --left) {
      clients_.act();
      ++counts_.messages;
      for (auto steps = chance(random_, 15) ? 200 : pick(random_, 25); steps > 0 && node_.step() && !is_over;
           --steps) {
        clients_.take_replies();
        // Soon after a failure is a bad moment: there may be a fence, and nothing behind it.
        is_over = has_fault && node_.disk().faults_left() == 0 && chance(random_, 8);
      }
    }
    if (!is_over && chance(random_, 25))
      wait_for_replies();
    clients_.take_replies(); // also those that came before power went
    node_.disk().clear_faults();
    end(has_fault);
  }

  /// @param has_fault then the process alone must not die: what a failed sync left in memory is the known
  /// limit that core/README.md tells of
  void end(bool has_fault) {
    const auto dice = pick(random_, 100);
    if (node_.has_power() && !has_fault && dice < 10) {
      ++counts_.kills;
      node_.kill_process();
      return;
    }
    if (node_.has_power() && dice < 25)
      stop();
    ++counts_.cuts;
    node_.lose_power();
  }

  void stop() {
    ++counts_.stops;
    clients_.expect_stop();
    const auto stopped = node_.stop();
    for (auto steps = chance(random_, 50) ? pick(random_, 40) : 100'000; steps > 0 && node_.step(); --steps)
      clients_.take_replies();
    clients_.take_replies();
  }

  /// Every request has its reply when nothing is left to do.
  void wait_for_replies() {
    for (int seconds = 0; seconds < 4; ++seconds) { // a file that failed is replaced at the next tick
      while (node_.step())
        clients_.take_replies();
      node_.pass(std::chrono::milliseconds{1'100});
    }
    if (node_.has_power() && clients_.in_flight() != 0)
      throw broken_promise(fmt::format("{} requests have no reply", clients_.in_flight()));
  }

  /// The node is still good for something.
  void serve() {
    for (int i = 0; i < 3; ++i)
      clients_.archive_new();
    wait_for_replies();
    inspection(node_, facts_).run();
    const auto& last = facts_.uploads.back();
    if (last.stored.is_so != belief::yes)
      throw broken_promise("a new archive is refused");
  }

  random_source random_;
  tally& counts_;
  power_node node_;
  facts facts_;
  workload clients_{node_, facts_, random_};
};

std::uint64_t number_from_environment(const char* name, std::uint64_t otherwise) {
  const auto* given = std::getenv(name);
  return given != nullptr ? std::strtoull(given, nullptr, 10) : otherwise;
}

TEST(PowerTest, AcknowledgedFactsSurviveLossOfPower) {
  spdlog::set_level(is_traced() ? spdlog::level::info : spdlog::level::off);
  const auto first = test_seed();
  const auto seeds = number_from_environment("CAIRN_SEEDS", 200);
  flushed_database database;
  const volatile_directory directory;
  tally counts;
  auto begin = std::chrono::steady_clock::now();
  for (auto seed = first; seed < first + seeds; ++seed) {
    try {
      database.begin_anew();
      run(seed, database, directory / "node", counts).lives();
    } catch (const std::exception& e) {
      FAIL() << "seed " << seed << ": " << e.what() << "\nrepeat with CAIRN_SEED=" << seed
             << " CAIRN_SEEDS=1 CAIRN_POWER_TRACE=1\nuntil then: " << describe(counts);
    }
    if ((seed - first + 1) % seeds_of_a_line == 0 || seed + 1 == first + seeds) {
      const auto now = std::chrono::steady_clock::now();
      std::cout << fmt::format("seed {}: done, {:.3f} s a seed", seed,
                               std::chrono::duration<double>(now - begin).count()
                                 / static_cast<double>((seed - first) % seeds_of_a_line + 1))
                << std::endl;
      begin = now;
    }
  }
  std::cout << describe(counts) << std::endl;
  if (seeds >= seeds_of_a_line) {
    EXPECT_GT(counts.acknowledged, seeds);
    EXPECT_GT(counts.lost_commits, seeds);
    EXPECT_GT(counts.mended, seeds / 20);
  }
}

TEST(PowerTest, FenceWithoutRecordsKeepsTheOrderOfTheLog) {
  spdlog::set_level(is_traced() ? spdlog::level::info : spdlog::level::off);
  constexpr std::uint64_t runs = 20;
  const auto first = test_seed();
  flushed_database database;
  const volatile_directory directory;
  tally counts;
  for (auto seed = first; seed < first + runs; ++seed) {
    SCOPED_TRACE(fmt::format("CAIRN_SEED={}", seed));
    database.begin_anew();
    ASSERT_NO_THROW(run(seed, database, directory / "node", counts).fence_without_records());
  }
}

} // namespace
} // namespace cairn::power
