#pragma once
/// Brings the database up to the log: at start, and whenever it lost commits while the node lives.

#include "core/db/node_database.hpp"
#include "core/store/log_directory.hpp"

namespace cairn {

struct replay_outcome {
  log_sequence_number position; ///< where the database stands now
  std::int64_t records = 0;
  std::int64_t damaged_sequences =
    0; ///< applied, but their bytes are not all there: noted in damaged_segment
};

/// Folds the records numbered past `from` up to `to` (both of the log, `to` synced) into the database, in
/// order.
/// @param from the database's position
/// @error conflict: the log does not reach back to `from`, or a file is missing: only `cairn rebuild` helps;
/// database_unavailable, storage_error
result<replay_outcome> replay_log(disk& disk, const log_directory& log, node_database& database,
                                  log_sequence_number from, log_sequence_number to);

} // namespace cairn
