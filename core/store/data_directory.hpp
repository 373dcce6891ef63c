#pragma once
/// A node's data directory: who may use it, and whose it is.
///
///     DIR/            0711: PostgreSQL may run as another user
///       lock          flock'ed while a node uses DIR; holds its process id in text
///       identity      four lines: "cairn-identity 1", "cluster=NAME", "node=NAME", "id=NUMBER"
///       spaces/       0700: symlinks to the file spaces
///       journal/      0700: the default journal space
///       postgres/     made by the managed PostgreSQL, with its own owner

#include "core/disk/posix.hpp"
#include "core/errc.hpp"
#include "core/identity.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace cairn {

/// Whether `name` can be a cluster's or a node's.
bool is_valid_name(std::string_view name);

/// A locked data directory. The lock is the kernel's: it ends with this object or with the process, however
/// that ends, and is not inherited by programs that the process starts. One thread at a time.
class data_directory {
public:
  /// Makes the directory if need be, with its parents, takes the lock, and makes spaces/ and journal/; all
  /// durable. As root, a directory that was there gets its search permissions.
  /// @error conflict: another process, which is named, or this one has the lock; no_space, not_found,
  /// storage_error
  static result<data_directory> open(const std::string& path);

  /// Writes the identity at the first start, durably and all or nothing; compares it at every later one.
  /// @error invalid_message: a name or id out of range; conflict: the directory belongs to another node, both
  /// are named; damaged: the file is malformed; no_space, storage_error
  result<void> claim(const node_identity& identity);
  /// @returns nothing when no node has claimed the directory yet. @error damaged, storage_error
  [[nodiscard]] result<std::optional<node_identity>> identity() const { return identity_in(path_); }
  /// The same for a directory that another process may have.
  static result<std::optional<node_identity>> identity_in(const std::string& path);

  /// Locks a file space as well: it may lie elsewhere, and a copy of this directory has links to it, too. One
  /// that is held already, or that the operating system does not know, stays as it is.
  /// @error conflict: another directory's node holds it; storage_error
  result<void> hold_space(const std::string& path);

  [[nodiscard]] const std::string& path() const { return path_; } ///< absolute
  [[nodiscard]] std::string spaces_path() const { return path_ + "/spaces"; }
  [[nodiscard]] std::string journal_path() const { return path_ + "/journal"; }
  [[nodiscard]] std::string postgres_path() const { return path_ + "/postgres"; }

private:
  data_directory(std::string path, posix::unique_fd lock) : path_(std::move(path)), lock_(std::move(lock)) {}

  [[nodiscard]] std::string identity_path() const { return identity_path_in(path_); }
  static std::string identity_path_in(const std::string& path) { return path + "/identity"; }

  std::string path_;
  posix::unique_fd lock_;
  std::map<std::string, posix::unique_fd> spaces_; ///< locked, by path
};

} // namespace cairn
