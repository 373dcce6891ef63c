#pragma once
/// What a host checks before it starts a node for a coordinator. See actors/README.md, "Nodes in a host
/// process".

#include "core/host_messages.hpp"
#include "core/store/node_settings.hpp"

#include <string>

namespace cairn {

/// What the host's configuration says of spawned nodes.
struct spawn_rules {
  std::string cluster; ///< the host's
  std::string root;    ///< their directories lie below it; empty = no node may be spawned
  /// What start_node does not set: reserve, kind of I/O, time limits, PostgreSQL's programs.
  node_settings defaults;
};

/// Checks a start and completes it.
/// @returns the node's settings, its directory resolved
/// @error version_mismatch; not_allowed: another cluster, or a root outside the allowed one; invalid_message:
/// names the field and says what fits
result<node_settings> to_settings(const start_node& message, const spawn_rules& rules);

/// Where a directory is that need not be there yet: absolute, and what exists of it free of symlinks.
/// @error invalid_message: it leads through a symlink to nowhere, or a directory that cannot be read
result<std::string> resolve_directory(const std::string& path);

/// A node's directory below the spawn root, both resolved.
/// @error not_allowed: it is the root itself, or outside, also by way of `..` or a symlink
result<std::string> resolve_spawn_root(const std::string& asked, const std::string& allowed);

/// Whether one of two resolved directories is the other, or lies in it.
bool overlap(const std::string& a, const std::string& b);

/// Whether two settings make the same node: a start with equal ones is a repeat.
bool same_node(const node_settings& a, const node_settings& b);

} // namespace cairn
