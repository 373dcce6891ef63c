/// What a node finds when it starts again, or when its database loses what it had.

#include "core/clock.hpp"
#include "core/store/file_spaces.hpp"
#include "tests/harness/archives.hpp"
#include "tests/harness/coordinator.hpp"
#include "tests/harness/host_process.hpp"
#include "tests/harness/local_node.hpp"

#include <filesystem>
#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <pqxx/pqxx>
#include <spdlog/spdlog.h>

namespace cairn {
namespace {

using namespace harness;

class RecoveryTest : public testing::Test {
protected:
  static void SetUpTestSuite() { spdlog::set_level(spdlog::level::off); }

  [[nodiscard]] node_settings settings() const { return settings_in(directory()); }
  [[nodiscard]] std::string directory() const { return scratch_ / "node"; }
  [[nodiscard]] std::string value_file(std::int32_t id) const {
    return value_file_path(directory() + "/spaces", space_id{1}, value_file_id{id});
  }

  /// Takes the database back to where it stood, as a backup or a crash would.
  void set_back(log_sequence_number to, std::int64_t last_segment) const {
    pqxx::connection connection(database_of(directory()));
    pqxx::work work(connection);
    work.exec_params("DELETE FROM cairn.segment_sequence WHERE segment_id > $1", last_segment);
    work.exec_params("DELETE FROM cairn.segment WHERE id > $1", last_segment);
    work.exec_params("UPDATE cairn.log_position SET lsn = $1", to.value);
    work.commit();
  }
  [[nodiscard]] std::int64_t last_segment() const {
    pqxx::connection connection(database_of(directory()));
    pqxx::nontransaction query(connection);
    return query.exec1("SELECT coalesce(max(id), 0) FROM cairn.segment")[0].as<std::int64_t>();
  }

  /// Archives objects until one client has seen each acknowledged.
  static std::vector<sample_object> archive_some(client& by, const std::string& prefix, int count) {
    std::vector<sample_object> objects;
    for (int i = 0; i < count; ++i) {
      objects.push_back(make_object(by, fmt::format("{}/{}", prefix, i), {1'000, 2'000}));
      EXPECT_EQ(archive(by, objects.back()).result, errc::success);
    }
    return objects;
  }
  static void expect_all(client& by, const std::vector<sample_object>& objects) {
    for (const auto& object : objects)
      EXPECT_EQ(retrieve(by, object.segment.key).bytes, content_of(object)) << object.segment.key;
  }
  void expect_refused(const node_settings& with, const std::string& text) {
    local_node node(with);
    EXPECT_EQ(node.start().result, errc::conflict);
    EXPECT_NE(node.start().error_message.find(text), std::string::npos) << node.start().error_message;
  }

  scratch_directory scratch_;
};

TEST_F(RecoveryTest, NodeStoppedInOrderStartsWithNothingToDo) {
  std::vector<sample_object> objects;
  {
    local_node node(settings());
    auto client = node.attach();
    objects = archive_some(*client, "kept", 5);
  }
  local_node node(settings());
  ASSERT_EQ(node.start().result, errc::success) << node.start().error_message;
  EXPECT_EQ(node.start().recovery.files_closed, 0);
  EXPECT_EQ(node.start().recovery.records_replayed, 0);
  EXPECT_EQ(node.start().recovery.torn_bytes, 0);
  auto client = node.attach();
  expect_all(*client, objects);
}

TEST_F(RecoveryTest, DatabaseThatLosesCommitsWhileTheNodeLivesIsCaughtUp) {
  local_node node(settings());
  auto client = node.attach();
  auto objects = archive_some(*client, "before", 2);
  const auto status = ask<status_reply>(*client, get_status{});
  const auto last = last_segment();
  for (auto& object : archive_some(*client, "lost", 5))
    objects.push_back(std::move(object));
  set_back(status.position, last);
  for (auto& object : archive_some(*client, "after", 2))
    objects.push_back(std::move(object));
  expect_all(*client, objects);
}

class ProcessRecoveryTest : public RecoveryTest {
protected:
  [[nodiscard]] host_options options() const { return {.data_directory = directory()}; }
  std::unique_ptr<client> connect(const host_process& node) {
    auto connected = client::connect(net_->wire(), node.address());
    if (!connected)
      throw harness_error(connected.error().message);
    return std::move(*connected);
  }

private:
  std::unique_ptr<network> net_ = open_network();
};

TEST_F(ProcessRecoveryTest, DatabaseBehindTheLogIsCaughtUpAtTheStart) {
  host_process node(options());
  std::vector<sample_object> objects;
  {
    auto client = connect(node);
    objects = archive_some(*client, "before", 2);
    const auto position = ask<status_reply>(*client, get_status{}).position;
    const auto last = last_segment();
    for (auto& object : archive_some(*client, "lost", 5))
      objects.push_back(std::move(object));
    set_back(position, last);
  }
  node.kill();
  node.restart();
  auto client = connect(node);
  EXPECT_GE(ask<status_reply>(*client, get_status{}).recovery.records_replayed, 5);
  expect_all(*client, objects);
}

TEST_F(ProcessRecoveryTest, SegmentActiveAtACrashIsCancelledForGood) {
  host_process node(options());
  sample_object object;
  {
    auto client = connect(node);
    object = make_object(*client, "active", {1'000, 2'000, 3'000});
    ASSERT_EQ(ask<archive_reply>(*client, start_of(object)).result, errc::success);
    ASSERT_EQ(ask<archive_reply>(*client, sync_value_file{}).result, errc::success);
  }
  node.kill();
  node.restart();
  auto client = connect(node);
  EXPECT_EQ(ask<status_reply>(*client, get_status{}).recovery.segments_cancelled, 1);
  EXPECT_EQ(ask<archive_reply>(*client, next_of(object, 1)).result, errc::cancelled);
  EXPECT_EQ(ask<archive_reply>(*client, final_of(object)).result, errc::cancelled);
  EXPECT_EQ(ask<archive_reply>(*client, start_of(object)).result, errc::cancelled);
  EXPECT_EQ(look_up(*client, "active").result, errc::not_found);
}

TEST_F(ProcessRecoveryTest, TornTailIsFencedOff) {
  host_process node(options());
  std::vector<sample_object> objects;
  {
    auto client = connect(node);
    objects = archive_some(*client, "kept", 3);
  }
  node.kill();
  std::ofstream(value_file(1), std::ios::binary | std::ios::app) << std::string(5'000, '\x5a');
  node.restart();
  {
    auto client = connect(node);
    EXPECT_EQ(ask<status_reply>(*client, get_status{}).recovery.torn_bytes, 5'000);
    expect_all(*client, objects);
    for (auto& object : archive_some(*client, "more", 3))
      objects.push_back(std::move(object));
  }
  node.kill(); // what was fenced off stays so
  node.restart();
  auto client = connect(node);
  expect_all(*client, objects);
}

TEST_F(ProcessRecoveryTest, NothingAcknowledgedIsMissedWhenPostgresIsKilled) {
  host_process node(options());
  auto client = connect(node);
  std::vector<sample_object> objects;
  for (int round = 0; round < 3; ++round) {
    for (auto& object : archive_some(*client, fmt::format("round-{}", round), 5))
      objects.push_back(std::move(object));
    node.lose_database();
    const auto next = make_object(*client, fmt::format("meanwhile-{}", round), {4'000});
    const auto reply = archive(*client, next); // waits for the database to come back
    EXPECT_EQ(reply.result, errc::success) << reply.error_message;
    objects.push_back(next);
    for (const auto& object : objects) {
      auto found = look_up(*client, object.segment.key);
      for (const auto until = soon(); found.result == errc::database_unavailable;) {
        ASSERT_LT(std::chrono::steady_clock::now(), until);
        found = look_up(*client, object.segment.key);
      }
      EXPECT_EQ(found.result, errc::success) << object.segment.key << ": " << found.error_message;
    }
  }
  expect_all(*client, objects);
}

TEST_F(RecoveryTest, AnotherNodesDirectoryIsRefused) {
  { local_node node(settings()); }
  auto other = settings();
  other.node_name = "someone-else";
  expect_refused(other, "someone-else");
}

TEST_F(RecoveryTest, SecondNodeOnOneDirectoryIsRefused) {
  local_node first(settings());
  ASSERT_EQ(first.start().result, errc::success);
  local_node second(settings());
  EXPECT_EQ(second.start().result, errc::conflict);
}

TEST_F(RecoveryTest, EmptyDatabaseBesideValueFilesIsRefused) {
  {
    local_node node(settings());
    auto client = node.attach();
    archive_some(*client, "kept", 1);
  }
  std::filesystem::remove_all(directory() + "/postgres");
  expect_refused(settings(), "cairn rebuild");
  expect_refused(settings(), "cairn rebuild"); // nothing was made that would let it in the second time
}

TEST_F(RecoveryTest, DamagedBytesAreReportedAndTheRestIsRead) {
  sample_object hurt, whole;
  {
    local_node node(settings());
    auto client = node.attach();
    hurt = make_object(*client, "hurt", {10'000});
    whole = make_object(*client, "whole", {10'000});
    ASSERT_EQ(archive(*client, hurt).result, errc::success);
    ASSERT_EQ(archive(*client, whole).result, errc::success);
    const auto at = look_up(*client, "hurt").segments.at(0).offset_bytes + 5'000;
    std::fstream file(value_file(1), std::ios::binary | std::ios::in | std::ios::out);
    file.seekg(static_cast<std::streamoff>(at));
    const auto byte = static_cast<char>(file.get() ^ 1);
    file.seekp(static_cast<std::streamoff>(at));
    file.put(byte);
  }
  local_node node(settings());
  auto client = node.attach();
  EXPECT_EQ(retrieve(*client, "hurt").result, errc::damaged);
  EXPECT_EQ(retrieve(*client, "whole").bytes, content_of(whole));
  pqxx::connection connection(database_of(directory()));
  pqxx::nontransaction query(connection);
  const auto row = query.exec1("SELECT unified_id, status, sequence_numbers FROM cairn.damaged_segment");
  EXPECT_EQ(row[0].as<std::uint64_t>(), hurt.segment.version.value);
  EXPECT_EQ(row[1].as<std::string>(), "D");
  EXPECT_EQ(row[2].as<std::string>(), "{0}");
  EXPECT_EQ(archive(*client, whole).result, errc::success);
  EXPECT_EQ(archive(*client, hurt).result, errc::success) << "it is stored anew";
  EXPECT_EQ(retrieve(*client, "hurt").bytes, content_of(hurt));
  EXPECT_EQ(query.exec1("SELECT count(*) FROM cairn.damaged_segment")[0].as<int>(), 0);
}

TEST_F(RecoveryTest, MissingValueFileIsReportedAndTheRestIsRead) {
  auto small = settings();
  small.max_value_file_bytes = 64 * 1024;
  sample_object gone, kept;
  {
    local_node node(small);
    auto client = node.attach();
    gone = make_object(*client, "gone", {40'000});
    kept = make_object(*client, "kept", {40'000});
    ASSERT_EQ(archive(*client, gone).result, errc::success);
    ASSERT_EQ(archive(*client, kept).result, errc::success);
  }
  ASSERT_TRUE(std::filesystem::remove(value_file(1)));
  local_node node(small);
  ASSERT_EQ(node.start().result, errc::success) << node.start().error_message;
  EXPECT_GE(node.start().recovery.damaged_regions, 1);
  auto client = node.attach();
  EXPECT_EQ(retrieve(*client, "gone").result, errc::damaged);
  EXPECT_EQ(retrieve(*client, "kept").bytes, content_of(kept));
}

} // namespace
} // namespace cairn
