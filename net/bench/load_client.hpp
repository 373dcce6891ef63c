#pragma once
/// One client of a load: keeps so many requests under way, and answers for each. Private to net/bench.

#include "actors/interfaces.hpp"
#include "core/unified_id.hpp"
#include "net/bench/load_plan.hpp"

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <random>

#include <caf/stateful_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

namespace cairn::bench {

using load_clock = std::chrono::steady_clock;

/// Where clients say that they are through; the thread that started them waits.
class finish_line {
public:
  explicit finish_line(std::size_t clients) : running_(clients) {}

  void arrive(const load_result& done, std::optional<failure> failed);
  /// @error the first failure; timed_out
  result<load_result> wait(std::chrono::milliseconds limit);

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::size_t running_;
  load_result sum_;
  std::optional<failure> failed_;
};

/// What clients do until the finish line.
struct phase {
  enum class kind : std::uint8_t { greet, prepare, measure } what = kind::greet;
  load_clock::time_point until; ///< measure
  std::shared_ptr<finish_line> line;
};

struct load_client_options {
  storage_node_actor node;
  std::shared_ptr<const load_plan> plan;
  std::uint32_t number = 0; ///< 0.., of this client
};

using load_client_actor = caf::typed_actor<caf::reacts_to<phase>>;

/// An object on its way to the node, message by message.
struct upload {
  segment_info segment;
  std::uint64_t object = 0;
  std::int32_t sent = 0; ///< sequences
  load_clock::time_point begun;
};
/// An object, or a range of it, on its way back.
struct download {
  std::uint64_t object = 0;
  std::int32_t sequence_num = 0;  ///< the next to come
  std::uint32_t offset_bytes = 0; ///< of the range
  load_clock::time_point begun;
};

/// Keeps to one phase at a time.
class load_client_state {
public:
  static inline const char* name = "cairn.load_client";

  void begin(load_client_actor::stateful_pointer<load_client_state> self, load_client_options options);
  void enter(const phase& next);

private:
  void greet();
  void go_on();
  [[nodiscard]] bool has_more() const;
  void send_one();
  void begin_upload();
  void send_sequence();
  void send_get();
  void take_get(const download& what, const retrieve_reply& reply);
  [[nodiscard]] bool is_right(const download& what, const retrieve_reply& reply) const;
  void answered();
  void fail_with(failure why);
  [[nodiscard]] std::string key_of(std::uint64_t object) const;
  [[nodiscard]] const sample& sample_of(std::uint64_t object, std::int32_t sequence) const;
  template <class Request, class OnReply>
  void ask(Request request, OnReply on_reply);

  load_client_actor::stateful_pointer<load_client_state> self_ = nullptr;
  load_client_options options_;
  std::string node_name_;
  std::optional<unified_id_generator> ids_;
  std::mt19937_64 random_;
  phase now_;
  bool is_running_ = false;
  std::optional<failure> failed_;
  load_result done_;
  std::optional<upload> upload_;
  std::uint64_t next_object_ = 0; ///< to archive
  std::uint32_t under_way_ = 0;
};

load_client_actor::behavior_type load_client(load_client_actor::stateful_pointer<load_client_state> self,
                                             load_client_options options);

} // namespace cairn::bench

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(cairn::bench::phase)
