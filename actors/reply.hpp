#pragma once
/// One client's requests under way. Checks what comes in, holds the window, and gives each request exactly
/// one answer: from the writer, from a reader, or by itself when neither answers in time.

#include "actors/interfaces.hpp"
#include "actors/vitals.hpp"
#include "core/admission.hpp"
#include "core/validation.hpp"

#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>
#include <caf/typed_response_promise.hpp>

namespace cairn {

struct reply_options {
  std::uint64_t client = 0; ///< its number in write tickets
  writer_actor writer;
  std::vector<reader_actor> readers; ///< not empty
  std::shared_ptr<node_directory> nodes;
  std::shared_ptr<node_vitals> vitals;
  node_limits limits;
  std::chrono::milliseconds request_timeout{30'000};
  std::shared_ptr<connection_account> account; ///< of the client's connection; null for one in this process
};

/// A promise to the client.
struct waiting_reply {
  caf::typed_response_promise<archive_reply> promise;
  envelope env;
  std::uint64_t window_bytes = 0; ///< it holds in the windows
  std::chrono::steady_clock::time_point deadline;
  unified_id version;                  ///< of the tombstone that it is about
  std::optional<node_record> new_node; ///< known to all once it is durable
};

/// A question that was not answered yet.
struct open_question {
  std::chrono::steady_clock::time_point deadline;
  bool is_asked = false; ///< a reader has it
  std::function<void(const failure&)> fail;
};

/// A question for a reader that waits until the client has taken earlier answers.
struct waiting_question {
  std::uint64_t number = 0;  ///< in reply_state::reading
  std::function<void()> ask; ///< puts it to the reader
};

struct reply_state {
  reply_state() = default;
  reply_state(const reply_state&) = delete;
  reply_state& operator=(const reply_state&) = delete;
  /// Whatever ends the actor: its client hears of it, the window is given back, the writer forgets it.
  ~reply_state();

  reply_options options;
  std::map<std::uint64_t, waiting_reply> waiting; ///< by request number, which is by deadline
  std::map<std::uint64_t, open_question> reading; ///< by question number, which is by deadline
  std::deque<waiting_question> questions;         ///< not yet put to a reader; overdue ones may be among them
  std::size_t asked = 0;     ///< of `reading`, those that a reader has; it may be at overdue ones besides
  bool awaits_drain = false; ///< questions go on when the connection's send buffer has drained
  std::uint64_t next_request = 1;
  std::uint64_t window_bytes = 0; ///< of this client
  static inline const char* name = "cairn.reply";
};

reply_actor::behavior_type reply(reply_actor::stateful_pointer<reply_state> self, reply_options options);

} // namespace cairn
