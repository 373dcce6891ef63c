#pragma once
/// Brings the database up to the log: at start, and whenever it lost commits while the node lives.

#include "core/db/node_database.hpp"
#include "core/store/log_directory.hpp"

#include <functional>

namespace cairn {

/// Told where the database stands, every few thousand records.
using replay_progress = std::function<void(log_sequence_number position, log_sequence_number to)>;

struct replay_options {
  log_gaps gaps = log_gaps::refuse;
  replay_progress on_progress;
};

struct replay_outcome {
  log_sequence_number position; ///< where the database stands now
  std::int64_t records = 0;
  std::int64_t damaged_sequences =
    0;                   ///< applied, but their bytes are not all there: noted in damaged_segment
  std::int64_t gaps = 0; ///< places where value files are missing
};

/// Folds the records numbered past `from` up to `to` (both of the log, `to` synced) into the database, in
/// order.
/// @param from the database's position
/// @error conflict: the log does not reach back to `from`, or a file is missing (unless gaps are reported):
/// only `cairn rebuild` helps; database_unavailable; storage_error: also when records that are to be folded
/// may lie in blocks that cannot be read (unless gaps are reported)
result<replay_outcome> replay_log(disk& disk, const log_directory& log, node_database& database,
                                  log_sequence_number from, log_sequence_number to,
                                  const replay_options& options = {});

} // namespace cairn
