#pragma once
/// Records of the log: one struct for each fact. The bytes are described in FORMAT.md beside this file.

#include "core/archive.hpp"
#include "core/digest.hpp"
#include "core/payload.hpp"

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace cairn {

/// What a record of a segment repeats, so that the log alone can rebuild the database.
struct segment_identity {
  segment_id id;
  segment_info segment;
  node_ids nodes;

  bool operator==(const segment_identity&) const = default;
  [[nodiscard]] segment_key key() const { return key_of(segment, nodes.handoff); }
};

/// Where one sequence lies.
struct stored_sequence {
  sequence_info info;
  value_file_id value_file;
  std::uint64_t data_offset_bytes = 0;

  bool operator==(const stored_sequence&) const = default;
};

/// One sequence and its bytes. Sequence 0 brings the segment into being.
struct sequence_record {
  segment_identity of;
  sequence_info sequence;
  data_checksums checksums;
  payload data; ///< empty when the record was read by a scan
};

/// The segment is complete; applied only when all its sequences are there.
struct final_record {
  segment_identity of;
  file_info file;
  std::int32_t sequence_count = 0;
  std::uint64_t total_bytes = 0; ///< sum of the sequences' sizes
  metadata meta;
};

enum class cancel_reason : std::uint8_t {
  client = 1, ///< of whatever holds the key
  idle,       ///< of one attempt, as are those below
  restart,
  gateway_start,
  storage_fault, ///< a write of the attempt failed: it is forgotten, and the key may be used again
};

/// The segment will never be visible (again). For a key the node does not know it is a fence.
struct cancel_record {
  segment_id id; ///< 0 = whatever holds the key
  segment_key key;
  timestamp_us timestamp;
  cancel_reason reason = cancel_reason::client;
};

/// A delete: of one version, or of every version older than the tombstone.
struct tombstone_record {
  segment_identity of; ///< of.segment.version is the tombstone's own unified id
  unified_id deletes;  ///< 0 = every version with a smaller unified id
};

/// A step of a conjoined archive; steps may arrive in any order, abort wins over finish.
struct conjoined_record {
  std::int64_t row_id = 0;
  collection_id collection;
  std::string key;
  unified_id version;
  timestamp_us timestamp;
  node_id handoff;
  conjoined_action action = conjoined_action::start;
};

/// A handoff copy that was replayed to its node is removed here.
struct purge_record {
  segment_id id;
  segment_key key;
  timestamp_us timestamp;
};

/// A final segment was archived again, as its stored bytes were damaged: from here on it has those of the
/// attempt that repeated it, a segment with an id of its own. Tells all of the segment, should its first
/// records be lost.
struct repair_record {
  segment_identity of;
  file_info file;
  std::vector<stored_sequence> sequences; ///< by number: the new places
  metadata meta;
};

struct collection_record {
  collection_id collection;
  bool versioned = true;
};

struct node_record {
  node_id node;
  std::string name;
  std::string host;
  std::int32_t port = 0;
};

enum class space_purpose : std::uint8_t { journal = 1, storage };

struct file_space_record {
  space_id space;
  space_purpose purpose = space_purpose::journal;
  std::string path;
  std::string volume;
  timestamp_us creation_time;
};

/// In the order of the type numbers in the log, which start at 1.
using record_body =
  std::variant<sequence_record, final_record, cancel_record, tombstone_record, conjoined_record, purge_record,
               collection_record, node_record, file_space_record, repair_record>;

/// Name of a record's type, e.g. "sequence".
std::string_view type_name(const record_body& body);

/// Where a record lies. `lsn` orders all records of the node.
struct placement {
  log_sequence_number lsn;
  value_file_id value_file;
  std::uint64_t record_offset = 0; ///< of the record header, in bytes from the file's begin
  std::uint32_t header_bytes = 0;
  std::uint32_t data_bytes = 0;
  std::uint32_t header_crc32c = 0;

  [[nodiscard]] std::uint64_t data_offset() const { return record_offset + header_bytes; }
  bool operator==(const placement&) const = default;
};

/// A record with its place: what the database folds.
struct placed_record {
  record_body body;
  placement at;
};

} // namespace cairn
