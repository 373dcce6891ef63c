#pragma once
/// A peer that sends requests and reads what comes only when it is told to.

#include "tests/support/plain_socket.hpp"

#include <string>
#include <vector>

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

namespace cairn::harness {

/// Over a plain TCP connection, with a small buffer in the kernel. Each call ends with a harness_error at the
/// latest after two minutes (soon()).
class slow_reader {
public:
  explicit slow_reader(const host_port& to) : fd_(connect_plainly(to, 64 * 1024)) {}

  /// @param bytes few: the other side must have room for them
  void send(const std::string& bytes) {
    if (::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size()))
      throw harness_error("it does not take what is sent");
  }

  /// Waits until so many bytes have come, which stay unread.
  void wait_until_there_are(int bytes) {
    const auto until = soon();
    int there = 0;
    while (::ioctl(fd_.get(), FIONREAD, &there) == 0 && there < bytes)
      if (milliseconds_until(until) <= 0)
        throw harness_error("too little comes");
  }

  /// Reads until the other side ends the connection. @returns how many bytes came
  std::uint64_t read_all() {
    const auto until = soon();
    std::vector<char> buffer(64U * 1024U);
    for (std::uint64_t total = 0;;) {
      pollfd waiting{fd_.get(), POLLIN, 0};
      if (::poll(&waiting, 1, milliseconds_until(until)) < 1)
        throw harness_error("the connection does not end");
      const auto got = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
      if (got <= 0)
        return total;
      total += static_cast<std::uint64_t>(got);
    }
  }

private:
  posix::unique_fd fd_;
};

} // namespace cairn::harness
