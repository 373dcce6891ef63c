#pragma once
/// A listening port: accepts, does the TLS handshake with a deadline, asks who it is, and hands the
/// connection to CAF. A thread of its own, so that a slow or silent peer costs CAF's event loop nothing.

#include "net/address.hpp"
#include "net/transport/connection_table.hpp"
#include "net/transport/resolve.hpp"

#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace cairn {

/// Listens at each address that this machine has, all with the same port, also when `where` asks for a free
/// one. A name may have one of a family that is off here.
/// @returns one socket or more
/// @error conflict: the port is in use; storage_error: what else the system says
result<std::vector<posix::unique_fd>> listen_at_all(std::vector<resolved_address> addresses,
                                                    const host_port& where);

class listener {
public:
  /// What is done with a connection that passed; called by the listener's thread.
  using on_connection = std::function<void(connected_socket)>;

  /// Binds to every address of `where.host` (a name, an IPv4 or IPv6 address), see listen_at_all.
  /// @param tls null = plain
  /// @error not_found: the host is not known; conflict: the port is in use; storage_error: what else the
  /// system says
  static result<std::unique_ptr<listener>> open(const host_port& where,
                                                std::shared_ptr<const tls_context> tls,
                                                peer_policy may_connect,
                                                std::shared_ptr<connection_table> table, on_connection take);
  ~listener();
  listener(const listener&) = delete;
  listener& operator=(const listener&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  /// For connections from now on. Thread-safe.
  void use_tls(std::shared_ptr<const tls_context> tls);

private:
  /// A TLS handshake under way.
  struct handshake {
    connected_socket socket;
    steady_time deadline;
    short waits_for = 0; ///< poll events
  };

  listener(std::vector<posix::unique_fd> sockets, std::uint16_t port, std::shared_ptr<const tls_context> tls,
           peer_policy may_connect, std::shared_ptr<connection_table> table, on_connection take);

  void run();
  void accept_all(int socket);
  void accept_one(posix::unique_fd fd);
  void make_room();
  bool advance(handshake& under_way);
  void sweep(steady_time now);
  [[nodiscard]] std::shared_ptr<const tls_context> tls() const;

  const std::vector<posix::unique_fd> sockets_;
  const std::uint16_t port_;
  const peer_policy may_connect_;
  const std::shared_ptr<connection_table> table_;
  const on_connection take_;
  posix::unique_fd stop_event_;
  mutable std::mutex tls_mutex_; ///< guards tls_
  std::shared_ptr<const tls_context> tls_;
  std::list<handshake> handshakes_; ///< oldest first
  steady_time next_sweep_;
  bool is_out_of_descriptors_ = false; ///< accepts nothing until the next sweep
  std::thread thread_;
};

} // namespace cairn
