#pragma once
/// Names every type that crosses a process border. Both sides must call this before they make an actor
/// system: CAF drops, without a word, messages of types that one side does not know.

#include <caf/actor_system_config.hpp>

namespace cairn {

void add_wire_types(caf::actor_system_config& config);

} // namespace cairn
