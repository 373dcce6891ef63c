/// A real node under load whose host, or whose PostgreSQL, or both, are killed at a random acknowledgement,
/// again and again. Whatever it acknowledged before any of the crashes is there after each of them, and its
/// receipts are proved by the bytes on the disk. While the host is down, bytes of older value files rot:
/// readers must find that, and archives under load mend it.
///
/// CAIRN_SEED=N chooses the run, CAIRN_CYCLES=N how many crashes of each kind.

#include "tests/crash/crash_client.hpp"
#include "tests/harness/coordinator.hpp"
#include "tests/harness/host_process.hpp"
#include "tests/support/test_seed.hpp"

#include <functional>
#include <future>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace cairn::crash {
namespace {

using namespace harness;

constexpr std::uint64_t client_count = 3;
constexpr std::uint64_t max_acknowledged = 80; ///< before a crash

/// Clients that load the host until this ends.
class running_load {
public:
  running_load(std::vector<std::unique_ptr<crash_client>>& clients, const host_port& host, load_watch& watch)
      : watch_(watch) {
    for (auto& client : clients)
      done_.push_back(
        std::async(std::launch::async, [&client, &host, &watch] { client->load(host, watch); }));
  }
  ~running_load() { watch_.stop(); }
  /// Waits for the clients. @throws what one of them threw
  void end() {
    watch_.stop();
    for (auto& one : done_)
      one.get();
  }

private:
  load_watch& watch_;
  std::vector<std::future<void>> done_; ///< their destructors wait
};

class CrashTest : public testing::Test {
protected:
  using strike = std::function<void(load_watch&)>;

  static void SetUpTestSuite() {
    spdlog::set_level(spdlog::level::off);
    seed_ = test_seed();
    random_.seed(seed_);
    scratch_ = std::make_unique<scratch_directory>();
    const auto data_directory = *scratch_ / "node";
    // Small value files: some crashes meet a rollover.
    host_ = std::make_unique<host_process>(
      host_options{.data_directory = data_directory, .arguments = {"--max-value-file=8MiB"}});
    for (std::uint64_t i = 0; i < client_count; ++i)
      clients_.push_back(std::make_unique<crash_client>(seed_, i, data_directory));
  }
  static void TearDownTestSuite() {
    clients_.clear();
    host_.reset();
    scratch_.reset();
  }

  static host_process& host() { return *host_; }

  /// A crash under load, and a comparison, as often as asked for.
  /// @param is_restarted the strike ends the host, which is started again for the comparison
  /// After a failure nothing more is tried: the directory stays as it was found.
  static void repeat(const std::string& kind, std::uint64_t cycles, bool is_restarted, const strike& hit) {
    if (is_spoilt_)
      GTEST_SKIP() << "an earlier crash of this run lost something";
    if (const auto* given = std::getenv("CAIRN_CYCLES"); given != nullptr)
      cycles = std::strtoull(given, nullptr, 10);
    const auto before = counts();
    std::uint64_t acknowledged = 0;
    std::uint64_t done = 0;
    for (; done < cycles && !HasFailure(); ++done) {
      SCOPED_TRACE(fmt::format("{} cycle={} CAIRN_SEED={}", kind, done, seed_));
      try {
        acknowledged += cycle(is_restarted, hit);
      } catch (const harness_error& error) { // a host that does not start again is evidence, too
        ADD_FAILURE() << error.what();
      }
    }
    print(kind, done, acknowledged, before);
    constexpr std::uint64_t cycles_that_meet_repairs = 20;
    if (is_restarted && done >= cycles_that_meet_repairs) {
      EXPECT_GT(counts().mended, before.mended) << "nothing rotted, or nothing was mended";
    }
    is_spoilt_ = HasFailure();
    if (is_spoilt_)
      keep_evidence();
  }

private:
  /// @returns how much was acknowledged
  static std::uint64_t cycle(bool is_restarted, const strike& hit) {
    load_watch watch;
    running_load load(clients_, host().address(), watch);
    watch.wait_for(1 + random_() % max_acknowledged);
    hit(watch);
    load.end();
    if (is_restarted) {
      for (auto& client : clients_)
        client->rot();
      host().restart();
    }
    compare(is_restarted);
    return watch.count();
  }

  static void compare(bool is_settled) {
    std::vector<std::future<void>> done;
    for (auto& client : clients_)
      done.push_back(std::async(std::launch::async,
                                [&client, is_settled] { client->verify(host().address(), is_settled); }));
    for (auto& one : done)
      one.get();
    for (const auto& client : clients_)
      for (const auto& problem : client->problems())
        ADD_FAILURE() << problem;
  }

  static tally counts() {
    tally sum;
    for (const auto& client : clients_)
      sum += client->counts();
    return sum;
  }

  static void print(const std::string& kind, std::uint64_t cycles, std::uint64_t acknowledged,
                    const tally& before) {
    const auto now = counts();
    fmt::print("crash kind={} cycles={} acknowledged={} receipts_verified={} objects_read={} hidden={} "
               "unanswered_whole={} unanswered_absent={} damaged={} mended={} lost={}\n",
               kind, cycles, acknowledged, now.receipts - before.receipts,
               now.objects_read - before.objects_read, now.objects_hidden - before.objects_hidden,
               now.open_whole - before.open_whole, now.open_absent - before.open_absent,
               now.damaged - before.damaged, now.mended - before.mended, now.lost - before.lost);
  }

  /// The data directory and the log as they were found.
  static void keep_evidence() {
    const auto kept = fmt::format("/tmp/cairn-crash-evidence-{}", seed_);
    host().kill();
    run_program({"/bin/cp", "-a", scratch_->path(), kept});
    write_file(kept + "/host.log", host().log());
    fmt::print("evidence={}\n", kept);
  }

  static inline bool is_spoilt_ = false;
  static inline std::uint64_t seed_ = 0;
  static inline std::mt19937_64 random_;
  static inline std::unique_ptr<scratch_directory> scratch_;
  static inline std::unique_ptr<host_process> host_;
  static inline std::vector<std::unique_ptr<crash_client>> clients_;
};

TEST_F(CrashTest, HostKilledUnderLoadLosesNothingAcknowledged) {
  repeat("host_killed", 3, true, [](load_watch&) { host().kill(); });
}

TEST_F(CrashTest, HostAndDatabaseKilledUnderLoadLoseNothingAcknowledged) {
  repeat("host_and_database_killed", 3, true, [](load_watch&) {
    host().lose_database();
    host().kill();
  });
}

TEST_F(CrashTest, DatabaseKilledUnderLoadLosesNothingAcknowledged) {
  repeat("database_killed", 2, false, [](load_watch& watch) {
    host().lose_database();
    watch.wait_for(watch.count() + 20); // the node found its way back, without help
  });
}

TEST_F(CrashTest, HostStoppedUnderLoadEndsInOrderAndLosesNothingAcknowledged) {
  repeat("asked_to_stop", 2, true, [](load_watch&) { EXPECT_EQ(host().stop(), 0); });
}

} // namespace
} // namespace cairn::crash
