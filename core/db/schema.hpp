#pragma once
/// The node database's schema and its migrations. What each table is made of: README.md beside the folder,
/// "The database is a fold".

#include <string_view>
#include <vector>

namespace cairn {

/// Version n is reached by the first n scripts, each run in a transaction of its own.
const std::vector<std::string_view>& schema_migrations();

} // namespace cairn
