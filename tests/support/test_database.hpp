#pragma once
/// A database of its own for each test, on one PostgreSQL server for the whole test program.

#include "core/db/node_database.hpp"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace cairn {

/// An empty database. The server starts with the first one and stops at the program's end.
class test_database {
public:
  test_database();

  [[nodiscard]] const std::string& connection_string() const { return connection_string_; }
  /// The identity under which open() opens it.
  static node_identity identity();
  /// Opens it as a node does; a failure is the test's.
  [[nodiscard]] std::unique_ptr<node_database> open() const;

  /// Runs SQL on a connection of its own. @returns the first row's first column, empty when there is none
  std::string query(std::string_view sql) const;
  /// Every row of every table of schema cairn in one text, in an order that depends on the rows alone;
  /// without the times at which the node migrated or rejected.
  [[nodiscard]] std::string dump() const;
  /// Ends the node's sessions on the server; they are gone on return.
  void kill_sessions() const;

private:
  std::string connection_string_;
};

} // namespace cairn
