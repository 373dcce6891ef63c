#include "core/db/segment_rows.hpp"

#include "core/db/sql_time.hpp"

#include <algorithm>
#include <cstring>

#include <fmt/format.h>
#include <pqxx/pqxx>

namespace cairn {

namespace {

/// Columns of a segment's row s, of its first sequence q, and whether there is more; see take_segment().
constexpr auto sql_segment = R"(
SELECT s.id, s.status, s.collection_id, s.key, s.unified_id, )" CAIRN_SQL_TO_US("s.timestamp") R"(,
       s.conjoined_part, s.segment_num, coalesce(s.source_node_id, 0), coalesce(s.handoff_node_id, 0),
       coalesce(s.file_size, 0), coalesce(s.file_adler32, 1), s.file_hash, coalesce(s.file_tombstone_unified_id, 0),
       (SELECT count(*) FROM cairn.segment_sequence c WHERE c.segment_id = s.id),
       EXISTS (SELECT FROM cairn.meta m WHERE m.segment_id = s.id),
       q.sequence_num, q.size, q.padding_size, q.hash, q.adler32, q.value_file_id, q.value_file_offset
FROM cairn.segment s LEFT JOIN cairn.segment_sequence q ON q.segment_id = s.id AND q.sequence_num = 0
WHERE )";
constexpr pqxx::row::size_type count_column = 14;
constexpr pqxx::row::size_type has_meta_column = 15;
constexpr pqxx::row::size_type sequence_column = 16;

// "status <> 'C'" and "status = 'C'" apart, so that each half can use its partial index.
constexpr auto sql_key = "s.unified_id = $1 AND s.conjoined_part = $2 AND s.segment_num = $3"
                         " AND coalesce(s.handoff_node_id, 0) = $4 AND s.status ";

constexpr auto sql_sequences = R"(
SELECT sequence_num, size, padding_size, hash, adler32, value_file_id, value_file_offset
FROM cairn.segment_sequence WHERE segment_id = $1 ORDER BY sequence_num)";

constexpr auto sql_fenced = R"(
SELECT FROM cairn.segment_fence
WHERE unified_id = $1 AND conjoined_part = $2 AND segment_num = $3 AND handoff_node_id = $4)";

/// @param found columns of segments that have lost bytes, as they are listed here
std::string insert_into_damaged(std::string_view found) {
  return fmt::format(R"(
INSERT INTO cairn.damaged_segment AS d (collection_id, key, status, unified_id, timestamp, segment_num, conjoined_part,
                                        handoff_node_id, sequence_numbers)
{}
ON CONFLICT (unified_id, conjoined_part, segment_num, handoff_node_id) DO UPDATE
SET status = excluded.status, sequence_numbers = (SELECT array_agg(DISTINCT n ORDER BY n)
                        FROM unnest(d.sequence_numbers || excluded.sequence_numbers) AS n)
WHERE d.status <> excluded.status OR EXISTS (SELECT unnest(excluded.sequence_numbers) EXCEPT SELECT unnest(d.sequence_numbers)))",
                     found);
}

// Bytes that no row points to (any more) are no part of the segment. A row that is being repaired or purged
// is passed over: who waited for it would find it changed. What is noted already takes no lock: readers of
// one damaged sequence must not hold up its repair in turn.
constexpr auto sql_damaged_sequence = R"(
SELECT s.collection_id, s.key, $5::text, s.unified_id, s.timestamp, s.segment_num, s.conjoined_part,
       coalesce(s.handoff_node_id, 0), ARRAY[q.sequence_num]
FROM cairn.segment s JOIN cairn.segment_sequence q ON q.segment_id = s.id AND q.sequence_num = $4::int4
WHERE s.unified_id = $1::int8 AND s.conjoined_part = $2::int4 AND s.segment_num = $3::int2 AND s.status <> 'C'
  AND q.value_file_id = $6::int4 AND q.value_file_offset = $7::int8
  AND NOT EXISTS (SELECT FROM cairn.damaged_segment n
                  WHERE n.unified_id = s.unified_id AND n.conjoined_part = s.conjoined_part
                    AND n.segment_num = s.segment_num AND n.handoff_node_id = coalesce(s.handoff_node_id, 0)
                    AND n.status = $5::text AND q.sequence_num = ANY (n.sequence_numbers))
FOR SHARE OF q SKIP LOCKED)";

// Data lie behind their record's header: those of an empty sequence where the next record begins.
constexpr auto sql_lost_segments = R"(
SELECT s.collection_id, s.key, $4::text, s.unified_id, s.timestamp, s.segment_num, s.conjoined_part,
       coalesce(s.handoff_node_id, 0), array_agg(q.sequence_num ORDER BY q.sequence_num)
FROM cairn.segment_sequence q JOIN cairn.segment s ON s.id = q.segment_id
WHERE q.value_file_id = $1::int4 AND q.value_file_offset > $2::int8 AND q.value_file_offset <= $3::int8
  AND s.status = 'F'
GROUP BY s.id)";

constexpr auto sql_is_damaged = "SELECT FROM cairn.damaged_segment"
                                " WHERE unified_id = $1 AND conjoined_part = $2 AND segment_num = $3"
                                " AND handoff_node_id = $4";

constexpr auto sql_meta = "SELECT meta_key, meta_value FROM cairn.meta WHERE segment_id = $1";

} // namespace

md5_digest as_md5(const pqxx::field& field) {
  md5_digest md5{};
  if (field.is_null())
    return md5;
  const pqxx::binarystring bytes(field);
  std::memcpy(md5.data(), bytes.data(), std::min<std::size_t>(bytes.size(), md5.size()));
  return md5;
}

std::string select_segment(std::string_view condition) { return std::string{sql_segment} += condition; }

void prepare_load_segment(pqxx::connection_base& connection) {
  const std::string key = sql_key;
  connection.prepare("load_segment", select_segment(key + "<> 'C'"));
  connection.prepare("load_cancelled_segment", select_segment(key + "= 'C' ORDER BY s.id DESC LIMIT 1"));
  connection.prepare("load_sequences", sql_sequences);
  connection.prepare("load_meta", sql_meta);
  connection.prepare("load_fence", sql_fenced);
  connection.prepare("is_damaged", sql_is_damaged);
}

void insert_damaged(pqxx::transaction_base& transaction, const segment_info& segment,
                    const stored_sequence& sequence, damage what) {
  static const auto statement = insert_into_damaged(sql_damaged_sequence);
  transaction.exec_params(statement, segment.version.value, segment.conjoined_part, segment.segment_num,
                          sequence.info.sequence_num, std::string(1, static_cast<char>(what)),
                          sequence.value_file.value, sequence.data_offset_bytes);
}

std::int64_t insert_lost(pqxx::transaction_base& transaction, const lost_bytes& lost) {
  static const auto statement = insert_into_damaged(sql_lost_segments);
  const auto noted = transaction.exec_params(statement, lost.file.value, lost.begin, lost.end,
                                             std::string(1, static_cast<char>(lost.what)));
  return static_cast<std::int64_t>(noted.affected_rows());
}

namespace {

/// @param first of the sequence's columns
stored_sequence as_sequence(const pqxx::row& row, pqxx::row::size_type first) {
  stored_sequence q;
  q.info.sequence_num = row[first].as<std::int32_t>();
  q.info.size_bytes = row[first + 1].as<std::uint32_t>();
  q.info.padding_bytes = row[first + 2].as<std::uint32_t>();
  q.info.md5 = as_md5(row[first + 3]);
  q.info.adler32 = row[first + 4].as<std::uint32_t>();
  q.value_file.value = row[first + 5].as<std::int32_t>();
  q.data_offset_bytes = row[first + 6].as<std::uint64_t>();
  return q;
}

pqxx::result rows_of_key(pqxx::transaction_base& transaction, const char* statement, const segment_key& key) {
  return transaction.exec_prepared(statement, key.version.value, key.conjoined_part, key.segment_num,
                                   key.handoff.value);
}

std::optional<stored_segment> first_of_key(pqxx::transaction_base& transaction, const char* statement,
                                           const segment_key& key) {
  const auto rows = rows_of_key(transaction, statement, key);
  return rows.empty() ? std::nullopt : take_segment(transaction, rows[0]);
}

} // namespace

metadata load_meta(pqxx::transaction_base& transaction, segment_id segment) {
  metadata meta;
  for (const auto& pair : transaction.exec_prepared("load_meta", segment.value))
    meta.emplace(pair[0].as<std::string>(), pair[1].as<std::string>());
  return meta;
}

stored_segment as_segment(const pqxx::row& row) {
  stored_segment s;
  s.id.value = row[0].as<std::int64_t>();
  s.status = static_cast<segment_status>(row[1].c_str()[0]);
  s.segment.collection.value = row[2].as<std::int32_t>();
  s.segment.key = row[3].as<std::string>();
  s.segment.version.value = row[4].as<std::uint64_t>();
  s.segment.timestamp.value = row[5].as<std::int64_t>();
  s.segment.conjoined_part = row[6].as<std::int32_t>();
  s.segment.segment_num = row[7].as<std::int32_t>();
  s.nodes.source.value = row[8].as<std::int32_t>();
  s.nodes.handoff.value = row[9].as<std::int32_t>();
  s.file.size_bytes = row[10].as<std::int64_t>();
  s.file.adler32 = row[11].as<std::uint32_t>();
  s.file.md5 = as_md5(row[12]);
  s.deletes.value = row[13].as<std::uint64_t>();
  return s;
}

std::optional<stored_segment> take_segment(pqxx::transaction_base& transaction, const pqxx::row& row) {
  auto s = as_segment(row);
  const auto count = row[count_column].as<std::size_t>();
  if (count == 1 && !row[sequence_column].is_null()) {
    s.sequences.push_back(as_sequence(row, sequence_column));
  } else if (count != 0) {
    s.sequences.reserve(count);
    for (const auto& sequence : transaction.exec_prepared("load_sequences", s.id.value))
      s.sequences.push_back(as_sequence(sequence, 0));
    if (s.sequences.size() < count) // purged in between
      return std::nullopt;
  }
  if (row[has_meta_column].as<bool>())
    s.meta = load_meta(transaction, s.id);
  return s;
}

std::optional<stored_segment> load_live_segment(pqxx::transaction_base& transaction, const segment_key& key) {
  return first_of_key(transaction, "load_segment", key);
}

std::optional<stored_segment> load_segment(pqxx::transaction_base& transaction, const segment_key& key) {
  if (auto live = load_live_segment(transaction, key)) {
    if (live->status == segment_status::final)
      live->is_damaged = !rows_of_key(transaction, "is_damaged", key).empty();
    return live;
  }
  if (auto cancelled = first_of_key(transaction, "load_cancelled_segment", key))
    return cancelled;
  if (rows_of_key(transaction, "load_fence", key).empty())
    return std::nullopt;
  stored_segment fence;
  fence.status = segment_status::cancelled;
  fence.segment.version = key.version;
  return fence;
}

} // namespace cairn
