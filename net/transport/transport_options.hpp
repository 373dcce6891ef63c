#pragma once
/// What bounds a transport, and who may use it.

#include "net/transport/tls_context.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace cairn {

/// Bounds of one process's connections. Those on bytes and on waiting are a server's; a client's frames alone
/// are bounded.
struct transport_limits {
  std::size_t max_connections = 2'048;
  std::size_t max_handshakes = 256; ///< under way at once; one more ends the oldest
  /// A frame's payload: the largest sequence, and room for what else its message carries.
  std::uint32_t max_frame_bytes = 17U << 20U;
  /// Requests of one connection that are held: past it, nothing more is read from it until some are answered.
  std::uint64_t max_held_bytes = 80U << 20U;
  /// The same of all connections ...
  std::uint64_t max_total_held_bytes = 512U << 20U;
  /// ... but one that holds no more than this is always read from: the greedy wait, not the modest.
  std::uint64_t modest_bytes = 1U << 20U;
  /// Answers that a client has not taken: past it, nothing more is read from it.
  std::uint64_t max_unsent_bytes = 4U << 20U;

  std::chrono::milliseconds handshake_limit{5'000}; ///< from accept to the end of both handshakes
  std::chrono::milliseconds frame_limit{30'000};    ///< from a frame's first byte to its last
  /// While others wait for room, a large frame must come evenly over frame_limit, but for so long at its
  /// begin.
  std::chrono::milliseconds frame_grace{2'000};
  std::chrono::milliseconds idle_limit{300'000}; ///< without a frame
  std::chrono::milliseconds stall_limit{60'000}; ///< with answers that the client does not take
  std::chrono::milliseconds sweep_interval{250}; ///< how often these are looked at
};

/// Says whether a peer with these names in its certificate may connect. Called by any thread.
using peer_policy = std::function<bool(const std::vector<std::string>& names)>;

struct transport_options {
  tls_files tls;           ///< empty = plain
  std::string peer_name;   ///< expected in a server's certificate; empty = the host in its address
  peer_policy may_connect; ///< of a server with TLS; none = whoever has a certificate of the authority
  transport_limits limits;
};

} // namespace cairn
