#include "core/db/node_database.hpp"

#include "core/db/database_session.hpp"
#include "core/db/fold.hpp"
#include "core/db/schema.hpp"
#include "core/db/segment_rows.hpp"
#include "core/db/sql_time.hpp"
#include "core/db/transaction_statements.hpp"

#include <fmt/format.h>
#include <spdlog/spdlog.h>

namespace cairn {

namespace {

using fault_kind = database_fault::kind;

constexpr auto sql_value_files = "SELECT id, space_id, " CAIRN_SQL_TO_US(
  "creation_time") ", " CAIRN_SQL_TO_US("close_time") ", size FROM cairn.value_file ORDER BY id";
constexpr auto sql_file_spaces = "SELECT space_id, purpose, path, volume, " CAIRN_SQL_TO_US(
  "creation_time") " FROM cairn.file_space ORDER BY space_id";
// A unified id grows with time: of the largest ones a late message is likeliest.
constexpr auto sql_cancelled_keys =
  "SELECT unified_id, conjoined_part, segment_num, coalesce(handoff_node_id, 0) FROM cairn.segment"
  " WHERE status = 'C' UNION ALL"
  " SELECT unified_id, conjoined_part, segment_num, handoff_node_id FROM cairn.segment_fence"
  " ORDER BY unified_id DESC LIMIT $1";
constexpr auto sql_max_row_id = "SELECT greatest((SELECT coalesce(max(id), 0) FROM cairn.segment),"
                                " (SELECT coalesce(max(id), 0) FROM cairn.conjoined),"
                                " (SELECT coalesce(max(max_segment_id), 0) FROM cairn.value_file))";

/// A round holds the row of the position locked until its log is synced. When the node's host goes away in
/// between, the server would keep the session, and the lock, until its own TCP notices: two hours by default.
/// So a peer that answers nothing for 20 s is gone. Where that tells nothing, since a proxy answers or the
/// process hangs, the session may idle in a round for a minute; a sync of the log that takes longer finds its
/// round rolled back, and the round is sent again. Who waits for the lock waits longer than the 20 s, so that
/// a start gets what its predecessor left behind; the error past it does not blame the round. What the
/// connection string, the role or the server's configuration say stays.
constexpr auto sql_bound_locks =
  "SELECT set_config(wanted.name, wanted.value, false) FROM (VALUES ('tcp_keepalives_idle', '5'),"
  " ('tcp_keepalives_interval', '5'), ('tcp_keepalives_count', '3'), ('tcp_user_timeout', '20000'),"
  " ('idle_in_transaction_session_timeout', '60s'), ('lock_timeout', '30s')) AS wanted (name, value)"
  " JOIN pg_catalog.pg_settings USING (name) WHERE source = 'default'";

} // namespace

namespace {

/// Moves the position, from where it must be. Elsewhere it fails, so that what is sent along with it is not
/// done either: no row moved, and it divides by their count. No other statement of a round divides.
constexpr auto sql_move_position =
  "WITH moved AS (UPDATE cairn.log_position SET lsn = $2 WHERE lsn = $1 RETURNING lsn)"
  " SELECT 1 / count(*) FROM moved";
// Source: PostgreSQL manual, appendix A.
bool is_position_mismatch(const pqxx::sql_error& e) { return e.sqlstate() == "22012"; }

/// A round's transaction. libpqxx's own transactions would make a trip of their own for BEGIN.
class round_transaction {
public:
  round_transaction(pqxx::connection& connection, log_sequence_number from, log_sequence_number to)
      : transaction_(connection),
        statements_(transaction_,
                    fmt::format("BEGIN; EXECUTE move_position ({}, {})", from.value, to.value)) {}
  ~round_transaction() {
    if (!statements_.opening_is_unsent() && !committed_)
      (void)guarded([&] { transaction_.exec0("ROLLBACK"); });
  }
  round_transaction(const round_transaction&) = delete;
  round_transaction& operator=(const round_transaction&) = delete;

  /// The first one may throw an sql_error that is_position_mismatch() tells.
  transaction_statements& statements() { return statements_; }
  void commit() {
    auto& transaction = statements_.open();
    committed_ = true; // or in doubt: there is nothing left to roll back
    transaction.exec0("COMMIT");
  }

private:
  pqxx::nontransaction transaction_;
  transaction_statements statements_;
  bool committed_ = false;
};

} // namespace

struct node_database::session {
  std::unique_ptr<pqxx::connection> connection;
  std::unique_ptr<round_transaction> open_round; ///< between begin_round and commit_round
};

node_database::node_database(std::unique_ptr<session> s) : session_(std::move(s)) {}
node_database::~node_database() = default;

failure node_database::as_failure(const database_fault& fault) const {
  switch (fault.what) {
    case fault_kind::lost: return {errc::database_unavailable, "database connection lost: " + fault.message};
    case fault_kind::refused: break;
  }
  return {errc::internal_error, "database refused a statement: " + fault.message};
}

result<std::unique_ptr<node_database>> node_database::open(const std::string& connection_string,
                                                           const node_identity& identity, if_empty empty) {
  std::unique_ptr<node_database> database;
  std::string conflict;
  auto opened = guarded([&] {
    auto s = std::make_unique<session>();
    s->connection = connect_session(connection_string, "cairnd-writer");
    database.reset(new node_database(std::move(s)));
    pqxx::nontransaction query(*database->session_->connection);
    query.exec(sql_bound_locks);
    if (const auto encoding = query.exec1("SHOW server_encoding")[0].as<std::string>(); encoding != "UTF8")
      conflict =
        fmt::format("database has encoding {}, keys need UTF8: create it with ENCODING 'UTF8'", encoding);
    if (empty == if_empty::refuse
        && query.exec1("SELECT to_regclass('cairn.schema_version') IS NULL")[0].as<bool>())
      conflict = "the database is empty, but there are value files: run `cairn rebuild` to fill it from them";
  });
  if (opened && conflict.empty())
    opened = guarded([&] { database->migrate(); });
  if (opened && conflict.empty())
    opened = guarded([&] {
      conflict = database->compare_identity(identity);
      if (conflict.empty()) {
        auto& connection = *database->session_->connection;
        prepare_fold(connection);
        connection.prepare("move_position", sql_move_position);
        connection.prepare_now("move_position"); // the server must know it, it is used by name
        pqxx::nontransaction setup(*database->session_->connection);
        // Rounds are the rule here; what is not a round turns it on for its own transaction.
        setup.exec0("SET synchronous_commit = off");
      }
    });
  if (!opened) {
    if (opened.error().what == fault_kind::refused)
      return fail(errc::conflict, opened.error().message);
    return fail(errc::database_unavailable, "database cannot be reached: " + opened.error().message);
  }
  if (!conflict.empty())
    return fail(errc::conflict, std::move(conflict));
  return database;
}

void node_database::migrate() {
  const auto& scripts = schema_migrations();
  for (std::size_t version = 0; version < scripts.size();) {
    pqxx::work transaction(*session_->connection);
    // Two nodes that start on one database at once must not both create it.
    transaction.exec("SELECT pg_advisory_xact_lock(4716423)");
    transaction.exec0("CREATE SCHEMA IF NOT EXISTS cairn");
    transaction.exec0("CREATE TABLE IF NOT EXISTS cairn.schema_version"
                      " (version int4 PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())");
    version =
      transaction.exec1("SELECT coalesce(max(version), 0) FROM cairn.schema_version")[0].as<std::size_t>();
    if (version > scripts.size())
      throw std::runtime_error(
        fmt::format("database has schema version {}, this program knows up to {}: run a newer one", version,
                    scripts.size()));
    if (version == scripts.size())
      return;
    transaction.exec(std::string{scripts[version]});
    transaction.exec_params("INSERT INTO cairn.schema_version (version) VALUES ($1)", ++version);
    transaction.commit();
    spdlog::info("database_migrated version={}", version);
  }
}

namespace {

std::string another_node(const node_identity& stored, const node_identity& identity) {
  return fmt::format(
    "database belongs to node {} (id {}) of cluster {}, this is node {} (id {}) of cluster {}: give "
    "each node a database of its own",
    stored.node_name, stored.id.value, stored.cluster_name, identity.node_name, identity.id.value,
    identity.cluster_name);
}

node_identity as_identity(const pqxx::row& row) {
  return {row[0].as<std::string>(), row[1].as<std::string>(), node_id{row[2].as<std::int32_t>()}};
}

constexpr auto sql_identity = "SELECT cluster_name, node_name, node_id FROM cairn.identity";

} // namespace

result<std::string> node_database::put_aside(const std::string& connection_string,
                                             const node_identity& identity) {
  std::string name;
  std::string conflict;
  const auto done = guarded([&] {
    const auto connection = connect_session(connection_string, "cairn-rebuild");
    pqxx::work transaction(*connection);
    if (transaction.exec1("SELECT to_regnamespace('cairn') IS NULL")[0].as<bool>())
      return;
    if (!transaction.exec1("SELECT to_regclass('cairn.identity') IS NULL")[0].as<bool>())
      for (const auto& row : transaction.exec(sql_identity))
        if (const auto stored = as_identity(row); !(stored == identity))
          conflict = another_node(stored, identity);
    if (!conflict.empty())
      return;
    name = transaction
             .exec1("SELECT 'cairn_before_rebuild_' || to_char(clock_timestamp(), 'YYYYMMDD_HH24MISS_US')")[0]
             .as<std::string>();
    transaction.exec0("ALTER SCHEMA cairn RENAME TO " + transaction.quote_name(name));
    transaction.commit();
  });
  if (!done)
    return fail(errc::database_unavailable, "the old database cannot be put aside: " + done.error().message);
  if (!conflict.empty())
    return fail(errc::conflict, std::move(conflict));
  return name;
}

std::string node_database::compare_identity(const node_identity& identity) {
  pqxx::work transaction(*session_->connection);
  transaction.exec_params("INSERT INTO cairn.identity (cluster_name, node_name, node_id) VALUES ($1, $2, $3)"
                          " ON CONFLICT DO NOTHING",
                          identity.cluster_name, identity.node_name, identity.id.value);
  const auto stored = as_identity(transaction.exec1(sql_identity));
  transaction.commit();
  return stored == identity ? std::string{} : another_node(stored, identity);
}

result<log_sequence_number> node_database::position() {
  return guarded([&] {
           pqxx::nontransaction query(*session_->connection);
           return log_sequence_number{
             query.exec1("SELECT lsn FROM cairn.log_position")[0].as<std::uint64_t>()};
         })
    .map_error([&](const database_fault& fault) { return as_failure(fault); });
}

result<database_state> node_database::load_state() {
  return guarded([&] {
           database_state state;
           pqxx::transaction<pqxx::repeatable_read> query(*session_->connection); // one snapshot
           state.position.value = query.exec1("SELECT lsn FROM cairn.log_position")[0].as<std::uint64_t>();
           state.max_row_id = query.exec1(sql_max_row_id)[0].as<std::int64_t>();
           for (const auto& row : query.exec(sql_value_files)) {
             value_file_row file;
             file.id.value = row[0].as<std::int32_t>();
             file.space.value = row[1].as<std::int32_t>();
             file.creation_time.value = row[2].as<std::int64_t>();
             if (!row[3].is_null())
               file.close_time = timestamp_us{row[3].as<std::int64_t>()};
             file.size_bytes = row[4].as<std::uint64_t>();
             state.value_files.push_back(std::move(file));
           }
           for (const auto& row : query.exec(sql_file_spaces))
             state.file_spaces.push_back(
               {space_id{row[0].as<std::int32_t>()},
                row[1].as<std::string>() == "storage" ? space_purpose::storage : space_purpose::journal,
                row[2].as<std::string>(), row[3].as<std::string>(), timestamp_us{row[4].as<std::int64_t>()}});
           for (const auto& row : query.exec("SELECT id, name, host, port FROM cairn.node ORDER BY id"))
             state.nodes.push_back({node_id{row[0].as<std::int32_t>()}, row[1].as<std::string>(),
                                    row[2].as<std::string>(), row[3].as<std::int32_t>()});
           return state;
         })
    .map_error([&](const database_fault& fault) { return as_failure(fault); });
}

namespace {

segment_key as_key(const pqxx::row& row, pqxx::row::size_type first) {
  return {unified_id{row[first].as<std::uint64_t>()}, row[first + 1].as<std::int32_t>(),
          row[first + 2].as<std::int32_t>(), node_id{row[first + 3].as<std::int32_t>()}};
}

} // namespace

result<std::vector<active_segment_row>> node_database::active_segments() {
  return guarded([&] {
           std::vector<active_segment_row> rows;
           pqxx::nontransaction query(*session_->connection);
           for (const auto& row :
                query.exec("SELECT id, unified_id, conjoined_part, segment_num,"
                           " coalesce(handoff_node_id, 0) FROM cairn.segment WHERE status = 'A'"
                           " ORDER BY id"))
             rows.push_back({segment_id{row[0].as<std::int64_t>()}, as_key(row, 1)});
           return rows;
         })
    .map_error([&](const database_fault& fault) { return as_failure(fault); });
}

result<std::vector<segment_key>> node_database::cancelled_keys(std::size_t limit) {
  return guarded([&] {
           std::vector<segment_key> keys;
           pqxx::nontransaction query(*session_->connection);
           for (const auto& row : query.exec_params(sql_cancelled_keys, limit))
             keys.push_back(as_key(row, 0));
           return keys;
         })
    .map_error([&](const database_fault& fault) { return as_failure(fault); });
}

node_database::round_outcome node_database::apply(const round& facts, bool one_by_one) {
  session_->open_round =
    std::make_unique<round_transaction>(*session_->connection, facts.expected_position, facts.new_position);
  auto& statements = session_->open_round->statements();
  fold_value_files(statements, facts.file_rows);

  round_outcome outcome;
  if (!one_by_one) {
    outcome.records = fold(statements, facts.records);
  } else {
    auto& transaction = statements.open();
    for (const auto& record : facts.records) {
      transaction.exec0("SAVEPOINT before_record"); // libpqxx 6.4's subtransaction is not rolled back in time
      try {
        outcome.records.push_back(std::move(fold(statements, {&record, 1}).front()));
        transaction.exec0("RELEASE SAVEPOINT before_record");
      } catch (const pqxx::sql_error& e) {
        if (!blames_values(e))
          throw; // another time the database may take it
        transaction.exec0("ROLLBACK TO SAVEPOINT before_record");
        const auto reason = one_line(e);
        spdlog::warn("record_rejected lsn={} type={} reason=\"{}\"", record.at.lsn.value,
                     type_name(record.body), reason);
        transaction.exec_params(
          "INSERT INTO cairn.rejected (lsn, reason) VALUES ($1, $2) ON CONFLICT DO NOTHING",
          record.at.lsn.value, reason);
        outcome.records.push_back({fold_outcome::kind::refused, reason, std::nullopt});
      }
    }
  }
  for (const auto& key : facts.look_ups)
    outcome.look_ups.push_back(load_segment(statements.open(), key));
  statements.open(); // a round without records moves the position, too
  return outcome;
}

result<node_database::round_outcome> node_database::begin_round(const round& facts) {
  bool mismatch = false;
  const auto attempt = [&](bool one_by_one) {
    return guarded([&] {
      try {
        return apply(facts, one_by_one);
      } catch (const pqxx::sql_error& e) {
        if (!is_position_mismatch(e))
          throw;
        mismatch = true;
        return round_outcome{};
      }
    });
  };
  auto applied = attempt(false);
  if (!applied && applied.error().what == fault_kind::refused) {
    abandon_round();
    applied = attempt(true);
  }
  if (applied && !mismatch)
    return std::move(*applied);
  abandon_round();
  if (mismatch)
    return fail(errc::conflict, fmt::format("log position is not {}", facts.expected_position.value));
  // Also for a statement that no record is to blame for: the round stays to be applied.
  return fail(errc::database_unavailable, "round not applied: " + applied.error().message);
}

result<void> node_database::commit_round() {
  auto committed = guarded([&] { session_->open_round->commit(); });
  session_->open_round.reset();
  if (!committed)
    return tl::unexpected(failure{errc::database_unavailable, committed.error().message});
  return {};
}

void node_database::abandon_round() noexcept { session_->open_round.reset(); }

namespace {

/// A transaction outside rounds, which waits for the database's own disk.
template <class Body>
database_result<void> synchronously(pqxx::connection& connection, Body&& body) {
  return guarded([&] {
    pqxx::work transaction(connection);
    transaction.exec0("SET LOCAL synchronous_commit = on");
    body(transaction);
    transaction.commit();
  });
}

} // namespace

result<void> node_database::put_value_files(std::span<const value_file_row> rows) {
  return synchronously(*session_->connection,
                       [&](auto& transaction) {
                         transaction_statements statements(transaction);
                         fold_value_files(statements, rows);
                       })
    .map_error([&](const database_fault& fault) { return as_failure(fault); });
}

result<void> node_database::drop_value_file(value_file_id id) {
  return synchronously(*session_->connection,
                       [&](auto& transaction) {
                         transaction.exec_params0("DELETE FROM cairn.value_file WHERE id = $1", id.value);
                       })
    .map_error([&](const database_fault& fault) { return as_failure(fault); });
}

result<void> node_database::add_file_spaces(std::span<const file_space_record> rows) {
  std::vector<placed_record> records;
  for (const auto& row : rows)
    records.push_back({row, {}});
  return synchronously(*session_->connection,
                       [&](auto& transaction) {
                         transaction_statements statements(transaction);
                         fold(statements, records);
                       })
    .map_error([&](const database_fault& fault) { return as_failure(fault); });
}

result<void> node_database::put_damaged(const segment_info& segment, const stored_sequence& sequence) {
  return synchronously(*session_->connection,
                       [&](auto& transaction) { insert_damaged(transaction, segment, sequence); })
    .map_error([&](const database_fault& fault) { return as_failure(fault); });
}

result<std::int64_t> node_database::put_lost(const lost_bytes& lost) {
  std::int64_t segments = 0;
  return synchronously(*session_->connection,
                       [&](auto& transaction) { segments = insert_lost(transaction, lost); })
    .map([&] { return segments; })
    .map_error([&](const database_fault& fault) { return as_failure(fault); });
}

} // namespace cairn
