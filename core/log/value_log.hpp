#pragma once
/// The writing end of the log: the open value file, its rollover, and what happens when a disk fails.
///
/// Guarantees, in the order in which a record passes through them:
///   appended  append() gave it a placement: it is in the operating system, and a reader of the file finds it
///   synced    sync() or a rollover returned after that: it survives power loss; synced_lsn() has reached it
/// After any failure every placement above synced_lsn() is void, for ever: the file is poisoned, nothing more
/// is written to it and no sync on it is tried again; recover() opens a successor whose header names the end
/// of what counts. Only when recover() has returned success is that decision durable.

#include "core/disk/disk.hpp"
#include "core/log/codec.hpp"
#include "core/log/value_file_row.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

namespace cairn {

struct value_log_options {
  std::string cluster_name;
  std::string node_name;
  node_id node;
  std::uint64_t max_file_bytes = 1ULL << 30U;
  std::uint64_t preallocation_bytes = 64ULL << 20U; ///< step in which disk space is taken ahead; 0 = never
};

/// A value file just made: its directory entry is durable.
struct created_value_file {
  std::unique_ptr<disk_file> file;
  space_id space;
};

/// Where the log goes on; recovery tells.
struct log_start {
  value_file_id next_file{1};
  log_sequence_number next_lsn{1};
  value_file_id predecessor;               ///< 0 = none
  std::uint64_t predecessor_valid_end = 0; ///< nothing in the predecessor counts from here on
  bool predecessor_is_cut = false;         ///< the predecessor has bytes past that end
};

/// What append() did.
struct append_outcome {
  /// One for each record, in order; shorter when it failed, and those left are durable or hold until sync().
  std::vector<placement> placements;
  /// Rows of files that were closed or opened on the way.
  std::vector<value_file_row> file_rows;
  std::optional<failure> failed;
};

/// Not thread-safe: one thread owns it.
class value_log {
public:
  /// Makes a new, empty file in the space that has most room; its directory entries are durable on return.
  using file_factory = std::function<result<created_value_file>(value_file_id)>;

  value_log(value_log_options options, log_start start, file_factory make_file);
  ~value_log();
  value_log(const value_log&) = delete;
  value_log& operator=(const value_log&) = delete;

  /// Opens the first file, its header synced. @error no_space, storage_error: call again
  /// @returns the new file's row
  result<value_file_row> open() { return open_successor(); }

  /// Appends records, whole batch block-aligned, rolling over to new files where they would not fit.
  append_outcome append(std::span<const record_body> records);
  /// Makes every placement given so far durable. @error storage_error: the file is poisoned
  result<void> sync();

  /// True after a failure, until recover(); append() and sync() then fail at once.
  [[nodiscard]] bool is_open() const { return file_ != nullptr; }
  /// Opens a successor of the poisoned file; on success the fence is durable.
  /// @error no_space, storage_error: nothing changed, call again later
  result<value_file_row> recover() { return open_successor(); }

  /// Syncs and closes the file. @returns its closed row; no value when the file holds no record and fences
  /// nothing: then it is of no use, and the caller removes it and its row
  /// @error storage_error: it stays for recovery
  struct close_outcome {
    value_file_id id;
    space_id space;
    std::optional<value_file_row> row;
    /// Of its last record; 0 = none. A closed row says that all the file's records are in the database, so it
    /// may be written only when the database's position has reached this.
    log_sequence_number last_lsn;
  };
  result<close_outcome> close();

  [[nodiscard]] log_sequence_number next_lsn() const { return next_lsn_; }
  [[nodiscard]] log_sequence_number synced_lsn() const { return synced_lsn_; }
  [[nodiscard]] value_file_id current_file() const { return file_id_; }
  [[nodiscard]] std::uint64_t current_size_bytes() const { return end_; }

private:
  class write_buffer;

  result<value_file_row> open_successor();
  result<void> roll(append_outcome& outcome);
  result<placement> encode(const record_body& body);
  result<void> flush_padded();
  void poison();

  value_log_options options_;
  file_factory make_file_;
  std::unique_ptr<write_buffer> buffer_;

  std::unique_ptr<disk_file> file_; ///< null = none open: before open(), after a failure or close()
  value_file_id file_id_;           ///< of the open file, or of the last one
  space_id space_;
  std::uint64_t nonce_ = 0;
  std::uint64_t end_ = 0;        ///< end of what was appended to the open file
  std::uint64_t synced_end_ = 0; ///< end of what is durable of it; what a fence would say
  std::uint64_t preallocated_end_ = 0;
  bool fences_predecessor_ = false; ///< the open file's header cuts its predecessor short: it must stay
  std::optional<value_file_summary> summary_;
  log_sequence_number last_lsn_; ///< of the open file's last record; 0 = none

  value_file_id next_file_;
  log_sequence_number next_lsn_;
  log_sequence_number synced_lsn_;
  value_file_id predecessor_;
  std::uint64_t predecessor_valid_end_ = 0;
  bool predecessor_is_cut_ = false;
};

} // namespace cairn
