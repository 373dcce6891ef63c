#pragma once
/// A TCP connection without anything on top of it.

#include "core/disk/posix.hpp"
#include "net/address.hpp"
#include "tests/harness/program.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace cairn::harness {

/// @param to by its IPv4 address
/// @param receive_buffer_bytes of the kernel; 0 = as it has it
/// @throws harness_error when nobody listens there
inline posix::unique_fd connect_plainly(const host_port& to, int receive_buffer_bytes = 0) {
  posix::unique_fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (receive_buffer_bytes != 0)
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer_bytes, sizeof receive_buffer_bytes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(to.port);
  ::inet_pton(AF_INET, to.host.c_str(), &address.sin_addr);
  if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    throw harness_error("cannot connect");
  return fd;
}

} // namespace cairn::harness
