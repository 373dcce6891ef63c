#pragma once
/// Where a node listens.

#include "core/errc.hpp"

#include <cstdint>
#include <string>

namespace cairn {

inline constexpr auto default_address = "127.0.0.1:4160";

struct host_port {
  std::string host;
  std::uint16_t port = 0;
};

/// Reads HOST:PORT; an IPv6 host stands in brackets. @error invalid_message
result<host_port> parse_address(const std::string& text);
std::string to_string(const host_port& address);

/// A node of a host that may have several.
struct node_address {
  host_port host;
  std::string node; ///< empty = the host's own
};

/// Reads HOST:PORT or HOST:PORT/NODE. @error invalid_message
result<node_address> parse_node_address(const std::string& text);
/// True for addresses that only this machine reaches.
bool is_loopback(const std::string& host);

} // namespace cairn
