#pragma once
/// Bytes as a file that can only be read.

#include "core/disk/disk.hpp"

#include <algorithm>
#include <vector>

namespace cairn {

class byte_file final : public disk_file {
public:
  explicit byte_file(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}

  result<void> write_at(std::uint64_t, std::span<const std::byte>) override { return refused(); }
  result<void> sync() override { return refused(); }
  result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const override {
    if (offset >= bytes_.size())
      return std::size_t{0};
    const auto count = std::min<std::size_t>(out.size(), bytes_.size() - offset);
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), count, out.begin());
    return count;
  }
  result<std::uint64_t> size() const override { return std::uint64_t{bytes_.size()}; }
  result<bool> preallocate(std::uint64_t) override { return false; }
  result<void> release_preallocation() override { return {}; }

private:
  static result<void> refused() { return fail(errc::storage_error, "only to be read"); }

  std::vector<std::byte> bytes_;
};

} // namespace cairn
