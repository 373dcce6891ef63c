#include "core/admission.hpp"

#include <utility>

namespace cairn {

void admission_totals::set_release_watcher(std::shared_ptr<const std::function<void()>> watcher) {
  const std::lock_guard lock(mutex_);
  has_watcher_ = watcher != nullptr;
  watcher_ = std::move(watcher);
}

void admission_totals::tell_released() {
  if (!has_watcher_)
    return;
  std::shared_ptr<const std::function<void()>> watcher;
  {
    const std::lock_guard lock(mutex_);
    watcher = watcher_;
  }
  if (watcher)
    (*watcher)();
}

void connection_account::hold(std::uint64_t bytes) {
  held_bytes_ += bytes;
  totals_->held_bytes_ += bytes;
}

void connection_account::release(std::uint64_t bytes) {
  held_bytes_ -= bytes;
  totals_->held_bytes_ -= bytes;
  totals_->tell_released();
}

void connection_account::set_unsent(std::uint64_t bytes) {
  const auto before = unsent_bytes_.exchange(bytes);
  totals_->unsent_bytes_ += bytes - before; // unsigned: a wrapped difference subtracts
  if (before <= drained_bytes || bytes > drained_bytes)
    return;
  std::vector<std::function<void()>> watchers;
  {
    const std::lock_guard lock(mutex_);
    watchers.swap(drain_watchers_);
  }
  for (const auto& tell : watchers)
    tell();
}

void connection_account::when_drained(std::function<void()> watcher) {
  {
    const std::lock_guard lock(mutex_);
    if (unsent_bytes_ > drained_bytes) {
      drain_watchers_.push_back(std::move(watcher));
      return;
    }
  }
  watcher();
}

frame_charge& frame_being_decoded() {
  thread_local frame_charge charge;
  return charge;
}

} // namespace cairn
