#pragma once
/// The thread that is the parent of a managed PostgreSQL server. Private to core.

#include "core/db/child_process.hpp"
#include "core/db/managed_postgres.hpp"
#include "core/db/postgres_data.hpp"
#include "core/db/postgres_installation.hpp"

#include <future>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace cairn {

/// Spawns the server, waits for its end, and spawns the next. One thread does all of it for the server's
/// whole life, because the kernel sends the parent death signal when the *thread* that spawned the child
/// ends. start() once, then stop() from any thread; the destructor stops. Removes the socket directory with
/// the server.
class postgres_keeper {
public:
  postgres_keeper(managed_postgres_options options, postgres_installation installation,
                  std::string socket_directory);
  ~postgres_keeper();
  postgres_keeper(const postgres_keeper&) = delete;
  postgres_keeper& operator=(const postgres_keeper&) = delete;

  /// Returns when the server takes connections.
  /// @error database_unavailable: it ended or was too slow, and is gone
  result<void> start(deadline until);

  /// Ends server and thread. @error database_unavailable: a process does not end
  result<void> stop();

  [[nodiscard]] managed_postgres_state state() const;

private:
  void run(std::promise<result<void>> first, deadline until) noexcept;
  void keep_running(child_process first);
  std::optional<child_process> restart(std::chrono::milliseconds& delay);
  result<child_process> launch_first(deadline until);
  result<child_process> launch(deadline until);
  result<child_process> spawn_server(int log_fd) const;
  result<void> wait_until_ready(child_process& child, const postgres_lock_stamp& before,
                                deadline until) const;
  result<void> end(child_process& child) const;
  void change(const std::function<void(managed_postgres_state&)>& edit);
  [[nodiscard]] bool told_to_stop_within(std::chrono::milliseconds time) const;
  [[nodiscard]] std::string data_directory() const { return options_.directory + "/data"; }

  const managed_postgres_options options_;
  const postgres_installation installation_;
  const std::string socket_directory_;
  posix::unique_fd stop_event_; ///< readable from the first stop() on
  mutable std::mutex state_mutex_;
  managed_postgres_state state_; ///< guarded by state_mutex_
  std::mutex stop_mutex_;        ///< one stop() at a time
  bool stopped_ = false;      ///< guarded by stop_mutex_; the directory may be another object's from then on
  result<void> stop_outcome_; ///< written by the thread before it ends, read after join
  std::thread thread_;        ///< joined under stop_mutex_
};

} // namespace cairn
