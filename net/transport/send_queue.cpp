#include "net/transport/send_queue.hpp"

#include <utility>

namespace cairn {

namespace {

/// Buffers up to this size stay with an idle connection.
constexpr std::size_t kept_bytes = std::size_t{16} * 1024;

} // namespace

std::vector<char> spare_buffers::take() {
  has_rested_ = false;
  if (buffers_.empty())
    return {};
  auto buffer = std::move(buffers_.back());
  buffers_.pop_back();
  size_bytes_ -= buffer.capacity();
  return buffer;
}

void spare_buffers::keep(std::vector<char> buffer) {
  if (buffer.capacity() <= kept_bytes || buffer.capacity() > max_buffer_bytes
      || size_bytes_ + buffer.capacity() > max_bytes)
    return;
  size_bytes_ += buffer.capacity();
  buffers_.push_back(std::move(buffer));
}

void spare_buffers::rest() {
  if (!std::exchange(has_rested_, true))
    return;
  std::vector<std::vector<char>>().swap(buffers_);
  size_bytes_ = 0;
}

void send_queue::seal_if_large() {
  if (open_end_.size() >= large_bytes)
    seal();
}

void send_queue::seal() {
  const auto is_large = open_end_.size() >= large_bytes;
  sealed_bytes_ += open_end_.size();
  sealed_.push_back(std::move(open_end_));
  open_end_ = is_large ? spares_->take() : std::vector<char>{};
}

std::span<const char> send_queue::front() {
  if (sealed_.empty() && !open_end_.empty())
    seal();
  if (sealed_.empty())
    return {};
  return std::span<const char>(sealed_.front()).subspan(sent_of_first_);
}

void send_queue::drop_front(std::size_t size_bytes) {
  sealed_bytes_ -= size_bytes;
  sent_of_first_ += size_bytes;
  if (sent_of_first_ < sealed_.front().size())
    return;
  auto buffer = std::move(sealed_.front());
  sealed_.pop_front();
  sent_of_first_ = 0;
  buffer.clear();
  if (open_end_.empty() && open_end_.capacity() < buffer.capacity()
      && buffer.capacity() <= spare_buffers::max_buffer_bytes)
    open_end_.swap(buffer);
  spares_->keep(std::move(buffer));
}

void send_queue::clear() {
  open_end_.clear();
  sealed_.clear();
  sealed_bytes_ = sent_of_first_ = 0;
}

void send_queue::rest() {
  if (open_end_.empty() && open_end_.capacity() > kept_bytes)
    std::vector<char>().swap(open_end_);
}

} // namespace cairn
