#pragma once
/// Stands in a client's process for a node elsewhere: carries requests to it, and fails what is under way as
/// soon as the connection is lost (CAF itself would leave it waiting).

#include "actors/interfaces.hpp"

#include <chrono>
#include <functional>
#include <map>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace cairn {

struct courier_state {
  courier_state() = default;
  storage_node_actor node;
  std::chrono::milliseconds request_timeout{};
  bool is_lost = false;
  std::uint64_t next_request = 1;
  std::map<std::uint64_t, std::function<void(caf::error)>> under_way; ///< how to fail each
  static inline const char* name = "cairn.courier";
};

storage_node_actor::behavior_type courier(storage_node_actor::stateful_pointer<courier_state> self,
                                          storage_node_actor node, std::chrono::milliseconds request_timeout);

} // namespace cairn
