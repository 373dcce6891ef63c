#include "core/db/segment_rows.hpp"

#include "core/db/array_literal.hpp"
#include "core/db/sql_time.hpp"

#include <algorithm>
#include <cstring>

#include <pqxx/pqxx>

namespace cairn {

namespace {

// "status <> 'C'" and "status = 'C'" apart, so that each half can use its partial index.
constexpr auto sql_segment_columns = R"(
SELECT id, status, collection_id, key, unified_id, )" CAIRN_SQL_TO_US(
  "timestamp") R"(, conjoined_part, segment_num,
       coalesce(source_node_id, 0), coalesce(handoff_node_id, 0), coalesce(file_size, 0), coalesce(file_adler32, 1),
       file_hash, coalesce(file_tombstone_unified_id, 0)
FROM cairn.segment
WHERE unified_id = $1 AND conjoined_part = $2 AND segment_num = $3 AND coalesce(handoff_node_id, 0) = $4 AND status )";

constexpr auto sql_sequences = R"(
SELECT sequence_num, size, padding_size, hash, adler32, value_file_id, value_file_offset
FROM cairn.segment_sequence WHERE segment_id = $1 ORDER BY sequence_num)";

constexpr auto sql_fenced = R"(
SELECT FROM cairn.segment_fence
WHERE unified_id = $1 AND conjoined_part = $2 AND segment_num = $3 AND handoff_node_id = $4)";

constexpr auto sql_insert_damaged = R"(
INSERT INTO cairn.damaged_segment AS d (collection_id, key, status, unified_id, timestamp, segment_num, conjoined_part,
                                        sequence_numbers)
VALUES ($1, $2, 'D', $3, )" CAIRN_SQL_FROM_US("$4::int8") R"(, $5, $6, $7::int4[])
ON CONFLICT (unified_id, conjoined_part, segment_num) DO UPDATE
SET sequence_numbers = (SELECT array_agg(DISTINCT n ORDER BY n)
                        FROM unnest(d.sequence_numbers || excluded.sequence_numbers) AS n))";

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

void prepare_load_segment(pqxx::connection_base& connection) {
  connection.prepare("load_segment", std::string{sql_segment_columns} + "<> 'C'");
  connection.prepare("load_cancelled_segment",
                     std::string{sql_segment_columns} + "= 'C' ORDER BY id DESC LIMIT 1");
  connection.prepare("load_sequences", sql_sequences);
  connection.prepare("load_meta", sql_meta);
  connection.prepare("load_fence", sql_fenced);
}

void insert_damaged(pqxx::transaction_base& transaction, const segment_info& segment,
                    std::span<const std::int32_t> sequence_numbers) {
  array_literal numbers;
  for (const auto number : sequence_numbers)
    numbers.add(number);
  transaction.exec_params(sql_insert_damaged, segment.collection.value, segment.key, segment.version.value,
                          segment.timestamp.value, segment.segment_num, segment.conjoined_part,
                          numbers.finish());
}

std::optional<stored_segment> load_segment(pqxx::transaction_base& transaction, const segment_key& key) {
  const auto query = [&](const char* statement) {
    return transaction.exec_prepared(statement, key.version.value, key.conjoined_part, key.segment_num,
                                     key.handoff.value);
  };
  auto rows = query("load_segment");
  if (rows.empty())
    rows = query("load_cancelled_segment");
  if (rows.empty()) {
    if (query("load_fence").empty())
      return std::nullopt;
    stored_segment fence;
    fence.status = segment_status::cancelled;
    fence.segment.version = key.version;
    return fence;
  }
  const auto row = rows[0];
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
  for (const auto& sequence : transaction.exec_prepared("load_sequences", s.id.value)) {
    stored_sequence q;
    q.info.sequence_num = sequence[0].as<std::int32_t>();
    q.info.size_bytes = sequence[1].as<std::uint32_t>();
    q.info.padding_bytes = sequence[2].as<std::uint32_t>();
    q.info.md5 = as_md5(sequence[3]);
    q.info.adler32 = sequence[4].as<std::uint32_t>();
    q.value_file.value = sequence[5].as<std::int32_t>();
    q.data_offset_bytes = sequence[6].as<std::uint64_t>();
    s.sequences.push_back(q);
  }
  for (const auto& pair : transaction.exec_prepared("load_meta", s.id.value))
    s.meta.emplace(pair[0].as<std::string>(), pair[1].as<std::string>());
  return s;
}

} // namespace cairn
