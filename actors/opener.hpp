#pragma once
/// Opens and recovers a node's store. Blocks for as long as that takes, so give it a thread of its own.

#include "actors/interfaces.hpp"
#include "core/store/node_store.hpp"

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace cairn {

struct opener_state {
  opener_state() = default;
  disk* value_file_disk = nullptr;
  node_settings settings;
  std::shared_ptr<node_store> store; ///< from the first success on: lock and database server stay
  static inline const char* name = "cairn.opener";
};

/// @param value_file_disk outlives the actor and what it opens
opener_actor::behavior_type opener(opener_actor::stateful_pointer<opener_state> self, disk* value_file_disk,
                                   node_settings settings);

} // namespace cairn
