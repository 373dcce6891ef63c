#pragma once
/// Host names and addresses as the socket calls want them. Private to the transport.

#include "core/errc.hpp"
#include "net/address.hpp"

#include <vector>

#include <sys/socket.h>

namespace cairn {

class resolved_address {
public:
  resolved_address(const sockaddr* address, socklen_t size);

  [[nodiscard]] int family() const { return storage_.ss_family; }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage_); }
  [[nodiscard]] socklen_t size() const { return size_; }
  void set_port(std::uint16_t port);

private:
  sockaddr_storage storage_{};
  socklen_t size_;
};

/// Every address of a host, IPv6 and IPv4. Blocks for as long as the system's resolver does.
/// @error not_found: no such host
result<std::vector<resolved_address>> resolve(const host_port& where);

} // namespace cairn
