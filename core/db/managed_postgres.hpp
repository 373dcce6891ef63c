#pragma once
/// The database of a node for which none is configured: a PostgreSQL server of its own under its data
/// directory.

#include "core/errc.hpp"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <sys/types.h>

namespace cairn {

class postgres_keeper;

/// What a managed server is doing.
enum class managed_postgres_phase : std::uint8_t {
  starting,   ///< not ready yet for the first time
  running,    ///< takes connections
  restarting, ///< ended by itself; the next attempt is under way or waits for its back-off
  stopped,    ///< by stop(); final
};

/// The phase's name, e.g. "running".
std::string_view to_string(managed_postgres_phase phase);

/// For status and logs.
struct managed_postgres_state {
  managed_postgres_phase phase = managed_postgres_phase::starting;
  pid_t server_pid = 0;            ///< while running; else 0
  std::uint64_t restart_count = 0; ///< how often it came back after ending by itself
  std::string last_exit;           ///< why it last ended or failed to start, by itself; empty = never
};

/// How to run it.
struct managed_postgres_options {
  /// Absolute; made if it is not there, its parent must be. One live owner at a time: the caller holds a
  /// lock.
  std::string directory;
  /// Where initdb and postgres are; empty = the newest /usr/lib/postgresql/*/bin, else along PATH.
  std::string bin_directory;
  /// Bound on start(), initdb and crash recovery included; at most a day, as the next. A restart later is
  /// given all the time it takes.
  std::chrono::milliseconds start_timeout{120'000};
  /// Bound on an orderly shutdown (SIGINT), then on an immediate one (SIGQUIT); after both SIGKILL.
  std::chrono::milliseconds stop_timeout{30'000};
  /// Server settings beyond or in place of the defaults. Not the directories, the port and the access rules.
  std::vector<std::pair<std::string, std::string>> settings;
  /// Told each new state, from the keeper thread: must not block, throw, or call into the object.
  std::function<void(const managed_postgres_state&)> on_change;
};

/// Runs one PostgreSQL server and keeps it running: a server that dies is started again, without end, with a
/// back-off from 0.1 s to 10 s between attempts that fail. Committed data survive any of this (fsync is on
/// unless the settings say otherwise).
///
/// As root the server runs as the user `postgres`, otherwise as the caller. It listens on a unix socket
/// alone, in a directory that only its user and root may enter; whoever can enter is trusted and is the
/// superuser `cairn`. If this process dies, the server gets SIGINT from the kernel; a later start() waits for
/// it, or ends it.
///
/// Any thread may call any member; none throws. The server's parent is a thread of this object, so the thread
/// that calls start() may end. Nothing of the caller's (descriptors, environment, signal mask) passes to the
/// server.
class managed_postgres {
public:
  /// Makes the data directory if need be, starts the server, and returns when it takes connections. Blocks.
  /// On failure nothing is left running, and calling again is safe.
  /// @error invalid_message: an option; the text says which
  /// @error conflict: DIR/data is of another PostgreSQL major version (`cairn rebuild`), of another owner, or
  /// no PostgreSQL data
  /// @error database_unavailable: no PostgreSQL on this machine, a directory closed to its user, initdb or
  /// the server failed or was too slow; the text holds the last lines of their output
  /// @error not_found: the directory's parent is missing
  /// @error no_space, storage_error: the directory could not be made
  static result<std::unique_ptr<managed_postgres>> start(managed_postgres_options options);

  /// As stop().
  ~managed_postgres();
  managed_postgres(const managed_postgres&) = delete;
  managed_postgres& operator=(const managed_postgres&) = delete;

  /// The libpq connection string of one database: host (the socket's directory), port, user and dbname. It
  /// stays the same for this object's life, across restarts.
  [[nodiscard]] std::string connection_string(std::string_view database_name) const;

  /// The same for a server that another process runs in that directory.
  /// @error database_unavailable: none does
  static result<std::string> connection_string_in(const std::string& directory,
                                                  std::string_view database_name);

  /// Makes a database (UTF8, C locale, from template0) unless it is there. Durable on return.
  /// @param name 1..63 bytes, without zero bytes
  /// @error invalid_message: the name; no_space; database_unavailable: no connection (the server is
  /// restarting); internal_error: the server refuses. Repeating is safe.
  result<void> create_database(const std::string& name);

  [[nodiscard]] managed_postgres_state state() const;

  /// Shuts the server down and removes its socket. Returns when no process of it is left; a server that
  /// does not listen takes a few times stop_timeout. Later calls do nothing; start a new object to run it
  /// again.
  /// @error database_unavailable: a process does not end, not even by SIGKILL
  result<void> stop();

private:
  managed_postgres(std::string socket_directory, std::unique_ptr<postgres_keeper> keeper);

  const std::string socket_directory_;
  const std::unique_ptr<postgres_keeper> keeper_;
};

} // namespace cairn
