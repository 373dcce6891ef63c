#include "net/transport/dial.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <sys/socket.h>

namespace cairn {

namespace {

/// @returns false when the deadline came first
bool wait_for(int fd, short events, steady_time deadline) {
  for (;;) {
    const auto left =
      std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    pollfd waiting{fd, events, 0};
    if (const auto ready = ::poll(&waiting, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
        ready > 0)
      return true;
    else if (ready == 0 && left.count() <= 0)
      return false;
  }
}

tl::unexpected<failure> too_late() { return fail(errc::timed_out, "it does not answer in time"); }

result<posix::unique_fd> connect_to(const resolved_address& address, steady_time deadline) {
  posix::unique_fd fd(::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid())
    return fail(errc::not_found, fmt::format("no socket: {}", std::generic_category().message(errno)));
  if (::connect(fd.get(), address.get(), address.size()) == 0)
    return fd;
  auto error = errno;
  if (error == EINPROGRESS) {
    if (!wait_for(fd.get(), POLLOUT, deadline))
      return too_late();
    socklen_t size = sizeof error;
    ::getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &error, &size);
  }
  if (error != 0)
    return fail(errc::not_found, std::generic_category().message(error));
  return fd;
}

result<void> shake_hands(SSL* session, int fd, steady_time deadline) {
  for (;;) {
    ERR_clear_error();
    const auto done = SSL_connect(session);
    if (done == 1)
      return {};
    const auto why = SSL_get_error(session, done);
    if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
      return fail(errc::version_mismatch,
                  fmt::format("the TLS handshake failed: {}", tls_error_text(session)));
    if (!wait_for(fd, why == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline))
      return too_late();
  }
}

} // namespace

result<posix::unique_fd> connect_to_any(const std::vector<resolved_address>& addresses,
                                        steady_time deadline) {
  result<posix::unique_fd> fd = fail(errc::not_found, "it has no address");
  for (std::size_t at = 0; at < addresses.size() && !fd; ++at) {
    // One that does not answer at all must leave time for those behind it.
    const auto now = std::chrono::steady_clock::now();
    const auto share = (deadline - now) / static_cast<std::int64_t>(addresses.size() - at);
    fd = connect_to(addresses[at], now + share);
  }
  return fd;
}

result<connected_socket> dial(const host_port& where, const tls_context* tls, const std::string& peer_name,
                              steady_time deadline) {
  auto addresses = resolve(where);
  if (!addresses)
    return pass_failure(addresses);
  auto fd = connect_to_any(*addresses, deadline);
  if (!fd)
    return pass_failure(fd);
  connected_socket connected;
  connected.fd = std::move(*fd);
  if (tls == nullptr)
    return connected;
  connected.peer_name = peer_name.empty() ? where.host : peer_name;
  connected.session = tls->connect_session(connected.fd.get(), connected.peer_name);
  if (!connected.session)
    return fail(errc::internal_error, "no TLS session: " + tls_error_text());
  if (auto shaken = shake_hands(connected.session.get(), connected.fd.get(), deadline); !shaken)
    return pass_failure(shaken);
  return connected;
}

} // namespace cairn
