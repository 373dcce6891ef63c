#pragma once
/// The node database's schema and its migrations. Source: spec section 6.

#include <string_view>
#include <vector>

namespace cairn {

/// Version n is reached by the first n scripts, each run in a transaction of its own.
const std::vector<std::string_view>& schema_migrations();

} // namespace cairn
