#pragma once
/// A new database for a node whose own is lost, made of its value files and its data directory alone.

#include "core/store/node_access.hpp"

#include <string>

namespace cairn {

struct rebuild_options {
  node_location node; ///< which does not run
  /// Put the node's own PostgreSQL aside and make a new one: for a server that does not start any more.
  bool new_server = false;
  replay_progress on_progress;
};

struct rebuild_outcome {
  rebuilt_database database;
  std::string old_server; ///< directory where the old server's files are now; empty = it is still used
};

/// @error not_found: no node has been there, or it has no value files; conflict: the node runs, or the
/// database is another node's; and whatever a start can fail with
result<rebuild_outcome> rebuild_database(disk& disk, const rebuild_options& options);

} // namespace cairn
