/// What a remote spawn gives: answers at once, is not left as an orphan, and is there only if it is allowed.

#include "tests/actors/host_fixture.hpp"

namespace cairn {
namespace {

using namespace std::chrono_literals;

class SpawnedNodeTest : public host_fixture {};

TEST_F(SpawnedNodeTest, AnswersAtOnceThatItIsNotStarted) {
  const auto handle = spawn_one();
  EXPECT_EQ(get<heartbeat>(handle, heartbeat{3})->reply->number, 3U);
  const auto greeted = get<hello_reply>(handle, hello{});
  ASSERT_TRUE(greeted->reply);
  EXPECT_EQ(greeted->reply->result, errc::busy);
  const auto archived = get<archive_reply>(handle, sample_entire(4));
  ASSERT_TRUE(archived->reply);
  EXPECT_EQ(archived->reply->result, errc::busy);
  EXPECT_EQ(archived->reply->env, sample_entire(4).env);
  const auto listed = get<list_reply>(handle, numbered<list_keys>(5));
  ASSERT_TRUE(listed->reply);
  EXPECT_EQ(listed->reply->result, errc::busy);
  EXPECT_EQ(listed->reply->env.message_id, 5U);
  const auto status = get<status_reply>(handle, get_status{});
  ASSERT_TRUE(status->reply);
  EXPECT_EQ(status->reply->phase, node_phase::starting);
  EXPECT_FALSE(status->reply->waits_for.empty());
}

TEST_F(SpawnedNodeTest, OnceStartedTheNodeAnswersItself) {
  const auto handle = started(1);
  EXPECT_EQ(get<heartbeat>(handle, heartbeat{3})->reply->number, 1'003U);
  EXPECT_EQ(get<hello_reply>(handle, hello{})->reply->node, "node-1");
  EXPECT_EQ(get<status_reply>(handle, get_status{})->reply->node, "node-1");
  EXPECT_EQ(get<lookup_reply>(handle, numbered<lookup>(9))->reply->env.message_id, 9U);
}

TEST_F(SpawnedNodeTest, UnstartedItEndsAfterTheLimit) {
  const auto handle = spawn_one();
  const auto other = started(1);
  pass(9'999ms);
  EXPECT_FALSE(has_ended(handle));
  pass(1ms);
  EXPECT_TRUE(has_ended(handle));
  EXPECT_FALSE(has_ended(other));
}

TEST_F(SpawnedNodeTest, AStartUnderWayIsNoOrphan) {
  const auto handle = spawn_one();
  const auto out = start(handle, start_of(1));
  pass(1h);
  EXPECT_FALSE(has_ended(handle));
  make_ready(nodes[0]);
  EXPECT_EQ(out->reply->result, errc::success);
  pass(1h);
  EXPECT_FALSE(has_ended(handle));
}

TEST_F(SpawnedNodeTest, AfterAFailedStartTheLimitBeginsAnew) {
  const auto handle = spawn_one();
  start(handle, start_of(1));
  pass(9s);
  fail_start(nodes[0], errc::no_space, "full");
  pass(9s);
  EXPECT_FALSE(has_ended(handle));
  pass(1s);
  EXPECT_TRUE(has_ended(handle));
}

TEST_F(SpawnedNodeTest, ARefusedStartDoesNotKeepItAliveForEver) {
  const auto handle = spawn_one();
  auto message = start_of(1);
  message.name.clear();
  EXPECT_EQ(start(handle, message)->reply->result, errc::invalid_message);
  pass(10s);
  EXPECT_TRUE(has_ended(handle));
}

TEST_F(SpawnedNodeTest, WhateverEndsItAnswersTheStartUnderWay) {
  const auto handle = spawn_one();
  const auto out = start(handle, start_of(1));
  kill(handle);
  run();
  ASSERT_TRUE(out->reply);
  EXPECT_EQ(out->reply->result, errc::shutting_down);
}

TEST_F(SpawnedNodeTest, ManyUnstartedOnesAreNotKept) {
  options.max_unstarted = 2;
  const std::array handles{spawn_one(), spawn_one(), spawn_one()};
  EXPECT_FALSE(has_ended(handles[0]) || has_ended(handles[1]));
  EXPECT_TRUE(has_ended(handles[2]));
  start(handles[0], start_of(1)); // it does not count any more
  EXPECT_FALSE(has_ended(spawn_one()));
}

TEST_F(SpawnedNodeTest, ItsTypeIsNotThereUnlessItIsAllowed) {
  options.gate = nullptr;
  host();
  const auto spawned = system.spawn<spawned_node_actor>(spawned_node_type, caf::make_message());
  ASSERT_FALSE(spawned);
  EXPECT_EQ(spawned.error(), caf::sec::unknown_type);
}

TEST_F(SpawnedNodeTest, TakesNoArguments) {
  host();
  const auto spawned =
    system.spawn<spawned_node_actor>(spawned_node_type, caf::make_message(std::string("x")));
  ASSERT_FALSE(spawned);
  EXPECT_EQ(spawned.error(), caf::sec::cannot_spawn_actor_from_arguments);
  spawn_one();
}

} // namespace
} // namespace cairn
