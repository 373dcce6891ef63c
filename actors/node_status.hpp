#pragma once
/// What a node says of itself.

#include "actors/storage_node.hpp"

namespace cairn {

/// @param now the node's steady clock
status_reply describe_node(const storage_node_state& node, const get_status& message,
                           std::chrono::steady_clock::time_point now);

} // namespace cairn
