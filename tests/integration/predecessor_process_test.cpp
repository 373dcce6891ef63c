/// What the node that Cairn takes the place of got wrong, as far as it takes real programs to see.

#include "core/log/scanner.hpp"
#include "core/store/file_spaces.hpp"
#include "tests/harness/archives.hpp"
#include "tests/harness/coordinator.hpp"

#include <csignal>

#include <caf/actor_system.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <pqxx/pqxx>
#include <spdlog/spdlog.h>
#include <unistd.h>

namespace cairn {
namespace {

using namespace harness;

class PredecessorProcessTest : public testing::Test {
protected:
  static void SetUpTestSuite() { spdlog::set_level(spdlog::level::off); }

  std::unique_ptr<client> connect(const host_process& node) {
    auto connected = client::connect(net_->wire(), node.address());
    if (!connected)
      throw harness_error(connected.error().message);
    return std::move(*connected);
  }
  static void expect_serving(client& by, const std::string& key) {
    const auto object = make_object(by, key, {1'000, 2'000});
    EXPECT_EQ(archive(by, object).result, errc::success);
    EXPECT_EQ(retrieve(by, key).bytes, content_of(object));
  }

private:
  std::unique_ptr<network> net_ = open_network();
};

/// A client program that is owed replies to 250 archives.
class owing_client {
public:
  explicit owing_client(const host_process& node) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
      throw harness_error("pipe2");
    const posix::unique_fd output(ends[0]);
    posix::unique_fd input(ends[1]);
    running_ = std::make_unique<program>(
      std::vector<std::string>{CAIRN_OWING_CLIENT, to_string(node.address()), "250"},
      program::streams{-1, input.get(), -1});
    input = posix::unique_fd();
    char word[5];
    if (::read(output.get(), word, sizeof word) != sizeof word)
      throw harness_error("the client has not sent its archives");
  }
  void send(int signal) const { running_->send(signal); }
  void kill_9() {
    running_->send(SIGKILL);
    running_->wait(soon());
  }

private:
  std::unique_ptr<program> running_;
};

TEST_F(PredecessorProcessTest, ClientThatGoesAwayWithRepliesOwedBlocksNobody) {
  host_process node;
  auto other = connect(node);
  for (int i = 0; i < 3; ++i) {
    owing_client owed(node);
    expect_serving(*other, fmt::format("beside/{}", i));
    owed.kill_9();
    expect_serving(*other, fmt::format("behind/{}", i));
  }
  const auto until = soon();
  while (ask<status_reply>(*other, get_status{}).clients > 1)
    ASSERT_LT(std::chrono::steady_clock::now(), until) << "clients that are gone are not forgotten";
  const auto listed = ask<list_reply>(*other, list_keys{{}, collection_id{1}, "owed/", {}, 1'000});
  EXPECT_FALSE(listed.keys.empty());
  for (const auto& entry : listed.keys) // nobody was told of them; what is there is whole
    EXPECT_EQ(retrieve(*other, entry.key).bytes.size(), 20'000U) << entry.key;
  EXPECT_EQ(node.stop(), 0);
}

TEST_F(PredecessorProcessTest, ClientThatStandsStillWithRepliesOwedBlocksNobody) {
  host_process node;
  auto other = connect(node);
  owing_client owed(node);
  owed.send(SIGSTOP);
  for (int i = 0; i < 20; ++i)
    expect_serving(*other, fmt::format("beside/{}", i));
  EXPECT_EQ(node.stop(), 0) << "it stops in order all the same";
}

TEST_F(PredecessorProcessTest, SigtermAnswersEveryArchiveThatWasAccepted) {
  host_process node;
  std::vector<sample_object> objects;
  std::vector<errc> results;
  {
    auto client = connect(node);
    std::vector<pending_reply<archive_reply>> under_way;
    for (int i = 0; i < 300; ++i) {
      objects.push_back(make_object(*client, fmt::format("accepted/{}", i), {5'000}));
      under_way.push_back(client->send<archive_reply>(entire_of(objects.back())));
    }
    ASSERT_EQ(ask<status_reply>(*client, get_status{}).result, errc::success); // the node has them all
    EXPECT_EQ(node.stop(), 0);
    for (auto& waiting : under_way) {
      const auto reply = waiting();
      ASSERT_TRUE(reply) << reply.error().message;
      results.push_back(reply->result);
    }
  }
  node.restart();
  auto client = connect(node);
  int stored = 0;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    const auto found = look_up(*client, objects[i].segment.key).result;
    if (results[i] == errc::success) {
      EXPECT_EQ(found, errc::success) << objects[i].segment.key;
    } else {
      EXPECT_TRUE(results[i] == errc::shutting_down && found == errc::not_found)
        << to_string(results[i]) << ", " << to_string(found);
    }
    stored += results[i] == errc::success ? 1 : 0;
  }
  EXPECT_GT(stored, 0);
}

TEST_F(PredecessorProcessTest, FileThatACrashLeftOpenGetsSizeAndDigest) {
  host_process node;
  value_file_id file;
  {
    auto client = connect(node);
    file = archive(*client, make_object(*client, "before", {10'000})).proof.value_file;
  }
  node.kill();
  node.restart();
  pqxx::connection connection(node.database());
  pqxx::nontransaction query(connection);
  const auto row = query.exec_params1("SELECT size, hash, close_time IS NOT NULL, segment_sequence_count FROM"
                                      " cairn.value_file WHERE id = $1",
                                      file.value);
  EXPECT_GE(row[0].as<std::int64_t>(0), 10'000);
  EXPECT_FALSE(row[1].is_null());
  EXPECT_TRUE(row[2].as<bool>());
  EXPECT_EQ(row[3].as<int>(), 1);
}

TEST_F(PredecessorProcessTest, SettingsComeFromOneFileAndTheCommandLineOverridesThem) {
  scratch_directory scratch;
  write_file(scratch / "cairnd.conf", "cluster=from-file\nnode-name=from-file\n");
  host_process node({.arguments = {"--config-file=" + (scratch / "cairnd.conf"), "--node-name=from-line"}});
  auto client = connect(node);
  EXPECT_EQ(client->node().cluster, "from-file");
  EXPECT_EQ(client->node().node, "from-line");
}

} // namespace
} // namespace cairn
