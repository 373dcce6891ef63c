#pragma once
/// A disk that tells a watcher before each operation, so that the rest of a simulated machine can be looked
/// at between any two of them.

#include "core/disk/disk.hpp"

#include <functional>

namespace cairn::power {

/// Wraps another disk, which outlives this, as this outlives its files.
class watched_disk final : public disk {
public:
  watched_disk(disk& below, std::function<void()> watch) : below_(below), watch_(std::move(watch)) {}

  result<std::unique_ptr<disk_file>> create(const std::string& path, io_mode mode) override;
  result<std::unique_ptr<disk_file>> open_for_read(const std::string& path) override;
  result<std::unique_ptr<disk_file>> open_for_repair(const std::string& path) override;
  result<bool> make_directory(const std::string& path) override;
  result<void> sync_directory(const std::string& path) override;
  result<std::vector<directory_entry>> list_directory(const std::string& path) override;
  result<void> remove(const std::string& path) override;
  result<void> remove_directory(const std::string& path) override;
  result<void> make_symlink(const std::string& target, const std::string& path) override;
  result<std::string> read_symlink(const std::string& path) override;
  result<volume_space> space_at(const std::string& path) override;

private:
  result<std::unique_ptr<disk_file>> wrap(result<std::unique_ptr<disk_file>> opened);

  disk& below_;
  std::function<void()> watch_;
};

} // namespace cairn::power
