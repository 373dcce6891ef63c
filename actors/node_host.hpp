#pragma once
/// The process's nodes, configured and spawned: starts them, finds them by name, keeps their names and
/// directories apart, watches who started them, and stops them in order. No node's stop or failure touches
/// another.

#include "actors/interfaces.hpp"
#include "actors/spawned_node.hpp"
#include "actors/storage_node.hpp"
#include "core/host_validation.hpp"

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include <caf/actor_system.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

namespace cairn {

/// Makes a node; it does nothing before it is asked await_ready.
using node_factory = std::function<node_owner_actor(caf::actor_system&, storage_node_options)>;
node_owner_actor spawn_storage_node(caf::actor_system& system, storage_node_options options);

struct node_host_options {
  std::optional<node_settings> configured;      ///< the host's own node
  spawn_rules rules;                            ///< of spawned ones
  std::shared_ptr<spawn_gate> gate;             ///< closed when the host stops; null = nothing is spawned
  disk* value_file_disk = nullptr;              ///< null = the operating system's; outlives the host
  std::shared_ptr<peer_registry> peers;         ///< learns which nodes the host's nodes know; may be null
  std::size_t max_spawned = 16;                 ///< nodes
  std::size_t max_unstarted = 256;              ///< spawned_node actors without a node
  std::size_t max_controls = 16;                ///< spawned_node actors of one node
  std::chrono::milliseconds stop_limit{60'000}; ///< then a node that does not stop is killed
  node_factory make_node = spawn_storage_node;
};

/// One node of the host.
struct node_entry {
  node_owner_actor actor;
  node_settings settings; ///< its directory resolved
  bool is_spawned = false;
  coordinator_loss on_coordinator_loss = coordinator_loss::stop;
  node_phase phase = node_phase::starting;
  bool is_asked = false; ///< to start
  recovery_report recovery;
  std::set<caf::actor_addr> coordinators; ///< that are alive
  std::vector<caf::actor_addr> controls;  ///< that are alive, oldest first
  failure why;                            ///< why it failed to start
  std::int64_t lost = 0;                  ///< what its stop lost

  // Whom to tell: each is emptied when it is told.
  std::vector<std::pair<caf::actor_addr, caf::typed_response_promise<node_hosted>>> starting; ///< by control
  std::vector<caf::typed_response_promise<node_ended>> ending;
};

/// One spawned_node.
struct control_entry {
  control_actor handle;
  std::string node;                       ///< name; empty = none yet
  std::set<caf::actor_addr> coordinators; ///< that started the node through it and are alive
};

struct node_host_state {
  node_host_state() = default;
  node_host_state(const node_host_state&) = delete;
  node_host_state& operator=(const node_host_state&) = delete;
  /// Whatever ends the actor: its nodes and spawned actors end too, and those who wait hear of it.
  ~node_host_state();

  node_host_options options;
  std::map<std::string, node_entry> nodes; ///< by name, until their actors are gone
  std::map<caf::actor_addr, control_entry> controls;
  std::set<caf::actor_addr> watched; ///< coordinators that are monitored
  std::string configured;            ///< name of the host's own node; empty = none, or it is gone

  std::optional<caf::error> ending; ///< why the host ends: set when it stops its nodes
  std::int64_t lost = 0;            ///< by nodes that have stopped since
  caf::typed_response_promise<node_stopped> stopping;
  std::vector<caf::typed_response_promise<readiness>> awaiting_ready; ///< of the configured node
  static inline const char* name = "cairn.node_host";
};

/// Opens the gate. The configured node starts when the host is asked await_ready; when it fails later on, the
/// host stops the others and ends with the reason.
host_owner_actor::behavior_type node_host(host_owner_actor::stateful_pointer<node_host_state> self,
                                          node_host_options options);

} // namespace cairn
