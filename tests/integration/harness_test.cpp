/// The harness itself: each fault strikes, each wait ends, nothing is left behind.

#include "tests/harness/archives.hpp"
#include "tests/harness/coordinator.hpp"
#include "tests/harness/host_process.hpp"
#include "tests/harness/local_node.hpp"

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace cairn {
namespace {

using namespace harness;

namespace fs = std::filesystem;

/// Archives until a result comes that is expected to come by itself.
errc archive_until(client& by, errc expected) {
  const auto until = soon();
  for (int i = 0;; ++i) {
    const auto reply = archive(by, make_object(by, fmt::format("until/{}", i), {1'000}));
    if (reply.result == expected || std::chrono::steady_clock::now() > until)
      return reply.result;
  }
}

class HarnessTest : public testing::Test {
protected:
  static void SetUpTestSuite() { spdlog::set_level(spdlog::level::off); }

  std::unique_ptr<client> connect(const host_process& to) {
    auto connected = client::connect(net_->wire(), to.address());
    if (!connected)
      throw harness_error(connected.error().message);
    return std::move(*connected);
  }

private:
  std::unique_ptr<network> net_ = open_network();
};

/// A node and a host that the tests share, each test leaving them healthy.
class FaultTest : public HarnessTest {
protected:
  static void SetUpTestSuite() {
    HarnessTest::SetUpTestSuite();
    node_ = std::make_unique<local_node>();
    host_ = std::make_unique<host_process>(host_options{.disk_faults = true});
  }
  static void TearDownTestSuite() {
    node_.reset();
    host_.reset();
  }
  static local_node& node() { return *node_; }
  static host_process& host() { return *host_; }

private:
  static inline std::unique_ptr<local_node> node_;
  static inline std::unique_ptr<host_process> host_;
};

// --- a node in this process ---

TEST_F(HarnessTest, LocalNodeNeedsOneLineAndLeavesNothing) {
  std::string directory;
  {
    local_node node;
    auto client = node.attach();
    const auto object = make_object(*client, "one line", {10'000});
    ASSERT_EQ(archive(*client, object).result, errc::success);
    EXPECT_EQ(retrieve(*client, "one line").bytes, content_of(object));
    directory = node.settings().data_directory;
    EXPECT_TRUE(fs::exists(directory));
  }
  EXPECT_FALSE(fs::exists(fs::path(directory).parent_path()));
}

TEST_F(FaultTest, SyncThatFailsFailsOnlyWhatWaitedForIt) {
  auto client = node().attach();
  const auto before = node().faults().failed_syncs();
  node().fail_sync();
  const auto failed = make_object(*client, "failed", {1'000});
  EXPECT_EQ(archive(*client, failed).result, errc::storage_error);
  EXPECT_EQ(node().faults().failed_syncs(), before + 1);
  EXPECT_EQ(look_up(*client, "failed").result, errc::not_found);
  EXPECT_EQ(archive(*client, failed).result, errc::success) << "a repeat with the same key succeeds";
  EXPECT_EQ(retrieve(*client, "failed").bytes, content_of(failed));
}

TEST_F(FaultTest, OnlyTheNthSyncFails) {
  auto client = node().attach();
  node().fail_sync(3);
  for (const auto expected : {errc::success, errc::success, errc::storage_error, errc::success})
    EXPECT_EQ(archive(*client, make_object(*client, "nth", {1'000})).result, expected);
}

TEST_F(FaultTest, FullDiskRefusesArchivesTakesDeletesServesReadsAndRecovers) {
  auto client = node().attach();
  const auto kept = make_object(*client, "kept", {5'000});
  const auto deleted = make_object(*client, "deleted", {5'000});
  ASSERT_EQ(archive(*client, kept).result, errc::success);
  ASSERT_EQ(archive(*client, deleted).result, errc::success);
  node().fill_disk();
  await_status(*client, [](const auto& status) { return !status.has_space; });
  EXPECT_EQ(archive(*client, make_object(*client, "refused", {5'000})).result, errc::no_space);
  EXPECT_EQ(retrieve(*client, "kept").bytes, content_of(kept));
  EXPECT_EQ(ask<archive_reply>(*client, delete_of(*client, deleted)).result, errc::success);
  EXPECT_EQ(look_up(*client, "deleted").result, errc::not_found);
  node().free_disk();
  await_status(*client, [](const auto& status) { return status.has_space; });
  EXPECT_EQ(archive(*client, make_object(*client, "refused", {5'000})).result, errc::success);
}

TEST_F(HarnessTest, DiskWithoutAByteLeftAnswersInTimeAndRecovers) {
  const scratch_directory scratch;
  auto impatient = settings_in(scratch / "node");
  impatient.database_patience = std::chrono::milliseconds{500};
  local_node node(impatient);
  auto client = node.attach();
  // Had the node seen it in time, it would refuse the archive before anything is written.
  node.faults().fill(0, free_space_told::falsely);
  const auto object = make_object(*client, "no byte", {5'000});
  // Nothing tells for certain that it failed before a fence is written, and there is no space for one.
  EXPECT_FALSE(is_definite(archive(*client, object).result));
  EXPECT_GT(node.faults().refusals_for_space(), 0);
  node.free_disk();
  // A repeat may be among what the fence tells to have failed, and a slow machine tries the patience.
  auto repeated = errc::no_space;
  const auto is_to_repeat = [&] { return repeated == errc::no_space || !is_definite(repeated); };
  for (const auto until = soon(); is_to_repeat() && std::chrono::steady_clock::now() < until;)
    repeated = archive(*client, object).result;
  EXPECT_EQ(repeated, errc::success) << "a repeat is safe";
  EXPECT_TRUE(retrieve(*client, "no byte").bytes == content_of(object));
}

TEST_F(FaultTest, LocalNodeGetsItsDatabaseBack) {
  auto client = node().attach();
  const auto first = postgres_pid_of(node().settings().data_directory);
  node().lose_database();
  EXPECT_EQ(archive_until(*client, errc::success), errc::success);
  EXPECT_NE(postgres_pid_of(node().settings().data_directory), first);
}

// --- a host process ---

TEST_F(FaultTest, DiskFaultsReachAHostProcess) {
  auto client = connect(host());
  host().fail_sync();
  EXPECT_EQ(archive(*client, make_object(*client, "sync", {1'000})).result, errc::storage_error);
  EXPECT_EQ(host().faults().failed_syncs(), 1);
  EXPECT_NE(host().wait_for_log("value_file_failed").find("injected"), std::string::npos);
  host().fill_disk();
  await_status(*client, [](const auto& status) { return !status.has_space; });
  EXPECT_EQ(archive(*client, make_object(*client, "full", {1'000})).result, errc::no_space);
  host().free_disk();
  await_status(*client, [](const auto& status) { return status.has_space; });
  EXPECT_EQ(archive(*client, make_object(*client, "full", {1'000})).result, errc::success);
}

TEST_F(FaultTest, HostGetsItsDatabaseBack) {
  auto client = connect(host());
  const auto first = host().postgres_pid();
  host().lose_database();
  EXPECT_EQ(archive_until(*client, errc::success), errc::success);
  EXPECT_NE(host().postgres_pid(), first);
}

TEST_F(FaultTest, FrozenHostAnswersWhenItIsThawed) {
  auto client = connect(host());
  host().freeze();
  auto pending = client->send<status_reply>(get_status{});
  const auto state = read_file(fmt::format("/proc/{}/stat", host().pid()));
  EXPECT_EQ(state.substr(state.rfind(')') + 2, 1), "T");
  host().thaw();
  EXPECT_TRUE(pending());
}

TEST_F(FaultTest, CutConnectionFailsWhatIsUnderWayAndHeals) {
  {
    auto client = connect(host());
    host().cut();
    const auto reply = client->call<status_reply>(get_status{});
    ASSERT_FALSE(reply);
    EXPECT_EQ(reply.error().what, call_error::not_reachable);
  }
  EXPECT_ANY_THROW(connect(host()));
  host().heal();
  EXPECT_EQ(ask<status_reply>(*connect(host()), get_status{}).result, errc::success);
}

TEST_F(FaultTest, AddressStaysOverKillAndRestart) {
  const auto address = to_string(host().address());
  const auto first = host().pid();
  {
    auto client = connect(host());
    ASSERT_EQ(archive(*client, make_object(*client, "survives", {1'000})).result, errc::success);
  }
  host().kill();
  EXPECT_ANY_THROW(connect(host()));
  host().restart();
  EXPECT_NE(host().pid(), first);
  EXPECT_EQ(to_string(host().address()), address);
  auto client = connect(host());
  EXPECT_EQ(look_up(*client, "survives").result, errc::success);
}

TEST_F(HarnessTest, WaitForALogLineThatNeverComesEndsWithTheHost) {
  host_process host;
  EXPECT_THROW(host.fill_disk(), harness_error) << "not asked for";
  EXPECT_THROW(host.authority(), harness_error) << "not asked for";
  EXPECT_EQ(host.stop(), 0);
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_THROW(host.wait_for_log("no such line"), harness_error);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::minutes{1});
}

TEST_F(HarnessTest, HostThatCannotStartSaysWhy) {
  try {
    host_process host({.arguments = {"--log-level=loud"}});
    ADD_FAILURE() << "it started";
  } catch (const harness_error& error) {
    EXPECT_NE(std::string(error.what()).find("exit code 1"), std::string::npos) << error.what();
    EXPECT_NE(std::string(error.what()).find("--log-level"), std::string::npos) << error.what();
  }
}

TEST_F(HarnessTest, DirectoryInUseAndOneThatMayBeJustMadeAreLeftAlone) {
  const scratch_directory used;
  const auto just_made = used.path() + "-just-made";
  fs::create_directory(just_made);
  const scratch_directory next;
  EXPECT_TRUE(fs::exists(used.path()));
  EXPECT_TRUE(fs::exists(just_made));
  fs::remove(just_made);
}

// --- a test that is killed ---

/// Run by the next test in a process of its own.
TEST_F(HarnessTest, DISABLED_HostForATestThatIsKilled) {
  const auto* report = std::getenv("CAIRN_HARNESS_REPORT");
  ASSERT_NE(report, nullptr);
  host_process host;
  write_file(report, fmt::format("{} {}\n", host.pid(), host.postgres_pid()));
  (void)host.wait_for_end();
}

TEST_F(HarnessTest, NothingRunsOnWhenTheTestIsKilled) {
  scratch_directory scratch;
  const log_file report(scratch / "report");
  write_file(report.path(), "");
  ::setenv("CAIRN_HARNESS_REPORT", report.path().c_str(), 1);
  program test({"/proc/self/exe", "--gtest_also_run_disabled_tests",
                "--gtest_filter=HarnessTest.DISABLED_HostForATestThatIsKilled"},
               {});
  std::istringstream pids(report.wait_for(" ", soon(), test.end_fd()));
  pid_t host = 0;
  pid_t postgres = 0;
  pids >> host >> postgres;
  ASSERT_GT(host, 0);
  ASSERT_GT(postgres, 0);
  test.send(SIGKILL);
  wait_for_end_of(host, soon());
  wait_for_end_of(postgres, soon());
}

} // namespace
} // namespace cairn
