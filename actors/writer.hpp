#pragma once
/// The writer: feeds write_machine its events and carries out what it asks for. It never blocks.

#include "actors/interfaces.hpp"
#include "actors/vitals.hpp"

#include <chrono>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

namespace cairn {

struct writer_options {
  write_machine_options machine;
  std::shared_ptr<node_vitals> vitals;
};

struct writer_state {
  writer_state() = default;
  writer_options options;
  std::optional<write_machine> machine;
  std::shared_ptr<const writer_neighbours>
    neighbours; ///< null before connect_writer: events wait in the machine
  std::unordered_map<std::uint64_t, reply_actor> clients;
  std::vector<digest_job> small; ///< digested here, with those of other requests
  bool gathers_small = false;
  std::deque<digest_job> undigested; ///< for which no digester was free
  std::vector<bool> digests;         ///< which of the digesters are at work
  enum class announced { nothing, gathering, due };
  announced round = announced::nothing;             ///< what the sync timer was told, its tick is on its way
  std::chrono::steady_clock::time_point fold_begun; ///< when the database got its latest round
  std::chrono::nanoseconds gather_time{0}; ///< what the next round may wait for clients of the last one
  caf::typed_response_promise<writing_stopped> stopped;
  static inline const char* name = "cairn.writer";
};

writer_actor::behavior_type writer(writer_actor::stateful_pointer<writer_state> self, writer_options options,
                                   write_machine_start start);

} // namespace cairn
