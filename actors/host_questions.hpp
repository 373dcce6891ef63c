#pragma once
/// What a host says of its nodes without changing any.

#include "actors/node_host.hpp"

namespace cairn {

found_node find_in(const node_host_state& state, const find_node& question);
hosted_nodes list_of(const node_host_state& state, const list_hosted& question);

/// Whether one more node fits beside the others.
/// @error conflict: one of them has its number or its directory; busy: the host is full
result<void> check_room(const node_host_state& state, const node_settings& settings);

} // namespace cairn
