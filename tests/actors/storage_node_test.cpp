/// The supervisor: what becomes of a node when one of its actors dies.

#include "tests/actors/state_lab.hpp"

#include <algorithm>

#include <caf/send.hpp>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace cairn {
namespace {

using namespace std::chrono_literals;
using role = storage_node_state::role;

class StorageNodeTest : public testing::Test {
protected:
  static void SetUpTestSuite() { spdlog::set_level(spdlog::level::off); }

  stepped_node& node() { return lab.node(); }
  /// Ends one of the node's actors as an exception would; nothing has moved yet.
  void kill(role which) {
    for (const auto& [child, as] : node().state().children)
      if (as == which) {
        caf::anon_send_exit(caf::actor_cast<caf::actor>(child), caf::exit_reason::kill);
        return;
      }
    ADD_FAILURE() << "no such child";
  }
  void expect_serving() {
    const auto object = lab.new_object(true, {});
    EXPECT_EQ(node().call<archive_reply>(entire_of(object)).result, errc::success);
    EXPECT_EQ(lab.state_of(object), "final");
  }

  state_lab lab;
};

class WritePathTest : public StorageNodeTest, public testing::WithParamInterface<role> {};

TEST_P(WritePathTest, IsRebuiltWhenAPartOfItDiesAndWhatWaitedIsAnswered) {
  const auto before = lab.new_object(true, {});
  lab.bring(before, "final", hold::filling);
  const auto active = lab.new_object(false, {});
  lab.bring(active, "active", hold::filling);
  const auto waiting = lab.new_object(false, {});
  lab.bring(waiting, "finalizing", hold::committing);
  const auto old_writer = node().state().writer;
  kill(GetParam());
  // node_db does what it was told before it hears of its end: then what waited is stored, and not to be
  // repeated.
  const auto is_committed = GetParam() == role::node_db;
  if (!is_committed)
    node().run_without({"cairn.opener", "cairn.node_db"});
  node().run_without({"cairn.opener"});
  EXPECT_EQ(lab.held_answer(), is_committed ? "success" : "internal_error");
  EXPECT_EQ(node().state().phase, node_phase::starting);
  EXPECT_TRUE(node().state().dying.empty());

  node().run();
  EXPECT_EQ(node().state().phase, node_phase::ready);
  EXPECT_NE(node().state().writer, old_writer);
  EXPECT_EQ(node().call<status_reply>(get_status{}).actor_restarts, 1U);
  EXPECT_EQ(lab.state_of(before), "final");
  EXPECT_EQ(lab.state_of(active), "cancelled");
  EXPECT_EQ(lab.state_of(waiting), "final") << "its record was in the log";
  EXPECT_EQ(node().call<archive_reply>(final_of(waiting, 2)).result, errc::success) << "the repeat";
  expect_serving();
}

INSTANTIATE_TEST_SUITE_P(Roles, WritePathTest,
                         testing::Values(role::writer, role::value_file, role::node_db, role::sync_timer,
                                         role::digester));

TEST_F(StorageNodeTest, IsBusyWhileItRecovers) {
  kill(role::writer);
  node().run_without({"cairn.opener"});
  const auto object = lab.new_object(true, {});
  const auto refused = node().send<archive_reply>(entire_of(object));
  node().run_without({"cairn.opener"});
  ASSERT_TRUE(refused->reply);
  EXPECT_EQ(refused->reply->result, errc::busy);
  EXPECT_NE(refused->reply->error_message.find("recovery"), std::string::npos)
    << refused->reply->error_message;
  const auto status = node().send<status_reply>(get_status{});
  node().run_without({"cairn.opener"});
  ASSERT_TRUE(status->reply);
  EXPECT_EQ(status->reply->phase, node_phase::starting);
  node().run();
  expect_serving();
}

TEST_F(StorageNodeTest, NodeAddedByAnOldSessionAfterARebuildIsKnownToNewOnes) {
  kill(role::writer);
  node().run();
  ASSERT_EQ(node().state().phase, node_phase::ready);
  ASSERT_EQ(node().call<archive_reply>(add_node{{}, node_id{5}, "late", {}, 0}).result, errc::success);

  caf::anon_send_exit(node().state().sessions.begin()->second.reply, caf::exit_reason::kill);
  node().run();
  ASSERT_EQ(node().call<hello_reply>(hello{}).result, errc::success);
  std::vector<std::string> names;
  for (const auto& known : node().call<nodes_reply>(list_nodes{}).nodes)
    names.push_back(known.name);
  EXPECT_NE(std::find(names.begin(), names.end(), "late"), names.end());
  EXPECT_NE(std::find(names.begin(), names.end(), "away"), names.end()) << "known before the rebuild";
}

TEST_F(StorageNodeTest, OfTwoNodesUnderWayWithOneNumberTheSecondIsRefusedAndTheFirstKeepsIt) {
  const auto first = node().send<archive_reply>(add_node{{}, node_id{5}, "first", {}, 0});
  const auto second = node().send<archive_reply>(add_node{{}, node_id{5}, "second", {}, 0});
  node().run();
  ASSERT_TRUE(first->reply && second->reply);
  EXPECT_EQ(first->reply->result, errc::success) << first->reply->error_message;
  EXPECT_EQ(second->reply->result, errc::invalid_message);
  EXPECT_NE(second->reply->error_message.find("has another name"), std::string::npos)
    << second->reply->error_message;
  EXPECT_EQ(node().state().nodes->name_of(node_id{5}), "first");
  node().restart();
  EXPECT_EQ(node().state().nodes->name_of(node_id{5}), "first");
}

TEST_F(StorageNodeTest, ReaderThatDiesIsReplacedAlone) {
  const auto object = lab.new_object(true, {});
  lab.bring(object, "final", hold::filling);
  const auto writer = node().state().writer;
  const auto question = node().send<lookup_reply>(lookup{{}, collection_id{1}, object.key(), {}});
  node().run_without({"cairn.reader"});
  kill(role::reader);
  node().run();
  ASSERT_TRUE(question->reply) << "what it was at is answered";
  EXPECT_EQ(node().state().writer, writer);
  EXPECT_EQ(node().state().phase, node_phase::ready);
  EXPECT_EQ(lab.state_of(object), "final");
}

TEST_F(StorageNodeTest, FaultThatRepeatsEndsTheNodeWithAMessage) {
  std::string why;
  node().handle()->attach_functor([&](const caf::error& reason) { why = caf::to_string(reason); });
  for (int i = 0; i < 5; ++i) {
    kill(role::node_db);
    node().run();
    ASSERT_EQ(node().state().phase, node_phase::ready);
  }
  kill(role::node_db);
  node().run();
  EXPECT_NE(why.find("6 failures within 60 s: a fault that repeats"), std::string::npos) << why;
}

TEST_F(StorageNodeTest, FaultsFarApartAreForgiven) {
  for (int i = 0; i < 12; ++i) {
    kill(role::sync_timer);
    node().run();
    node().pass(31s);
    ASSERT_EQ(node().state().phase, node_phase::ready);
  }
  EXPECT_EQ(node().call<status_reply>(get_status{}).actor_restarts, 12U);
  expect_serving();
}

TEST_F(StorageNodeTest, ReplyActorThatDiesEndsItsSessionAndNoOther) {
  ASSERT_EQ(node().state().sessions.size(), 1U);
  caf::anon_send_exit(node().state().sessions.begin()->second.reply, caf::exit_reason::kill);
  node().run();
  EXPECT_EQ(node().state().sessions.size(), 0U);
  const auto object = lab.new_object(true, {});
  EXPECT_EQ(node().call<archive_reply>(entire_of(object)).result, errc::version_mismatch)
    << "hello is due again";
  EXPECT_EQ(node().call<hello_reply>(hello{}).result, errc::success);
  expect_serving();
  EXPECT_EQ(node().call<status_reply>(get_status{}).actor_restarts, 0U);
}

} // namespace
} // namespace cairn
