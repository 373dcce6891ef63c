#pragma once
/// A link between stubs: a network that connects when the test says so, a host, and nodes that answer what
/// they are told to.

#include "net/node_link.hpp"
#include "tests/actors/actor_fixture.hpp"

#include <caf/typed_response_promise.hpp>

namespace cairn {

struct node_script {
  bool greets = true;
  bool beats = true;     ///< answers heartbeats
  bool answers = true;   ///< answers get_status
  bool releases = false; ///< with the next heartbeat it answers what it held, see link_fixture::release()
  hello_reply welcome;

  std::vector<hello> hellos;
  std::vector<caf::actor_addr> clients; ///< who said each hello
  int requests = 0;
  std::vector<caf::typed_response_promise<status_reply>> held; ///< of get_status, when it does not answer
};

struct host_script {
  bool finds = true;
  bool beats = true;
  found_node found;
  std::vector<find_node> questions;
};

struct network_script {
  bool is_reachable = true;
  host_actor host;
  std::vector<std::chrono::steady_clock::time_point> attempts;
  std::vector<std::uint64_t> cuts;
};

storage_node_actor::behavior_type linked_node_stub(storage_node_actor::pointer self, node_script* script);
host_actor::behavior_type linked_host_stub(host_actor::pointer self, host_script* script);

class link_fixture : public actor_fixture {
protected:
  static constexpr std::chrono::milliseconds interval{100};
  static constexpr std::chrono::milliseconds host_timeout{500};
  static constexpr std::chrono::milliseconds connect_timeout{1'000};
  static constexpr std::chrono::milliseconds request_timeout{3'000};
  static constexpr std::uint32_t retry_seed = 7;

  link_fixture();
  link_options options();
  void start_link();
  /// A node, which the host finds from now on.
  storage_node_actor start_node(node_script& script, std::int32_t shard);
  /// What was told to somebody who subscribed, one word each: "connected SHARD" or "lost CODE WHY".
  caf::actor subscribe(std::vector<std::string>& events);

  pending_outcome<status_reply> ask_status();
  /// The node answers what it has held. In its own time: an actor's promise is not for other threads.
  void release(node_script& script, const storage_node_actor& of);
  /// Lets time pass in steps that are short against every limit.
  void step(std::chrono::milliseconds time);
  std::chrono::steady_clock::time_point now() { return scheduler.clock().now(); }

  network_script network;
  host_script host;
  node_script node;
  storage_node_actor node_handle;
  node_link_actor link;
  std::vector<std::string> events;
};

} // namespace cairn
