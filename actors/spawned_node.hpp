#pragma once
/// What a coordinator gets by remote spawn: answers at once, becomes a storage node with start_node, and
/// controls it. The node itself is the host's; this actor hands messages on. README.md draws the sequence.

#include "actors/interfaces.hpp"

#include <chrono>
#include <map>
#include <memory>
#include <mutex>

#include <caf/actor_system_config.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

namespace cairn {

/// Between remote spawns and the host: they know of each other through it alone, because CAF makes spawned
/// actors from the configuration, before there is a host and until the actor system ends. Thread-safe.
class spawn_gate {
public:
  void open(host_owner_actor host);
  /// From here on spawned actors end by themselves.
  void close();
  /// Null while it is closed.
  [[nodiscard]] host_owner_actor host() const;

private:
  mutable std::mutex mutex_; ///< guards what follows
  host_owner_actor host_;
};

struct spawned_node_options {
  std::chrono::milliseconds start_limit{10'000}; ///< unstarted for so long, it ends
};

struct spawned_node_state {
  spawned_node_state() = default;
  spawned_node_state(const spawned_node_state&) = delete;
  spawned_node_state& operator=(const spawned_node_state&) = delete;
  /// Whatever ends the actor: its coordinators hear of it.
  ~spawned_node_state();

  spawned_node_options options;
  host_owner_actor host;
  storage_node_actor node; ///< null until it is started
  std::uint64_t start = 0; ///< number of the last start
  /// Starts that the host has not answered, by number.
  std::map<std::uint64_t, caf::typed_response_promise<node_started>> starting;
  static inline const char* name = "cairn.spawned_node";
};

/// @param host null: it ends at once
control_actor::behavior_type spawned_node(control_actor::stateful_pointer<spawned_node_state> self,
                                          host_owner_actor host, spawned_node_options options);

/// Lets coordinators spawn these actors under the name spawned_node_type, for the host behind the gate.
void allow_remote_spawn(caf::actor_system_config& config, std::shared_ptr<const spawn_gate> gate,
                        const spawned_node_options& options = {});

} // namespace cairn
