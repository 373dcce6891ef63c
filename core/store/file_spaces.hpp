#pragma once
/// Where value files live: paths, checks at start, choice of a space, directory scan.

#include "core/disk/disk.hpp"
#include "core/errc.hpp"
#include "core/ids.hpp"
#include "core/log/record.hpp"

#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace cairn {

/// As the database and the configuration spell it: "journal", "storage".
std::string_view to_string(space_purpose purpose);

/// A row of table file_space, as its record in the log has it: `path` is absolute, a directory which may be a
/// volume's mount point; `volume` is the operator's name for the volume, for information.
using file_space = file_space_record;

/// What of each volume is kept free: the larger of both.
struct space_reserve {
  unsigned percent = 5;
  std::uint64_t min_bytes = 1ULL << 30;

  [[nodiscard]] std::uint64_t of(std::uint64_t total_bytes) const;
};

/// ROOT/SPACE_ID: the symlink to the space's path.
std::string space_link_path(const std::string& root, space_id space);
/// ROOT/SPACE_ID/NNN/NNNNNNNN; an id of more than eight digits takes as many as it needs.
std::string value_file_path(const std::string& root, space_id space, value_file_id id);

struct found_value_file {
  value_file_id id;
  space_id space;
  std::string path;
};

/// What the directories hold. Nothing is left out: each entry is in one list or the other.
struct space_scan {
  std::vector<found_value_file> files; ///< by id, then space: one id can be in two spaces after a broken move
  std::vector<std::string> unknown;    ///< paths of all else: odd names, wrong places, spaces without a row
};

/// A value file just made, its name durable.
struct new_value_file {
  std::unique_ptr<disk_file> file;
  std::string path;
};

/// The spaces of one node. Value files are created by one thread at a time; all else may be called meanwhile.
class file_spaces {
public:
  /// @param disk, must outlive this
  /// @param root the directory of the spaces' symlinks, DIR/spaces
  file_spaces(disk& disk, std::string root, std::vector<file_space> spaces, space_reserve reserve);

  /// Makes a new space's directory and symlink durable. Its parent must exist: one that does not may be a
  /// volume that is not mounted. Safe to repeat, also after a crash half way or a sync that failed: what it
  /// made in vain is removed.
  /// @error invalid_message: id or path not fit for a space; conflict: the symlink points elsewhere, or the
  /// path is no directory; not_found: no parent; no_space, storage_error
  static result<void> prepare(disk& disk, const std::string& root, const file_space& space);

  /// Each space has its symlink, pointing to the path in the row, and a directory there.
  /// @error conflict: says which is wrong and what would be right; storage_error
  result<void> check() const;

  [[nodiscard]] const std::vector<file_space>& all() const { return spaces_; }
  [[nodiscard]] const std::string& root() const { return root_; }

  /// Archives leave the reserve alone; records without data (deletes, cancels) may use it.
  enum class reserve_use { keep, spend };

  /// The journal space with the most available bytes, among those above their reserve if that is to be kept.
  /// @error no_space: none is above it, or there is no journal space; storage_error: none could be asked
  result<space_id> choose_journal_space(reserve_use use = reserve_use::keep) const;
  /// Before more is written to a space. @error no_space: less than the reserve is available; storage_error
  result<void> check_reserve(space_id space) const;

  /// All value files of all spaces, by directory listing. @error not_found, storage_error
  result<space_scan> scan() const;

  /// Makes an empty value file and its name durable; its bytes are up to the caller.
  /// @error conflict: it exists; no_space; storage_error: the name may or may not survive a crash, and the
  /// file is of no use. After any failure take a new id.
  result<new_value_file> create_value_file(space_id space, value_file_id id, io_mode mode);

private:
  using bucket = std::pair<space_id, std::int32_t>; ///< directory NNN of a space

  result<volume_space> space_of(space_id space) const;
  result<void> make_bucket(const bucket& which, const std::string& path);
  result<void> scan_space(space_id space, space_scan& into) const;
  result<void> scan_bucket(const bucket& which, const std::string& path, space_scan& into) const;

  disk& disk_;
  std::string root_;
  std::vector<file_space> spaces_;
  space_reserve reserve_;
  std::set<bucket> durable_buckets_; ///< their names were synced by this process
  std::set<bucket> broken_buckets_;  ///< a sync of their names failed: not to be trusted again
};

} // namespace cairn
