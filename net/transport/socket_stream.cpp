#include "net/transport/socket_stream.hpp"

#include "core/disk/posix.hpp"

#include <algorithm>
#include <climits>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

namespace cairn {

namespace {

stream_outcome of_system(ssize_t moved) {
  if (moved > 0)
    return {stream_state::moved, static_cast<std::size_t>(moved)};
  if (moved < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
    return {stream_state::blocked, 0};
  return {stream_state::ended, 0};
}

stream_outcome of_tls(SSL* session, int moved) {
  if (moved > 0)
    return {stream_state::moved, static_cast<std::size_t>(moved)};
  const auto why = SSL_get_error(session, moved);
  if (why == SSL_ERROR_WANT_READ || why == SSL_ERROR_WANT_WRITE)
    return {stream_state::blocked, 0};
  return {stream_state::ended, 0};
}

int as_int(std::size_t bytes) { return static_cast<int>(std::min<std::size_t>(bytes, INT_MAX)); }

} // namespace

stream_outcome socket_stream::read_some(void* into, std::size_t max_bytes) {
  if (!session_)
    return of_system(posix::retry_interrupted([&] { return ::recv(fd_, into, max_bytes, 0); }));
  ERR_clear_error();
  return of_tls(session_.get(), SSL_read(session_.get(), into, as_int(max_bytes)));
}

stream_outcome socket_stream::write_some(const void* from, std::size_t bytes) {
  if (!session_)
    return of_system(posix::retry_interrupted([&] { return ::send(fd_, from, bytes, MSG_NOSIGNAL); }));
  ERR_clear_error();
  return of_tls(session_.get(), SSL_write(session_.get(), from, as_int(bytes)));
}

std::size_t socket_stream::pending_bytes() const {
  return session_ ? static_cast<std::size_t>(SSL_pending(session_.get())) : 0;
}

void socket_stream::finish() {
  if (session_) {
    ERR_clear_error();
    SSL_shutdown(session_.get());
  }
  ::shutdown(fd_, SHUT_WR);
}

} // namespace cairn
