#pragma once
/// SIGTERM, SIGINT and SIGHUP as messages.

#include <chrono>
#include <functional>
#include <mutex>
#include <thread>

#include <caf/allowed_unsafe_message_type.hpp>

namespace cairn {

struct signal_received {
  int number;
};

/// Takes SIGTERM, SIGINT and SIGHUP from the whole process: make it before any other thread. Each SIGHUP is
/// handed to the handler, and the first of the others; a second of those, or the limit after the first, ends
/// the process at once with exit code 1.
class signal_thread {
public:
  explicit signal_thread(std::chrono::seconds limit);
  ~signal_thread();
  signal_thread(const signal_thread&) = delete;
  signal_thread& operator=(const signal_thread&) = delete;

  /// Called on a thread of its own; at once when SIGTERM or SIGINT came before.
  void on_signal(std::function<void(int)> handler);

private:
  void run(const std::stop_token& stop);

  std::chrono::seconds limit_;
  std::mutex mutex_; ///< guards what follows
  std::function<void(int)> handler_;
  int first_signal_ = 0;
  std::jthread thread_;
};

} // namespace cairn

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::signal_received)
