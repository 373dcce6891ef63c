#pragma once
/// A handle on a file of the memory disk. Private to tests/support/memory_*.cpp.

#include "tests/support/memory_disk_state.hpp"

#include <memory>
#include <span>
#include <string>

namespace cairn {

enum class file_access : std::uint8_t { read, repair, write };

/// Made and given out by memory_disk, under its mutex.
class memory_file final : public disk_file {
public:
  memory_file(std::shared_ptr<memory_disk_state> disk, memory_node_ptr node, std::string path,
              file_access rights, io_mode mode);
  ~memory_file() override;
  memory_file(const memory_file&) = delete;
  memory_file& operator=(const memory_file&) = delete;

  result<void> write_at(std::uint64_t offset, std::span<const std::byte> data) override;
  result<void> sync() override;
  result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const override;
  result<std::uint64_t> size() const override;
  result<bool> preallocate(std::uint64_t end) override;
  result<void> release_preallocation() override;

private:
  bool is_alive() const;
  result<void> begin(disk_operation operation, std::uint64_t* written_bytes = nullptr) const;
  std::uint64_t available_bytes() const;
  void require_alignment(std::uint64_t offset, std::span<const std::byte> data) const;

  std::shared_ptr<memory_disk_state> disk_;
  memory_node_ptr node_;
  std::string path_;
  file_access rights_;
  io_mode mode_;
  std::uint64_t boot_; ///< of the disk when this was opened
};

} // namespace cairn
