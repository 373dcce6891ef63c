/// A host and its nodes: names, starts, ends, and that none touches another.

#include "tests/actors/host_fixture.hpp"

namespace cairn {
namespace {

using namespace std::chrono_literals;

class NodeHostTest : public host_fixture {
protected:
  NodeHostTest() { options.max_spawned = 4; }

  void configure() {
    node_settings own;
    own.data_directory = base / "own";
    own.node_name = "own";
    own.id = node_id{100};
    options.configured = own;
  }
  pending_outcome<found_node> find(const std::string& name) {
    return get<found_node>(host(), find_node{wire_version, name});
  }
  void expect_refused(const pending_outcome<node_started>& out, errc code, const std::string& word) {
    ASSERT_TRUE(out->reply) << word;
    EXPECT_EQ(out->reply->result, code) << out->reply->error_message;
    EXPECT_NE(out->reply->error_message.find(word), std::string::npos) << out->reply->error_message;
  }
};

TEST_F(NodeHostTest, RunsSeveralNodesAndEndsOneWithoutTouchingTheOthers) {
  const std::array handles{started(1), started(2), started(3)};
  ASSERT_EQ(nodes.size(), 3U);
  for (std::uint64_t i = 0; i < 3; ++i) {
    const auto reply = get<archive_reply>(handles[i], sample_entire(10 + i));
    ASSERT_TRUE(reply->reply);
    EXPECT_EQ(reply->reply->env.message_id, 10 + i);
    EXPECT_EQ(nodes[i].archives, std::vector<std::uint64_t>{10 + i});
    EXPECT_EQ(nodes[i].settings.data_directory, base / "spawned" / nodes[i].settings.node_name);
  }
  const auto ended = get<node_ended>(handles[1], end_node{"node-2"});
  EXPECT_FALSE(ended->reply) << "it is not gone yet";
  finish_stop(nodes[1], 5);
  ASSERT_TRUE(ended->reply);
  EXPECT_EQ(ended->reply->result, errc::success);
  EXPECT_EQ(ended->reply->lost, 5);
  EXPECT_TRUE(has_ended(handles[1]));
  EXPECT_EQ(find("node-2")->reply->result, errc::not_found);
  for (const auto i : {0U, 2U}) {
    EXPECT_EQ(nodes[i].asked_stop, 0);
    EXPECT_FALSE(has_ended(handles[i]));
    EXPECT_TRUE(get<archive_reply>(handles[i], sample_entire(20))->reply);
  }
  started(2); // its name is free again
  EXPECT_EQ(nodes.size(), 4U);
}

TEST_F(NodeHostTest, RepliesToAStartOnlyWhenTheNodeIsReady) {
  const auto handle = spawn_one();
  const auto out = start(handle, start_of(1));
  EXPECT_FALSE(out->reply);
  EXPECT_EQ(nodes[0].asked_ready, 1);
  make_ready(nodes[0]);
  ASSERT_TRUE(out->reply);
  EXPECT_EQ(out->reply->result, errc::success);
  EXPECT_EQ(out->reply->cluster, "trial");
  EXPECT_EQ(out->reply->name, "node-1");
  EXPECT_EQ(out->reply->data_directory, base / "spawned/node-1");
}

TEST_F(NodeHostTest, ARepeatedStartIsTheSameNode) {
  const auto handle = spawn_one();
  const auto other_handle = spawn_one();
  const auto first = start(handle, start_of(1));
  const auto again = start(handle, start_of(1));
  const auto elsewhere = start(other_handle, start_of(1));
  EXPECT_FALSE(first->reply || again->reply || elsewhere->reply);
  make_ready(nodes[0]);
  auto same_place = start_of(1);
  same_place.root = (base / "spawned/x/../node-1").string();
  const auto later = start(other_handle, same_place);
  const auto from_new = start(spawn_one(), start_of(1));
  for (const auto& out : {first, again, elsewhere, later, from_new}) {
    ASSERT_TRUE(out->reply);
    EXPECT_EQ(out->reply->result, errc::success) << out->reply->error_message;
  }
  EXPECT_EQ(nodes.size(), 1U);
  EXPECT_EQ(nodes[0].asked_ready, 1);
  get<archive_reply>(other_handle, sample_entire(5));
  EXPECT_EQ(nodes[0].archives.size(), 1U);
}

TEST_F(NodeHostTest, RefusesWhatDoesNotFitBesideTheOthers) {
  configure();
  const auto first = started(1);
  const auto spare = spawn_one();
  const auto refused = [&](const spawned_node_actor& handle, start_node message, errc code,
                           const std::string& word) {
    expect_refused(start(handle, std::move(message)), code, word);
  };
  auto message = start_of(2);
  message.version = wire_version + 1;
  refused(spare, message, errc::version_mismatch, "wire version");
  message = start_of(2);
  message.root = "../outside";
  refused(spare, message, errc::not_allowed, "must lie below");
  message = start_of(2);
  message.idle_limit_ms = 0;
  refused(spare, message, errc::invalid_message, "idle_limit_ms");
  message = start_of(2);
  message.name = "own";
  refused(spare, message, errc::conflict, "own node");
  message = start_of(2);
  message.node = node_id{100};
  refused(spare, message, errc::conflict, "number 100");
  message = start_of(2);
  message.root = "node-1";
  refused(spare, message, errc::conflict, "in use");
  message.root = "node-1/postgres";
  refused(spare, message, errc::conflict, "in use");
  message = start_of(1);
  message.sync_interval_ms = 7;
  refused(spare, message, errc::conflict, "other settings");
  message = start_of(1);
  message.on_coordinator_loss = coordinator_loss::go_on;
  refused(first, message, errc::conflict, "other settings");
  refused(first, start_of(2), errc::conflict, "node-1");
  EXPECT_EQ(nodes.size(), 2U) << "the configured one and the first";
  EXPECT_EQ(nodes[1].asked_stop, 0);

  const auto out = start(spare, start_of(2)); // and is none the worse for it
  make_ready(nodes.back());
  EXPECT_EQ(out->reply->result, errc::success);
}

TEST_F(NodeHostTest, RefusesMoreNodesThanItMayRun) {
  for (const auto number : {1, 2, 3, 4})
    started(number);
  expect_refused(start(spawn_one(), start_of(5)), errc::busy, "4");
  EXPECT_EQ(nodes.size(), 4U);
}

TEST_F(NodeHostTest, RefusesAStartThatNobodySent) {
  const auto handle = spawn_one();
  caf::anon_send(handle, start_of(1));
  run();
  EXPECT_TRUE(nodes.empty());
}

TEST_F(NodeHostTest, TellsWhyAStartFailedWhenItsDirectoryIsFree) {
  const auto handle = spawn_one();
  const auto out = start(handle, start_of(1));
  as(nodes[0], [&] {
    for (auto& promise : std::exchange(nodes[0].awaiting_ready, {}))
      promise.deliver(readiness{errc::conflict, "in use by process 7", {}});
  });
  EXPECT_FALSE(out->reply) << "its actor holds lock and database still";
  kill(nodes[0].actor);
  run();
  expect_refused(out, errc::conflict, "process 7");
  EXPECT_EQ(find("node-1")->reply->result, errc::not_found);

  const auto again = start(handle, start_of(1)); // the same actor may try again
  make_ready(nodes.back());
  ASSERT_TRUE(again->reply);
  EXPECT_EQ(again->reply->result, errc::success);
}

TEST_F(NodeHostTest, ANodeThatDiesOverItsStartIsAFailedStart) {
  const auto handle = spawn_one();
  const auto out = start(handle, start_of(1));
  kill(nodes[0].actor);
  run();
  expect_refused(out, errc::internal_error, "while it started");
}

TEST_F(NodeHostTest, ANodeThatFailsEndsItsOwnHandlesAlone) {
  const std::array handles{started(1), started(2)};
  kill(nodes[0].actor);
  run();
  EXPECT_TRUE(has_ended(handles[0]));
  EXPECT_FALSE(has_ended(handles[1]));
  EXPECT_FALSE(has_ended(host()));
  EXPECT_EQ(find("node-1")->reply->result, errc::not_found);
  EXPECT_EQ(find("node-2")->reply->result, errc::success);
}

TEST_F(NodeHostTest, EndWaitsForAStartAndRefusesOtherNames) {
  const auto handle = spawn_one();
  const auto out = start(handle, start_of(1));
  const auto wrong = get<node_ended>(handle, end_node{"node-9"});
  ASSERT_TRUE(wrong->reply);
  EXPECT_EQ(wrong->reply->result, errc::conflict);
  const auto first = get<node_ended>(handle, end_node{});
  const auto second = get<node_ended>(handle, end_node{});
  EXPECT_EQ(nodes[0].asked_stop, 0);
  make_ready(nodes[0]);
  EXPECT_EQ(nodes[0].asked_stop, 1);
  finish_stop(nodes[0]);
  expect_refused(out, errc::shutting_down, "stopped");
  ASSERT_TRUE(first->reply && second->reply);
  EXPECT_TRUE(has_ended(handle));
}

TEST_F(NodeHostTest, EndingAnActorThatWasNotStartedEndsItAlone) {
  const auto handle = spawn_one();
  const auto out = get<node_ended>(handle, end_node{});
  ASSERT_TRUE(out->reply);
  EXPECT_EQ(out->reply->result, errc::success);
  EXPECT_TRUE(has_ended(handle));
}

TEST_F(NodeHostTest, AStartDuringTheEndIsToldToComeAgain) {
  const auto handle = started(1);
  get<node_ended>(handle, end_node{});
  expect_refused(start(spawn_one(), start_of(1)), errc::shutting_down, "ending");
  finish_stop(nodes[0]);
  started(1);
}

TEST_F(NodeHostTest, ANodeThatDoesNotStopIsKilled) {
  options.stop_limit = 1s;
  const auto handle = started(1);
  const auto out = get<node_ended>(handle, end_node{});
  pass(999ms);
  EXPECT_FALSE(out->reply);
  pass(1ms);
  ASSERT_TRUE(out->reply);
  EXPECT_TRUE(has_ended(nodes[0].actor));
}

// --- coordinators ---

TEST_F(NodeHostTest, ANodeStopsWhenItsCoordinatorIsLost) {
  const auto coordinator = spawn_client();
  const auto handle = started(coordinator, start_of(1));
  const auto other = started(2);
  kill(coordinator);
  run();
  EXPECT_EQ(nodes[0].asked_stop, 1);
  EXPECT_EQ(nodes[1].asked_stop, 0);
  finish_stop(nodes[0]);
  EXPECT_TRUE(has_ended(handle));
  EXPECT_FALSE(has_ended(other));
}

TEST_F(NodeHostTest, ANodeGoesOnWithoutItsCoordinatorAndIsFound) {
  auto message = start_of(1);
  message.on_coordinator_loss = coordinator_loss::go_on;
  const auto coordinator = spawn_client();
  started(coordinator, message);
  kill(coordinator);
  run();
  EXPECT_EQ(nodes[0].asked_stop, 0);
  const auto listed = get<hosted_nodes>(host(), list_hosted{});
  ASSERT_EQ(listed->reply->nodes.size(), 1U);
  EXPECT_EQ(listed->reply->nodes[0].coordinators, 0);

  const auto found = find("node-1");
  ASSERT_TRUE(found->reply);
  ASSERT_EQ(found->reply->result, errc::success);
  EXPECT_TRUE(get<archive_reply>(found->reply->node, sample_entire(1))->reply);
  const auto adopted = start(found->reply->control, message);
  EXPECT_EQ(adopted->reply->result, errc::success);
  EXPECT_EQ(get<hosted_nodes>(host(), list_hosted{})->reply->nodes[0].coordinators, 1);
  const auto ended = get<node_ended>(found->reply->control, end_node{});
  finish_stop(nodes[0]);
  EXPECT_TRUE(ended->reply);
}

TEST_F(NodeHostTest, TheLastCoordinatorDecides) {
  const auto old_one = spawn_client();
  const auto new_one = spawn_client();
  started(old_one, start_of(1));
  start(new_one, spawn_one(), start_of(1)); // it is back before the loss of its old connection is noticed
  kill(old_one);
  run();
  EXPECT_EQ(nodes[0].asked_stop, 0);
  kill(new_one);
  run();
  EXPECT_EQ(nodes[0].asked_stop, 1);
  finish_stop(nodes[0]);
}

TEST_F(NodeHostTest, ACoordinatorLostDuringTheStartIsMissedWhenTheNodeIsReady) {
  const auto coordinator = spawn_client();
  start(coordinator, spawn_one(), start_of(1));
  kill(coordinator);
  run();
  EXPECT_EQ(nodes[0].asked_stop, 0);
  make_ready(nodes[0]);
  EXPECT_EQ(nodes[0].asked_stop, 1);
  finish_stop(nodes[0]);
}

TEST_F(NodeHostTest, ACoordinatorThatIsBackBeforeTheNodeIsReadyKeepsIt) {
  const auto coordinator = spawn_client();
  start(coordinator, spawn_one(), start_of(1));
  kill(coordinator);
  run();
  const auto out = start(spawn_one(), start_of(1));
  make_ready(nodes[0]);
  EXPECT_EQ(nodes[0].asked_stop, 0);
  EXPECT_EQ(out->reply->result, errc::success);
}

TEST_F(NodeHostTest, ACoordinatorThatIsDeadAlreadyCountsAsLost) {
  const auto coordinator = spawn_client();
  const auto handle = spawn_one();
  caf::send_as(coordinator, caf::actor_cast<caf::actor>(handle), start_of(1));
  kill(coordinator);
  run();
  ASSERT_EQ(nodes.size(), 1U);
  make_ready(nodes[0]);
  EXPECT_EQ(nodes[0].asked_stop, 1);
  finish_stop(nodes[0]);
}

TEST_F(NodeHostTest, HandlesWithoutCoordinatorMakeRoomForNewOnes) {
  options.max_controls = 2;
  auto message = start_of(1);
  message.on_coordinator_loss = coordinator_loss::go_on;
  std::vector<spawned_node_actor> handles;
  std::vector<caf::actor> coordinators;
  for (int i = 0; i < 3; ++i) {
    coordinators.push_back(spawn_client());
    handles.push_back(spawn_one());
    start(coordinators.back(), handles.back(), message);
    if (i == 0)
      make_ready(nodes[0]);
    else if (i == 1)
      kill(coordinators.back());
    run();
  }
  EXPECT_FALSE(has_ended(handles[0]));
  EXPECT_TRUE(has_ended(handles[1])) << "its coordinator is lost";
  EXPECT_FALSE(has_ended(handles[2]));
  EXPECT_EQ(find("node-1")->reply->control, handles[0]);
}

// --- the host's own node, and the end ---

TEST_F(NodeHostTest, ItsOwnNodeStartsWhenTheProcessAsks) {
  configure();
  const auto found = find("");
  ASSERT_TRUE(found->reply);
  EXPECT_EQ(found->reply->name, "own");
  EXPECT_FALSE(found->reply->control) << "no coordinator ends it";
  EXPECT_EQ(nodes[0].asked_ready, 0);
  const auto ready = get<readiness>(host(), await_ready{});
  EXPECT_EQ(nodes[0].asked_ready, 1);
  EXPECT_FALSE(ready->reply);
  make_ready(nodes[0]);
  ASSERT_TRUE(ready->reply);
  EXPECT_EQ(ready->reply->result, errc::success);
  EXPECT_EQ(get<readiness>(host(), await_ready{})->reply->result, errc::success);
}

TEST_F(NodeHostTest, AnEmptyHostIsReadyAtOnce) {
  EXPECT_EQ(get<readiness>(host(), await_ready{})->reply->result, errc::success);
  const auto found = find("");
  EXPECT_EQ(found->reply->result, errc::not_found);
}

TEST_F(NodeHostTest, TellsWhyItsOwnNodeDoesNotStart) {
  configure();
  const auto ready = get<readiness>(host(), await_ready{});
  fail_start(nodes[0], errc::conflict, "another node's data");
  ASSERT_TRUE(ready->reply);
  EXPECT_EQ(ready->reply->result, errc::conflict);
  EXPECT_EQ(ready->reply->error_message, "another node's data");
}

TEST_F(NodeHostTest, FailureOfItsOwnNodeStopsTheOthersInOrderFirst) {
  configure();
  get<readiness>(host(), await_ready{});
  make_ready(nodes[0]);
  const auto handle = started(1);
  kill(nodes[0].actor);
  run();
  EXPECT_EQ(nodes[1].asked_stop, 1);
  EXPECT_FALSE(has_ended(host()));
  finish_stop(nodes[1]);
  EXPECT_TRUE(has_ended(host()));
  EXPECT_TRUE(has_ended(handle));
}

TEST_F(NodeHostTest, StopsAllNodesSideBySideAndCountsWhatTheyLost) {
  configure();
  get<readiness>(host(), await_ready{});
  make_ready(nodes[0]);
  const auto handle = started(1);
  const auto starting_handle = spawn_one();
  const auto starting = start(starting_handle, start_of(2));
  const auto unstarted = spawn_one();
  const auto stopped = get<node_stopped>(host(), stop_host{});
  for (const auto& node : nodes)
    EXPECT_EQ(node.asked_stop, 1) << node.settings.node_name;
  EXPECT_TRUE(has_ended(unstarted));
  EXPECT_EQ(find("own")->reply->result, errc::shutting_down);
  expect_refused(start(handle, start_of(1)), errc::shutting_down, "stopping");
  const auto late = spawn_one();
  EXPECT_TRUE(has_ended(late)) << "no actor may be alive when the actor system ends";

  finish_stop(nodes[1], 2);
  finish_stop(nodes[2], 3);
  expect_refused(starting, errc::shutting_down, "stopped");
  EXPECT_FALSE(stopped->reply);
  finish_stop(nodes[0], 4);
  ASSERT_TRUE(stopped->reply);
  EXPECT_EQ(stopped->reply->lost, 9);
  EXPECT_TRUE(has_ended(host()) && has_ended(handle) && has_ended(starting_handle));
}

TEST_F(NodeHostTest, StopsAtOnceWithoutNodes) {
  const auto stopped = get<node_stopped>(host(), stop_host{});
  ASSERT_TRUE(stopped->reply);
  EXPECT_TRUE(has_ended(host()));
  EXPECT_FALSE(gate->host());
}

TEST_F(NodeHostTest, WhateverEndsItTakesItsActorsAlong) {
  const auto handle = started(1);
  const auto unstarted = spawn_one();
  const auto starting = start(unstarted, start_of(2));
  kill(host());
  run();
  EXPECT_TRUE(has_ended(handle) && has_ended(unstarted));
  EXPECT_TRUE(has_ended(nodes[0].actor) && has_ended(nodes[1].actor));
  ASSERT_TRUE(starting->reply);
  EXPECT_NE(starting->reply->result, errc::success);
  EXPECT_FALSE(gate->host());
}

TEST_F(NodeHostTest, ListsItsOwnNodeFirst) {
  configure();
  started(2);
  started(1);
  const auto listed = get<hosted_nodes>(host(), list_hosted{});
  ASSERT_TRUE(listed->reply);
  EXPECT_EQ(listed->reply->cluster, "trial");
  EXPECT_TRUE(listed->reply->allows_spawn);
  ASSERT_EQ(listed->reply->nodes.size(), 3U);
  const hosted_node own{"own", node_id{100}, node_phase::starting, false, base / "own", {}, 0};
  EXPECT_EQ(listed->reply->nodes[0], own);
  const hosted_node first{"node-1", node_id{1}, node_phase::ready, true, base / "spawned/node-1", {}, 1};
  EXPECT_EQ(listed->reply->nodes[1], first);
  EXPECT_EQ(listed->reply->nodes[2].name, "node-2");
}

TEST_F(NodeHostTest, RefusesQuestionsOfAnotherVersion) {
  EXPECT_EQ(get<found_node>(host(), find_node{wire_version + 1, {}})->reply->result, errc::version_mismatch);
  EXPECT_EQ(get<hosted_nodes>(host(), list_hosted{wire_version + 1})->reply->result, errc::version_mismatch);
  EXPECT_EQ(get<heartbeat>(host(), heartbeat{7})->reply->number, 7U);
}

} // namespace
} // namespace cairn
