#include "tests/power/flushed_database.hpp"

#include "core/db/managed_postgres.hpp"
#include "core/db/node_database.hpp"
#include "tests/power/volatile_directory.hpp"

#include <stdexcept>

#include <fmt/format.h>
#include <pqxx/pqxx>

namespace cairn::power {

namespace {

constexpr auto database_name = "power";
constexpr int runs_between_vacuums = 100;

/// Nothing is flushed but by commits that wait for it, as far as the server lets itself be told.
managed_postgres_options server_options(const std::string& directory) {
  managed_postgres_options options;
  options.directory = directory;
  options.settings = {{"fsync", "off"},
                      {"full_page_writes", "off"},
                      {"shared_buffers", "64MB"},
                      {"wal_buffers", "16MB"},
                      {"wal_level", "minimal"},
                      {"max_wal_senders", "0"},
                      {"max_wal_size", "512MB"},
                      {"checkpoint_timeout", "1d"},
                      {"wal_writer_delay", "10s"},
                      {"wal_writer_flush_after", "2GB"},
                      {"autovacuum", "off"},
                      {"bgwriter_lru_maxpages", "0"}};
  return options;
}

void make_schema(const std::string& connection_string) {
  auto made = node_database::open(connection_string, {"schema", "schema", node_id{1}});
  if (!made)
    throw std::runtime_error(made.error().message);
}

} // namespace

/// Table for table there is a copy in schema kept, through which the sight that was held comes back.
struct flushed_database::session {
  session() {
    auto started = managed_postgres::start(server_options(directory / "pg"));
    if (!started)
      throw std::runtime_error(started.error().message);
    server = std::move(*started);
    if (auto made = server->create_database(database_name); !made)
      throw std::runtime_error(made.error().message);
  }

  void prepare(const std::string& connection_string) {
    connection = std::make_unique<pqxx::connection>(connection_string);
    // A node's session that outlives it, with its rows locked, is an error and no endless wait.
    exec("SET synchronous_commit = off; SET lock_timeout = '60s'; CREATE SCHEMA kept");
    for (const auto& row : exec("SELECT tablename FROM pg_tables WHERE schemaname = 'cairn'"
                                " AND tablename <> 'schema_version' ORDER BY 1")) {
      const auto table = row[0].as<std::string>();
      tables += (tables.empty() ? "cairn." : ", cairn.") + table;
      exec(fmt::format("CREATE TABLE kept.{0} AS SELECT * FROM cairn.{0} LIMIT 0", table));
      keep += fmt::format("DELETE FROM kept.{0}; INSERT INTO kept.{0} SELECT * FROM cairn.{0};", table);
      clear += fmt::format("DELETE FROM cairn.{};", table);
      bring_back += fmt::format("INSERT INTO cairn.{0} SELECT * FROM kept.{0};", table);
    }
  }

  pqxx::result exec(const std::string& sql) { return pqxx::nontransaction(*connection).exec(sql); }

  std::string flushed_up_to() { return exec("SELECT pg_current_wal_flush_lsn()")[0][0].as<std::string>(); }

  std::uint64_t position() { return exec("SELECT lsn FROM cairn.log_position")[0][0].as<std::uint64_t>(); }

  /// The sight of the database from now on is that of this moment.
  void hold() {
    exec("COMMIT; BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1 FROM cairn.log_position");
    held_flush = flushed_up_to();
  }

  volatile_directory directory;
  std::unique_ptr<managed_postgres> server;
  std::unique_ptr<pqxx::connection> connection;
  std::string tables, keep, clear, bring_back; ///< SQL for all tables
  std::string held_flush;                      ///< how far the log was flushed when hold() was called
  int runs = 0;
};

flushed_database::flushed_database() : session_(std::make_unique<session>()) {
  connection_string_ = session_->server->connection_string(database_name);
  make_schema(connection_string_);
  session_->prepare(connection_string_);
  session_->exec("BEGIN");
}

flushed_database::~flushed_database() = default;

void flushed_database::begin_anew() {
  session_->exec("COMMIT");
  session_->exec("BEGIN;" + session_->clear + "INSERT INTO cairn.log_position (lsn) VALUES (0); COMMIT");
  if (++session_->runs % runs_between_vacuums == 0)
    session_->exec("VACUUM ANALYZE " + session_->tables);
  session_->exec("BEGIN");
  session_->hold();
}

void flushed_database::observe() {
  if (session_->flushed_up_to() != session_->held_flush)
    session_->hold();
}

void flushed_database::flush() { session_->hold(); }

std::uint64_t flushed_database::lose_power() {
  const auto left = session_->position();
  session_->exec(session_->keep + "COMMIT");
  const auto had = session_->position();
  session_->exec("BEGIN;" + session_->clear + session_->bring_back + "COMMIT; BEGIN");
  session_->hold();
  return had - left;
}

} // namespace cairn::power
