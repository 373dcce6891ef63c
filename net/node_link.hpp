#pragma once
/// Keeps one node of a host elsewhere reachable: connects, says hello, notices when the node is lost,
/// connects again. README.md has its states. It is the node to whoever holds it: it has its interface, and
/// answers each request once, by the node's reply or by an error within the request's time limit.

#include "net/back_off.hpp"
#include "net/connector.hpp"
#include "net/link_messages.hpp"
#include "net/node_session.hpp"

#include <map>
#include <optional>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace cairn {

struct link_options {
  connector network;
  std::string node_name; ///< of the host's nodes; empty = its own, configured one
  hello greeting;
  std::chrono::milliseconds connect_timeout{5'000}; ///< for the connection, and again for finding and hello
  std::chrono::milliseconds request_timeout{60'000};
  std::chrono::milliseconds heartbeat_interval{2'000};
  std::chrono::milliseconds host_timeout{10'000}; ///< of silence, and the node is lost
  back_off_limits retry;
  std::uint32_t retry_seed = std::random_device{}();
  /// Whether connecting, which blocks, gets a thread of its own. Only deterministic tests say no.
  bool use_threads = true;
};

/// connecting thread -> link: what came of it.
struct connection_made {
  std::shared_ptr<result<connected_host>> outcome;
};
/// link -> itself: time for the next attempt.
struct retry_due {};

using node_link_internals =
  node_link_actor::extend<caf::reacts_to<connection_made>, caf::reacts_to<session_greeted>,
                          caf::reacts_to<retry_due>>;

struct node_link_state {
  node_link_state() = default;
  node_link_state(const node_link_state&) = delete;
  node_link_state& operator=(const node_link_state&) = delete;
  /// Ends the session, which fails what is under way.
  ~node_link_state();

  enum class phase { connecting, connected, lost };

  link_options options;
  phase now = phase::connecting;
  node_session_actor session; ///< while there is a connection: greeting, or (connected) greeted
  std::optional<back_off> retry;
  std::optional<hello_reply> last_hello; ///< while connected: of now; also says which node this link is for
  std::optional<link_lost> last_loss;    ///< while not connected, if it was told
  std::map<caf::actor_addr, link_subscriber> subscribers;
  static inline const char* name = "cairn.node_link";
};

/// Ends when its owner sends it an exit message, not by itself.
node_link_internals::behavior_type node_link(node_link_internals::stateful_pointer<node_link_state> self,
                                             link_options options);

} // namespace cairn

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::connection_made)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::retry_due)
