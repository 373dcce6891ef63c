#pragma once
/// The network between a client and a host, as something that a test can cut: forwards TCP connections, stops
/// doing so, or resets them.

#include "core/disk/posix.hpp"
#include "net/address.hpp"
#include "tests/harness/program.hpp"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace cairn::harness {

/// Listens on a free port of 127.0.0.1 that stays the same for its life, and forwards what comes to another
/// port of this machine. Each call has taken effect when it returns. Any thread may call any member.
class relay {
public:
  /// Resets what connects until forward_to() says where to. @throws harness_error
  relay();
  relay(const relay&) = delete;
  relay& operator=(const relay&) = delete;
  ~relay(); ///< resets what is connected

  [[nodiscard]] const host_port& address() const { return address_; }

  /// Where connections that come from now on lead. A relay that is cut or stalled stays so.
  void forward_to(std::uint16_t port);
  /// Resets all connections; new ones are refused until heal().
  void cut();
  /// Connections stay, and are taken, but no byte passes until heal(), as on a network that lost its route.
  void stall();
  /// Bytes pass, connections are taken.
  void heal();

  /// How many connections there are now.
  [[nodiscard]] std::size_t connection_count() const { return connection_count_; }

private:
  enum class mode : std::uint8_t { cut, stalled, open };
  class connection;

  void change(mode to);
  void run(const std::stop_token& stop);
  void apply(mode to);
  void take_connections();

  posix::unique_fd reservation_; ///< bound, never listening: keeps the port while the listener is closed
  posix::unique_fd wake_;        ///< eventfd
  host_port address_;

  std::mutex mutex_; ///< guards what follows
  std::condition_variable applied_;
  mode wanted_ = mode::cut;
  std::uint16_t target_port_ = 0;
  std::uint64_t changes_asked_ = 0;
  std::uint64_t changes_done_ = 0;
  std::string problem_; ///< why the last change failed

  // The thread's own.
  mode mode_ = mode::cut;
  posix::unique_fd listener_;
  std::vector<std::unique_ptr<connection>> connections_;
  std::atomic<std::size_t> connection_count_ = 0;
  std::jthread thread_;
};

} // namespace cairn::harness
