#pragma once
/// Drives the rounds: when a completion waits, with those that are about to come; at the latest each
/// interval.

#include "actors/interfaces.hpp"

#include <chrono>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace cairn {

struct sync_timer_state {
  sync_timer_state() = default;
  writer_actor writer;
  std::chrono::milliseconds interval{};
  static inline const char* name = "cairn.sync_timer";
};

/// @param interval longest time that written data stay unsynced, when nobody waits for them
sync_timer_actor::behavior_type sync_timer(sync_timer_actor::stateful_pointer<sync_timer_state> self,
                                           writer_actor writer, std::chrono::milliseconds interval);

} // namespace cairn
