#pragma once
/// One connection's life: finds the node, says hello, carries requests to it and watches that it lives. Ends,
/// with a link_errc as its reason, as soon as the node is not to be reached this way any more.

#include "net/connector.hpp"
#include "net/link_messages.hpp"

#include <functional>
#include <map>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace cairn {

struct session_options {
  connected_host at;
  std::string node_name; ///< asked of the host; empty = its own, configured node
  hello greeting;
  session_owner owner;                            ///< is sent session_greeted
  std::function<void(std::uint64_t)> cut;         ///< see connector
  std::chrono::milliseconds greet_timeout{5'000}; ///< for find_node and hello together
  std::chrono::milliseconds request_timeout{60'000};
  std::chrono::milliseconds heartbeat_interval{2'000}; ///< 0 = none: the node is monitored, no more
  std::chrono::milliseconds host_timeout{10'000};
};

/// session -> itself: time for the next heartbeat.
struct heartbeat_due {};
/// session -> itself: has the node been silent for too long?
struct judge_silence {};
/// session -> itself: the oldest request may be overdue.
struct judge_requests {};

using node_session_actor =
  storage_node_actor::extend<caf::reacts_to<heartbeat_due>, caf::reacts_to<judge_silence>,
                             caf::reacts_to<judge_requests>>;

/// A request that the session carries.
struct carried_request {
  std::chrono::steady_clock::time_point deadline;
  std::function<void(const caf::error&)> fail;
};

struct node_session_state {
  node_session_state() = default;
  node_session_state(const node_session_state&) = delete;
  node_session_state& operator=(const node_session_state&) = delete;
  /// Whatever ends the actor: those who wait hear of it.
  ~node_session_state();

  session_options options;
  storage_node_actor node; ///< once it is found
  std::chrono::steady_clock::time_point greet_deadline;
  bool is_greeted = false;
  std::uint64_t next_request = 1;
  std::map<std::uint64_t, carried_request> under_way; ///< by number, which is by deadline
  bool is_judging_requests = false;                   ///< a judge_requests is under way

  std::chrono::steady_clock::time_point last_reply; ///< of the node, to whatever
  std::uint64_t last_heartbeat = 0;
  std::uint64_t first_unanswered = 0; ///< heartbeat; 0 = the node has answered the last one
  std::chrono::steady_clock::time_point unanswered_since;
  std::uint64_t host_answered = 0;                     ///< heartbeat that the host answered last
  std::chrono::steady_clock::time_point judgement_due; ///< of the judge_silence under way, if there is one
  bool is_judging = false;
  static inline const char* name = "cairn.node_session";
};

node_session_actor::behavior_type node_session(node_session_actor::stateful_pointer<node_session_state> self,
                                               session_options options);

} // namespace cairn

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::heartbeat_due)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::judge_silence)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::judge_requests)
