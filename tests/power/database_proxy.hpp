#pragma once
/// Stands between a node and its PostgreSQL: counts the calls that pass, and makes one of them fail.

#include "core/disk/posix.hpp"
#include "tests/power/volatile_directory.hpp"

#include <cstdint>
#include <list>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace cairn::power {

enum class call_failure : std::uint8_t {
  cut_before, ///< the connection breaks; the server has not heard of the call
  cut_after,  ///< the server has done it; the connection breaks before the answer
  refused,    ///< the server has no room (class 53) and rolls the transaction back; the connection goes on
};
std::string_view to_string(call_failure how);

/// A call is whatever libpq waits for: a connect, a query, a statement prepared or executed (COPY is not
/// understood). Passes bytes on a thread of its own. @throws std::runtime_error: a defect of the test
class database_proxy {
public:
  /// @param connection_string of a server on a Unix socket, as managed_postgres gives it
  explicit database_proxy(const std::string& connection_string);
  database_proxy(const database_proxy&) = delete;
  database_proxy& operator=(const database_proxy&) = delete;
  ~database_proxy();

  /// The same database, through this proxy.
  [[nodiscard]] const std::string& connection_string() const { return connection_string_; }

  /// Nothing was called; no call fails.
  void begin_anew();
  /// The nth call from begin_anew() on fails, no other.
  void fail(call_failure how, std::uint64_t nth);
  /// What was called since: "connect", the beginning of the SQL, or the name of a prepared statement.
  [[nodiscard]] std::vector<std::string> calls() const;

private:
  struct link {
    posix::unique_fd client;
    posix::unique_fd server;
    std::string from_client; ///< up to a whole message
    std::string call;        ///< up to a whole call
    std::string withheld;    ///< the answer that the client does not get
    bool is_greeted = false;
    bool is_to_be_cut = false; ///< when the answer is whole
    bool is_over = false;
  };

  void pass_on();
  void accept_client();
  void read_client(link& on);
  void read_server(link& on);
  bool take_message(link& on);
  void finish_call(link& on);

  std::string server_socket_;
  std::string connection_string_;
  volatile_directory directory_;
  posix::unique_fd listener_;
  posix::unique_fd stop_; ///< an eventfd
  std::list<link> links_; ///< of the thread

  mutable std::mutex mutex_; ///< of what follows
  std::vector<std::string> calls_;
  std::uint64_t failing_ = 0; ///< its number, 0 is none
  call_failure how_ = call_failure::cut_before;

  std::thread thread_; ///< last: it uses all the others
};

} // namespace cairn::power
