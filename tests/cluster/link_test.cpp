#include "net/link_watch.hpp"
#include "net/node_link.hpp"
#include "tests/harness/archives.hpp"
#include "tests/harness/coordinator.hpp"

#include <caf/scoped_actor.hpp>
#include <gtest/gtest.h>

namespace cairn::harness {
namespace {

using namespace std::chrono_literals;

/// A link and a client of a host that is a process of its own.
class LinkTest : public ::testing::Test {
protected:
  static constexpr auto patience = 60s; // for what other processes do; a defect waits for ever

  LinkTest() {
    link_options options;
    options.network = network_connector(net_->wire(), node_.address());
    options.heartbeat_interval = 200ms;
    options.host_timeout = 1'500ms;
    options.connect_timeout = 1'000ms;
    link_ = net_->system().spawn(node_link, options);
    watch_.emplace(net_->system(), link_);
    client_options of_client;
    of_client.heartbeat_interval = options.heartbeat_interval;
    of_client.host_timeout = options.host_timeout;
    auto connected = client::connect(net_->wire(), node_.address(), of_client);
    if (!connected)
      throw harness_error(connected.error().message);
    client_ = std::move(*connected);
  }
  ~LinkTest() override { caf::anon_send_exit(link_, caf::exit_reason::user_shutdown); }

  void expect_connected() {
    const auto event = watch_->wait_for<link_connected>(patience);
    ASSERT_TRUE(event) << event.error().message;
    EXPECT_EQ(event->hello.node, client_->node().node);
  }
  void expect_lost() {
    const auto event = watch_->wait_for<link_lost>(patience);
    ASSERT_TRUE(event) << event.error().message;
    EXPECT_EQ(event->what, link_errc::connection_lost) << event->why;
  }
  /// What the client's calls meet until its link, too, has noticed.
  void expect_calls_fail_until_the_node_is_lost() {
    for (;;) {
      const auto answered = client_->call<status_reply>(get_status{});
      ASSERT_FALSE(answered);
      if (!client_->wait_until_reachable(0ms))
        break;
    }
    const auto refused = client_->call<status_reply>(get_status{});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().what, call_error::not_reachable);
  }
  void expect_archives_and_reads(const std::string& key) {
    const auto back = client_->wait_until_reachable(patience);
    ASSERT_TRUE(back) << back.error().message;
    const auto object = make_object(*client_, key, {1'000});
    EXPECT_GT(object.segment.version, last_id_);
    last_id_ = object.segment.version;
    EXPECT_EQ(archive(*client_, object).result, errc::success);
    EXPECT_EQ(retrieve(*client_, key).bytes, content_of(object));
  }

  host_process node_;
  std::unique_ptr<network> net_ = open_network();
  node_link_actor link_;
  std::optional<link_watch> watch_;
  std::unique_ptr<client> client_;
  unified_id last_id_;
};

TEST_F(LinkTest, FrozenHostIsLostAndFoundAgainWhenItThaws) {
  expect_connected();
  expect_archives_and_reads("before");

  node_.freeze();
  caf::scoped_actor asker(net_->system());
  const auto since = std::chrono::steady_clock::now();
  auto under_way = asker->request(link_, caf::infinite, get_status{});
  expect_lost();
  const auto took = std::chrono::steady_clock::now() - since;
  RecordProperty("lost_after_ms", static_cast<int>(took / 1ms));
  under_way.receive([](const status_reply&) { ADD_FAILURE() << "a frozen host has answered"; },
                    [](const caf::error& error) { EXPECT_TRUE(error == link_errc::connection_lost); });
  expect_calls_fail_until_the_node_is_lost();

  node_.thaw();
  expect_connected();
  expect_archives_and_reads("after");
  EXPECT_EQ(retrieve(*client_, "before").result, errc::success);
}

TEST_F(LinkTest, KilledHostIsFoundAgainOnItsPort) {
  expect_connected();
  expect_archives_and_reads("before");
  node_.kill();
  expect_lost();
  expect_calls_fail_until_the_node_is_lost();

  node_.restart();
  expect_connected();
  expect_archives_and_reads("after");
  EXPECT_EQ(retrieve(*client_, "before").result, errc::success);
}

TEST_F(LinkTest, StoppedHostIsLostWithoutWaitingForSilence) {
  expect_connected();
  EXPECT_EQ(node_.stop(), 0);
  expect_lost();
  expect_calls_fail_until_the_node_is_lost();
  node_.restart();
  expect_connected();
}

} // namespace
} // namespace cairn::harness
