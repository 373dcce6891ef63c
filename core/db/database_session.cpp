#include "core/db/database_session.hpp"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

namespace cairn {

namespace {

/// Settings that Cairn wants; those in the connection string win.
constexpr std::array<std::pair<std::string_view, std::string_view>, 5> wanted_settings{{
  {"connect_timeout", "3"},
  {"keepalives", "1"},
  {"keepalives_idle", "5"},
  {"tcp_user_timeout", "5000"},
  {"client_encoding", "UTF8"},
}};

std::string with_settings(const std::string& connection_string, const std::string& application_name) {
  const auto is_uri =
    connection_string.rfind("postgres://", 0) == 0 || connection_string.rfind("postgresql://", 0) == 0;
  auto uri = connection_string;
  std::string words;
  const auto add = [&](const std::string& name, const std::string& value) {
    words += name + "=" + value + " ";
    const auto query = uri.find('?');
    if (query == std::string::npos)
      uri += "?" + name + "=" + value;
    else if (uri.find("?" + name + "=", query) == std::string::npos
             && uri.find("&" + name + "=", query) == std::string::npos)
      uri += "&" + name + "=" + value;
  };
  for (const auto& [name, value] : wanted_settings)
    add(std::string{name}, std::string{value});
  add("application_name", application_name);
  return is_uri ? uri : words + connection_string;
}

bool is_of_class(const pqxx::sql_error& e, std::initializer_list<std::string_view> classes) {
  const std::string_view state = e.sqlstate();
  return std::any_of(classes.begin(), classes.end(),
                     [&](std::string_view c) { return state.substr(0, 2) == c; });
}

} // namespace

std::string one_line(const std::exception& e) {
  std::string message = e.what();
  std::replace(message.begin(), message.end(), '\n', ' ');
  while (!message.empty() && message.back() == ' ')
    message.pop_back();
  return message;
}

// Source: PostgreSQL manual, appendix A: classes of SQLSTATE codes.
bool blames_values(const pqxx::sql_error& e) { return is_of_class(e, {"22", "23", "54"}); }
bool blames_server(const pqxx::sql_error& e) {
  return is_of_class(e, {"08", "25", "40", "53", "55", "57", "58"});
}
bool is_locked_out(const pqxx::sql_error& e) { return e.sqlstate() == "55P03"; }

std::unique_ptr<pqxx::connection> connect_session(const std::string& connection_string,
                                                  const char* application_name) {
  auto session = std::make_unique<pqxx::connection>(with_settings(connection_string, application_name));
  pqxx::nontransaction setup(*session);
  setup.exec0("SET client_min_messages = warning");
  setup.exec0("SET jit = off"); // short statements only
  // Every statement is made for an index. Planned once, and not by the size that tables had at that time: a
  // node that was empty when it started must not read whole tables when it has millions of rows.
  setup.exec0("SET plan_cache_mode = force_generic_plan");
  setup.exec0("SET enable_seqscan = off");
  setup.exec0("SET enable_hashjoin = off");
  setup.exec0("SET enable_mergejoin = off");
  setup.exec0("SET search_path = pg_catalog");
  return session;
}

} // namespace cairn
