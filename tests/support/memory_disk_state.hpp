#pragma once
/// What a memory disk and its handles share. Private to tests/support/memory_*.cpp.

#include "tests/support/memory_disk.hpp"
#include "tests/support/memory_nodes.hpp"

#include <array>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace cairn {

/// Ends the program: a break of the seam's contract, or a test that names what is not there.
[[noreturn]] void die(const std::string& message);

/// The names in a path, but for ".".
std::vector<std::string> components_of(const std::string& path);

/// A path taken apart: the directory of its last component, and what that names.
struct location {
  memory_node_ptr directory;
  std::string name;     ///< empty: the path is the root
  memory_node_ptr node; ///< null: no such entry
};

enum class last_symlink : std::uint8_t { follow, keep };

/// All members are guarded by `mutex`, which callers of the functions hold.
struct memory_disk_state {
  std::mutex mutex;
  memory_node_ptr root;
  std::vector<std::shared_ptr<memory_volume>> volumes;
  std::set<memory_node_ptr> opened;  ///< files with open handles, also those without a name
  std::uint64_t boot = 0;            ///< handles of an earlier one are dead
  std::optional<std::uint64_t> fuse; ///< operations until power is cut
  std::vector<disk_fault> faults;
  std::array<std::uint64_t, disk_operation_count> counts{};

  [[nodiscard]] bool has_power() const { return fuse != 0U; }

  /// Counts an operation and lets the faults speak first.
  /// @param written_bytes set to what a failing write still writes
  result<void> begin(disk_operation operation, const std::string& path,
                     std::uint64_t* written_bytes = nullptr);

  /// @error not_found: a directory on the way is missing; storage_error: a loop of symlinks
  result<location> locate(const std::string& path, last_symlink last) const;
  /// The place of what is there itself: the last symlink is not followed. @error not_found, storage_error
  result<location> locate_existing(const std::string& path) const;
  /// An existing node, symlinks followed. @error not_found, storage_error
  result<memory_node_ptr> find(const std::string& path) const;
  /// @error not_found: also when it is no directory; storage_error
  result<memory_node_ptr> find_directory(const std::string& path) const;
  /// @error not_found; storage_error: also when it is no file
  result<memory_node_ptr> find_file(const std::string& path) const;
  /// For tests' own calls, which name what they have made.
  memory_node_ptr require_file(const std::string& path) const;

  static memory_node_ptr make_node(memory_node_kind kind, const location& place);

  void crash(crash_dice dice);
};

} // namespace cairn
