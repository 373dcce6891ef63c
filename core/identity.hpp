#pragma once
/// Who a node is.

#include "core/ids.hpp"

#include <string>

namespace cairn {

/// Name, cluster and number of a node; equal in its data directory, its database and its value files.
struct node_identity {
  std::string cluster_name; ///< 1..63 bytes of [A-Za-z0-9._-]
  std::string node_name;    ///< likewise
  node_id id;               ///< positive

  bool operator==(const node_identity&) const = default;
};

} // namespace cairn
