#include "tests/support/test_database.hpp"

#include "core/db/managed_postgres.hpp"

#include <atomic>
#include <filesystem>
#include <stdexcept>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <pqxx/pqxx>
#include <sys/stat.h>

namespace cairn {

namespace {

/// The server, and the directory that goes with it.
class shared_server {
public:
  shared_server() {
    std::string name = "/tmp/cairn-test-XXXXXX";
    if (::mkdtemp(name.data()) == nullptr)
      throw std::runtime_error("mkdtemp failed");
    directory_ = name;
    ::chmod(directory_.c_str(), 0755);
    managed_postgres_options options;
    options.directory = directory_ + "/pg";
    // Nobody pulls the plug here.
    options.settings = {{"shared_buffers", "32MB"}, {"fsync", "off"}, {"full_page_writes", "off"}};
    auto started = managed_postgres::start(std::move(options));
    if (!started)
      throw std::runtime_error(started.error().message);
    server_ = std::move(*started);
  }
  shared_server(const shared_server&) = delete;
  shared_server& operator=(const shared_server&) = delete;
  ~shared_server() {
    server_.reset();
    std::error_code error;
    std::filesystem::remove_all(directory_, error);
  }

  std::string make_database() {
    const auto name = fmt::format("test_{}", ++count_);
    if (auto made = server_->create_database(name); !made)
      throw std::runtime_error(made.error().message);
    return server_->connection_string(name);
  }

private:
  std::string directory_;
  std::unique_ptr<managed_postgres> server_;
  std::atomic<int> count_ = 0;
};

shared_server& server() {
  static shared_server instance;
  return instance;
}

} // namespace

test_database::test_database() : connection_string_(server().make_database()) {}

node_identity test_database::identity() { return {"orchard", "north", node_id{1}}; }

std::unique_ptr<node_database> test_database::open() const {
  auto opened = node_database::open(connection_string_, identity());
  EXPECT_TRUE(opened) << opened.error().message;
  return opened ? std::move(*opened) : nullptr;
}

std::string test_database::query(std::string_view sql) const {
  pqxx::connection connection(connection_string_);
  pqxx::nontransaction work(connection);
  const auto rows = work.exec(std::string{sql});
  return rows.empty() || rows.columns() == 0 ? std::string{} : rows[0][0].as<std::string>("NULL");
}

std::string test_database::dump() const {
  pqxx::connection connection(connection_string_);
  pqxx::nontransaction work(connection);
  work.exec0("SET timezone = 'UTC'");
  std::string text;
  for (const auto& table : work.exec("SELECT tablename FROM pg_tables WHERE schemaname = 'cairn'"
                                     " AND tablename <> 'schema_version' ORDER BY 1")) {
    const auto name = table[0].as<std::string>();
    const std::string what = name == "rejected" ? "(t.lsn, t.reason)::text" : "t::text";
    for (const auto& row :
         work.exec(fmt::format("SELECT {0} FROM cairn.{1} t ORDER BY {0} COLLATE \"C\"", what, name)))
      text += name + row[0].as<std::string>() + "\n";
  }
  return text;
}

void test_database::kill_sessions() const {
  const auto left =
    query("SELECT count(*) FROM pg_stat_activity, pg_terminate_backend(pid, 60000) AS is_gone"
          " WHERE datname = current_database() AND application_name LIKE 'cairnd%' AND NOT is_gone");
  EXPECT_EQ(left, "0");
}

} // namespace cairn
