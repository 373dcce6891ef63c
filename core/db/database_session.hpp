#pragma once
/// One connection to the node database and the end of libpqxx's exceptions. Private to core/db.

#include "core/errc.hpp"

#include <functional>
#include <memory>
#include <string>

#include <pqxx/pqxx>

namespace cairn {

/// Why the database did not do what was asked.
struct database_fault {
  enum class kind {
    lost, ///< connection gone, or a COMMIT whose outcome is not known: connect again and look at the position
    refused, ///< a statement failed; the transaction is rolled back, the connection goes on
  };
  kind what = kind::lost;
  std::string message;
};
template <class T>
using database_result = tl::expected<T, database_fault>;

/// Why an exception was thrown, in one line.
std::string one_line(const std::exception& e);

/// True when a statement failed by the values it was given, and would fail with them every time.
bool blames_values(const pqxx::sql_error& e);
/// True when it failed by the state that the server is in: going down, out of room, locked.
bool blames_server(const pqxx::sql_error& e);

/// True when a lock was not to be had in time.
bool is_locked_out(const pqxx::sql_error& e);

/// Connects with a bounded time and the session settings that Cairn relies on.
/// @throws pqxx::broken_connection
std::unique_ptr<pqxx::connection> connect_session(const std::string& connection_string,
                                                  const char* application_name);

/// Runs `body` and turns what libpqxx throws into a fault.
template <class Body>
auto guarded(Body&& body) -> database_result<std::invoke_result_t<Body>> {
  using fault = database_fault;
  const auto of = [](fault::kind what, const std::exception& e) {
    return tl::unexpected<fault>(fault{what, one_line(e)});
  };
  try {
    if constexpr (std::is_void_v<std::invoke_result_t<Body>>) {
      std::forward<Body>(body)();
      return {};
    } else {
      return std::forward<Body>(body)();
    }
  } catch (const pqxx::broken_connection& e) {
    return of(fault::kind::lost, e);
  } catch (const pqxx::in_doubt_error& e) {
    return of(fault::kind::lost, e);
  } catch (const pqxx::sql_error& e) {
    auto failed = of(blames_server(e) ? fault::kind::lost : fault::kind::refused, e);
    if (is_locked_out(e))
      failed.value().message +=
        " (another session holds the lock: pg_stat_activity names it; one that a node's "
        "host left behind is ended by the server in a minute)";
    return failed;
  } catch (const std::exception& e) {
    return of(fault::kind::refused, e);
  }
}

} // namespace cairn
