#include "tests/support/memory_file.hpp"

#include <algorithm>
#include <cstdint>

#include <fmt/format.h>

namespace cairn {

memory_file::memory_file(std::shared_ptr<memory_disk_state> disk, memory_node_ptr node, std::string path,
                         file_access rights, io_mode mode)
    : disk_(std::move(disk)), node_(std::move(node)), path_(std::move(path)), rights_(rights), mode_(mode),
      boot_(disk_->boot) {
  ++node_->open_handles;
  disk_->opened.insert(node_);
}

memory_file::~memory_file() {
  std::lock_guard guard(disk_->mutex);
  if (boot_ != disk_->boot)
    return;
  if (--node_->open_handles == 0)
    disk_->opened.erase(node_);
  node_->charge();
}

result<void> memory_file::write_at(std::uint64_t offset, std::span<const std::byte> data) {
  std::lock_guard guard(disk_->mutex);
  if (rights_ == file_access::write && mode_ == io_mode::direct)
    require_alignment(offset, data);
  std::uint64_t passed_bytes = 0;
  auto outcome = begin(disk_operation::write, &passed_bytes);
  if (!outcome && passed_bytes == 0)
    return outcome;
  if (rights_ != file_access::write)
    return fail(errc::storage_error,
                fmt::format("{}: write refused: the file was not opened by create", path_));
  if (!outcome)
    data = data.first(std::min<std::size_t>(passed_bytes, data.size()));
  const auto limit = node_->charged_bytes + available_bytes();
  const bool fits = data.empty() || offset + data.size() <= limit;
  if (!fits)
    data = data.first(offset < limit ? limit - offset : 0);
  node_->content.write(offset, data);
  node_->charge();
  if (outcome && !fits)
    return fail(errc::no_space, fmt::format("{}: write failed: the volume is full", path_));
  return outcome;
}

result<void> memory_file::sync() {
  std::lock_guard guard(disk_->mutex);
  auto outcome = begin(disk_operation::sync);
  if (outcome)
    node_->content.sync();
  else if (is_alive())
    node_->content.fail_sync();
  return outcome;
}

result<std::size_t> memory_file::read_at(std::uint64_t offset, std::span<std::byte> out) const {
  std::lock_guard guard(disk_->mutex);
  if (auto outcome = begin(disk_operation::read); !outcome)
    return pass_failure(outcome);
  const auto& bytes = node_->content.visible();
  if (offset >= bytes.size())
    return std::size_t{0};
  const auto count = std::min<std::size_t>(out.size(), bytes.size() - offset);
  for (const auto& [begin, end] : node_->unreadable)
    if (begin < offset + count && offset < end)
      return fail(errc::storage_error, fmt::format("{}: read failed: bad sector", path_));
  std::copy_n(bytes.begin() + static_cast<std::ptrdiff_t>(offset), count, out.begin());
  return count;
}

result<std::uint64_t> memory_file::size() const {
  std::lock_guard guard(disk_->mutex);
  if (auto outcome = begin(disk_operation::size); !outcome)
    return pass_failure(outcome);
  return node_->content.visible().size();
}

result<bool> memory_file::preallocate(std::uint64_t end) {
  std::lock_guard guard(disk_->mutex);
  if (auto outcome = begin(disk_operation::preallocate); !outcome)
    return pass_failure(outcome);
  if (rights_ != file_access::write)
    return fail(errc::storage_error, fmt::format("{}: preallocate refused: not opened by create", path_));
  if (end > node_->charged_bytes + available_bytes())
    return fail(errc::no_space, fmt::format("{}: preallocate failed: the volume is full", path_));
  node_->preallocated_end = std::max(node_->preallocated_end, end);
  node_->charge();
  return true;
}

result<void> memory_file::release_preallocation() {
  std::lock_guard guard(disk_->mutex);
  if (auto outcome = begin(disk_operation::release_preallocation); !outcome)
    return outcome;
  if (rights_ == file_access::read)
    return fail(errc::storage_error, fmt::format("{}: release refused: opened for reading only", path_));
  node_->preallocated_end = 0;
  node_->charge();
  return {};
}

bool memory_file::is_alive() const { return boot_ == disk_->boot && disk_->has_power(); }

result<void> memory_file::begin(disk_operation operation, std::uint64_t* written_bytes) const {
  if (boot_ != disk_->boot)
    return fail(errc::storage_error,
                fmt::format("{}: {} failed: the handle died in a crash", path_, to_string(operation)));
  return disk_->begin(operation, path_, written_bytes);
}

std::uint64_t memory_file::available_bytes() const {
  const auto& volume = *node_->volume;
  return volume.capacity_bytes - std::min(volume.capacity_bytes, volume.used_bytes);
}

void memory_file::require_alignment(std::uint64_t offset, std::span<const std::byte> data) const {
  const auto address = reinterpret_cast<std::uintptr_t>(data.data());
  if (offset % disk_block_bytes != 0 || data.size() % disk_block_bytes != 0
      || address % disk_block_bytes != 0)
    die(fmt::format("{}: direct write is not aligned to {} bytes: offset={} size={} address={:#x}", path_,
                    disk_block_bytes, offset, data.size(), address));
}

} // namespace cairn
