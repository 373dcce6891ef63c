#pragma once
/// The two ends of a connection to a host process: all that knows how ports are opened and reached.

#include "actors/interfaces.hpp"
#include "net/address.hpp"
#include "net/transport/transport.hpp"

#include <chrono>

#include <caf/actor_system.hpp>

namespace cairn {

/// Publishes a host; transport::stop_listening ends that.
/// @returns the port, also when a free one was asked for (0)
/// @error see transport::listen
result<std::uint16_t> publish_host(transport& wire, const host_port& where, const host_actor& host);

/// A host that answers.
struct reached_host {
  host_actor host;
  std::uint64_t connection = 0; ///< for transport::disconnect
};

/// Connects to a host process. Blocks.
/// @error not_found: nobody listens there; timed_out; version_mismatch: what listens is not such a host, or
/// does not take this client
result<reached_host> connect_host(transport& wire, const host_port& where, std::chrono::milliseconds limit);

/// Asks a connected host for one of its nodes. Blocks.
/// @param name empty = the host's own node
/// @returns its handles. @error what the host answers; timed_out
result<found_node> ask_for_node(caf::actor_system& system, const host_actor& host, const std::string& name,
                                std::chrono::milliseconds limit);

/// Asks a connected host for all of its nodes. Blocks. @error what the host answers; timed_out
result<hosted_nodes> ask_for_nodes(caf::actor_system& system, const host_actor& host,
                                   std::chrono::milliseconds limit);

/// Spawns an actor in a connected host that waits for start_node. Blocks.
/// @error not_allowed: the host's configuration forbids it; shutting_down: it is stopping; version_mismatch;
/// timed_out: the actor may have been made, and ends by itself
result<spawned_node_actor> spawn_node(caf::actor_system& system, const host_actor& host,
                                      std::chrono::milliseconds limit);

} // namespace cairn
