#include "core/payload.hpp"

#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace cairn {

payload payload::uninitialized(std::size_t size_bytes, std::shared_ptr<const void> keeps) noexcept {
  payload result;
  if (size_bytes == 0)
    return result;
  auto* memory = static_cast<std::byte*>(std::malloc(size_bytes));
  if (memory == nullptr)
    return result;
  try {
    result.buffer_ =
      std::shared_ptr<std::byte>(memory, [keeps = std::move(keeps)](std::byte* bytes) { std::free(bytes); });
  } catch (const std::bad_alloc&) {
    return result; // shared_ptr has freed the memory
  }
  result.begin_ = memory;
  result.size_bytes_ = size_bytes;
  return result;
}

payload payload::part_of(std::shared_ptr<void> owner, std::span<std::byte> bytes) noexcept {
  payload result;
  result.buffer_ = std::shared_ptr<std::byte>(std::move(owner), bytes.data());
  result.begin_ = bytes.data();
  result.size_bytes_ = bytes.size();
  return result;
}

payload payload::copy_of(std::span<const std::byte> bytes) {
  auto result = uninitialized(bytes.size());
  if (result.size() != bytes.size())
    throw std::bad_alloc();
  if (!bytes.empty())
    std::memcpy(result.begin_, bytes.data(), bytes.size());
  return result;
}

payload payload::slice(std::size_t offset, std::size_t size_bytes) const {
  if (offset > size_bytes_ || size_bytes > size_bytes_ - offset)
    __builtin_trap();
  payload result;
  result.buffer_ = buffer_;
  result.begin_ = begin_ == nullptr ? nullptr : begin_ + offset;
  result.size_bytes_ = size_bytes;
  return result;
}

} // namespace cairn
