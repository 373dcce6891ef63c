/// A database that stands where it stood an hour ago: restored from a backup before a start, or exchanged
/// while the node lives. Readers ask all the while, and nothing acknowledged is ever answered not_found.

#include "tests/harness/archives.hpp"
#include "tests/harness/coordinator.hpp"
#include "tests/harness/host_process.hpp"
#include "tests/harness/local_node.hpp"

#include <condition_variable>
#include <filesystem>
#include <functional>
#include <mutex>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <pqxx/pqxx>
#include <spdlog/spdlog.h>

namespace cairn {
namespace {

using namespace harness;

constexpr int count_before = 5; ///< the backup
constexpr int count_after = 60;

/// Looks keys up, one after the other and again and again, in a thread and with a client of its own.
class steady_reader {
public:
  explicit steady_reader(std::function<std::unique_ptr<client>()> attach)
      : thread_([this, attach = std::move(attach)](const std::stop_token& stop) { run(stop, *attach()); }) {}

  /// A key that was acknowledged, and is not deleted while this lives.
  void expect(const std::string& key) {
    const std::lock_guard lock(mutex_);
    keys_.push_back(key);
  }
  /// Waits until each key has been found once more. @throws harness_error when that does not come
  void wait_until_all_are_found() {
    std::unique_lock lock(mutex_);
    const auto pass = begun_ + 1;
    if (!changed_.wait_until(lock, soon(), [&] { return last_whole_ >= pass; }))
      throw harness_error(fmt::format("not all is found: {}", last_trouble_));
  }
  /// Answers that said that something acknowledged is not there, one line each.
  [[nodiscard]] std::string missed() const {
    const std::lock_guard lock(mutex_);
    return missed_;
  }

private:
  void run(const std::stop_token& stop, client& by) {
    while (!stop.stop_requested()) {
      const auto [pass, keys] = begin();
      auto is_whole = true;
      for (const auto& key : keys)
        is_whole = is_found(by, key) && is_whole && !stop.stop_requested();
      if (is_whole)
        end(pass);
    }
  }
  bool is_found(client& by, const std::string& key) {
    const auto reply = by.call<lookup_reply>(lookup{{}, collection_id{1}, key, {}});
    if (reply && reply->result == errc::success)
      return true;
    const std::lock_guard lock(mutex_);
    last_trouble_ = reply ? reply->error_message : reply.error().message;
    if (reply && reply->result != errc::database_unavailable && reply->result != errc::busy
        && reply->result != errc::shutting_down)
      missed_ += fmt::format("{}: {}: {}\n", key, to_string(reply->result), reply->error_message);
    return false;
  }
  std::pair<std::uint64_t, std::vector<std::string>> begin() {
    const std::lock_guard lock(mutex_);
    return {++begun_, keys_};
  }
  void end(std::uint64_t pass) {
    const std::lock_guard lock(mutex_);
    last_whole_ = pass;
    changed_.notify_all();
  }

  mutable std::mutex mutex_; ///< guards what follows
  std::condition_variable changed_;
  std::vector<std::string> keys_;
  std::string missed_;
  std::string last_trouble_;
  std::uint64_t begun_ = 0;
  std::uint64_t last_whole_ = 0; ///< pass in which all was found
  std::jthread thread_;
};

class SetBackTest : public testing::Test {
protected:
  static void SetUpTestSuite() { spdlog::set_level(spdlog::level::off); }

  [[nodiscard]] std::string directory() const { return scratch_ / "node"; }
  [[nodiscard]] std::string postgres() const { return directory() + "/postgres"; }
  [[nodiscard]] std::string backup() const { return scratch_ / "backup"; }

  /// Archives objects of one and of several sequences; each is acknowledged.
  static std::vector<sample_object> archive_some(client& by, const std::string& prefix, int count,
                                                 steady_reader& reader) {
    std::vector<sample_object> objects;
    for (int i = 0; i < count; ++i) {
      const auto sizes =
        i % 2 == 0 ? std::vector<std::size_t>{3'000} : std::vector<std::size_t>{2'000, 9'000};
      objects.push_back(make_object(by, fmt::format("{}/{}", prefix, i), sizes));
      const auto reply = archive(by, objects.back());
      EXPECT_EQ(reply.result, errc::success) << reply.error_message;
      reader.expect(objects.back().segment.key);
    }
    return objects;
  }
  static void expect_all(client& by, const std::vector<sample_object>& objects) {
    for (const auto& object : objects) {
      const auto read = retrieve(by, object.segment.key);
      EXPECT_TRUE(read.bytes == content_of(object))
        << object.segment.key << ": " << to_string(read.result) << ": " << read.first.error_message;
    }
  }
  /// Deletes, too, were acknowledged.
  static std::string archive_and_delete(client& by, const std::string& key) {
    const auto object = make_object(by, key, {1'000});
    EXPECT_EQ(archive(by, object).result, errc::success);
    EXPECT_EQ(ask<archive_reply>(by, delete_of(by, object)).result, errc::success);
    return key;
  }
  static void copy(const std::string& from, const std::string& to) {
    ASSERT_EQ(run_program({"/bin/cp", "-a", from, to}).exit_code, 0); // owners are kept
  }

  scratch_directory scratch_;
};

TEST_F(SetBackTest, DatabaseRestoredFromABackupIsCaughtUpBeforeAnybodyIsAnswered) {
  host_process node({.data_directory = directory(), .arguments = {"--max-value-file=64KiB"}});
  coordinator gateway(node);
  coordinator readers(node);
  steady_reader reader([&] { return readers.connect(); });
  auto objects = archive_some(*gateway.connect(), "before", count_before, reader);
  ASSERT_EQ(node.stop(), 0);
  copy(postgres(), backup());
  node.restart();
  std::string deleted;
  {
    const auto client = gateway.connect();
    deleted = archive_and_delete(*client, "deleted");
    for (auto& object : archive_some(*client, "after", count_after, reader))
      objects.push_back(std::move(object));
  }
  reader.wait_until_all_are_found();
  node.kill();
  end_databases_below(directory());
  std::filesystem::remove_all(postgres());
  copy(backup(), postgres());
  node.restart();
  reader.wait_until_all_are_found();
  EXPECT_EQ(reader.missed(), "");
  const auto client = gateway.connect();
  EXPECT_GE(ask<status_reply>(*client, get_status{}).recovery.records_replayed, count_after);
  expect_all(*client, objects);
  EXPECT_EQ(look_up(*client, deleted).result, errc::not_found);
}

/// A node in this process whose database can be copied and exchanged under it.
class LiveSetBackTest : public SetBackTest {
protected:
  [[nodiscard]] node_settings settings() const {
    auto small = settings_in(directory());
    small.max_value_file_bytes = 64 * 1024; // rows of value files are lost, too
    return small;
  }

  /// Runs commands beside the node's database while nobody is connected to that.
  void without_sessions(const std::vector<std::string>& commands) const {
    pqxx::connection connection(
      fmt::format("host={}/socket port=5432 user=cairn dbname=postgres", postgres()));
    pqxx::nontransaction server(connection);
    server.exec("ALTER DATABASE cairn ALLOW_CONNECTIONS false");
    while (!server.exec("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'cairn'")
              .empty()) {}
    for (const auto& command : commands)
      server.exec(command);
    server.exec("ALTER DATABASE cairn ALLOW_CONNECTIONS true");
  }
  void take_copy() const { without_sessions({"CREATE DATABASE older TEMPLATE cairn"}); }
  void put_copy_back() const {
    without_sessions({"ALTER DATABASE cairn RENAME TO newer", "ALTER DATABASE older RENAME TO cairn"});
  }
};

TEST_F(LiveSetBackTest, DatabaseThatLosesCommitsUnderTheLivingNodeIsReplayedBeforeReadersAreAnswered) {
  local_node node(settings());
  ASSERT_EQ(node.start().result, errc::success) << node.start().error_message;
  const auto client = node.attach();
  steady_reader reader([&] { return node.attach(); });
  auto objects = archive_some(*client, "before", count_before, reader);
  take_copy();
  reader.wait_until_all_are_found();
  const auto deleted = archive_and_delete(*client, "deleted");
  for (auto& object : archive_some(*client, "lost", count_after, reader))
    objects.push_back(std::move(object));
  put_copy_back();
  for (auto& object : archive_some(*client, "after", count_before, reader))
    objects.push_back(std::move(object));
  reader.wait_until_all_are_found();
  EXPECT_EQ(reader.missed(), "");
  expect_all(*client, objects);
  EXPECT_EQ(look_up(*client, deleted).result, errc::not_found);
}

// Without rounds it is the readers that notice.
TEST_F(LiveSetBackTest, ReadersAreAnsweredAgainAlthoughNobodyArchives) {
  local_node node(settings());
  ASSERT_EQ(node.start().result, errc::success) << node.start().error_message;
  const auto client = node.attach();
  steady_reader reader([&] { return node.attach(); });
  auto objects = archive_some(*client, "before", count_before, reader);
  take_copy();
  for (auto& object : archive_some(*client, "lost", count_after, reader))
    objects.push_back(std::move(object));
  put_copy_back();
  reader.wait_until_all_are_found();
  EXPECT_EQ(reader.missed(), "");
  expect_all(*client, objects);
}

} // namespace
} // namespace cairn
