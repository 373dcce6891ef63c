#pragma once
/// Between the clients of a load and the test that strikes: how much was acknowledged, and that it is over.

#include "tests/harness/program.hpp"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>

namespace cairn::crash {

/// Any thread may call any member.
class load_watch {
public:
  void acknowledged() {
    const std::lock_guard lock(mutex_);
    ++count_;
    changed_.notify_all();
  }
  void stop() { is_stopped_ = true; }
  [[nodiscard]] bool is_stopped() const { return is_stopped_; }

  [[nodiscard]] std::uint64_t count() const {
    const std::lock_guard lock(mutex_);
    return count_;
  }
  /// Waits until so many were acknowledged. @throws harness_error when they never are
  void wait_for(std::uint64_t count) {
    std::unique_lock lock(mutex_);
    if (!changed_.wait_until(lock, harness::soon(), [&] { return count_ >= count; }))
      throw harness::harness_error("the load stands still");
  }

private:
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t count_ = 0; ///< under mutex_
  std::atomic<bool> is_stopped_ = false;
};

} // namespace cairn::crash
