#pragma once
/// Owns the database connection that writes: one transaction for each round. A lost connection is its
/// business alone: it connects again, replays what the database lost, and finishes the round. Blocks on the
/// database, so give it a thread of its own.

#include "actors/interfaces.hpp"
#include "actors/vitals.hpp"
#include "core/store/node_store.hpp"

#include <caf/actor_clock.hpp>
#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace cairn {

struct node_db_options {
  writer_actor writer;
  std::shared_ptr<node_store> store;
  std::shared_ptr<node_vitals> vitals;
  std::chrono::milliseconds first_retry{20};
  std::chrono::milliseconds max_retry{1'000};
};

struct node_db_state {
  node_db_state() = default;
  node_db_options options;
  std::unique_ptr<node_database> database; ///< null = connection lost
  log_sequence_number position;            ///< of all rounds committed: where the database must stand
  std::shared_ptr<const fold_job> job;     ///< the round under way
  std::shared_ptr<fold_result> outcome;    ///< of job, once its rows are sent; null = not sent, or lost
  bool commit_wanted = false;              ///< job's records are synced
  bool is_committed = false; ///< job is in the database: a COMMIT of unknown outcome had succeeded
  bool retry_scheduled = false;
  caf::actor_clock::time_point retry_at; ///< when scheduled
  std::chrono::milliseconds retry_after{};
  caf::actor_clock::time_point next_look; ///< at what readers wait for
  static inline const char* name = "cairn.node_db";
};

/// Reports to the writer with round_committed.
node_db_actor::behavior_type node_db(node_db_actor::stateful_pointer<node_db_state> self,
                                     node_db_options options, std::shared_ptr<recovered_store> recovered);

} // namespace cairn
