#pragma once
/// What a value file holds, as its row tells it: gathered while it is written, or again by a scan.

#include "core/digest.hpp"
#include "core/log/record.hpp"

#include <optional>
#include <set>
#include <vector>

namespace cairn {

/// Row of table value_file. A file without close_time is being written, or was left open by a crash.
struct value_file_row {
  value_file_id id;
  space_id space;
  timestamp_us creation_time;
  std::optional<timestamp_us> close_time;
  std::uint64_t size_bytes = 0;   ///< valid bytes: nothing counts from here on
  std::optional<md5_digest> hash; ///< MD5 over its headers in order; set with close_time
  std::int32_t sequence_count = 0;
  segment_id min_segment; ///< 0 = no sequence
  segment_id max_segment;
  std::vector<collection_id> collections; ///< sorted

  bool operator==(const value_file_row&) const = default;
};

/// Gathers a row from headers in the order of the file. The writer and recovery use the same one, so that a
/// recovered file has the digest it would have had.
class value_file_summary {
public:
  value_file_summary(value_file_id id, space_id space, timestamp_us creation_time);

  void add_file_header(std::span<const std::byte> header);
  void add_record(std::span<const std::byte> header, const record_body& body);
  /// Counts the header of a record whose type is not known.
  void add_unknown_record(std::span<const std::byte> header);

  [[nodiscard]] bool has_records() const { return record_count_ != 0; }
  [[nodiscard]] value_file_row open_row() const;
  [[nodiscard]] value_file_row closed_row(std::uint64_t size_bytes, timestamp_us close_time) const;

private:
  void saw(collection_id collection) { collections_.insert(collection); }

  value_file_row counts_;
  std::set<collection_id> collections_;
  std::uint64_t record_count_ = 0;
  md5_hasher headers_;
};

} // namespace cairn
