#include "core/read/segment_reader.hpp"

#include "core/db/array_literal.hpp"
#include "core/db/database_session.hpp"
#include "core/db/segment_rows.hpp"
#include "core/db/sql_time.hpp"
#include "core/utf8.hpp"

#include <unordered_map>

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace cairn {

namespace {

/// Condition on segment row s: it belongs to a version that anyone may see. The result depends on the rows
/// alone, not on their order of arrival (core/README.md, "What a reader sees").
#define CAIRN_SQL_VISIBLE                                                                                    \
  "s.status = 'F' AND s.handoff_node_id IS NULL"                                                             \
  " AND (s.conjoined_part = 0 OR EXISTS (SELECT FROM cairn.conjoined c WHERE c.unified_id = s.unified_id"    \
  "      AND c.collection_id = s.collection_id AND c.key = s.key"                                            \
  "      AND coalesce(c.handoff_node_id, 0) = 0 AND c.complete_timestamp IS NOT NULL AND c.abort_timestamp " \
  "IS NULL))"                                                                                                \
  " AND NOT EXISTS (SELECT FROM cairn.segment t WHERE t.collection_id = s.collection_id AND t.key = s.key"   \
  "      AND t.status = 'T' AND t.handoff_node_id IS NULL"                                                   \
  "      AND (t.file_tombstone_unified_id = s.unified_id"                                                    \
  "           OR (t.file_tombstone_unified_id IS NULL AND t.unified_id > s.unified_id)))"

/// Size of the object of row s: of a conjoined one, that of all its parts held here. Clients may claim any
/// sizes, and a sum past the type would fail the whole list.
#define CAIRN_SQL_OBJECT_SIZE                                                                                \
  "CASE WHEN s.conjoined_part = 0 THEN s.file_size ELSE"                                                     \
  " (SELECT least(sum(p.file_size), 9223372036854775807)::int8 FROM (SELECT DISTINCT ON (conjoined_part) "   \
  "file_size FROM cairn.segment"                                                                             \
  "  WHERE collection_id = s.collection_id AND key = s.key AND unified_id = s.unified_id AND status = 'F'"   \
  "  AND handoff_node_id IS NULL) p) END"

constexpr auto sql_newest =
  "SELECT s.unified_id FROM cairn.segment s WHERE s.collection_id = $1 AND s.key = $2"
  " AND " CAIRN_SQL_VISIBLE " ORDER BY s.unified_id DESC LIMIT 1";
/// The index gives versions in this order; all segments of a visible version are visible.
constexpr auto sql_newest_segment =
  "s.collection_id = i.collection_id AND s.key = i.key AND " CAIRN_SQL_VISIBLE
  " ORDER BY s.unified_id DESC, s.conjoined_part, s.segment_num LIMIT 1";
constexpr auto sql_this_version =
  "SELECT s.unified_id FROM cairn.segment s WHERE s.collection_id = $1 AND s.key = $2"
  " AND s.unified_id = $3 AND " CAIRN_SQL_VISIBLE " LIMIT 1";
constexpr auto sql_tombstone = "SELECT " CAIRN_SQL_TO_US(
  "timestamp") " FROM cairn.segment WHERE collection_id = $1"
               " AND key = $2 AND unified_id = $3 AND status = 'T' AND handoff_node_id IS NULL LIMIT 1";
/// The segments of a visible version, with what they hold.
/// @param version a statement that gives its unified id
std::string select_version(std::string_view version) {
  return fmt::format(
    "SELECT s.unified_id, " CAIRN_SQL_OBJECT_SIZE ", s.file_adler32, s.file_hash, " CAIRN_SQL_TO_US(
      "s.timestamp") ", s.id, s.conjoined_part, s.segment_num, held.*,"
                     " EXISTS (SELECT FROM cairn.meta m WHERE m.segment_id = s.id)"
                     " FROM ({}) AS version, cairn.segment s, LATERAL"
                     " (SELECT count(*), coalesce(sum(q.size), 0)::int8,"
                     "  (array_agg(q.value_file_id ORDER BY q.sequence_num))[1],"
                     "  (array_agg(q.value_file_offset ORDER BY q.sequence_num))[1]"
                     "  FROM cairn.segment_sequence q WHERE q.segment_id = s.id) AS held"
                     " WHERE s.collection_id = $1 AND s.key = $2 AND s.unified_id = version.unified_id"
                     " AND s.status = 'F' AND s.handoff_node_id IS NULL"
                     " ORDER BY s.conjoined_part, s.segment_num",
    version);
}
// The index on (collection_id, key, unified_id DESC) gives the rows in this very order: no sort, and it stops
// early.
constexpr auto sql_list = "SELECT DISTINCT ON (s.key) s.key, s.unified_id, " CAIRN_SQL_TO_US(
  "s.timestamp") ", " CAIRN_SQL_OBJECT_SIZE " FROM cairn.segment s WHERE s.collection_id = $1 AND s.key > $2"
                 " AND s.key >= $3 AND ($4 = '' OR s.key < $4) AND " CAIRN_SQL_VISIBLE
                 " ORDER BY s.key, s.unified_id DESC LIMIT $5";
constexpr auto sql_versions =
  "SELECT DISTINCT ON (s.key, s.unified_id) s.key, s.unified_id, " CAIRN_SQL_TO_US(
    "s.timestamp") ", " CAIRN_SQL_OBJECT_SIZE " FROM cairn.segment s WHERE s.collection_id = $1"
                   " AND (s.key > $2 OR (s.key = $2 AND s.unified_id < $3)) AND s.key >= $4"
                   " AND ($5 = '' OR s.key < $5) AND " CAIRN_SQL_VISIBLE
                   " ORDER BY s.key, s.unified_id DESC LIMIT $6";
constexpr auto sql_handoffs = "SELECT id, collection_id, key, unified_id, " CAIRN_SQL_TO_US(
  "timestamp") ", conjoined_part, segment_num, coalesce(source_node_id, 0), status,"
               " coalesce(file_tombstone_unified_id, 0) FROM cairn.segment"
               " WHERE handoff_node_id = $1 AND status IN ('F', 'T') AND id > $2 ORDER BY id LIMIT $3";
constexpr auto sql_space_of = "SELECT space_id FROM cairn.value_file WHERE id = $1";

} // namespace

struct segment_reader::session {
  std::unique_ptr<pqxx::connection> connection;
  std::unordered_map<value_file_id, space_id> spaces; ///< where files lie, as far as known
  log_sequence_number position;                       ///< as last asked
  /// The database had all that was acknowledged when this connection was there already. It loses nothing
  /// after that: a server that forgets is a new one, to which this connection does not lead.
  bool is_current = false;
};

segment_reader::segment_reader(disk& disk, std::string spaces_root, std::string connection_string)
    : files_(disk, std::move(spaces_root)), connection_string_(std::move(connection_string)) {}
segment_reader::~segment_reader() = default;

namespace {

log_sequence_number position_of(pqxx::connection& connection) {
  pqxx::nontransaction query(connection);
  return log_sequence_number{query.exec1("SELECT lsn FROM cairn.log_position")[0].as<std::uint64_t>()};
}

} // namespace

void segment_reader::connect() {
  auto fresh = std::make_unique<session>();
  fresh->connection = connect_session(connection_string_, "cairnd-reader");
  auto& c = *fresh->connection;
  prepare_load_segment(c);
  c.prepare("newest_version", select_version(sql_newest));
  c.prepare("this_version", select_version(sql_this_version));
  c.prepare("newest_segments",
            fmt::format("SELECT found.*, i.place FROM unnest($1::int4[], $2::text[]) WITH ORDINALITY"
                        " AS i (collection_id, key, place), LATERAL ({}) AS found",
                        select_segment(sql_newest_segment)));
  c.prepare("tombstone", sql_tombstone);
  c.prepare("list", sql_list);
  c.prepare("versions", sql_versions);
  c.prepare("handoffs", sql_handoffs);
  c.prepare("space_of", sql_space_of);
  fresh->position = position_of(c);
  session_ = std::move(fresh);
}

bool segment_reader::has(log_sequence_number at_least) {
  // What at_least says was known before this connection was: an acknowledgement may have come since, and been
  // lost.
  if (!session_) {
    connect();
    return session_->position >= at_least;
  }
  if (session_->is_current || at_least == log_sequence_number{})
    return true;
  session_->position = position_of(*session_->connection);
  session_->is_current = session_->position >= at_least;
  return session_->is_current;
}

template <class Body>
auto segment_reader::query(log_sequence_number at_least, Body&& body)
  -> result<std::invoke_result_t<Body, session&>> {
  // A connection that broke while it was idle is noticed at its next use: that use is tried once more.
  for (int attempt = 0;; ++attempt) {
    auto answered = guarded([&]() -> std::optional<std::invoke_result_t<Body, session&>> {
      if (!has(at_least))
        return std::nullopt;
      return body(*session_);
    });
    if (answered && *answered)
      return std::move(**answered);
    if (answered)
      return fail(
        errc::database_unavailable,
        fmt::format("the database stands at log position {}, {} was acknowledged: it is being replayed",
                    session_->position.value, at_least.value));
    session_.reset();
    if (answered.error().what == database_fault::kind::lost && attempt == 0)
      continue;
    return fail(errc::database_unavailable, "database cannot be read: " + answered.error().message);
  }
}

namespace {

/// @param rows of select_version(), at least one
visible_version as_version(pqxx::transaction_base& transaction, const pqxx::result& rows) {
  const auto first = rows[0];
  visible_version out;
  out.version.value = first[0].as<std::uint64_t>();
  out.file = {first[1].as<std::int64_t>(), first[2].as<std::uint32_t>(), as_md5(first[3])};
  out.timestamp.value = first[4].as<std::int64_t>();
  for (const auto& row : rows) {
    held_segment held;
    held.conjoined_part = row[6].as<std::int32_t>();
    held.segment_num = row[7].as<std::int32_t>();
    held.sequence_count = row[8].as<std::int32_t>();
    held.size_bytes = row[9].as<std::int64_t>();
    held.value_file.value = row[10].as<std::int32_t>(0);
    held.offset_bytes = row[11].as<std::uint64_t>(0);
    out.segments.push_back(held);
  }
  if (first[12].as<bool>())
    out.meta = load_meta(transaction, segment_id{first[5].as<std::int64_t>()});
  return out;
}

std::optional<visible_version> find_tombstone(pqxx::transaction_base& transaction, collection_id collection,
                                              const std::string& key, unified_id version) {
  const auto rows = transaction.exec_prepared("tombstone", collection.value, key, version.value);
  if (rows.empty())
    return std::nullopt;
  visible_version out;
  out.version = version;
  out.timestamp.value = rows[0][0].as<std::int64_t>();
  out.is_tombstone = true;
  return out;
}

} // namespace

result<visible_version> segment_reader::look_up(collection_id collection, const std::string& key,
                                                unified_id version, log_sequence_number at_least) {
  auto found = query(at_least, [&](session& s) -> std::optional<visible_version> {
    pqxx::nontransaction transaction(*s.connection);
    const auto rows = version == unified_id{}
                        ? transaction.exec_prepared("newest_version", collection.value, key)
                        : transaction.exec_prepared("this_version", collection.value, key, version.value);
    if (rows.empty())
      return version == unified_id{} ? std::nullopt : find_tombstone(transaction, collection, key, version);
    return as_version(transaction, rows);
  });
  if (!found)
    return pass_failure(found);
  if (!*found)
    return fail(errc::not_found, version == unified_id{} ? "no such key" : "no such version of the key");
  return std::move(**found);
}

namespace {

key_listing as_listing(const pqxx::result& rows, std::int32_t limit) {
  key_listing out;
  for (const auto& row : rows) {
    if (static_cast<std::int32_t>(out.keys.size()) == limit) {
      out.is_truncated = true;
      break;
    }
    out.keys.push_back({row[0].as<std::string>(), unified_id{row[1].as<std::uint64_t>()},
                        timestamp_us{row[2].as<std::int64_t>()}, row[3].as<std::int64_t>()});
  }
  return out;
}

} // namespace

result<key_listing> segment_reader::list_keys(const cairn::list_keys& request, log_sequence_number at_least) {
  return query(at_least, [&](session& s) {
    pqxx::nontransaction transaction(*s.connection);
    return as_listing(transaction.exec_prepared("list", request.collection.value, request.marker,
                                                request.prefix, after_prefix(request.prefix),
                                                request.limit + 1),
                      request.limit);
  });
}

result<key_listing> segment_reader::list_versions(const cairn::list_versions& request,
                                                  log_sequence_number at_least) {
  return query(at_least, [&](session& s) {
    pqxx::nontransaction transaction(*s.connection);
    return as_listing(transaction.exec_prepared("versions", request.collection.value, request.key_marker,
                                                request.version_marker.value, request.prefix,
                                                after_prefix(request.prefix), request.limit + 1),
                      request.limit);
  });
}

result<handoff_listing> segment_reader::list_handoffs(node_id node, std::int64_t marker, std::int32_t limit,
                                                      log_sequence_number at_least) {
  return query(at_least, [&](session& s) {
    pqxx::nontransaction transaction(*s.connection);
    handoff_listing out;
    for (const auto& row : transaction.exec_prepared("handoffs", node.value, marker, limit + 1)) {
      if (static_cast<std::int32_t>(out.handoffs.size()) == limit) {
        out.is_truncated = true;
        break;
      }
      stored_handoff held;
      held.row = row[0].as<std::int64_t>();
      held.segment = {collection_id{row[1].as<std::int32_t>()},
                      row[2].as<std::string>(),
                      unified_id{row[3].as<std::uint64_t>()},
                      timestamp_us{row[4].as<std::int64_t>()},
                      row[5].as<std::int32_t>(),
                      row[6].as<std::int32_t>()};
      held.source.value = row[7].as<std::int32_t>();
      held.is_tombstone = row[8].as<std::string>() == "T";
      held.deletes.value = row[9].as<std::uint64_t>();
      out.handoffs.push_back(std::move(held));
    }
    return out;
  });
}

result<stored_segment> segment_reader::find_segment(const segment_key& key, log_sequence_number at_least) {
  auto found = query(at_least, [&](session& s) {
    pqxx::nontransaction transaction(*s.connection);
    return load_live_segment(transaction, key);
  });
  if (!found)
    return pass_failure(found);
  if (!*found || (*found)->status != segment_status::final)
    return fail(errc::not_found, "no such segment is stored here");
  return std::move(**found);
}

result<std::vector<std::optional<stored_segment>>>
segment_reader::find_newest(std::span<const collection_key> keys, log_sequence_number at_least) {
  return query(at_least, [&](session& s) {
    array_literal collections, texts;
    for (const auto& key : keys) {
      collections.add(key.collection.value);
      texts.add_text(key.key);
    }
    std::vector<std::optional<stored_segment>> out(keys.size());
    pqxx::nontransaction transaction(*s.connection);
    for (const auto& row :
         transaction.exec_prepared("newest_segments", collections.finish(), texts.finish())) {
      const auto place = row[segment_column_count].as<std::size_t>() - 1; // SQL counts from 1
      out.at(place) = take_segment(transaction, row);
    }
    return out;
  });
}

/// 0 = the file has no row.
result<space_id> segment_reader::space_of(value_file_id file) {
  return query({}, [&](session& s) {
    auto known = s.spaces.find(file);
    if (known == s.spaces.end()) {
      pqxx::nontransaction transaction(*s.connection);
      const auto rows = transaction.exec_prepared("space_of", file.value);
      if (rows.empty())
        return space_id{};
      known = s.spaces.emplace(file, space_id{rows[0][0].as<std::int32_t>()}).first;
    }
    return known->second;
  });
}

result<receipt> segment_reader::find_receipt(const stored_segment& segment) {
  if (segment.sequences.empty())
    return receipt{};
  const auto& last = segment.sequences.back();
  auto space = space_of(last.value_file);
  if (!space)
    return pass_failure(space);
  auto found =
    files_.find_final({*space, last.value_file, last.data_offset_bytes, &segment.segment, &last.info});
  if (!found && found.error().code == errc::not_found)
    return receipt{}; // the value file is not there; the version is
  if (!found) {
    if (found.error().code == errc::damaged)
      return tl::unexpected(note_damage(segment, segment.sequences.size() - 1, found.error()));
    return pass_failure(found);
  }
  if (!*found)
    return receipt{};
  const auto& at = **found;
  return receipt{at.lsn, at.value_file, at.record_offset, at.header_bytes + at.data_bytes, at.header_crc32c,
                 {}};
}

result<payload> segment_reader::read_sequence(const stored_segment& segment, std::size_t index,
                                              const value_file_cache::data_part& part) {
  const auto& sequence = segment.sequences[index];
  for (int attempt = 0;; ++attempt) {
    auto space = space_of(sequence.value_file);
    if (!space)
      return pass_failure(space);
    auto data = files_.read(
      {*space, sequence.value_file, sequence.data_offset_bytes, &segment.segment, &sequence.info}, part);
    if (data)
      return data;
    files_.drop(sequence.value_file); // it may have moved to another space since
    if (session_)
      session_->spaces.erase(sequence.value_file);
    if (attempt == 0)
      continue;
    if (data.error().code == errc::busy)
      return data;
    spdlog::error(
      "sequence_damaged key=\"{}\" version={} segment_num={} sequence={} value_file={} offset_bytes={} "
      "reason=\"{}\"",
      segment.segment.key, segment.segment.version.value, segment.segment.segment_num,
      sequence.info.sequence_num, sequence.value_file.value, sequence.data_offset_bytes,
      data.error().message);
    const failure found{errc::damaged, fmt::format("sequence {} of segment {} in value file {}: {}",
                                                   sequence.info.sequence_num, segment.segment.segment_num,
                                                   sequence.value_file.value, data.error().message)};
    return tl::unexpected(note_damage(
      segment, index, found, data.error().code == errc::not_found ? damage::missing : damage::defective));
  }
}

failure segment_reader::note_damage(const stored_segment& segment, std::size_t index, const failure& found,
                                    damage what) {
  auto noted = query({}, [&](session& s) {
    pqxx::work transaction(*s.connection);
    transaction.exec0("SET LOCAL synchronous_commit = on"); // whoever hears of it relies on it
    insert_damaged(transaction, segment.segment, segment.sequences[index], what);
    transaction.commit();
    return true;
  });
  if (noted)
    return found;
  spdlog::warn("damage_not_recorded reason=\"{}\"", noted.error().message);
  return {noted.error().code,
          found.message + "; read it again, for this could not be recorded: " + noted.error().message};
}

} // namespace cairn
