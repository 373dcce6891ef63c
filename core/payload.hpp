#pragma once
/// The bytes of one sequence: reference-counted, immutable once shared, passed between actors without a copy.

#include <cstddef>
#include <memory>
#include <span>

namespace cairn {

/// Owns (a share of) a buffer and shows a range of it. Copies share the buffer; thread-safe to read.
class payload {
public:
  payload() = default;

  /// Uninitialised storage to be filled through mutable_bytes() before the first copy is made.
  /// @param keeps released together with the buffer
  /// @returns an empty payload (size() != size_bytes) when memory cannot be had; never throws
  static payload uninitialized(std::size_t size_bytes, std::shared_ptr<const void> keeps = nullptr) noexcept;
  /// Bytes that belong to `owner`, which lives as long as the payload and leaves them as they are.
  static payload part_of(std::shared_ptr<void> owner, std::span<std::byte> bytes) noexcept;
  /// A copy of the bytes. @throws std::bad_alloc
  static payload copy_of(std::span<const std::byte> bytes);

  [[nodiscard]] std::span<const std::byte> bytes() const { return {begin_, size_bytes_}; }
  [[nodiscard]] std::size_t size() const { return size_bytes_; }
  [[nodiscard]] bool empty() const { return size_bytes_ == 0; }

  /// Only the sole owner may write.
  [[nodiscard]] std::span<std::byte> mutable_bytes() { return {begin_, size_bytes_}; }
  /// A view of part of this payload that shares its buffer; offset + size_bytes <= size().
  [[nodiscard]] payload slice(std::size_t offset, std::size_t size_bytes) const;

private:
  std::shared_ptr<std::byte> buffer_;
  std::byte* begin_ = nullptr; ///< inside *buffer_
  std::size_t size_bytes_ = 0;
};

} // namespace cairn
