#pragma once
/// How a link gets to its host: functions, so that a link knows nothing of sockets and tests give it fakes.

#include "actors/interfaces.hpp"
#include "net/address.hpp"
#include "net/transport/transport.hpp"

#include <chrono>
#include <functional>

namespace cairn {

/// A connection to a host, as far as it is known to stand: the host may be gone already.
struct connected_host {
  host_actor host;
  storage_node_actor node;      ///< without a host: the node itself, found already
  std::uint64_t connection = 0; ///< for connector::cut
};

struct connector {
  /// Blocks until there is a connection, for no longer than the time limit. Called by one thread at a time.
  std::function<result<connected_host>(std::chrono::milliseconds time_limit)> connect;
  /// Ends a connection, with all that it carries; of one that has ended, does nothing. Any thread; returns at
  /// once. What the connection carried is reported down by CAF.
  std::function<void(std::uint64_t connection)> cut;
};

/// Connects to a host's port. The functions may be called when the transport has ended: they fail then.
connector network_connector(transport& wire, const host_port& address);

} // namespace cairn
