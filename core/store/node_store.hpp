#pragma once
/// Everything of a node that outlives its actors: the locked data directory, the file spaces, the database
/// server; and recovery, which makes a log and a database that agree. See README.md beside the folder,
/// "Recovery, step by step".

#include "core/db/managed_postgres.hpp"
#include "core/db/node_database.hpp"
#include "core/log/value_log.hpp"
#include "core/store/data_directory.hpp"
#include "core/store/file_spaces.hpp"
#include "core/store/log_directory.hpp"
#include "core/store/node_settings.hpp"
#include "core/store/replay.hpp"
#include "core/validation.hpp"
#include "core/write/write_machine.hpp"

#include <memory>
#include <mutex>

namespace cairn {

/// A log and a database that agree, and what recovery did to make them so. What must go on belongs to the
/// actors: they take it out.
struct recovered_store {
  std::unique_ptr<node_database> database;
  std::unique_ptr<value_log> log;
  write_machine_start machine;
  std::shared_ptr<node_directory> nodes;
  recovery_report report;
};

/// What rebuild() made, and what it did not find.
struct rebuilt_database {
  recovery_report report;
  std::int64_t gaps = 0;  ///< places in the log where value files are missing
  std::string old_schema; ///< where the old tables are now; empty = there were none
};

/// Owned by one thread at a time, but for the calls marked thread-safe. Must outlive what recover() returned.
class node_store {
public:
  static constexpr auto own_database_name = "cairn"; ///< on the node's own PostgreSQL
  /// Takes the data directory, checks the identity, starts the node's own PostgreSQL if it is to have one.
  /// @param disk the value files' disk; must outlive this
  /// @error conflict: another node's directory, locked, ...; whatever a start can fail with, in one line
  static result<std::unique_ptr<node_store>> open(disk& disk, node_settings settings);
  ~node_store();

  /// Brings database and log to agree and opens a fresh value file. Again after a failure, when the earlier
  /// result's database and log are gone.
  /// @error conflict: names `cairn rebuild` where that helps; damaged, database_unavailable, no_space,
  /// storage_error
  result<recovered_store> recover();

  /// Makes a new database of what the value files hold, and appends nothing to them: the next start goes on
  /// from there. An old one is kept under another schema name. Again after a failure.
  /// @error not_found: there are no value files; conflict: the old database is another node's; and as
  /// recover()
  result<rebuilt_database> rebuild(const replay_progress& on_progress);

  [[nodiscard]] const node_settings& settings() const { return settings_; }
  /// How to connect to the node's database. Thread-safe.
  [[nodiscard]] const std::string& database_connection() const { return connection_; }
  [[nodiscard]] node_identity identity() const {
    return {settings_.cluster_name, settings_.node_name, settings_.id};
  }
  /// Thread-safe.
  [[nodiscard]] std::string spaces_root() const { return directory_.spaces_path(); }

  /// Replays the log into a database that lost commits. Thread-safe.
  result<replay_outcome> replay(node_database& database, log_sequence_number from, log_sequence_number to);
  /// Room of the spaces. Thread-safe.
  std::vector<space_status> space_states();
  /// Whether archives may go on: the journal has room above its reserve. Thread-safe.
  bool has_space();
  /// Removes an empty value file. Thread-safe.
  result<void> remove_value_file(space_id space, value_file_id id);
  /// What the node's own PostgreSQL is doing; empty when it is fine or not ours. Thread-safe.
  std::string database_trouble() const;

private:
  node_store(disk& disk, node_settings settings, data_directory directory);

  result<void> start_database();
  /// DIR/journal, for a node that has no other.
  result<file_space> prepare_default_space();
  result<void> open_spaces(const std::vector<file_space>& rows);
  /// What a call works with although another may replace them; null before recover().
  std::shared_ptr<file_spaces> current_spaces() const;
  result<created_value_file> make_value_file(value_file_id id);
  result<bool> holds_value_files();
  /// The spaces that the symlinks tell of, all taken for journals.
  result<std::vector<file_space>> linked_spaces();

  disk& disk_;
  node_settings settings_;
  data_directory directory_;
  std::unique_ptr<managed_postgres> postgres_;
  std::string connection_;
  std::shared_ptr<file_spaces> spaces_;
  mutable std::mutex spaces_mutex_; ///< guards the pointer, and is not held while the disk is asked
  std::mutex creation_mutex_;       ///< one value file is made at a time
};

} // namespace cairn
