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
/// True for addresses that only this machine reaches.
bool is_loopback(const std::string& host);

} // namespace cairn
