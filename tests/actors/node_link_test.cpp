#include "tests/actors/link_fixture.hpp"

namespace cairn {
namespace {

using namespace std::chrono_literals;

class NodeLinkTest : public link_fixture {
protected:
  static void expect_failed(const pending_outcome<status_reply>& out, link_errc code) {
    EXPECT_FALSE(out->reply);
    ASSERT_TRUE(out->error);
    EXPECT_TRUE(*out->error == code) << static_cast<int>(out->error->code());
  }
  /// From now on nothing comes back, as from a process that is stopped.
  void freeze() {
    host.finds = host.beats = false;
    node.greets = node.beats = node.answers = false;
  }
  void thaw() {
    host.finds = host.beats = true;
    node.greets = node.beats = node.answers = true;
  }
};

TEST_F(NodeLinkTest, FindsTheNodeGreetsItAndCarries) {
  start_link();
  ASSERT_EQ(host.questions.size(), 1U);
  EXPECT_EQ(host.questions[0].name, "node-1");
  ASSERT_EQ(node.hellos.size(), 1U);
  EXPECT_EQ(node.hellos[0].client_tag, "tag");
  EXPECT_EQ(events, (std::vector<std::string>{"connected 11"}));

  auto question = numbered<get_status>(5);
  const auto out = ask<status_reply>(link, question);
  run();
  ASSERT_TRUE(out->reply);
  EXPECT_EQ(out->reply->env, question.env);
}

TEST_F(NodeLinkTest, RequestsFailAtOnceWhileThereIsNoConnection) {
  network.is_reachable = false;
  start_link();
  expect_failed(ask_status(), link_errc::not_reachable);
  EXPECT_EQ(node.requests, 0);
  network.is_reachable = true;
  host.finds = false;
  step(200ms); // connected, but the host has not answered yet
  expect_failed(ask_status(), link_errc::not_reachable);
}

TEST_F(NodeLinkTest, FrozenHostIsLostWithinTimeoutAndInterval) {
  start_link();
  step(interval + 50ms); // between two heartbeats: the worst case
  freeze();
  const auto out = ask_status();
  step(host_timeout - 10ms);
  EXPECT_EQ(events.size(), 1U) << events.back();
  EXPECT_FALSE(out->error);

  step(interval + 10ms);
  ASSERT_EQ(events.size(), 2U);
  EXPECT_TRUE(events[1].starts_with("lost 2 no sign of life")) << events[1];
  expect_failed(out, link_errc::connection_lost);
  EXPECT_EQ(network.cuts, (std::vector<std::uint64_t>{1}));
}

TEST_F(NodeLinkTest, FrozenHostThatThawsIsConnectedAgain) {
  start_link();
  freeze();
  step(10s);
  const auto lost = events.size();
  EXPECT_GE(lost, 2U);
  node.welcome.ids.shard = shard_number{12};
  thaw();
  step(connect_timeout + 1'620ms);
  EXPECT_EQ(events.back(), "connected 12");
  EXPECT_TRUE(ask_status()->reply);
}

TEST_F(NodeLinkTest, BusyNodeThatRepliesToAnythingIsNotLost) {
  start_link();
  node.beats = false;
  host.beats = false;
  for (int i = 0; i < 20; ++i) {
    step(host_timeout - 100ms);
    EXPECT_TRUE(ask_status()->reply);
  }
  EXPECT_EQ(events.size(), 1U) << events.back();

  step(host_timeout - 10ms); // from the last reply on it is silent
  EXPECT_EQ(events.size(), 1U) << events.back();
  step(20ms);
  EXPECT_EQ(events.size(), 2U);
}

TEST_F(NodeLinkTest, IdleNodeThatAnswersHeartbeatsIsNotLost) {
  start_link();
  step(20 * host_timeout);
  EXPECT_EQ(events.size(), 1U) << events.back();
  EXPECT_EQ(network.attempts.size(), 1U);
}

TEST_F(NodeLinkTest, ConnectionOfAHostThatAnswersIsNotCut) {
  start_link();
  node.greets = node.beats = node.answers = false;
  step(host_timeout + interval + 10ms);
  EXPECT_EQ(events.size(), 2U);
  step(5s); // the host finds the node, which does not say hello
  EXPECT_TRUE(network.cuts.empty());
  EXPECT_EQ(events.back(), "lost 1 the node does not answer");
}

TEST_F(NodeLinkTest, RequestsUnderWayFailWhenTheNodeGoesDown) {
  start_link();
  node.answers = false;
  const auto first = ask_status();
  const auto second = ask_status();
  kill(node_handle);
  run();
  expect_failed(first, link_errc::connection_lost);
  expect_failed(second, link_errc::connection_lost);
  EXPECT_EQ(events.size(), 2U);
  expect_failed(ask_status(), link_errc::not_reachable);
}

TEST_F(NodeLinkTest, RequestsUnderWayFailWhenTheHostGoesDown) {
  start_link();
  node.answers = false;
  const auto out = ask_status();
  kill(network.host);
  run();
  expect_failed(out, link_errc::connection_lost);
}

TEST_F(NodeLinkTest, RequestThatIsNeverAnsweredTimesOutAndTheLinkStays) {
  start_link();
  node.answers = false;
  const auto out = ask_status();
  step(request_timeout - 10ms);
  EXPECT_FALSE(out->error);
  step(20ms);
  ASSERT_TRUE(out->error);
  EXPECT_TRUE(*out->error == caf::sec::request_timeout);
  EXPECT_EQ(events.size(), 1U) << events.back();
}

TEST_F(NodeLinkTest, EachRequestHasItsOwnDeadline) {
  start_link();
  const auto answered = ask_status();
  run();
  ASSERT_TRUE(answered->reply);
  step(100ms);
  node.answers = false;
  const auto first = ask_status();
  step(200ms);
  const auto second = ask_status();
  step(request_timeout - 210ms);
  EXPECT_FALSE(first->error);
  step(20ms);
  ASSERT_TRUE(first->error);
  EXPECT_TRUE(*first->error == caf::sec::request_timeout);
  EXPECT_FALSE(second->error);
  step(200ms);
  ASSERT_TRUE(second->error);
  EXPECT_TRUE(*second->error == caf::sec::request_timeout);

  step(2 * request_timeout); // with none under way
  const auto third = ask_status();
  step(request_timeout - 10ms);
  EXPECT_FALSE(third->error);
  step(20ms);
  ASSERT_TRUE(third->error);
  EXPECT_TRUE(*third->error == caf::sec::request_timeout);
}

TEST_F(NodeLinkTest, AttemptsBackOffAndBeginAnewAfterSuccess) {
  network.is_reachable = false;
  start_link();
  step(20s);
  back_off expected(options().retry, retry_seed);
  ASSERT_GT(network.attempts.size(), 12U);
  std::chrono::milliseconds whole{100};
  for (std::size_t i = 1; i < network.attempts.size(); ++i) {
    const auto delay = network.attempts[i] - network.attempts[i - 1];
    EXPECT_LE(delay, whole + 10ms) << i;
    EXPECT_GE(delay, whole / 2) << i;
    const auto planned = expected.next();
    EXPECT_GE(delay, planned) << i;
    EXPECT_LT(delay, planned + 10ms) << i;
    whole = std::min<std::chrono::milliseconds>(whole * 2, 1'600ms);
  }
  EXPECT_EQ(events, (std::vector<std::string>{"lost 1 no road"})); // told once: nothing new

  network.is_reachable = true;
  step(1'610ms);
  ASSERT_EQ(events.back(), "connected 11");
  network.is_reachable = false;
  const auto before = network.attempts.size();
  const auto lost_at = now();
  kill(node_handle);
  step(110ms);
  ASSERT_GT(network.attempts.size(), before);
  EXPECT_LE(network.attempts[before] - lost_at, 110ms);
}

TEST_F(NodeLinkTest, SaysHelloAgainAsAnotherClient) {
  start_link();
  node_script next;
  const auto first_handle = node_handle;
  start_node(next, 12);
  kill(first_handle);
  step(200ms);
  EXPECT_EQ(events.back(), "connected 12");
  ASSERT_EQ(next.hellos.size(), 1U);
  EXPECT_EQ(next.hellos[0].incarnation, node.hellos[0].incarnation);
  EXPECT_NE(next.clients[0], node.clients[0]);
  EXPECT_TRUE(ask_status()->reply);
  EXPECT_EQ(next.requests, 1);
}

TEST_F(NodeLinkTest, LateRepliesOfAnOldConnectionAreDropped) {
  start_link();
  node.answers = node.beats = false;
  auto question = numbered<get_status>(1);
  const auto old = ask<status_reply>(link, question);
  node_script next;
  const auto next_handle = start_node(next, 12);
  step(2 * host_timeout);
  ASSERT_EQ(events.back(), "connected 12");
  expect_failed(old, link_errc::connection_lost);

  next.answers = false;
  const auto fresh = ask_status();
  ASSERT_EQ(node.held.size(), 1U);
  release(node, node_handle);
  EXPECT_TRUE(node.held.empty());
  EXPECT_FALSE(old->reply);
  EXPECT_FALSE(fresh->reply);
  ASSERT_EQ(next.held.size(), 1U);
  release(next, next_handle);
  EXPECT_TRUE(fresh->reply);
}

TEST_F(NodeLinkTest, RefusalIsToldAndTriedAgain) {
  node.welcome.result = errc::busy;
  node.welcome.error_message = "the node is starting";
  start_link();
  EXPECT_EQ(events, (std::vector<std::string>{"lost 3 the node is starting"}));
  host.found.result = errc::not_found;
  host.found.error_message = "no such node";
  step(400ms);
  EXPECT_EQ(events.back(), "lost 3 no such node");
  EXPECT_TRUE(network.cuts.empty());
  host.found.result = errc::success;
  node.welcome.result = errc::success;
  step(1'610ms);
  EXPECT_EQ(events.back(), "connected 11");
}

TEST_F(NodeLinkTest, TakesNoOtherNodeThanTheFirst) {
  start_link();
  node_script other;
  start_node(other, 12);
  other.welcome.node = "node-2";
  kill(node_handle);
  step(2s);
  EXPECT_TRUE(events.back().starts_with("lost 3 node node-2 ")) << events.back();
  expect_failed(ask_status(), link_errc::not_reachable);
  EXPECT_EQ(other.requests, 0);
  other.welcome.node = "node-1";
  step(2s);
  EXPECT_EQ(events.back(), "connected 12");
}

TEST_F(NodeLinkTest, CachedHandleOfADeadConnectionIsCutWhenItDoesNotAnswer) {
  host.finds = false;
  start_link();
  step(connect_timeout + 10ms);
  EXPECT_EQ(events.back(), "lost 1 the host does not answer");
  EXPECT_EQ(network.cuts, (std::vector<std::uint64_t>{1}));
}

TEST_F(NodeLinkTest, ProcessThatDidNotRunItselfAsksOnceMore) {
  start_link();
  freeze();
  step(2 * interval); // a heartbeat is under way
  thaw();
  pass(60s); // in one go, as for a process that was stopped
  step(interval);
  EXPECT_EQ(events.size(), 1U) << events.back();
  freeze();
  step(host_timeout + interval + 10ms);
  EXPECT_EQ(events.size(), 2U);
}

TEST_F(NodeLinkTest, SubscribersHearTheStateOfNowAndEachChange) {
  start_link();
  std::vector<std::string> late;
  const auto subscriber = subscribe(late);
  run();
  EXPECT_EQ(late, events);
  network.is_reachable = false;
  kill(node_handle);
  run();
  EXPECT_EQ(late, events);
  EXPECT_EQ(late.size(), 2U);
  std::vector<std::string> later;
  subscribe(later);
  run();
  EXPECT_EQ(later, (std::vector<std::string>{events.back()}));

  caf::send_as(subscriber, link, unsubscribe_link{});
  run();
  node_script next;
  start_node(next, 12);
  network.is_reachable = true;
  step(400ms);
  EXPECT_EQ(late.size(), 2U);
  EXPECT_EQ(events.back(), "connected 12");
}

TEST_F(NodeLinkTest, SubscriberThatEndsIsForgotten) {
  start_link();
  std::vector<std::string> told;
  const auto subscriber = subscribe(told);
  run();
  kill(subscriber);
  run();
  kill(node_handle);
  run();
  EXPECT_EQ(told.size(), 1U);
  EXPECT_EQ(events.size(), 2U);
}

TEST_F(NodeLinkTest, StopFailsWhatIsUnderWay) {
  start_link();
  node.answers = false;
  const auto out = ask_status();
  kill(link);
  run();
  expect_failed(out, link_errc::connection_lost);
}

TEST_F(NodeLinkTest, StopWhileConnectingNeedsNotWaitForTheConnection) {
  link = spawn(node_link, options());
  const auto early = ask<status_reply>(link, get_status{});
  run_without("cairn.connecting");
  EXPECT_TRUE(network.attempts.empty());
  kill(link);
  run(); // connects for nobody
  EXPECT_EQ(network.attempts.size(), 1U);
  EXPECT_TRUE(node.hellos.empty());
  expect_failed(early, link_errc::not_reachable);
}

TEST_F(NodeLinkTest, SessionThatFailsIsALoss) {
  start_link();
  ASSERT_EQ(node.clients.size(), 1U);
  node.answers = false;
  const auto out = ask_status();
  kill(caf::actor_cast<caf::strong_actor_ptr>(node.clients[0]));
  run();
  expect_failed(out, link_errc::connection_lost);
  EXPECT_EQ(events.size(), 2U);
  step(200ms);
  EXPECT_EQ(events.size(), 3U);
  EXPECT_EQ(node.hellos.size(), 2U);
}

} // namespace
} // namespace cairn
