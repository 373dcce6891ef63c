#include "core/frame_buffer.hpp"

#include <algorithm>
#include <functional>
#include <new>

namespace cairn {

namespace {

/// How many buffers lie idle at most: they are looked through one by one.
constexpr std::size_t max_idle_count = 256;

/// A charge counts the bytes of a frame, so its buffer must not be much larger.
bool fits(std::size_t size_bytes, std::size_t room_bytes) {
  return size_bytes <= room_bytes && room_bytes - room_bytes / 5 <= size_bytes;
}

} // namespace

void frame_buffer::begin_decoding(std::shared_ptr<const void> keeps) {
  decoded_ = bytes;
  room_bytes_ = bytes.capacity();
  keeps_ = std::move(keeps);
}

void frame_buffer::end_decoding() {
  decoded_ = {};
  has_parts_ = false;
  keeps_.reset();
}

payload frame_buffer::part(const std::shared_ptr<frame_buffer>& frame, const void* begin,
                           std::size_t size_bytes) {
  if (!frame || size_bytes < min_part_bytes || !fits(size_bytes, frame->room_bytes_))
    return {};
  const auto* first = static_cast<const char*>(begin);
  auto* const frame_first = frame->decoded_.data();
  const auto* const frame_last = frame_first + frame->decoded_.size();
  const std::less_equal<const char*> not_after; // also of pointers into different buffers
  if (!not_after(frame_first, first) || !not_after(first, frame_last)
      || size_bytes > static_cast<std::size_t>(frame_last - first))
    return {};
  auto* const bytes = reinterpret_cast<std::byte*>(frame_first + (first - frame_first));
  frame->has_parts_ = true;
  return payload::part_of(frame, {bytes, size_bytes});
}

std::shared_ptr<frame_buffer> frame_buffer_pool::take(std::size_t size_bytes) {
  std::unique_ptr<frame_buffer> found;
  if (size_bytes >= frame_buffer::min_part_bytes) {
    const std::lock_guard lock(mutex_);
    const auto found_at = std::find_if(idle_.rbegin(), idle_.rend(), [&](const auto& buffer) {
      return fits(size_bytes, buffer->bytes.capacity());
    });
    if (found_at != idle_.rend()) {
      const auto at = std::prev(found_at.base());
      found = std::move(*at);
      unneeded_ = std::min(unneeded_, static_cast<std::size_t>(at - idle_.begin()));
      idle_.erase(at);
      idle_bytes_ -= found->bytes.capacity();
    }
  }
  if (!found)
    found = std::make_unique<frame_buffer>();
  return {found.release(), [pool = shared_from_this()](frame_buffer* buffer) {
            pool->give_back(std::unique_ptr<frame_buffer>(buffer));
          }};
}

void frame_buffer_pool::give_back(std::unique_ptr<frame_buffer> buffer) noexcept {
  buffer->end_decoding(); // outside the lock: what was charged for the frame is released by it
  const auto room = buffer->bytes.capacity();
  const std::lock_guard lock(mutex_);
  if (room < frame_buffer::min_part_bytes || idle_bytes_ + room > max_idle_bytes_
      || idle_.size() >= max_idle_count)
    return;
  try {
    idle_.push_back(std::move(buffer));
    idle_bytes_ += room;
  } catch (const std::bad_alloc&) { // it is freed
  }
}

void frame_buffer_pool::rest() {
  std::vector<std::unique_ptr<frame_buffer>> freed; // outside the lock
  const std::lock_guard lock(mutex_);
  freed.reserve(unneeded_);
  const auto end = idle_.begin() + static_cast<std::ptrdiff_t>(unneeded_);
  for (auto it = idle_.begin(); it != end; ++it) {
    idle_bytes_ -= (*it)->bytes.capacity();
    freed.push_back(std::move(*it));
  }
  idle_.erase(idle_.begin(), end);
  unneeded_ = idle_.size();
}

std::size_t frame_buffer_pool::idle_bytes() const {
  const std::lock_guard lock(mutex_);
  return idle_bytes_;
}

std::shared_ptr<frame_buffer>& buffer_being_decoded() {
  thread_local std::shared_ptr<frame_buffer> buffer;
  return buffer;
}

} // namespace cairn
