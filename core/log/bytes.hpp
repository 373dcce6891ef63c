#pragma once
/// Little-endian fields, written and read one after the other.

#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace cairn {

static_assert(std::endian::native == std::endian::little,
              "the log is written in native order, which must be little");

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

/// Appends fields to a fixed buffer. The caller has sized it: running over is a programmer's error and traps.
class byte_writer {
public:
  explicit byte_writer(std::span<std::byte> out) : out_(out) {}

  template <class T>
    requires std::integral<T>
  void put(T value) { raw(&value, sizeof value); }
  void text(std::string_view s) { raw(s.data(), s.size()); }
  void raw(const void* bytes, std::size_t count) {
    if (count > out_.size() - used_)
      __builtin_trap();
    if (count != 0)
      std::memcpy(out_.data() + used_, bytes, count);
    used_ += count;
  }
  void zeros_up_to(std::size_t offset) {
    if (offset < used_ || offset > out_.size())
      __builtin_trap();
    std::memset(out_.data() + used_, 0, offset - used_);
    used_ = offset;
  }
  [[nodiscard]] std::size_t used() const { return used_; }

private:
  std::span<std::byte> out_;
  std::size_t used_ = 0;
};

/// Takes fields from bytes that nobody vouches for: past the end every read gives zero and ok() turns false.
class byte_reader {
public:
  explicit byte_reader(std::span<const std::byte> in) : in_(in) {}

  template <class T>
    requires std::integral<T> T get() {
      T value{};
      raw(&value, sizeof value);
      return value;
    }
  std::string text(std::size_t count) {
    if (!has(count))
      return {};
    std::string s(reinterpret_cast<const char*>(in_.data() + used_), count);
    used_ += count;
    return s;
  }
  void raw(void* out, std::size_t count) {
    if (!has(count)) {
      std::memset(out, 0, count);
      return;
    }
    if (count != 0)
      std::memcpy(out, in_.data() + used_, count);
    used_ += count;
  }
  void skip(std::size_t count) {
    if (has(count))
      used_ += count;
  }
  /// For a value that cannot be right.
  void reject() { ok_ = false; }
  [[nodiscard]] bool ok() const { return ok_; }
  [[nodiscard]] std::size_t used() const { return used_; }
  [[nodiscard]] std::size_t remaining() const { return in_.size() - used_; }

private:
  bool has(std::size_t count) {
    ok_ = ok_ && count <= in_.size() - used_;
    return ok_;
  }
  std::span<const std::byte> in_;
  std::size_t used_ = 0;
  bool ok_ = true;
};

inline bool all_zero(std::span<const std::byte> bytes) {
  // Each byte equals the next, and the first is zero.
  return bytes.empty()
         || (bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0);
}

} // namespace cairn
