#pragma once
/// Look-ups and retrievals: rows from a database connection of its own, bytes from the value files, each
/// sequence verified before it is handed out. Which versions there are: README.md beside the folder, "What a
/// reader sees".

#include "core/db/stored_segment.hpp"
#include "core/disk/disk.hpp"
#include "core/messages.hpp"
#include "core/read/value_file_cache.hpp"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace cairn {

/// A visible version of a key.
struct visible_version {
  unified_id version;
  timestamp_us timestamp;
  file_info file; ///< of a conjoined version: the sum of its parts' sizes
  bool is_tombstone = false;
  std::vector<held_segment> segments;
  metadata meta;
};

struct key_listing {
  std::vector<listed_key> keys;
  bool is_truncated = false;
};

/// What a reader asks for.
struct collection_key {
  collection_id collection;
  std::string key;
};

/// What is held here for another node.
struct stored_handoff {
  std::int64_t row = 0;
  segment_info segment;
  node_id source;
  bool is_tombstone = false;
  unified_id deletes;
};
struct handoff_listing {
  std::vector<stored_handoff> handoffs;
  bool is_truncated = false;
};

/// Not thread-safe: one thread owns it. Connects when first asked, and again after the connection was lost.
class segment_reader {
public:
  /// @param disk, must outlive this
  segment_reader(disk& disk, std::string spaces_root, std::string connection_string);
  ~segment_reader();

  /// @param at_least the last acknowledged LSN as of now: a database that is behind it is not served from,
  /// for it has lost commits that are being replayed
  /// @error not_found, database_unavailable
  result<visible_version> look_up(collection_id collection, const std::string& key, unified_id version,
                                  log_sequence_number at_least);
  /// @error database_unavailable
  result<key_listing> list_keys(const cairn::list_keys& request, log_sequence_number at_least);
  /// @error database_unavailable
  result<key_listing> list_versions(const cairn::list_versions& request, log_sequence_number at_least);
  /// Segments and tombstones held for a node, by row. @error database_unavailable
  result<handoff_listing> list_handoffs(node_id node, std::int64_t marker, std::int32_t limit,
                                        log_sequence_number at_least);
  /// The final segment that holds a key. @error not_found, database_unavailable
  result<stored_segment> find_segment(const segment_key& key, log_sequence_number at_least);
  /// Of each key the segment with the smallest number of the newest visible version, all in one trip to the
  /// database. @error database_unavailable
  result<std::vector<std::optional<stored_segment>>> find_newest(std::span<const collection_key> keys,
                                                                 log_sequence_number at_least);

  /// The receipt of a final segment, but for its round, which no record tells; read from the value file, not
  /// from rows.
  /// @returns zero when the record is not where it can be found. @error damaged, database_unavailable
  result<receipt> find_receipt(const stored_segment& segment);

  /// Reads and verifies a part of one sequence. What is damaged is noted in damaged_segment.
  /// @error damaged; busy: for want of memory or descriptors; database_unavailable (where the file lies is
  /// not known, or damage cannot be noted)
  result<payload> read_sequence(const stored_segment& segment, std::size_t index,
                                const value_file_cache::data_part& part);
  /// Frees memory that was not needed since the last call.
  void rest() { files_.rest(); }

private:
  struct session;
  void connect();
  bool has(log_sequence_number at_least);
  template <class Body>
  auto query(log_sequence_number at_least, Body&& body) -> result<std::invoke_result_t<Body, session&>>;
  result<space_id> space_of(value_file_id file);
  /// Whoever is told of damage can mend it: an archive that repeats the segment must know of it.
  /// @returns what to answer: what was found, or why it could not be noted
  failure note_damage(const stored_segment& segment, std::size_t index, const failure& found,
                      damage what = damage::defective);

  value_file_cache files_;
  std::string connection_string_;
  std::unique_ptr<session> session_; ///< null = not connected
};

} // namespace cairn
