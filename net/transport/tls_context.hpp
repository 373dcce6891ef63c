#pragma once
/// Certificates of one side of a mutually authenticated TLS connection, loaded and checked once; not at each
/// connection.

#include "core/errc.hpp"

#include <functional>
#include <memory>
#include <string>
#include <vector>

struct ssl_st;
struct ssl_ctx_st;

namespace cairn {

/// PEM files. All empty = no TLS; else all are needed.
struct tls_files {
  std::string ca; ///< certificates of the cluster's authority; peers must have one of its certificates
  std::string certificate; ///< this program's own, followed by those between it and the authority
  std::string key;         ///< readable by nobody but its owner

  [[nodiscard]] bool empty() const { return ca.empty() && certificate.empty() && key.empty(); }
};

struct tls_session_delete {
  void operator()(ssl_st* session) const;
};
using tls_session = std::unique_ptr<ssl_st, tls_session_delete>;

/// Thread-safe once it is made; sessions keep what they need of it.
class tls_context {
public:
  /// @error invalid_message: a file is missing, unreadable, readable by others, not what it should be,
  /// expired, or does not fit the others; the text says which and what would be right
  static result<std::shared_ptr<const tls_context>> load(const tls_files& files);

  /// For a connection that was accepted; its handshake is still to be done. Null when memory is short.
  [[nodiscard]] tls_session accept_session(int fd) const;
  /// For a connection to a peer whose certificate must be for `peer_name`: a DNS name, or an address in text.
  [[nodiscard]] tls_session connect_session(int fd, const std::string& peer_name) const;

private:
  explicit tls_context(std::shared_ptr<ssl_ctx_st> context) : context_(std::move(context)) {}

  std::shared_ptr<ssl_ctx_st> context_;
};

/// Names that the peer's verified certificate is for: its DNS names, and its common name.
std::vector<std::string> peer_names(const ssl_st& session);

/// What OpenSSL has to say on this thread's last failure, in one line; `session` may know better.
std::string tls_error_text(const ssl_st* session = nullptr);

} // namespace cairn
