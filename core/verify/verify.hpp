#pragma once
/// Proves a node's database against its value files, and the files against their digests. Reads only; the
/// node may run meanwhile.
///
/// For each value file, in one snapshot of the database: every record's checksums, every sequence's MD5;
/// every row of segment_sequence is matched with the record it points at; every record numbered up to the log
/// position has left its trace in the rows, with all that it says, or is counted as garbage; a closed file
/// has the size and digest of its row. Every tombstone's row has its record.

#include "core/disk/disk.hpp"
#include "core/identity.hpp"
#include "core/ids.hpp"
#include "core/log/record.hpp"

#include <chrono>
#include <functional>
#include <set>
#include <string>

namespace cairn {

/// Something that is not as it should be.
struct verify_problem {
  std::string what;
  std::string file;               ///< path; empty = of the rows alone
  std::uint64_t offset_bytes = 0; ///< of the record, or where none parses
  segment_info segment;           ///< whose fact it is; an empty key: not known
  std::int32_t sequence_num = -1; ///< -1 = not of a sequence
};

struct verify_counts {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0; ///< of the files
  std::uint64_t records = 0;
  std::uint64_t sequences = 0; ///< that rows point at
  std::uint64_t garbage_records = 0;
  std::uint64_t garbage_bytes = 0;   ///< of sequences that no row points at
  std::uint64_t waiting_records = 0; ///< past the log position: the next start replays them
  std::uint64_t problems = 0;

  verify_counts& operator+=(const verify_counts& more);
};

struct verify_options {
  std::uint64_t bytes_per_second = 0;      ///< 0 = as fast as it goes
  std::set<value_file_id> verified_before; ///< closed files that an earlier run has done
  std::function<void(const verify_problem&)> on_problem;
  std::function<void(std::uint64_t done_bytes, std::uint64_t total_bytes)> on_progress;
  /// Told once of each file, in the order of the log. `for_good`: it and all before it are done, nothing of
  /// them will change, and nothing of them is left to be explained by a later one, so that a run that goes on
  /// may leave them out. That may show some files later; of the others it is told at the end.
  std::function<void(value_file_id id, bool for_good, const verify_counts& counts)> on_file;
};

/// A file that cannot be read, or has no header, is a problem; the others are read all the same.
/// @param spaces_root the directory of the spaces' symlinks, DIR/spaces
/// @returns the sum over the files of this run, and what is wrong with rows of no file
/// @error database_unavailable; conflict: not this node's database, or another node's file; version_mismatch:
/// a newer program's file; not_found, storage_error: a directory cannot be read
result<verify_counts> verify_node(disk& disk, const std::string& spaces_root, const std::string& database,
                                  const node_identity& identity, const verify_options& options);

} // namespace cairn
