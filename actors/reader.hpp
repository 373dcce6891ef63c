#pragma once
/// Look-ups and retrievals of a node. Blocks on database and disk, so give it a thread of its own.

#include "actors/interfaces.hpp"
#include "actors/vitals.hpp"
#include "core/read/segment_reader.hpp"
#include "core/validation.hpp"

#include <chrono>
#include <unordered_map>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

namespace cairn {

struct reader_options {
  disk* value_file_disk = nullptr; ///< outlives the actor
  std::string spaces_root;
  std::string database; ///< connection string
  std::shared_ptr<node_directory> nodes;
  std::shared_ptr<node_vitals> vitals;
  node_limits limits;
  std::uint64_t index = 0; ///< of this reader among `count`: retrieval numbers modulo count
  std::uint64_t count = 1;
  std::chrono::milliseconds idle_limit{60'000}; ///< then a retrieval is closed
};

/// A segment whose sequences a client fetches one after the other.
struct open_retrieval {
  stored_segment segment; ///< its sequences are those from first to last
  byte_range range;
  std::int32_t sequence_count = 0;   ///< of the whole segment
  std::int32_t first = 0;            ///< number of the sequence that the range touches first
  std::int32_t last = -1;            ///< and last; smaller than first: none
  std::vector<std::uint64_t> begins; ///< of first to last, in bytes from the segment's begin
  std::vector<bool> is_given;        ///< likewise: the client was sent it
  std::chrono::steady_clock::time_point last_used;
};

/// A question for the newest version of a key, not yet put to the database.
struct gathered_question {
  retrieve_start request;
  caf::typed_response_promise<retrieve_reply> promise;
};

struct reader_state {
  reader_state() = default;
  reader_state(const reader_state&) = delete;
  reader_state& operator=(const reader_state&) = delete;
  /// Whatever ends the actor: those whose questions it gathered hear of it.
  ~reader_state();

  reader_options options;
  std::unique_ptr<segment_reader> reader;
  std::unordered_map<std::uint64_t, open_retrieval> retrievals; ///< by number
  std::uint64_t next_retrieval = 1;
  std::vector<gathered_question> gathered;
  static inline const char* name = "cairn.reader";
};

reader_actor::behavior_type reader(reader_actor::stateful_pointer<reader_state> self, reader_options options);

} // namespace cairn
