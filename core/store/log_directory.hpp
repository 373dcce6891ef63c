#pragma once
/// All value files of a node as one log: which there are, in which order, and where each one ends.

#include "core/log/scanner.hpp"
#include "core/store/file_spaces.hpp"

#include <optional>
#include <string>
#include <vector>

namespace cairn {

/// What to do where something of the log is missing: a value file, or blocks that the disk does not give.
enum class log_gaps {
  refuse,
  report, ///< go on with what is there: only for a new database
};

/// A value file that has a header.
struct log_file {
  value_file_id id;
  space_id space;
  std::string path;
  file_header header;
  std::uint64_t size_bytes = 0;
  std::optional<std::uint64_t>
    fence; ///< its successor's header says where it ends; none = it is the last one
};

/// Files on disk, in the order of the log.
struct log_directory {
  std::vector<log_file> files;
  std::vector<std::string> stillborn; ///< made, but the node ended before their header was written
  std::vector<std::string> unknown;   ///< paths of what is no value file

  /// Reads the directories of all spaces and each file's header.
  /// @error damaged: a file with records but without a header, which is named; conflict: another node's file;
  /// not_found, storage_error
  static result<log_directory> scan(disk& disk, const file_spaces& spaces, const std::string& cluster_name,
                                    node_id node);

  /// A scanner of one file up to its fence.
  static result<log_scanner> open(disk& disk, const log_file& file);
};

} // namespace cairn
