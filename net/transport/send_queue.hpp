#pragma once
/// What a connection has still to send.

#include <cstddef>
#include <deque>
#include <memory>
#include <span>
#include <utility>
#include <vector>

namespace cairn {

/// Buffers that were sent and lie ready to be filled again, of all connections together: memory that is found
/// anew costs more than what is done with it. Not thread-safe.
class spare_buffers {
public:
  /// An empty buffer, with room if there was one.
  std::vector<char> take();
  /// @param buffer empty; it is freed when it is small, very large, or there are enough
  void keep(std::vector<char> buffer);
  /// Frees them, if none was taken since the last call.
  void rest();
  [[nodiscard]] std::size_t size_bytes() const { return size_bytes_; }

  static constexpr std::size_t max_bytes = std::size_t{16} * 1024 * 1024;
  /// A larger buffer is freed: what lies at the open end of a slow connection is counted by its bytes.
  static constexpr std::size_t max_buffer_bytes = std::size_t{4} * 1024 * 1024;

private:
  std::vector<std::vector<char>> buffers_; ///< empty ones; the one used last at the end, its memory is warm
  std::size_t size_bytes_ = 0;             ///< their room
  bool has_rested_ = true;                 ///< none was taken since the last rest()
};

/// Bytes in buffers of modest size, the first to come the first to go. One buffer for all would be copied
/// each time it grows. Not thread-safe.
class send_queue {
public:
  explicit send_queue(std::shared_ptr<spare_buffers> spares) : spares_(std::move(spares)) {}

  /// New bytes are appended here; call seal_if_large() after that.
  std::vector<char>& open_end() { return open_end_; }
  /// When there is much at the open end, it is closed, and the next bytes go to another buffer.
  void seal_if_large();

  /// What is to be sent next: the same bytes, at the same place, until they are sent; empty when all are.
  std::span<const char> front();
  /// The first bytes of front() are sent.
  void drop_front(std::size_t size_bytes);

  [[nodiscard]] bool empty() const { return sealed_.empty() && open_end_.empty(); }
  [[nodiscard]] std::size_t size_bytes() const { return sealed_bytes_ + open_end_.size(); }
  void clear();
  /// Frees an open end that is empty and had much.
  void rest();

  /// A buffer is closed when it has as much.
  static constexpr std::size_t large_bytes = std::size_t{512} * 1024;

private:
  void seal();

  std::shared_ptr<spare_buffers> spares_;
  std::vector<char> open_end_;
  std::deque<std::vector<char>> sealed_; ///< none is empty
  std::size_t sealed_bytes_ = 0;         ///< of sealed_, those unsent
  std::size_t sent_of_first_ = 0;        ///< bytes of the first of sealed_
};

} // namespace cairn
