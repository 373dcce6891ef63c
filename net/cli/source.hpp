#pragma once
/// A file or standard input, read in order.

#include "core/payload.hpp"

#include <cstdint>
#include <optional>
#include <string>

#include <tl/expected.hpp>

namespace cairn::cli {

class source {
public:
  source() = default;
  source(const source&) = delete;
  source& operator=(const source&) = delete;
  ~source();

  /// @param path "-" = standard input
  /// @returns why it cannot be read, or nothing
  std::optional<std::string> open(const std::string& path);
  /// Of a regular file.
  [[nodiscard]] std::optional<std::uint64_t> size_bytes() const { return size_bytes_; }
  /// When its content changed last, in nanoseconds; 0 = not a regular file.
  [[nodiscard]] std::int64_t modified_ns() const { return modified_ns_; }

  /// The next `max_bytes` bytes, fewer at the end. @returns why reading failed instead
  tl::expected<payload, std::string> next(std::size_t max_bytes);
  /// Passes over bytes of a regular file. @returns why that failed, or nothing
  std::optional<std::string> skip(std::uint64_t bytes);

private:
  int fd_ = -1;
  std::optional<std::uint64_t> size_bytes_;
  std::int64_t modified_ns_ = 0;
};

} // namespace cairn::cli
