#pragma once
/// The node's face and supervisor: opens the store, spawns the actors that work on it, routes each client's
/// messages to that client's reply actor, rebuilds what fails, reports, and stops everything in order.

#include "actors/client_sessions.hpp"
#include "actors/interfaces.hpp"
#include "actors/vitals.hpp"
#include "core/peer_registry.hpp"
#include "core/store/node_store.hpp"

#include <chrono>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

namespace cairn {

struct storage_node_options {
  node_settings settings;
  disk* value_file_disk = nullptr;      ///< null = the operating system's; outlives the node
  std::shared_ptr<peer_registry> peers; ///< learns which nodes this node knows; may be null
  /// Whether actors that block get threads of their own. Only deterministic tests say no.
  bool use_threads = true;
  std::chrono::milliseconds stop_timeout{25'000};
  /// So many failures of child actors within the time, and the node gives up.
  std::size_t max_restarts = 5;
  std::chrono::milliseconds restart_window{60'000};
};

struct storage_node_state {
  storage_node_state() = default;
  storage_node_state(const storage_node_state&) = delete;
  storage_node_state& operator=(const storage_node_state&) = delete;
  /// Whatever ends the actor: those who wait hear of it, and all that it spawned ends too.
  ~storage_node_state();

  enum class role { opener, writer, value_file, node_db, sync_timer, digester, reader };

  storage_node_options options;
  node_phase phase = node_phase::starting;
  std::string waits_for;
  std::chrono::steady_clock::time_point started;
  std::shared_ptr<node_vitals> vitals = std::make_shared<node_vitals>();
  recovery_report recovery;

  // Filled when the store is open.
  std::shared_ptr<node_store> store;
  std::shared_ptr<node_directory> nodes; ///< the same one from then on
  opener_actor opener;
  writer_actor writer;
  value_file_actor value_file;
  node_db_actor node_db;
  sync_timer_actor sync_timer;
  std::vector<digester_actor> digesters;
  std::vector<reader_actor> readers;
  std::map<caf::actor_addr, role> children; ///< all that are alive

  client_sessions sessions;

  std::deque<std::chrono::steady_clock::time_point> restarts; ///< within the restart window
  std::uint64_t restart_count = 0;
  std::set<caf::actor_addr> dying; ///< of a write path that is taken down: the next one waits for them
  std::vector<caf::typed_response_promise<readiness>> awaiting_ready;
  caf::typed_response_promise<node_stopped> stopping;
  failure failed; ///< what await_ready hears in phase failed
  /// Why it ends: set when its children, which own lock and database server, were told to; it ends after
  /// them.
  std::optional<caf::error> ending;
  static inline const char* name = "cairn.storage_node";
};

/// Opens the store when it is first asked await_ready, which is answered when it is open, or with why it
/// cannot be.
node_owner_actor::behavior_type storage_node(node_owner_actor::stateful_pointer<storage_node_state> self,
                                             storage_node_options options);

} // namespace cairn
