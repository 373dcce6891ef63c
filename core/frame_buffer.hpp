#pragma once
/// The bytes of a frame that was received: what is decoded from them may go on using them, without a copy.
/// And memory that is used again, for such frames and for large records that are read.

#include "core/payload.hpp"

#include <cstddef>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

namespace cairn {

/// Filled and decoded by the transport, in one thread. When payloads lie in it then, it is theirs.
class frame_buffer {
public:
  std::vector<char> bytes;

  /// What it holds is about to be decoded, by this thread; `bytes` may be swapped elsewhere meanwhile.
  /// @param keeps released together with the last payload that lies in it
  void begin_decoding(std::shared_ptr<const void> keeps);
  /// It will be filled anew.
  void end_decoding();
  /// A payload that part() gave out lies in it, or did: it must not be filled anew.
  [[nodiscard]] bool has_parts() const { return has_parts_; }

  /// @returns a payload that lies in the frame; an empty one when a copy is better, because the range is not
  /// part of it, or small, or the buffer has much more room
  static payload part(const std::shared_ptr<frame_buffer>& frame, const void* begin, std::size_t size_bytes);

  static constexpr std::size_t min_part_bytes = std::size_t{16} * 1024;

private:
  std::span<char> decoded_; ///< what is decoded
  std::size_t room_bytes_ = 0;
  bool has_parts_ = false;
  std::shared_ptr<const void> keeps_;
};

/// Large buffers of frames or records that are gone, for others of about the same size: memory that is used
/// again needs neither to be found nor to be cleared by the kernel. Thread-safe.
class frame_buffer_pool : public std::enable_shared_from_this<frame_buffer_pool> {
public:
  /// @param max_idle_bytes what lies unused at most
  explicit frame_buffer_pool(std::size_t max_idle_bytes) : max_idle_bytes_(max_idle_bytes) {}

  /// A buffer with room for so many bytes, or one without any room yet. Its `bytes` are whatever it held. It
  /// comes back by itself when the last who shares it is gone.
  std::shared_ptr<frame_buffer> take(std::size_t size_bytes);
  /// Frees what was not needed since the last call.
  void rest();
  [[nodiscard]] std::size_t idle_bytes() const;

private:
  void give_back(std::unique_ptr<frame_buffer> buffer) noexcept;

  const std::size_t max_idle_bytes_;
  mutable std::mutex mutex_;                        ///< guards all below
  std::vector<std::unique_ptr<frame_buffer>> idle_; ///< used last at the end
  std::size_t idle_bytes_ = 0;
  std::size_t unneeded_ = 0; ///< so many at the begin of idle_ lay there ever since the last rest()
};

/// The frame whose messages this thread is decoding; null when it decodes none.
std::shared_ptr<frame_buffer>& buffer_being_decoded();

} // namespace cairn
