#pragma once
/// Bytes over a connected non-blocking socket, with or without TLS. Private to the transport.

#include "net/transport/tls_context.hpp"

#include <cstddef>
#include <cstdint>

namespace cairn {

enum class stream_state : std::uint8_t {
  moved,   ///< some bytes were
  blocked, ///< not now: wait until the socket is ready
  ended,   ///< the peer has closed, or the connection is broken
};

struct stream_outcome {
  stream_state state = stream_state::ended;
  std::size_t bytes = 0;
};

/// What stands on the two ends of a finished handshake. SIGPIPE must be ignored in the process. One thread.
class socket_stream {
public:
  /// @param session null = plain; else its handshake is done. It borrows `fd`.
  socket_stream(int fd, tls_session session) : fd_(fd), session_(std::move(session)) {}

  stream_outcome read_some(void* into, std::size_t max_bytes);
  stream_outcome write_some(const void* from, std::size_t bytes);
  /// Bytes that were received and decrypted, and that no readiness of the socket will tell of.
  [[nodiscard]] std::size_t pending_bytes() const;
  /// Tells the peer that nothing more comes.
  void finish();

private:
  int fd_;
  tls_session session_;
};

} // namespace cairn
