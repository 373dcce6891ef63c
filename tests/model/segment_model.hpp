#pragma once
/// What the contract says of one segment key: the table "States and messages" in actors/README.md. A message
/// in flight may find the one before it still waiting for its round, or settled; after an abrupt end, what
/// nobody was told about may have happened or not. So a segment is a set of possible worlds, each plain and
/// certain. Replies rule worlds out; when none is left, the node broke the contract.

#include "core/messages.hpp"

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace cairn::model {

/// Bytes of sequences. Two are equal when their digests are, which are compared elsewhere.
struct sequence_bytes {
  std::vector<payload> of;
  bool operator==(const sequence_bytes&) const { return true; }
};

/// A stored segment or tombstone.
struct content {
  segment_info segment;
  node_names nodes;
  std::vector<sequence_info> sequences;
  file_info file;
  metadata meta;
  bool is_tombstone = false;
  unified_id deletes; ///< of a tombstone
  sequence_bytes data;

  bool operator==(const content&) const = default;
  [[nodiscard]] named_segment_key key() const {
    return {segment.version, segment.conjoined_part, segment.segment_num, nodes.handoff};
  }
};

/// What a reply says of a segment.
struct outcome {
  errc code = errc::success;
  bool has_receipt = false;
  bool operator==(const outcome&) const = default;
};

using segment_message = std::variant<archive_key_entire, archive_key_start, archive_key_next,
                                     archive_key_final, archive_key_cancel, destroy_key>;
/// The segment key that a message is about.
named_segment_key key_of(const segment_message& message);

/// Number of a message among those in flight.
using place = std::size_t;

struct world {
  /// Started, not finished. One that began while something was stored under its key leaves that alone, and
  /// its final is compared with it.
  struct attempt {
    content so_far;
    bool began_beside_stored = false;
    bool is_durable = false; ///< its begin: something acknowledged as durable came after it
    bool operator==(const attempt&) const = default;
  };
  /// Has its final, waits for the round. Repeats join it.
  struct completion {
    content whole;
    bool began_beside_stored = false;
    bool is_durable = false; ///< as an attempt: its begin
    std::vector<place> waiting;
    bool operator==(const completion&) const = default;
  };
  /// A next or final that found no active segment: the database says whether it is a repeat.
  struct question {
    std::variant<archive_key_next, archive_key_final> repeat;
    bool operator==(const question&) const { return true; }
  };

  bool is_cancelled = false;
  std::optional<content> stored; ///< final segment or tombstone
  std::optional<attempt> active;
  std::optional<completion> finalizing;
  std::map<place, question> questions;
  std::map<place, outcome> answers; ///< to messages in flight

  bool operator==(const world&) const = default;
};

/// How a batch of messages ended.
enum class batch_end : std::uint8_t {
  answered, ///< each message has its reply
  stopped,  ///< the node was told to stop: some were refused shutting_down, or came too late for a reply
  crashed,  ///< the node ended abruptly: some have no reply, and may have been stored
};

class segment_model {
public:
  /// A message comes in; messages of one key come in order.
  void arrive(place at, const segment_message& message, batch_end end);
  /// All messages in flight came to their end. Of those about this key: @returns false when the replies
  /// contradict every world; the worlds stay as they were, for explain()
  bool settle(const std::map<place, std::optional<outcome>>& replies, batch_end end);
  /// What could have been answered to the messages in flight, for a person.
  [[nodiscard]] std::string explain() const;

  /// The rest acts on segments without messages in flight.
  /// @returns whether an active segment was cancelled
  bool gateway_start(const std::string& source, timestamp_us before);
  void purge();
  void became_durable(); ///< what was written up to now
  void stop();
  void crash();

  /// Whether there is only one world left.
  [[nodiscard]] bool is_sure() const { return worlds_.size() == 1; }
  [[nodiscard]] const world& any_world() const { return worlds_.front(); }

private:
  std::vector<world> worlds_{world{}};
};

} // namespace cairn::model
