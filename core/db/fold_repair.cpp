#include "core/db/fold_repair.hpp"

#include "core/db/array_literal.hpp"
#include "core/db/stored_segment.hpp"
#include "core/db/transaction_statements.hpp"

#include <pqxx/pqxx>

namespace cairn {

namespace {

#define CAIRN_REPAIRED_KEY "unified_id = $1 AND conjoined_part = $2 AND segment_num = $3 AND "

constexpr auto sql_status = R"(
SELECT status, unified_id = $2 AND conjoined_part = $3 AND segment_num = $4 AND coalesce(handoff_node_id, 0) = $5
FROM cairn.segment WHERE id = $1)";

// The id stands in the array too, so that each row is looked up by the whole primary key: with the id alone,
// as with a constant, all rows of the segment would be looked through for each one.
constexpr auto sql_repoint = R"(
UPDATE cairn.segment_sequence q SET value_file_id = u.value_file_id, value_file_offset = u.value_file_offset
FROM unnest($1::int8[], $2::int4[], $3::int4[], $4::int8[])
     AS u (segment_id, sequence_num, value_file_id, value_file_offset)
WHERE q.segment_id = u.segment_id AND q.sequence_num = u.sequence_num)";

// In two parts, each for its partial index.
constexpr auto sql_clear_key = R"(
WITH gone AS (
  DELETE FROM cairn.segment
  WHERE id IN (SELECT id FROM cairn.segment
               WHERE )" CAIRN_REPAIRED_KEY R"(coalesce(handoff_node_id, 0) = $4 AND status <> 'C'
               UNION ALL
               SELECT id FROM cairn.segment
               WHERE )" CAIRN_REPAIRED_KEY R"(coalesce(handoff_node_id, 0) = $4 AND status = 'C')
  RETURNING id),
sequences AS (DELETE FROM cairn.segment_sequence WHERE segment_id IN (SELECT id FROM gone)),
pairs AS (DELETE FROM cairn.meta WHERE segment_id IN (SELECT id FROM gone))
DELETE FROM cairn.segment_fence WHERE )" CAIRN_REPAIRED_KEY "handoff_node_id = $4";

constexpr auto sql_mend =
  "DELETE FROM cairn.damaged_segment WHERE " CAIRN_REPAIRED_KEY "handoff_node_id = $4";

#undef CAIRN_REPAIRED_KEY

void execute_for_key(transaction_statements& statements, const char* name, const segment_key& key) {
  statements.exec_prepared(name, key.version.value, key.conjoined_part, key.segment_num, key.handoff.value);
}

void repoint(transaction_statements& statements, const repair_record& repair) {
  array_literal segments, numbers, files, offsets;
  for (const auto& sequence : repair.sequences) {
    segments.add(repair.of.id.value);
    numbers.add(sequence.info.sequence_num);
    files.add(sequence.value_file.value);
    offsets.add(sequence.data_offset_bytes);
  }
  statements.exec_prepared("fold_repoint", segments.finish(), numbers.finish(), files.finish(),
                           offsets.finish());
}

/// What the segment's row asks for.
repair_outcome what_to_do(transaction_statements& statements, const repair_record& repair) {
  const auto key = repair.of.key();
  const auto rows = statements.exec_prepared("fold_repaired_status", repair.of.id.value, key.version.value,
                                             key.conjoined_part, key.segment_num, key.handoff.value);
  if (rows.empty())
    return repair_outcome::cleared;
  if (!rows[0][1].as<bool>())
    return repair_outcome::over;
  switch (static_cast<segment_status>(rows[0][0].c_str()[0])) {
    case segment_status::final: return repair_outcome::repointed;
    case segment_status::active: return repair_outcome::cleared; // only some of its records were lost
    case segment_status::cancelled:
    case segment_status::tombstone: break;
  }
  return repair_outcome::over;
}

} // namespace

void prepare_fold_repair(pqxx::connection_base& connection) {
  connection.prepare("fold_repaired_status", sql_status);
  connection.prepare("fold_repoint", sql_repoint);
  connection.prepare("fold_clear_key", sql_clear_key);
  connection.prepare("fold_mend", sql_mend);
}

repair_outcome fold_repair(transaction_statements& statements, const repair_record& repair) {
  const auto outcome = what_to_do(statements, repair);
  switch (outcome) {
    case repair_outcome::repointed: repoint(statements, repair); break;
    case repair_outcome::cleared: execute_for_key(statements, "fold_clear_key", repair.of.key()); break;
    case repair_outcome::over: return outcome;
  }
  // On its own: a reader may have noted damage while the rows were waited for.
  execute_for_key(statements, "fold_mend", repair.of.key());
  return outcome;
}

std::vector<placed_record> archive_told_by(const repair_record& repair) {
  std::vector<placed_record> records;
  std::uint64_t total_bytes = 0;
  for (const auto& sequence : repair.sequences) {
    placement at;
    at.value_file = sequence.value_file;
    at.record_offset = sequence.data_offset_bytes; // as if it had no header: rows know only of data
    records.push_back({sequence_record{repair.of, sequence.info, {}, {}}, at});
    total_bytes += sequence.info.size_bytes;
  }
  const auto count = static_cast<std::int32_t>(repair.sequences.size());
  records.push_back({final_record{repair.of, repair.file, count, total_bytes, repair.meta}, {}});
  return records;
}

} // namespace cairn
