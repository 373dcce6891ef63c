#pragma once
/// Connects to a listening port, and does the TLS handshake. Private to the transport.

#include "net/address.hpp"
#include "net/transport/connection.hpp"
#include "net/transport/resolve.hpp"

#include <vector>

namespace cairn {

/// Tries each address until one answers; the time left is shared among those not tried yet.
/// @error not_found, timed_out: what the last one tried came to
result<posix::unique_fd> connect_to_any(const std::vector<resolved_address>& addresses, steady_time deadline);

/// Connects to whichever address of the host answers, see connect_to_any. Blocks until the deadline at the
/// latest (and for as long as the system's resolver takes).
/// @param tls null = plain
/// @param peer_name that the certificate must be for; empty = the host
/// @error not_found: the host is not known, nobody listens; version_mismatch: the handshake failed, the text
/// says why; timed_out
result<connected_socket> dial(const host_port& where, const tls_context* tls, const std::string& peer_name,
                              steady_time deadline);

} // namespace cairn
