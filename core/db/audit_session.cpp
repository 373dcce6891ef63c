#include "core/db/audit_session.hpp"

#include "core/db/database_session.hpp"
#include "core/db/schema.hpp"
#include "core/db/segment_rows.hpp"
#include "core/db/sql_time.hpp"

#include <fmt/format.h>

namespace cairn {

namespace {

constexpr auto sql_value_file = "SELECT space_id, " CAIRN_SQL_TO_US("creation_time") ", " CAIRN_SQL_TO_US(
  "close_time") ", size, hash, segment_sequence_count FROM cairn.value_file WHERE id = $1";
constexpr auto sql_sequences =
  "SELECT segment_id, sequence_num, size, padding_size, hash, adler32, value_file_offset"
  " FROM cairn.segment_sequence WHERE value_file_id = $1 ORDER BY value_file_offset";
constexpr auto sql_step = R"(
SELECT EXISTS (SELECT FROM cairn.conjoined
               WHERE unified_id = $1 AND coalesce(handoff_node_id, 0) = $2
                 AND (collection_id <> $4 OR key <> $5 -- then the step was refused
                      OR abort_timestamp IS NOT NULL
                      OR CASE $3::int4 WHEN 1 THEN create_timestamp WHEN 3 THEN complete_timestamp END IS NOT NULL)))";
constexpr auto sql_segment = "SELECT collection_id, key, unified_id, " CAIRN_SQL_TO_US(
  "timestamp") ", conjoined_part, coalesce(segment_num, 0) FROM cairn.segment WHERE id = $1";
constexpr auto sql_inner_problems = R"(
(SELECT 'a final segment lacks sequences', s.id FROM cairn.segment s
 LEFT JOIN cairn.segment_sequence n ON n.segment_id = s.id
 WHERE s.status = 'F' GROUP BY s.id
 HAVING count(n.segment_id) = 0 OR count(n.segment_id) <> max(n.sequence_num) - min(n.sequence_num) + 1 LIMIT $1)
UNION ALL
(SELECT DISTINCT 'a sequence belongs to no segment', n.segment_id FROM cairn.segment_sequence n
 WHERE NOT EXISTS (SELECT FROM cairn.segment s WHERE s.id = n.segment_id) LIMIT $1)
UNION ALL
(SELECT DISTINCT 'metadata belong to no segment', m.segment_id FROM cairn.meta m
 WHERE NOT EXISTS (SELECT FROM cairn.segment s WHERE s.id = m.segment_id) LIMIT $1))";

} // namespace

struct audit_session::session {
  std::unique_ptr<pqxx::connection> connection;
  std::unique_ptr<pqxx::transaction_base> snapshot;
};

audit_session::audit_session(std::unique_ptr<session> s) : session_(std::move(s)) {}
audit_session::~audit_session() = default;

template <class Body>
auto audit_session::query(Body&& body) -> result<std::invoke_result_t<Body, session&>> {
  auto done = guarded([&] { return body(*session_); });
  if (done)
    return std::move(*done);
  return fail(errc::database_unavailable, "database cannot be asked: " + done.error().message);
}

result<std::unique_ptr<audit_session>> audit_session::open(const std::string& connection_string,
                                                           const node_identity& identity) {
  auto s = std::make_unique<session>();
  std::string conflict;
  const auto opened = guarded([&] {
    s->connection = connect_session(connection_string, "cairn-verify");
    pqxx::nontransaction setup(*s->connection);
    if (setup.exec1("SELECT to_regclass('cairn.schema_version') IS NULL")[0].as<bool>()) {
      conflict = "the database is empty: no node has been in it";
      return;
    }
    const auto version = setup.exec1("SELECT max(version) FROM cairn.schema_version")[0].as<std::size_t>();
    if (version != schema_migrations().size())
      conflict = fmt::format("database has schema version {}, this program reads {}", version,
                             schema_migrations().size());
    const auto row = setup.exec1("SELECT cluster_name, node_name, node_id FROM cairn.identity");
    if (row[0].as<std::string>() != identity.cluster_name || row[1].as<std::string>() != identity.node_name
        || row[2].as<std::int32_t>() != identity.id.value)
      conflict = fmt::format("the database belongs to node {} of cluster {}", row[1].c_str(), row[0].c_str());
    setup.exec0("SET default_transaction_read_only = on");
    s->connection->prepare("value_file", sql_value_file);
    s->connection->prepare("sequences", sql_sequences);
    s->connection->prepare("step", sql_step);
    s->connection->prepare("segment", sql_segment);
  });
  if (!opened)
    return fail(errc::database_unavailable, "database cannot be reached: " + opened.error().message);
  if (!conflict.empty())
    return fail(errc::conflict, std::move(conflict));
  return std::unique_ptr<audit_session>(new audit_session(std::move(s)));
}

result<std::vector<file_space_record>> audit_session::file_spaces() {
  return query([](session& s) {
    pqxx::work transaction(*s.connection);
    std::vector<file_space_record> spaces;
    for (const auto& row : transaction.exec("SELECT space_id, purpose, path, volume FROM cairn.file_space"
                                            " ORDER BY space_id"))
      spaces.push_back(
        {space_id{row[0].as<std::int32_t>()},
         row[1].as<std::string>() == "storage" ? space_purpose::storage : space_purpose::journal,
         row[2].as<std::string>(),
         row[3].as<std::string>(),
         {}});
    return spaces;
  });
}

result<value_file_snapshot> audit_session::look_at(value_file_id file) {
  return query([&](session& s) {
    s.snapshot.reset();
    s.snapshot = std::make_unique<pqxx::transaction<pqxx::repeatable_read>>(*s.connection);
    auto& transaction = *s.snapshot;
    value_file_snapshot out;
    out.position.value = transaction.exec1("SELECT lsn FROM cairn.log_position")[0].as<std::uint64_t>();
    for (const auto& row : transaction.exec_prepared("value_file", file.value)) {
      value_file_row known;
      known.id = file;
      known.space.value = row[0].as<std::int32_t>();
      known.creation_time.value = row[1].as<std::int64_t>();
      if (!row[2].is_null())
        known.close_time = timestamp_us{row[2].as<std::int64_t>()};
      known.size_bytes = row[3].as<std::uint64_t>();
      if (!row[4].is_null())
        known.hash = as_md5(row[4]);
      known.sequence_count = row[5].as<std::int32_t>();
      out.row = std::move(known);
    }
    for (const auto& row : transaction.exec_prepared("sequences", file.value)) {
      sequence_row known;
      known.segment.value = row[0].as<std::int64_t>();
      known.at.info.sequence_num = row[1].as<std::int32_t>();
      known.at.info.size_bytes = row[2].as<std::uint32_t>();
      known.at.info.padding_bytes = row[3].as<std::uint32_t>();
      known.at.info.md5 = as_md5(row[4]);
      known.at.info.adler32 = static_cast<std::uint32_t>(row[5].as<std::int64_t>());
      known.at.value_file = file;
      known.at.data_offset_bytes = row[6].as<std::uint64_t>();
      out.sequences.push_back(known);
    }
    return out;
  });
}

result<std::set<log_sequence_number>> audit_session::rejected(log_sequence_number first,
                                                              log_sequence_number last) {
  return query([&](session& s) {
    std::set<log_sequence_number> out;
    for (const auto& row : s.snapshot->exec(fmt::format(
           "SELECT lsn FROM cairn.rejected WHERE lsn BETWEEN {} AND {}", first.value, last.value)))
      out.insert(log_sequence_number{row[0].as<std::uint64_t>()});
    return out;
  });
}

result<bool> audit_session::has_step(const conjoined_record& step) {
  return query([&](session& s) {
    return s.snapshot
      ->exec_prepared1("step", step.version.value, step.handoff.value, static_cast<std::int32_t>(step.action),
                       step.collection.value, step.key)[0]
      .as<bool>();
  });
}

result<bool> audit_session::has_node(node_id node) {
  return query([&](session& s) {
    return !s.snapshot->exec(fmt::format("SELECT FROM cairn.node WHERE id = {}", node.value)).empty();
  });
}

result<bool> audit_session::has_space(space_id space) {
  return query([&](session& s) {
    return !s.snapshot->exec(fmt::format("SELECT FROM cairn.file_space WHERE space_id = {}", space.value))
              .empty();
  });
}

result<segment_info> audit_session::segment_of(segment_id id) {
  return query([&](session& s) {
    segment_info out;
    for (const auto& row : s.snapshot->exec_prepared("segment", id.value))
      out = {collection_id{row[0].as<std::int32_t>()},
             row[1].as<std::string>(),
             unified_id{row[2].as<std::uint64_t>()},
             timestamp_us{row[3].as<std::int64_t>()},
             row[4].as<std::int32_t>(),
             row[5].as<std::int32_t>()};
    return out;
  });
}

result<std::set<value_file_id>> audit_session::files_in_use() {
  return query([](session& s) {
    s.snapshot.reset();
    pqxx::work transaction(*s.connection);
    std::set<value_file_id> out;
    for (const auto& row : transaction.exec("SELECT DISTINCT value_file_id FROM cairn.segment_sequence"))
      out.insert(value_file_id{row[0].as<std::int32_t>()});
    return out;
  });
}

result<std::vector<row_problem>> audit_session::inner_problems(std::int32_t limit) {
  return query([&](session& s) {
    s.snapshot.reset();
    pqxx::work transaction(*s.connection);
    std::vector<row_problem> out;
    for (const auto& row : transaction.exec_params(sql_inner_problems, limit))
      out.push_back({row[0].as<std::string>(), segment_id{row[1].as<std::int64_t>()}});
    return out;
  });
}

} // namespace cairn
