#pragma once
/// SIGTERM and SIGINT as messages.

#include <chrono>
#include <functional>
#include <mutex>
#include <thread>

#include <caf/allowed_unsafe_message_type.hpp>

namespace cairn {

struct signal_received {
  int number;
};

/// Takes SIGTERM and SIGINT from the whole process: make it before any other thread. The first one is handed
/// to the handler; a second one, or the limit after the first, ends the process at once with exit code 1.
class signal_thread {
public:
  explicit signal_thread(std::chrono::seconds limit);
  ~signal_thread();
  signal_thread(const signal_thread&) = delete;
  signal_thread& operator=(const signal_thread&) = delete;

  /// Called on a thread of its own; at once when a signal came before.
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
