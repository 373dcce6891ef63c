#pragma once
/// The file seam: every access of the node to files goes through these two interfaces, so that tests can run
/// the same code over a memory disk that fails, runs short, fills up, and loses what was not synced.

#include "core/errc.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace cairn {

/// Block to which direct I/O aligns offset, length and memory.
inline constexpr std::size_t disk_block_bytes = 4096;

/// One open file. Calls on one file come from one thread at a time; different files are independent.
/// Closing is done by the destructor and never syncs.
class disk_file {
public:
  virtual ~disk_file() = default;

  /// Writes all of `data` at `offset`; short writes are completed, EINTR repeated.
  /// @returns when the bytes are in the operating system, NOT durable until sync()
  /// @error no_space (ENOSPC, EDQUOT, EFBIG), storage_error; part of the bytes may be in the file
  /// For a file created `direct`, data's address, size and offset are multiples of disk_block_bytes
  /// (else internal_error, nothing written), whether or not the file system took direct I/O.
  virtual result<void> write_at(std::uint64_t offset, std::span<const std::byte> data) = 0;

  /// Makes all bytes written before durable, with the size needed to read them (fdatasync), by whichever
  /// handle or earlier process they were written: recovery syncs what it read before it relies on it.
  /// @error storage_error: the state of everything written since the last successful sync is unknown
  /// and must not be trusted again, even if a later sync succeeds
  virtual result<void> sync() = 0;

  /// Reads up to out.size() bytes at `offset`. Safe to call from several threads at once.
  /// @returns the count read; less than asked only at the end of the file
  /// @error storage_error
  virtual result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> out) const = 0;

  /// A hint: reads will be here and there, so nothing beyond them is worth reading. Changes no outcome.
  virtual void expect_random_reads() noexcept {}

  /// Current size in bytes. @error storage_error
  virtual result<std::uint64_t> size() const = 0;

  /// Asks for disk space up to `end` bytes without changing the size.
  /// @returns false where the file system does not support it
  /// @error no_space (the content is as before; part of the space may have been taken), storage_error
  virtual result<bool> preallocate(std::uint64_t end) = 0;

  /// Gives back the space that was preallocated past the size. @error storage_error
  virtual result<void> release_preallocation() = 0;
};

/// How writes to a file made by create() treat the page cache; reads always go through it.
enum class io_mode : std::uint8_t {
  buffered, ///< through the page cache
  direct,   ///< O_DIRECT where the file system takes it, else buffered
};

/// Bytes of the volume that holds a path.
struct volume_space {
  std::uint64_t available_bytes = 0; ///< to an unprivileged user
  std::uint64_t total_bytes = 0;
};

/// One directory entry.
struct directory_entry {
  std::string name;
  bool is_directory = false; ///< symlinks are followed
};

/// A file system. Paths are absolute or relative to the process. All calls are thread-safe.
/// Symlinks are followed, but for the last component in create, remove, make_symlink and read_symlink.
class disk {
public:
  virtual ~disk() = default;

  /// Makes a new file, exclusively (O_EXCL). Its directory entry is durable only after sync_directory().
  /// @error conflict: it exists; not_found: its directory does not; no_space; storage_error
  virtual result<std::unique_ptr<disk_file>> create(const std::string& path, io_mode mode) = 0;
  /// Opens an existing file read-only. @error not_found, storage_error
  virtual result<std::unique_ptr<disk_file>> open_for_read(const std::string& path) = 0;
  /// Opens an existing file for reading, sync() and release_preallocation(); writes are refused. @error
  /// not_found, storage_error
  virtual result<std::unique_ptr<disk_file>> open_for_repair(const std::string& path) = 0;

  /// Makes a directory if it is not there; parents must exist.
  /// @returns true when it was made; either way it is durable only after a sync of its parent
  /// @error conflict: it exists and is no directory; not_found: no parent; no_space; storage_error
  virtual result<bool> make_directory(const std::string& path) = 0;
  /// Makes entries of a directory durable.
  /// @error not_found; storage_error: entries changed since the last successful sync must not be trusted
  /// again, even if a later sync succeeds
  virtual result<void> sync_directory(const std::string& path) = 0;
  /// Entries of a directory except . and .., by name. @error not_found, storage_error
  virtual result<std::vector<directory_entry>> list_directory(const std::string& path) = 0;
  /// Removes a file; the removal is durable only after sync_directory(). @error not_found, storage_error
  virtual result<void> remove(const std::string& path) = 0;
  /// Removes an empty directory, likewise. @error conflict: it is no directory, or not empty; not_found,
  /// storage_error
  virtual result<void> remove_directory(const std::string& path) = 0;

  /// Makes a symlink. @error conflict: the path exists; not_found: no parent; no_space; storage_error
  virtual result<void> make_symlink(const std::string& target, const std::string& path) = 0;
  /// Where a symlink points, unresolved. @error not_found: no such path; conflict: it is no symlink
  virtual result<std::string> read_symlink(const std::string& path) = 0;

  /// Space of the volume that holds `path`. @error not_found, storage_error
  virtual result<volume_space> space_at(const std::string& path) = 0;
};

/// The operating system's disk.
disk& real_disk();

} // namespace cairn
