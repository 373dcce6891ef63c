#include "core/db/managed_postgres.hpp"

#include "core/db/postgres_data.hpp"
#include "core/db/postgres_keeper.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <filesystem>

#include <pqxx/pqxx>

namespace cairn {

namespace {

constexpr std::size_t max_database_name_bytes = 63; // longer ones PostgreSQL cuts off
constexpr std::chrono::hours longest_timeout{24};
constexpr std::array<std::string_view, 10> own_settings{"listen_addresses",
                                                        "port",
                                                        "unix_socket_directories",
                                                        "unix_socket_permissions",
                                                        "data_directory",
                                                        "config_file",
                                                        "hba_file",
                                                        "ident_file",
                                                        "log_destination",
                                                        "logging_collector"};

bool has_control_characters(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](unsigned char c) { return std::iscntrl(c) != 0; });
}

result<void> check(const managed_postgres_options& options) {
  if (!options.directory.starts_with('/') || has_control_characters(options.directory))
    return fail(errc::invalid_message,
                "the PostgreSQL directory must be an absolute path without control characters");
  for (const auto timeout : {options.start_timeout, options.stop_timeout})
    if (timeout.count() <= 0 || timeout > longest_timeout)
      return fail(errc::invalid_message,
                  "a PostgreSQL start or stop timeout must be above 0 and at most a day");
  for (const auto& [name, value] : options.settings) {
    std::string plain;
    for (const char c : name)
      plain += c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (std::find(own_settings.begin(), own_settings.end(), plain) != own_settings.end())
      return fail(errc::invalid_message,
                  fmt::format("the PostgreSQL setting {} is the node's own; remove it", name));
    const bool is_name = !plain.empty() && std::all_of(plain.begin(), plain.end(), [](unsigned char c) {
      return std::isalnum(c) != 0 || c == '_' || c == '.';
    });
    if (!is_name || value.find('\0') != std::string::npos)
      return fail(errc::invalid_message, fmt::format("'{}' is no PostgreSQL setting", name));
  }
  return {};
}

/// A value of a libpq connection string.
std::string conninfo_value(std::string_view value) {
  std::string text = "'";
  for (const char c : value) {
    if (c == '\'' || c == '\\')
      text += '\\';
    text += c;
  }
  return text + '\'';
}

bool database_exists(pqxx::nontransaction& query, const std::string& name) {
  return !query.exec("SELECT 1 FROM pg_database WHERE datname = " + query.quote(name)).empty();
}

errc code_of_sql(const pqxx::sql_error& error) {
  constexpr std::string_view disk_full = "53100";
  constexpr std::string_view operator_intervention = "57P"; // the server is going down
  if (error.sqlstate() == disk_full)
    return errc::no_space;
  return error.sqlstate().starts_with(operator_intervention) ? errc::database_unavailable
                                                             : errc::internal_error;
}

} // namespace

std::string_view to_string(managed_postgres_phase phase) {
  switch (phase) {
    case managed_postgres_phase::starting: return "starting";
    case managed_postgres_phase::running: return "running";
    case managed_postgres_phase::restarting: return "restarting";
    case managed_postgres_phase::stopped: return "stopped";
  }
  return "unknown_phase";
}

managed_postgres::managed_postgres(std::string socket_directory, std::unique_ptr<postgres_keeper> keeper)
    : socket_directory_(std::move(socket_directory)), keeper_(std::move(keeper)) {}

managed_postgres::~managed_postgres() = default;

result<std::unique_ptr<managed_postgres>> managed_postgres::start(managed_postgres_options options) try {
  if (auto checked = check(options); !checked)
    return pass_failure(checked);
  const deadline until = std::chrono::steady_clock::now() + options.start_timeout;
  options.directory = std::filesystem::path(options.directory).lexically_normal().string();
  if (options.directory.size() > 1 && options.directory.ends_with('/'))
    options.directory.pop_back();
  auto installation = find_postgres(options.bin_directory);
  if (!installation)
    return pass_failure(installation);
  if (auto made = prepare_postgres_directory(*installation, options.directory); !made)
    return pass_failure(made);
  if (auto data = prepare_postgres_data(*installation, options.directory, options.stop_timeout, until); !data)
    return pass_failure(data);
  auto sockets = make_postgres_sockets(*installation, options.directory);
  if (!sockets)
    return pass_failure(sockets);
  auto keeper = std::make_unique<postgres_keeper>(std::move(options), std::move(*installation), *sockets);
  if (auto started = keeper->start(until); !started)
    return pass_failure(started);
  return std::unique_ptr<managed_postgres>(new managed_postgres(std::move(*sockets), std::move(keeper)));
} catch (const std::exception& error) {
  return fail(errc::internal_error, fmt::format("PostgreSQL could not be started: {}", error.what()));
}

namespace {

std::string connection_through(std::string_view socket_directory, std::string_view database_name) {
  return fmt::format("host={} port={} user=cairn dbname={}", conninfo_value(socket_directory),
                     managed_postgres_port, conninfo_value(database_name));
}

} // namespace

std::string managed_postgres::connection_string(std::string_view database_name) const {
  return connection_through(socket_directory_, database_name);
}

result<std::string> managed_postgres::connection_string_in(const std::string& directory,
                                                           std::string_view database_name) {
  std::error_code error;
  const auto sockets = std::filesystem::canonical(directory + "/socket", error); // it may be a link
  if (error)
    return fail(errc::database_unavailable, fmt::format("no PostgreSQL runs in {}", directory));
  return connection_through(sockets.string(), database_name);
}

result<void> managed_postgres::create_database(const std::string& name) try {
  if (name.empty() || name.size() > max_database_name_bytes || name.find('\0') != std::string::npos)
    return fail(
      errc::invalid_message,
      fmt::format("a database name is 1 to {} bytes long, without zero bytes", max_database_name_bytes));
  pqxx::connection connection(connection_string("postgres") + " connect_timeout=10");
  pqxx::nontransaction query(connection);
  if (database_exists(query, name))
    return {};
  try {
    query.exec("CREATE DATABASE " + query.quote_name(name)
               + " TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C' LC_CTYPE 'C'");
  } catch (const pqxx::sql_error&) {
    if (!database_exists(query, name)) // another caller may have been faster
      throw;
  }
  return {};
} catch (const pqxx::broken_connection& error) {
  return fail(errc::database_unavailable,
              fmt::format("no connection to the node's PostgreSQL: {}", error.what()));
} catch (const pqxx::sql_error& error) {
  return fail(code_of_sql(error), fmt::format("database {} was not made: {}", name, error.what()));
} catch (const std::exception& error) {
  return fail(errc::internal_error, fmt::format("database {} was not made: {}", name, error.what()));
}

managed_postgres_state managed_postgres::state() const { return keeper_->state(); }

result<void> managed_postgres::stop() { return keeper_->stop(); }

} // namespace cairn
