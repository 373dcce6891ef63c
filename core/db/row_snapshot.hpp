#pragma once
/// Rows of segments in one snapshot of the database, as verify compares them with records. Reads only.

#include "core/db/stored_segment.hpp"
#include "core/errc.hpp"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace cairn {

/// A record whose trace is asked for.
struct row_question {
  segment_id id; ///< 0 = the key alone
  segment_key key;
  std::int32_t sequence_num = -1; ///< of a sequence
  bool with_meta = false;
};

/// What the rows say about it.
struct row_answer {
  std::optional<stored_segment> row; ///< with that id; without sequences
  std::int32_t sequence_count = 0;   ///< rows of its sequences; of an active one only
  bool has_sequence = false;         ///< the sequence asked for has its row
  segment_id holder;                 ///< what holds the key and is not cancelled; 0 = nothing does
  segment_status holder_status = segment_status::active;
  bool has_cancelled_row = false; ///< a cancelled row has the key
  bool is_fenced = false;
};

/// One read-only connection. Not thread-safe.
class row_snapshot {
public:
  /// @error database_unavailable, as all below
  static result<std::unique_ptr<row_snapshot>> open(const std::string& connection_string);
  ~row_snapshot();
  row_snapshot(const row_snapshot&) = delete;
  row_snapshot& operator=(const row_snapshot&) = delete;

  /// Begins a snapshot, which the others look at until the next one.
  /// @returns the log position: records up to here are in the rows
  result<log_sequence_number> take();
  /// The largest id; 0 = there is no segment.
  result<segment_id> newest_segment();
  /// One answer for each.
  result<std::vector<row_answer>> answer(std::span<const row_question> questions);
  /// Of the rows numbered past `after` up to `last`, those of tombstones; at most `limit`.
  result<std::vector<segment_id>> tombstones(segment_id after, segment_id last, std::size_t limit);

private:
  struct session;
  explicit row_snapshot(std::unique_ptr<session> s);

  std::unique_ptr<session> session_;
};

} // namespace cairn
