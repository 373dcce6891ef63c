#pragma once
/// What a crash left of a value file that nobody closed. See core/log/FORMAT.md, "Where a file ends".

#include "core/db/stored_segment.hpp"
#include "core/log/value_file_row.hpp"
#include "core/store/log_directory.hpp"

#include <vector>

namespace cairn {

struct recovered_file {
  value_file_row row;           ///< closed; its size is where the file's valid bytes end
  log_sequence_number last_lsn; ///< of its last valid record, or of the last one before the file
  bool has_records = false;
  std::int64_t max_row_id = 0;      ///< of its segments and conjoined archives
  std::uint64_t torn_bytes = 0;     ///< past the valid end
  std::int64_t damaged_regions = 0; ///< below what was synced: reported, skipped, not repaired
  std::vector<lost_bytes> lost;     ///< those of them that held records
};

/// Finds where the file's valid bytes end, makes them durable, and gathers its row. Nothing is written.
/// A record that does not parse (or a sequence whose data do not fit) lies in a torn tail when it is numbered
/// past all that is known to be synced; otherwise it is damage, and the scan goes on at the next record.
/// Blocks that cannot be read are damage; if the log might end in them, they are so only where gaps are
/// reported.
/// @param known_synced the database's position; the file's own records may tell more
/// @error storage_error: also when the log's end is not known for that; version_mismatch: a newer program
/// wrote it
result<recovered_file> recover_file(disk& disk, const log_file& file, log_sequence_number known_synced,
                                    timestamp_us close_time, log_gaps gaps);

} // namespace cairn
