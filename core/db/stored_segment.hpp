#pragma once
/// Rows as values: what the database tells about segments.

#include "core/log/record.hpp"

#include <limits>
#include <optional>
#include <string>
#include <vector>

namespace cairn {

enum class segment_status : char { active = 'A', cancelled = 'C', final = 'F', tombstone = 'T' };

/// What is wrong with a sequence that cannot be given, as table damaged_segment has it.
enum class damage : char {
  missing = 'M', ///< the value file is not there
  defective = 'D',
};

/// Part of a value file whose bytes nobody will read again: whole records.
struct lost_bytes {
  static constexpr auto to_the_end = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());

  value_file_id file;
  std::uint64_t begin = 0; ///< where the first lost record begins
  std::uint64_t end = 0;   ///< where the next record begins that is not lost, or to_the_end
  damage what = damage::defective;
};

/// A row of table segment with its sequences and metadata.
struct stored_segment {
  segment_id id;
  segment_status status = segment_status::active;
  segment_info segment;
  node_ids nodes;
  file_info file;                         ///< of a final
  unified_id deletes;                     ///< of a tombstone; 0 = every earlier version
  std::vector<stored_sequence> sequences; ///< by number
  metadata meta;
  bool is_damaged =
    false; ///< not all of its bytes came back when they were last read; only load_segment() tells

  bool operator==(const stored_segment&) const = default;
};

/// What became of a record.
struct fold_outcome {
  enum class kind {
    applied, ///< its facts are in the rows, now or since an earlier time
    lost,    ///< an earlier record took or cancelled its key: it changed nothing
    refused, ///< the database does not take it; it is in table rejected
  };
  kind what = kind::applied;
  std::string reason; ///< of refused, and of a lost node
  /// Of a lost final, tombstone, repair or cancel of an attempt: what holds the key, as it is at the end of
  /// the round at the latest.
  std::optional<stored_segment> existing;
};

} // namespace cairn
