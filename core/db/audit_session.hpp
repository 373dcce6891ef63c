#pragma once
/// What the database says about a value file and about facts of the log, to be compared with them. Reads
/// only.

#include "core/db/stored_segment.hpp"
#include "core/errc.hpp"
#include "core/identity.hpp"
#include "core/log/record.hpp"
#include "core/log/value_file_row.hpp"

#include <memory>
#include <set>
#include <string>
#include <vector>

namespace cairn {

/// A row of segment_sequence.
struct sequence_row {
  segment_id segment;
  stored_sequence at;
};

/// What the database knows of one value file, in one snapshot.
struct value_file_snapshot {
  log_sequence_number position; ///< records up to here are in the rows
  std::optional<value_file_row> row;
  std::vector<sequence_row> sequences; ///< by offset
};

/// Something that rows of the database say of each other, and that cannot be.
struct row_problem {
  std::string what;
  segment_id id;
};

/// One read-only connection. Not thread-safe.
class audit_session {
public:
  /// @error database_unavailable; conflict: empty, of another schema, another node's
  static result<std::unique_ptr<audit_session>> open(const std::string& connection_string,
                                                     const node_identity& identity);
  ~audit_session();
  audit_session(const audit_session&) = delete;
  audit_session& operator=(const audit_session&) = delete;

  /// @error database_unavailable, as all below
  result<std::vector<file_space_record>> file_spaces();
  /// Begins a snapshot, which the others then look at, until the next one.
  result<value_file_snapshot> look_at(value_file_id file);
  /// Of the records numbered first to last, those that the database refused.
  result<std::set<log_sequence_number>> rejected(log_sequence_number first, log_sequence_number last);
  /// The row of a conjoined archive has the time of that step, or was aborted, or is another key's.
  result<bool> has_step(const conjoined_record& step);
  result<bool> has_node(node_id node);
  result<bool> has_space(space_id space);
  /// What segment a row belongs to, to name it; an empty key when there is none.
  result<segment_info> segment_of(segment_id id);
  /// Value files that sequences point into.
  result<std::set<value_file_id>> files_in_use();
  /// Final segments without all their sequences, sequences and metadata without their segment; at most
  /// `limit`.
  result<std::vector<row_problem>> inner_problems(std::int32_t limit);

private:
  struct session;
  explicit audit_session(std::unique_ptr<session> s);
  template <class Body>
  auto query(Body&& body) -> result<std::invoke_result_t<Body, session&>>;

  std::unique_ptr<session> session_;
};

} // namespace cairn
