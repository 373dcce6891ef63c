#pragma once
/// The directories of a managed PostgreSQL on disk: made, checked, and cleaned of what a crash left.
/// Private to core.
///
///     DIR/data       the server's data directory, owned by its account; appears whole or not at all
///     DIR/data.new   an initdb under way; one that was killed is made anew
///     DIR/socket     the socket's directory, or a link to the one under /tmp
///     DIR/log        the server's output; DIR/log.old what was there before it grew past 16 MiB

#include "core/db/child_process.hpp"
#include "core/db/postgres_installation.hpp"
#include "core/errc.hpp"

#include <cstdint>
#include <string>

namespace cairn {

/// The port names the socket file; nothing listens on TCP.
inline constexpr int managed_postgres_port = 5432;

/// Makes DIR (its parent must exist) and sees that the account can reach it.
/// @error database_unavailable: the account may not search a directory on the way; the text names it
result<void> prepare_postgres_directory(const postgres_installation& installation,
                                        const std::string& directory);

/// Sees that DIR/data is a data directory of this version and account, or makes it with initdb. Ends servers
/// and initdbs that an earlier life of the node left there. DIR/data is durable on return.
/// @error conflict: data of another version or owner, or no PostgreSQL data at all; untouched
/// @error database_unavailable: initdb failed, its output is in the text; a later call starts over
result<void> prepare_postgres_data(const postgres_installation& installation, const std::string& directory,
                                   std::chrono::milliseconds stop_patience, deadline until);

/// Makes an empty socket directory that only the account may enter: DIR/socket, or one under /tmp where DIR
/// is too long for a socket address (107 bytes) or holds a comma, which libpq takes for a list.
/// @returns its path; remove_postgres_sockets() at the end
/// Only while no server runs on DIR/data.
result<std::string> make_postgres_sockets(const postgres_installation& installation,
                                          const std::string& directory);

/// Removes the socket directory. Only while no server runs on DIR/data.
void remove_postgres_sockets(const std::string& directory);

/// Removes lock files that would keep a server from starting though no server is alive: PostgreSQL takes any
/// process with the number in the file for one. Only when no process works in DIR/data, so that nothing has
/// its shared memory.
void remove_stale_postgres_locks(const std::string& directory, const std::string& socket_directory);

/// What tells one writing of postmaster.pid from the next; all zero when there is no file.
struct postgres_lock_stamp {
  std::uint64_t inode = 0;
  std::int64_t modified_ns = 0;
  bool operator==(const postgres_lock_stamp&) const = default;
};
postgres_lock_stamp stamp_of_postgres_lock(const std::string& directory);

/// True once the server with this process id takes connections.
/// @param before the stamp before the server was spawned: in a container, a server often gets the number that
/// the killed one had, whose file still says "ready" Source: postmaster.pid, line 1 and line 8, as pg_ctl
/// reads it.
bool postgres_is_ready(const std::string& directory, pid_t pid, const postgres_lock_stamp& before);

} // namespace cairn
