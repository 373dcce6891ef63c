#pragma once
/// Brings a segment key of a stepped node into a state, sends a message, and tells what came of it.

#include "tests/actors/state_table.hpp"
#include "tests/actors/stepped_node.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace cairn {

/// The key that a case is about, and what is archived under it.
struct lab_object {
  std::uint64_t version = 0; ///< its key text follows from it
  bool is_entire = false;    ///< one sequence, sent as an entire; else three, as start, next and final
  std::string handoff;       ///< node that it is held for

  [[nodiscard]] std::string key() const { return "state/" + std::to_string(version); }
  [[nodiscard]] segment_info segment() const;
  [[nodiscard]] named_segment_key segment_key() const { return {unified_id{version}, 0, 1, handoff}; }
  [[nodiscard]] timestamp_us timestamp() const;
  [[nodiscard]] std::int32_t sequence_count() const { return is_entire ? 1 : 3; }
};

/// Messages about an object; another variant is other content.
archive_key_entire entire_of(const lab_object& object, int variant = 0);
archive_key_start start_of(const lab_object& object, int variant = 0);
archive_key_next next_of(const lab_object& object, std::int32_t number, int variant = 0);
archive_key_final final_of(const lab_object& object, std::int32_t number, int variant = 0);
destroy_key destroy_of(const lab_object& object, std::uint64_t deletes = 0);

/// Where the round of a final that waits is held.
enum class hold { filling, writing, committing };
std::string to_string(hold where);

/// A request under way: its result, once there is one. For a listing: "listed" or "not listed".
using lab_reply = std::function<std::optional<std::string>()>;

class state_lab {
public:
  state_lab();

  stepped_node& node() { return node_; }
  /// An object of a new key.
  lab_object new_object(bool is_entire, const std::string& handoff);

  /// @param state a column of the table
  /// @param synced whether starts and nexts are durable by then
  void bring(const lab_object& object, const std::string& state, hold where, bool synced = false);
  template <class Message>
  lab_reply send(Message message) {
    auto out = node_.send<archive_reply>(std::move(message));
    return [out]() -> std::optional<std::string> {
      return out->reply ? std::optional<std::string>(to_string(out->reply->result)) : std::nullopt;
    };
  }
  /// Runs all that may run, step by step. @returns result, and when it came
  state_cell observe(const lab_reply& reply);

  /// The state of a key when nothing is under way.
  std::string state_of(const lab_object& object);
  /// What the final that was held was answered; empty = no answer, or none was held.
  std::string held_answer();
  /// Leaves nothing active behind.
  void clean_up(const lab_object& object);

private:
  void expect_success(lab_reply reply);
  bool is_readable(const lab_object& object);
  bool is_tombstone(const lab_object& object);

  stepped_node node_;
  std::uint64_t next_version_ = 1;
  lab_reply held_;
};

} // namespace cairn
