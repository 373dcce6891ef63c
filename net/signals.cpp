#include "net/signals.hpp"

#include <csignal>

#include <spdlog/spdlog.h>
#include <unistd.h>

namespace cairn {

namespace {

/// How soon the thread notices that it is to end.
constexpr timespec poll_interval{0, 50'000'000};

sigset_t taken_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  sigaddset(&set, SIGHUP);
  return set;
}

} // namespace

signal_thread::signal_thread(std::chrono::seconds limit) : limit_(limit) {
  const auto set = taken_signals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  // A client that went away, or a full quota, is an error of one call, not the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

signal_thread::~signal_thread() = default;

void signal_thread::on_signal(std::function<void(int)> handler) {
  const std::lock_guard lock(mutex_);
  handler_ = std::move(handler);
  if (first_signal_ != 0)
    handler_(first_signal_);
}

void signal_thread::run(const std::stop_token& stop) {
  const auto set = taken_signals();
  std::chrono::steady_clock::time_point deadline;
  while (!stop.stop_requested()) {
    const auto number = sigtimedwait(&set, nullptr, &poll_interval);
    const std::lock_guard lock(mutex_);
    if (number == SIGHUP) {
      if (handler_)
        handler_(number);
      continue;
    }
    if (first_signal_ != 0 && (number > 0 || std::chrono::steady_clock::now() > deadline)) {
      spdlog::error("stopped_at_once reason=\"{}\" what=\"the next start recovers\"",
                    number > 0 ? "second signal" : "the orderly stop took too long");
      ::_exit(1);
    }
    if (number <= 0)
      continue;
    first_signal_ = number;
    deadline = std::chrono::steady_clock::now() + limit_;
    if (handler_)
      handler_(number);
  }
}

} // namespace cairn
