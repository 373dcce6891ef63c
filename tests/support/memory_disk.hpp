#pragma once
/// A disk in memory that loses what was not synced, fails on demand, fills up, and holds callers to the
/// seam's contract. For tests and simulations.

#include "core/disk/disk.hpp"

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cairn {

/// Kinds of operation, as counters and faults name them.
enum class disk_operation : std::uint8_t {
  create,
  open, ///< open_for_read and open_for_repair
  write,
  sync,
  read,
  size,
  preallocate,
  release_preallocation,
  make_directory,
  sync_directory,
  list_directory,
  remove,
  remove_directory,
  make_symlink,
  read_symlink,
  space_at,
};
inline constexpr std::size_t disk_operation_count = 16;

/// The operation's name, e.g. "sync_directory".
std::string_view to_string(disk_operation operation);

/// An order to fail. Of the operations that match `operation` and `path_contains`, counted from injection,
/// the `nth` and the `times - 1` after it fail.
struct disk_fault {
  static constexpr std::uint64_t forever = std::numeric_limits<std::uint64_t>::max();

  disk_operation operation = disk_operation::write;
  std::uint64_t nth = 1; ///< 1 = the next
  errc code = errc::storage_error;
  std::uint64_t written_bytes = 0; ///< write: so many bytes get through before the failure
  std::uint64_t times = 1;
  std::string path_contains = {}; ///< in the path as the caller spelled it; empty: any
};

struct memory_disk_state;

/// The disk. Thread-safe; file handles may outlive it. Nothing here depends on time or on chance but for the
/// seeds given: equal calls have equal outcomes.
///
/// What is durable: a file's bytes after its sync(), a name after the sync_directory() of its directory; each
/// without the other counts for nothing. A failed sync leaves what it covered readable, and never again made
/// durable by a later sync, though a crash by seed may find it on the disk all the same.
/// A direct write that is not aligned ends the program: it is a defect of the caller.
class memory_disk final : public disk {
public:
  static constexpr std::uint64_t default_capacity_bytes = 1ULL << 40;

  /// The root directory is there, on a volume of that capacity.
  explicit memory_disk(std::uint64_t capacity_bytes = default_capacity_bytes);
  ~memory_disk() override;

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

  /// Makes a directory with its parents and syncs those; not an operation that counts or fails.
  void set_up_directory(const std::string& path);
  /// The same, and what is made in it later shares a volume of its own.
  void set_up_volume(const std::string& path, std::uint64_t capacity_bytes);
  /// Of the volume that holds `path`, which exists. Less than what is used means 0 available.
  void set_capacity(const std::string& path, std::uint64_t capacity_bytes);

  void inject(disk_fault fault);
  void clear_faults();
  /// Faults that have yet to strike; forever counts until cleared.
  [[nodiscard]] std::size_t faults_left() const;

  /// Power is lost and back: open handles are dead (storage_error), and what was not synced is dropped, kept,
  /// or torn between sectors of 512 bytes or pages of 4096, by seed. Faults stay in force.
  void crash(std::uint64_t seed);
  /// The same, but nothing that was not synced survives.
  void crash_losing_unsynced();
  /// As kill -9: open handles are dead, nothing is lost, and what was not synced still may be.
  void kill_process();
  /// After `operations` more, each call fails with storage_error and does nothing, until a crash.
  void cut_power_after(std::uint64_t operations);
  [[nodiscard]] bool power_is_cut() const;

  /// Operations begun since construction, whatever their outcome, but not those on a dead handle.
  [[nodiscard]] std::uint64_t count(disk_operation operation) const;
  [[nodiscard]] std::uint64_t count_all() const;

  /// What of an existing file would survive the worst crash, if its names do.
  [[nodiscard]] std::vector<std::byte> synced_bytes(const std::string& path) const;
  /// No operation that counts or fails.
  [[nodiscard]] bool has_file(const std::string& path) const;
  /// Changes an existing file's bytes in place, as bit rot does; what is not synced stays so. With another
  /// size it is all on the disk, as by an operator's hand.
  void damage(const std::string& path, const std::function<void(std::vector<std::byte>&)>& change);
  /// Every read that touches one of these bytes of an existing file fails from now on, as on a bad sector.
  void make_unreadable(const std::string& path, std::uint64_t offset, std::uint64_t bytes);

private:
  std::shared_ptr<memory_disk_state> state_; ///< shared with the handles
};

} // namespace cairn
