#pragma once
/// The writing end of the node database: schema, rounds, log position.
///
/// The synced log decides; the database only indexes it. So a round's transaction does not wait for the
/// database's own disk (synchronous_commit = off): what a crash of the database loses is replayed from the
/// log, and the guarded log position tells how much that is.

#include "core/db/stored_segment.hpp"
#include "core/errc.hpp"
#include "core/identity.hpp"
#include "core/log/record.hpp"
#include "core/log/value_file_row.hpp"

#include <memory>
#include <span>
#include <string>
#include <vector>

namespace cairn {

struct database_fault;

/// Where the database stands when the node opens it.
struct database_state {
  log_sequence_number position;
  std::vector<value_file_row> value_files;    ///< by id
  std::vector<file_space_record> file_spaces; ///< by id
  std::vector<node_record> nodes;             ///< by id
  std::int64_t max_row_id = 0;                ///< of segments and conjoined archives, lost ones too
};

/// What a segment of status A is called; its cancel is all that recovery needs.
struct active_segment_row {
  segment_id id;
  segment_key key;
};

/// Not thread-safe: one thread owns it. After `database_unavailable` the object is of no use: open another.
class node_database {
public:
  /// What to do with a database in which no node has been.
  enum class if_empty { create, refuse };

  /// Connects, creates or migrates the schema, and compares the identity stored there (stored at the first
  /// time).
  /// @error database_unavailable: not reachable; conflict: newer schema, wrong encoding, another node's, or
  /// empty
  static result<std::unique_ptr<node_database>> open(const std::string& connection_string,
                                                     const node_identity& identity,
                                                     if_empty empty = if_empty::create);
  /// Renames the schema that a node's database has, so that a new one can be made.
  /// @returns its new name; empty when there is none
  /// @error database_unavailable; conflict: it is another node's
  static result<std::string> put_aside(const std::string& connection_string, const node_identity& identity);
  ~node_database();
  node_database(const node_database&) = delete;
  node_database& operator=(const node_database&) = delete;

  /// @error database_unavailable
  result<log_sequence_number> position();
  result<database_state> load_state();
  result<std::vector<active_segment_row>> active_segments();
  /// Keys that were cancelled, the latest first, at most `limit`.
  result<std::vector<segment_key>> cancelled_keys(std::size_t limit);

  /// A round's facts.
  struct round {
    log_sequence_number expected_position;  ///< where the database must stand
    log_sequence_number new_position;       ///< where it stands afterwards
    std::span<const placed_record> records; ///< in LSN order
    std::span<const value_file_row> file_rows;
    std::span<const segment_key> look_ups; ///< answered after the records, in the same transaction
  };
  struct round_outcome {
    std::vector<fold_outcome> records;
    std::vector<std::optional<stored_segment>> look_ups;
  };

  /// Sends the round's rows and keeps the transaction open, so that it can overlap the sync of the log.
  /// A record that the database refuses goes to table rejected and does not sink the round.
  /// @error database_unavailable; conflict: the position is not the expected one, replay first
  result<round_outcome> begin_round(const round& facts);
  /// Makes the round visible. Call it only when the round's records are synced.
  /// @error database_unavailable: it may or may not be visible; the position tells
  result<void> commit_round();
  void abandon_round() noexcept;

  /// Rows of value files outside rounds; committed synchronously. @error database_unavailable, internal_error
  result<void> put_value_files(std::span<const value_file_row> rows);
  result<void> drop_value_file(value_file_id id);
  /// Rows of file spaces as they stand on disk, before a record tells more, likewise. @error
  /// database_unavailable, internal_error
  result<void> add_file_spaces(std::span<const file_space_record> rows);
  /// Notes a sequence whose bytes are not all there, if its row points to them. @error database_unavailable,
  /// internal_error
  result<void> put_damaged(const segment_info& segment, const stored_sequence& sequence);
  /// Notes all sequences whose rows point to what is lost.
  /// @returns how many segments were not known to have lost so much. @error likewise
  result<std::int64_t> put_lost(const lost_bytes& lost);

private:
  struct session;
  explicit node_database(std::unique_ptr<session> s);
  void migrate();
  std::string compare_identity(const node_identity& identity);
  round_outcome apply(const round& facts, bool one_by_one);
  failure as_failure(const database_fault& fault) const;

  std::unique_ptr<session> session_;
};

} // namespace cairn
