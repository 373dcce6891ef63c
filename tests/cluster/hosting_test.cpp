/// Nodes that coordinators spawn in host processes, over real sockets, processes, disks and databases.

#include "tests/harness/archives.hpp"
#include "tests/harness/coordinator.hpp"
#include "tests/harness/host_process.hpp"

#include <csignal>
#include <filesystem>
#include <iostream>

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>
#include <unistd.h>

namespace cairn {
namespace {

using namespace harness;

/// A start of node NUMBER that succeeds.
start_node start_of_node(std::int32_t number) {
  start_node message;
  message.name = fmt::format("node-{}", number);
  message.node = node_id{number};
  message.root = message.name;
  return message;
}

class HostingTest : public testing::Test {
protected:
  [[nodiscard]] host_options empty() const {
    return {.has_node = false, .remote_spawn = true, .spawn_root = scratch_ / "spawned"};
  }
  [[nodiscard]] host_options with_a_node() const {
    return {.remote_spawn = true, .spawn_root = scratch_ / "spawned"};
  }
  /// An empty one, unless the test has made another.
  host_process& host() {
    if (!host_)
      host_.emplace(empty());
    return *host_;
  }
  coordinator& gateway() {
    if (!gateway_)
      gateway_.emplace(host());
    return *gateway_;
  }
  spawned_node_actor started(const start_node& message) { return gateway().spawn_node(message).handle(); }
  found_node find(const std::string& name = {}) {
    return gateway().ask<found_node>(gateway().host(), find_node{wire_version, name});
  }
  program_outcome cairn(std::vector<std::string> arguments, const std::string& input = {}) {
    arguments.insert(arguments.begin(), program_path("cairn"));
    return run_program(arguments, input);
  }
  template <class Handle>
  void expect_serves(const Handle& handle, const std::string& key) {
    const auto client = gateway().attach(handle);
    const auto object = make_object(*client, key, {5'000});
    EXPECT_EQ(archive(*client, object).result, errc::success);
    expect_holds(*client, object);
  }
  static void expect_holds(client& node, const sample_object& object) {
    retrieve_start question;
    question.segment = object.key();
    const auto got = retrieve(node, question);
    EXPECT_EQ(got.result, errc::success) << got.first.error_message;
    EXPECT_TRUE(got.bytes == content_of(object));
  }
  std::vector<hosted_node> hosted() {
    return gateway().ask<hosted_nodes>(gateway().host(), list_hosted{}).nodes;
  }
  void expect_refused(const start_node& message, errc code, const std::string& word) {
    const auto answer = gateway().start(gateway().spawn_unstarted(), message);
    EXPECT_EQ(answer.result, code) << word;
    EXPECT_NE(answer.error_message.find(word), std::string::npos) << answer.error_message;
  }

  scratch_directory scratch_;
  std::optional<host_process> host_;
  std::optional<coordinator> gateway_; ///< gone before the host
};

TEST_F(HostingTest, ThreeNodesInOneHostAndOneStopsWithoutTheOthers) {
  auto secured = empty();
  secured.tls = true;
  host_.emplace(secured);
  EXPECT_EQ(host().ready_line(), "ready node=- listen=" + to_string(host().direct_address()));
  const std::array handles{started(start_of_node(1)), started(start_of_node(2)), started(start_of_node(3))};
  for (const auto& handle : handles)
    expect_serves(handle, "first");
  auto kept = gateway().attach(handles[1]);
  const auto object = make_object(*kept, "kept", {1'000});
  ASSERT_EQ(archive(*kept, object).result, errc::success);

  EXPECT_EQ(gateway().ask<node_ended>(handles[1], end_node{"node-2"}).result, errc::success);
  for (const auto i : {0U, 2U})
    expect_serves(handles[i], "second");
  EXPECT_EQ(hosted().size(), 2U);

  const auto again = started(start_of_node(2)); // at once: lock and database server are free
  expect_holds(*gateway().attach(again), object);
  kept.reset();
  gateway_.reset();
  EXPECT_EQ(host().stop(), 0) << host().log();
}

TEST_F(HostingTest, StopsInOrderWithSpawnedAndUnstartedActors) {
  host_.emplace(with_a_node());
  started(start_of_node(2));
  const auto unstarted = gateway().spawn_unstarted();
  EXPECT_EQ(host().stop(), 0) << host().log(); // under ASan: nothing leaked, too
  gateway().wait_until_lost(unstarted);
}

TEST_F(HostingTest, RefusesOverTheWireAndGoesOn) {
  host_.emplace(with_a_node());
  auto message = start_of_node(2);
  message.root = "../../outside";
  expect_refused(message, errc::not_allowed, "must lie below");
  EXPECT_FALSE(std::filesystem::exists(scratch_ / "../outside"));
  message = start_of_node(2);
  message.version = wire_version + 1;
  expect_refused(message, errc::version_mismatch, "wire version");
  message = start_of_node(2);
  message.name = "node-1";
  expect_refused(message, errc::conflict, "own node");
  message = start_of_node(2);
  message.cluster = "another";
  expect_refused(message, errc::not_allowed, "cluster");
  message = start_of_node(2);
  message.limits.max_sequence_bytes = 0;
  expect_refused(message, errc::invalid_message, "max_sequence_bytes");

  // Another host over the same root has the directory's lock.
  host_process other(empty());
  harness::coordinator other_gateway(other);
  const auto taken = other_gateway.spawn_node(start_of_node(2));
  expect_refused(start_of_node(2), errc::conflict, "in use by process");
  const auto found = find();
  expect_serves(found.node, "still here");
}

TEST_F(HostingTest, SpawnsNothingUnlessItIsAllowed) {
  host_.emplace();
  const auto spawned = spawn_node(gateway().system(), gateway().host(), std::chrono::seconds{60});
  ASSERT_FALSE(spawned);
  EXPECT_EQ(spawned.error().code, errc::not_allowed);
  expect_serves(find().node, "key");
}

TEST_F(HostingTest, AHostThatWasKilledGivesItsNodesBack) {
  auto client = gateway().attach(started(start_of_node(1)));
  const auto object = make_object(*client, "kept", {1'000});
  ASSERT_EQ(archive(*client, object).result, errc::success);
  host().kill();
  client.reset();
  gateway_.reset();
  host().restart();
  expect_holds(*gateway().attach(started(start_of_node(1))), object);
}

// --- the loss of a coordinator ---

/// A coordinator in a process of its own: this program, see main(). Started until it is killed.
class other_process {
public:
  other_process(const host_port& host, coordinator_loss on_loss) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0)
      throw harness_error("pipe2");
    const posix::unique_fd output(ends[0]);
    posix::unique_fd input(ends[1]);
    program_ =
      std::make_unique<program>(std::vector<std::string>{"/proc/self/exe", "coordinator", to_string(host),
                                                         std::string{to_string(on_loss)}},
                                program::streams{-1, input.get(), STDERR_FILENO});
    input = posix::unique_fd();
    char byte = 0;
    if (::read(output.get(), &byte, 1) != 1)
      throw harness_error("the other coordinator failed");
  }
  void kill_9() {
    program_->send(SIGKILL);
    program_->wait(soon());
  }

private:
  std::unique_ptr<program> program_;
};

TEST_F(HostingTest, ANodeStopsWhenItsCoordinatorIsKilled) {
  other_process other(host().address(), coordinator_loss::stop);
  const auto found = find("node-1");
  ASSERT_EQ(found.result, errc::success);
  expect_serves(found.node, "key");
  other.kill_9();
  gateway().wait_until_lost(found.node);
  gateway().wait_until_lost(found.control);
  const auto later = find("node-1");
  EXPECT_EQ(later.result, errc::not_found);
  started(start_of_node(1)); // its data and lock are there to be taken
}

TEST_F(HostingTest, ANodeGoesOnWhenItsCoordinatorIsKilledAndIsTakenOver) {
  other_process other(host().address(), coordinator_loss::go_on);
  const auto has_coordinators = [&] { return hosted().at(0).coordinators != 0; };
  EXPECT_TRUE(has_coordinators());
  other.kill_9();
  for (const auto until = soon(); has_coordinators();)
    ASSERT_LT(std::chrono::steady_clock::now(), until) << "the loss is not noticed";

  const auto found = find("node-1");
  ASSERT_EQ(found.result, errc::success);
  expect_serves(found.node, "key");
  auto message = start_of_node(1);
  message.on_coordinator_loss = coordinator_loss::go_on;
  EXPECT_EQ(gateway().start(found.control, message).result, errc::success);
  EXPECT_TRUE(has_coordinators());
  EXPECT_EQ(gateway().ask<node_ended>(found.control, end_node{}).result, errc::success);
  EXPECT_TRUE(hosted().empty());
}

// --- as operators see it ---

TEST_F(HostingTest, TheCommandLineNamesNodesAndListsThem) {
  const auto address = to_string(host().address());
  const auto empty = cairn({"--node", address, "status"});
  EXPECT_EQ(empty.exit_code, 0) << empty.errors;
  auto message = start_of_node(1);
  message.on_coordinator_loss = coordinator_loss::go_on;
  started(message);
  started(start_of_node(2));

  const auto listed = cairn({"--node", address, "--json", "status"});
  ASSERT_EQ(listed.exit_code, 0) << listed.errors;
  const auto first = nlohmann::json::parse(listed.output.substr(0, listed.output.find('\n')));
  EXPECT_EQ(first.at("node"), "node-1");
  EXPECT_EQ(first.at("phase"), "ready");
  EXPECT_EQ(first.at("on_coordinator_loss"), "go_on");
  EXPECT_NE(listed.output.find("node-2"), std::string::npos);

  const auto put = cairn({"--node", address + "/node-1", "put", "-", "--key", "note"}, "some bytes");
  EXPECT_EQ(put.exit_code, 0) << put.errors;
  const auto got = cairn({"--node", address + "/node-1", "get", "note"});
  EXPECT_EQ(got.output, "some bytes") << got.errors;
  EXPECT_EQ(cairn({"--node", address + "/node-2", "get", "note"}).exit_code, 3);

  const auto unnamed = cairn({"--node", address, "ls"});
  EXPECT_EQ(unnamed.exit_code, 1);
  EXPECT_NE(unnamed.errors.find("node-1, node-2"), std::string::npos) << unnamed.errors;
  EXPECT_EQ(cairn({"--node", address + "/nobody", "ls"}).exit_code, 1);
  EXPECT_EQ(cairn({"--node", address + "/", "ls"}).exit_code, 2);
}

TEST_F(HostingTest, CairndSaysWhatItNeeds) {
  const auto refused = [&](std::vector<std::string> arguments, const std::string& word) {
    arguments.insert(arguments.begin(), program_path("cairnd"));
    const auto out = run_program(arguments);
    EXPECT_EQ(out.exit_code, 1);
    EXPECT_NE(out.errors.find(word), std::string::npos) << out.errors;
  };
  refused({"--listen=127.0.0.1:0"}, "--data-dir");
  refused({"--listen=127.0.0.1:0", "--allow-remote-spawn"}, "--spawn-root");
  refused({"--listen=127.0.0.1:0", "--data-dir=" + scratch_ / "own", "--spawn-root=/x"},
          "--allow-remote-spawn");
  refused({"--listen=127.0.0.1:0", "--allow-remote-spawn", "--spawn-root=/proc/nowhere"}, "/proc/nowhere");
}

TEST(NodeAddressTest, IsAHostAndPerhapsANode) {
  const auto plain = parse_node_address("127.0.0.1:5");
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->host.port, 5);
  EXPECT_EQ(plain->node, "");
  const auto named = parse_node_address("[::1]:5/node-7");
  ASSERT_TRUE(named);
  EXPECT_EQ(named->host.host, "::1");
  EXPECT_EQ(named->node, "node-7");
  for (const auto* wrong : {"127.0.0.1:5/", "127.0.0.1/n", "127.0.0.1:5/a/b", "127.0.0.1:5/a b", "/n", ""})
    EXPECT_FALSE(parse_node_address(wrong)) << wrong;
}

/// What other_process runs. @returns only when it fails
int coordinate(const std::string& host, const std::string& on_loss) {
  coordinator by(*parse_address(host));
  auto message = start_of_node(1);
  message.on_coordinator_loss = *parse_coordinator_loss(on_loss);
  const auto node = by.spawn_node(message);
  std::cout << '+' << std::flush;
  ::pause();
  return 1;
}

} // namespace
} // namespace cairn

int main(int argc, char** argv) {
  spdlog::set_level(spdlog::level::warn);
  if (argc == 4 && std::string_view(argv[1]) == "coordinator")
    return cairn::coordinate(argv[2], argv[3]);
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
