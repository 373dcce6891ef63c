#pragma once
/// Owns the open value file: writes, syncs, rolls over, and fences a file off that failed. Blocks on the
/// disk, so give it a thread of its own.

#include "actors/interfaces.hpp"
#include "actors/vitals.hpp"
#include "core/store/node_store.hpp"

#include <functional>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace cairn {

struct value_file_options {
  writer_actor writer;
  std::function<bool()> has_space; ///< whether the journal has room above its reserve
  std::shared_ptr<node_vitals> vitals;
  std::chrono::milliseconds space_check_interval{1'000}; ///< also between attempts to fence a failed file off
};

struct value_file_state {
  value_file_state() = default;
  value_file_options options;
  std::unique_ptr<value_log> log;
  bool has_space = true;
  std::uint64_t failures = 0; ///< of the log: a job that was made before the last one is void already
  /// A failure that is not fenced off yet: the writer hears of it when it is.
  std::shared_ptr<append_outcome> failed_append;
  std::shared_ptr<const failure> failed_why;
  static inline const char* name = "cairn.value_file";
};

/// Reports to the writer with records_appended, log_synced, log_failed and space_report.
value_file_actor::behavior_type value_file(value_file_actor::stateful_pointer<value_file_state> self,
                                           value_file_options options,
                                           std::shared_ptr<recovered_store> recovered);

} // namespace cairn
