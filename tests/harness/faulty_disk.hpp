#pragma once
/// A disk that fails when it is told to: the file seam of core wrapped, so that no class of the product knows
/// of faults. In a process of its own the host program cairn-faulty-host uses it, told through memory that it
/// shares with the test.

#include "core/disk/disk.hpp"

#include <optional>

namespace cairn::harness {

/// What nodes of the harness keep free of their disk, and what fill() leaves of it: archives are refused
/// then, while what a node may write all the same (deletes, cancels, fences) still fits.
inline constexpr std::uint64_t harness_reserve_bytes = 4U << 20U;
inline constexpr std::int64_t full_disk_bytes_left = 2U << 20U;

/// What a volume that is full says of its space when it is asked.
enum class free_space_told {
  truly,  ///< what is left
  falsely ///< what the volume below has: only what needs space finds out, as with quotas or late allocation
};

/// What is to fail, and what has failed. All members may be called from any thread, and from several
/// processes over one file.
class disk_faults {
public:
  /// For a disk in this process. @throws harness_error
  disk_faults();
  /// Shared through a file, which is made if it is not there. @throws harness_error
  explicit disk_faults(const std::string& path);
  disk_faults(const disk_faults&) = delete;
  disk_faults& operator=(const disk_faults&) = delete;
  ~disk_faults();

  // --- for the test ---

  /// From now on the volume takes `bytes_left` more bytes; what would make a file longer past that fails with
  /// no_space, preallocated or not. With 0 left, new files and directories fail too. A node looks at its
  /// space once a second: told truly, wait for status_reply::has_space; told falsely, it never sees it.
  void fill(std::int64_t bytes_left = full_disk_bytes_left,
            free_space_told told = free_space_told::truly) const;
  /// There is space again.
  void free() const;
  /// The nth sync of a file from now (1 = the next) fails, and only that one. What was written stays
  /// readable. Replaces an earlier fail_sync that has not struck yet; 0 only takes that back.
  void fail_sync(std::int64_t nth) const;
  /// Syncs that were made to fail since the beginning.
  [[nodiscard]] std::int64_t failed_syncs() const;
  /// Writes, files and directories refused for want of space since the beginning.
  [[nodiscard]] std::int64_t refusals_for_space() const;

  // --- for the disk ---

  /// @returns whether `bytes` more fit; takes them if so
  [[nodiscard]] bool take_space(std::uint64_t bytes) const;
  /// @returns whether a new name fits
  [[nodiscard]] bool takes_names() const;
  /// What is left, if the volume was filled.
  [[nodiscard]] std::optional<std::uint64_t> bytes_left() const;
  /// What the volume says is left, if it was filled and tells so.
  [[nodiscard]] std::optional<std::uint64_t> bytes_told() const;
  /// Counts a sync. @returns whether it is the one to fail
  [[nodiscard]] bool next_sync_fails() const;

private:
  struct shared_state;
  bool refuse() const;

  shared_state* state_; ///< in a shared mapping; zero bytes mean no fault
};

/// Wraps another disk. Both it and the faults outlive this.
class faulty_disk final : public disk {
public:
  faulty_disk(disk& below, const disk_faults& faults) : below_(below), faults_(faults) {}

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
  disk& below_;
  const disk_faults& faults_;
};

} // namespace cairn::harness
