#pragma once
/// A node's files and database for a program that is not the node: `cairn verify`, `cairn rebuild`.

#include "core/store/node_store.hpp"

#include <memory>
#include <string>

namespace cairn {

/// Where a node lies.
struct node_location {
  std::string data_directory;
  std::string database; ///< connection string or URI; empty = the node's own PostgreSQL
  std::string postgres_bin_directory;
};

/// The settings of the node that has been there, as far as its directory tells them: who it is.
/// @error not_found: none has
result<node_settings> settings_of(const node_location& where);

/// A way to read a node.
struct node_access {
  node_identity identity;
  std::string spaces_root;
  std::string database;              ///< connection string
  std::unique_ptr<node_store> store; ///< locked, its PostgreSQL running; null: the node itself runs
};

/// @error as settings_of() and node_store::open(); database_unavailable
result<node_access> access_node(disk& disk, const node_location& where);

} // namespace cairn
