#pragma once
/// What clients may make a node hold: bytes of requests that came over a connection and are not released yet,
/// and bytes of answers that the connection has not taken. The transport charges and pauses reading; whatever
/// holds a request's bytes releases them by its destruction. See actors/README.md, "What a client may make a
/// node hold".

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

namespace cairn {

/// Sums over all connections of one transport. Thread-safe.
class admission_totals {
public:
  [[nodiscard]] std::uint64_t held_bytes() const { return held_bytes_; }
  [[nodiscard]] std::uint64_t unsent_bytes() const { return unsent_bytes_; }

  /// Called after each release, by the thread that releases: the transport asks for it while it reads less
  /// than it could. Null ends that, but for a call that is under way.
  void set_release_watcher(std::shared_ptr<const std::function<void()>> watcher);

private:
  friend class connection_account;
  void tell_released();

  std::atomic<std::uint64_t> held_bytes_{0};
  std::atomic<std::uint64_t> unsent_bytes_{0};
  std::atomic<bool> has_watcher_{false}; ///< spares the lock when nobody watches
  std::mutex mutex_;                     ///< guards watcher_
  std::shared_ptr<const std::function<void()>> watcher_;
};

/// One connection's share. Thread-safe. Lives as long as anything that came over the connection.
class connection_account {
public:
  explicit connection_account(std::shared_ptr<admission_totals> totals) : totals_(std::move(totals)) {}
  connection_account(const connection_account&) = delete;
  connection_account& operator=(const connection_account&) = delete;
  ~connection_account() { set_unsent(0); }

  [[nodiscard]] std::uint64_t held_bytes() const { return held_bytes_; }
  [[nodiscard]] std::uint64_t unsent_bytes() const { return unsent_bytes_; }
  [[nodiscard]] const admission_totals& totals() const { return *totals_; }

  void hold(std::uint64_t bytes);
  void release(std::uint64_t bytes);
  /// What lies in the connection's send buffer now.
  void set_unsent(std::uint64_t bytes);
  /// Called once, when the send buffer holds drained_bytes or less; at once when it does so already.
  void when_drained(std::function<void()> watcher);

  /// A client whose unsent answers are at most this many bytes is given more.
  static constexpr std::uint64_t drained_bytes = 16U << 20U;

private:
  std::shared_ptr<admission_totals> totals_;
  std::atomic<std::uint64_t> held_bytes_{0};
  std::atomic<std::uint64_t> unsent_bytes_{0};
  std::mutex mutex_; ///< guards drain_watchers_
  std::vector<std::function<void()>> drain_watchers_;
};

/// The charge for one received frame: given back when the last of what was read from it is gone.
class received_frame {
public:
  received_frame(std::shared_ptr<connection_account> account, std::uint64_t bytes)
      : account_(std::move(account)), bytes_(bytes) {
    account_->hold(bytes_);
  }
  received_frame(const received_frame&) = delete;
  received_frame& operator=(const received_frame&) = delete;
  ~received_frame() { account_->release(bytes_); }

  [[nodiscard]] const std::shared_ptr<connection_account>& account() const { return account_; }

private:
  std::shared_ptr<connection_account> account_;
  std::uint64_t bytes_;
};

using frame_charge = std::shared_ptr<const received_frame>;

/// The frame whose messages this thread is decoding; null when it decodes none. What a message type reads
/// from the wire keeps a copy for as long as it holds the bytes.
frame_charge& frame_being_decoded();

} // namespace cairn
