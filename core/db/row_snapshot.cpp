#include "core/db/row_snapshot.hpp"

#include "core/db/array_literal.hpp"
#include "core/db/database_session.hpp"
#include "core/db/segment_rows.hpp"
#include "core/db/sql_time.hpp"

#include <pqxx/pqxx>

namespace cairn {

namespace {

#define CAIRN_ROW_HAS_KEY                                                                                    \
  "h.unified_id = q.unified_id AND h.conjoined_part = q.conjoined_part AND h.segment_num = q.segment_num"    \
  " AND coalesce(h.handoff_node_id, 0) = q.handoff AND h.status "

// Each part is made for an index, so that the time does not depend on how many segments there are. In place
// of EXISTS, for which a whole table might be hashed.
constexpr auto sql_row_answers = R"(
SELECT s.id, s.status, s.collection_id, s.key, s.unified_id, )" CAIRN_SQL_TO_US(
  "s.timestamp") R"(,
       s.conjoined_part, coalesce(s.segment_num, 0), coalesce(s.source_node_id, 0), coalesce(s.handoff_node_id, 0),
       coalesce(s.file_size, 0), coalesce(s.file_adler32, 1), s.file_hash,
       coalesce(s.file_tombstone_unified_id, 0),
       (SELECT count(*) FROM cairn.segment_sequence n WHERE n.segment_id = s.id AND s.status = 'A'),
       (SELECT true FROM cairn.segment_sequence n WHERE n.segment_id = q.id AND n.sequence_num = q.sequence_num)
         IS NOT NULL,
       coalesce(held.id, 0), coalesce(held.status, 'A'),
       (SELECT true FROM cairn.segment h WHERE )" CAIRN_ROW_HAS_KEY R"(= 'C' LIMIT 1) IS NOT NULL,
       (SELECT true FROM cairn.segment_fence f
        WHERE f.unified_id = q.unified_id AND f.conjoined_part = q.conjoined_part
          AND f.segment_num = q.segment_num AND f.handoff_node_id = q.handoff) IS NOT NULL
FROM unnest($1::int8[], $2::int8[], $3::int4[], $4::int2[], $5::int4[], $6::int4[])
     WITH ORDINALITY AS q (id, unified_id, conjoined_part, segment_num, handoff, sequence_num, place)
LEFT JOIN cairn.segment s ON s.id = q.id
LEFT JOIN LATERAL (SELECT h.id, h.status FROM cairn.segment h WHERE )" CAIRN_ROW_HAS_KEY
                 R"(<> 'C') held ON true
ORDER BY q.place)";
constexpr auto sql_row_meta = R"(
SELECT q.place - 1, m.meta_key, m.meta_value
FROM unnest($1::int8[]) WITH ORDINALITY AS q (id, place) JOIN cairn.meta m ON m.segment_id = q.id)";
// As text: no index that is partial by status, all of which would be read, may take part.
constexpr auto sql_tombstone_rows =
  "SELECT id FROM cairn.segment WHERE id > $1 AND id <= $2 AND status::text = 'T' ORDER BY id LIMIT $3";

#undef CAIRN_ROW_HAS_KEY

template <class Body>
auto ask(Body&& body) -> result<std::invoke_result_t<Body>> {
  auto done = guarded(std::forward<Body>(body));
  if (done)
    return std::move(*done);
  return fail(errc::database_unavailable, "database cannot be asked: " + done.error().message);
}

row_answer as_answer(const pqxx::row& row) {
  row_answer said;
  if (!row[0].is_null())
    said.row = as_segment(row);
  said.sequence_count = row[14].as<std::int32_t>();
  said.has_sequence = row[15].as<bool>();
  said.holder.value = row[16].as<std::int64_t>();
  said.holder_status = static_cast<segment_status>(row[17].c_str()[0]);
  said.has_cancelled_row = row[18].as<bool>();
  said.is_fenced = row[19].as<bool>();
  return said;
}

} // namespace

struct row_snapshot::session {
  std::unique_ptr<pqxx::connection> connection;
  std::unique_ptr<pqxx::transaction_base> snapshot;
};

row_snapshot::row_snapshot(std::unique_ptr<session> s) : session_(std::move(s)) {}
row_snapshot::~row_snapshot() = default;

result<std::unique_ptr<row_snapshot>> row_snapshot::open(const std::string& connection_string) {
  auto s = std::make_unique<session>();
  auto opened = guarded([&] {
    s->connection = connect_session(connection_string, "cairn-verify");
    pqxx::nontransaction setup(*s->connection);
    setup.exec0("SET default_transaction_read_only = on");
    s->connection->prepare("row_answers", sql_row_answers);
    s->connection->prepare("row_meta", sql_row_meta);
    s->connection->prepare("tombstone_rows", sql_tombstone_rows);
  });
  if (!opened)
    return fail(errc::database_unavailable, "database cannot be reached: " + opened.error().message);
  return std::unique_ptr<row_snapshot>(new row_snapshot(std::move(s)));
}

result<log_sequence_number> row_snapshot::take() {
  session_->snapshot.reset();
  return ask([&] {
    session_->snapshot = std::make_unique<pqxx::transaction<pqxx::repeatable_read>>(*session_->connection);
    return log_sequence_number{
      session_->snapshot->exec1("SELECT lsn FROM cairn.log_position")[0].as<std::uint64_t>()};
  });
}

result<segment_id> row_snapshot::newest_segment() {
  return ask([&] {
    return segment_id{
      session_->snapshot->exec1("SELECT coalesce(max(id), 0) FROM cairn.segment")[0].as<std::int64_t>()};
  });
}

result<std::vector<row_answer>> row_snapshot::answer(std::span<const row_question> questions) {
  return ask([&] {
    array_literal ids, versions, parts, numbers, handoffs, sequences, ids_for_meta;
    for (const auto& question : questions) {
      ids.add(question.id.value);
      versions.add(question.key.version.value);
      parts.add(question.key.conjoined_part);
      numbers.add(question.key.segment_num);
      handoffs.add(question.key.handoff.value);
      sequences.add(question.sequence_num);
      ids_for_meta.add(question.with_meta ? question.id.value : 0);
    }
    std::vector<row_answer> out;
    out.reserve(questions.size());
    for (const auto& row :
         session_->snapshot->exec_prepared("row_answers", ids.finish(), versions.finish(), parts.finish(),
                                           numbers.finish(), handoffs.finish(), sequences.finish()))
      out.push_back(as_answer(row));
    for (const auto& pair : session_->snapshot->exec_prepared("row_meta", ids_for_meta.finish()))
      if (auto& row = out.at(pair[0].as<std::size_t>()).row)
        row->meta.emplace(pair[1].as<std::string>(), pair[2].as<std::string>());
    return out;
  });
}

result<std::vector<segment_id>> row_snapshot::tombstones(segment_id after, segment_id last,
                                                         std::size_t limit) {
  return ask([&] {
    std::vector<segment_id> out;
    for (const auto& row :
         session_->snapshot->exec_prepared("tombstone_rows", after.value, last.value, limit))
      out.emplace_back(row[0].as<std::int64_t>());
    return out;
  });
}

} // namespace cairn
