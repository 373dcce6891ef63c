#pragma once
/// Lets what may outlive a transport call it: nothing gets in once the transport ends, and the transport
/// waits for those inside.

#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>

namespace cairn {

class transport;

class transport_gate : public std::enable_shared_from_this<transport_gate> {
public:
  /// While it lives, so does the transport.
  class visit {
  public:
    visit(std::shared_ptr<transport_gate> gate, transport* inside)
        : gate_(std::move(gate)), inside_(inside) {}
    visit(const visit&) = delete;
    visit& operator=(const visit&) = delete;
    ~visit() {
      if (inside_ != nullptr)
        gate_->leave();
    }
    /// False when the transport has ended.
    explicit operator bool() const { return inside_ != nullptr; }
    transport& operator*() const { return *inside_; }
    transport* operator->() const { return inside_; }

  private:
    std::shared_ptr<transport_gate> gate_;
    transport* inside_;
  };

  explicit transport_gate(transport& behind) : behind_(&behind) {}

  visit enter() {
    const std::lock_guard lock(mutex_);
    if (behind_ != nullptr)
      ++visits_;
    return {shared_from_this(), behind_};
  }
  /// Returns when nobody is inside, and lets nobody in from then on.
  void close() {
    std::unique_lock lock(mutex_);
    behind_ = nullptr;
    empty_.wait(lock, [this] { return visits_ == 0; });
  }

private:
  void leave() {
    const std::lock_guard lock(mutex_);
    if (--visits_ == 0)
      empty_.notify_all();
  }

  std::mutex mutex_; ///< guards what follows
  std::condition_variable empty_;
  transport* behind_; ///< null once it ends
  int visits_ = 0;
};

} // namespace cairn
