#pragma once
/// The words of an archive: what messages carry, records store and rows hold.

#include "core/ids.hpp"

#include <array>
#include <compare>
#include <cstdint>
#include <map>
#include <string>

namespace cairn {

inline constexpr std::size_t max_key_bytes = 1024;
inline constexpr std::size_t max_meta_key_bytes = 1024;
inline constexpr std::size_t max_meta_value_bytes = 1024;
inline constexpr std::size_t max_meta_pairs = 64;
inline constexpr std::int32_t max_segment_num = 255;

using md5_digest = std::array<std::uint8_t, 16>;

/// What a segment is a share of, and which share. `segment` in messages.
struct segment_info {
  collection_id collection;
  std::string key; ///< valid UTF-8 without NUL, 1..max_key_bytes bytes
  unified_id version;
  timestamp_us timestamp;
  std::int32_t conjoined_part = 0; ///< 1.. = part of a conjoined archive, 0 = not conjoined
  std::int32_t segment_num = 0;    ///< 1..max_segment_num

  bool operator==(const segment_info&) const = default;
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, segment_info& x) {
    return f(x.collection, x.key, x.version, x.timestamp, x.conjoined_part, x.segment_num);
  }
};

/// One piece of a segment and its digests.
struct sequence_info {
  std::int32_t sequence_num = 0; ///< 0.., growing by one
  std::uint32_t size_bytes = 0;
  std::uint32_t padding_bytes = 0; ///< bytes that the erasure coder added
  md5_digest md5{};
  std::uint32_t adler32 = 1;

  bool operator==(const sequence_info&) const = default;
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, sequence_info& x) {
    return f(x.sequence_num, x.size_bytes, x.padding_bytes, x.md5, x.adler32);
  }
};

/// The whole object that the segment is a share of. Stored as sent: the node cannot check it.
struct file_info {
  std::int64_t size_bytes = 0;
  std::uint32_t adler32 = 1;
  md5_digest md5{};

  bool operator==(const file_info&) const = default;
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, file_info& x) {
    return f(x.size_bytes, x.adler32, x.md5);
  }
};

/// Who sent the archive, and for which absent node it is held here (empty = for this node itself).
struct node_names {
  std::string source;
  std::string handoff;

  bool operator==(const node_names&) const = default;
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, node_names& x) {
    return f(x.source, x.handoff);
  }
};

/// The same by id; 0 = none.
struct node_ids {
  node_id source;
  node_id handoff;
  auto operator<=>(const node_ids&) const = default;
};

/// A step of a conjoined archive.
enum class conjoined_action : std::uint8_t { start = 1, abort, finish };

/// Caller's own pairs; at most max_meta_pairs.
using metadata = std::map<std::string, std::string>;

/// Identifies a segment on a node, as messages name it.
struct named_segment_key {
  unified_id version;
  std::int32_t conjoined_part = 0;
  std::int32_t segment_num = 0;
  std::string handoff_node; ///< empty = none

  bool operator==(const named_segment_key&) const = default;
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, named_segment_key& x) {
    return f(x.version, x.conjoined_part, x.segment_num, x.handoff_node);
  }
};

/// Identifies a segment on a node.
struct segment_key {
  unified_id version;
  std::int32_t conjoined_part = 0;
  std::int32_t segment_num = 0;
  node_id handoff; ///< 0 = none
  auto operator<=>(const segment_key&) const = default;
};

inline segment_key key_of(const segment_info& segment, node_id handoff) {
  return {segment.version, segment.conjoined_part, segment.segment_num, handoff};
}

/// Proof of an acknowledgement: where the acknowledged record lies in the log.
struct receipt {
  log_sequence_number lsn;
  value_file_id value_file;
  std::uint64_t offset_bytes = 0; ///< of the acknowledged record in its value file
  std::uint32_t length_bytes = 0; ///< of that record, header and data
  std::uint32_t crc32c = 0;       ///< of that record's header, which holds the CRC-32C of its data
  round_number round;

  bool operator==(const receipt&) const = default;
  template <class Inspector>
  friend typename Inspector::result_type inspect(Inspector& f, receipt& x) {
    return f(x.lsn, x.value_file, x.offset_bytes, x.length_bytes, x.crc32c, x.round);
  }
};

} // namespace cairn

template <>
struct std::hash<cairn::segment_key> {
  std::size_t operator()(const cairn::segment_key& key) const noexcept {
    auto mix = key.version.value * 0x9e3779b97f4a7c15ULL;
    mix ^= (static_cast<std::uint64_t>(key.conjoined_part) << 40)
           ^ (static_cast<std::uint64_t>(key.segment_num) << 32)
           ^ static_cast<std::uint64_t>(key.handoff.value);
    return std::hash<std::uint64_t>{}(mix ^ (mix >> 29));
  }
};
