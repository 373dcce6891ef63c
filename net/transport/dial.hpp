#pragma once
/// Connects to a listening port, and does the TLS handshake. Private to the transport.

#include "net/address.hpp"
#include "net/transport/connection.hpp"

namespace cairn {

/// Tries each address of the host until one answers. Blocks until the deadline at the latest (and for as long
/// as the system's resolver takes).
/// @param tls null = plain
/// @param peer_name that the certificate must be for; empty = the host
/// @error not_found: the host is not known, nobody listens; version_mismatch: the handshake failed, the text
/// says why; timed_out
result<connected_socket> dial(const host_port& where, const tls_context* tls, const std::string& peer_name,
                              steady_time deadline);

} // namespace cairn
