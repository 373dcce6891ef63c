#pragma once
/// A node as its users have it: a cairnd of its own, on a free port, with its own data directory and
/// PostgreSQL.

#include "net/address.hpp"
#include "tests/harness/program.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cairn::harness {

struct process_node_options {
  std::string data_directory;         ///< empty = a new one, gone with the node
  std::vector<std::string> arguments; ///< of cairnd, beyond directory, port and reserve
};

/// Running from construction on. The thread that made it must outlive it. Whatever happens, no process and,
/// unless the directory was given, no file is left behind.
class process_node {
public:
  /// Returns when the node is ready. @throws harness_error with cairnd's last words
  explicit process_node(process_node_options options = {});
  process_node(const process_node&) = delete;
  process_node& operator=(const process_node&) = delete;
  ~process_node();

  /// Where it listens; another port after each start.
  [[nodiscard]] const host_port& address() const { return address_; }
  [[nodiscard]] pid_t pid() const { return cairnd_->pid(); }
  [[nodiscard]] const std::string& data_directory() const { return data_directory_; }
  /// Its PostgreSQL's postmaster. @throws harness_error when there is none
  [[nodiscard]] pid_t postgres_pid() const;
  /// Connection string of its database.
  [[nodiscard]] std::string database() const;
  /// All that cairnd logged, over all starts.
  [[nodiscard]] std::string log() const;

  /// Ends cairnd as a crash would. Its PostgreSQL notices and shuts down; the next start waits for it.
  void kill_9();
  /// Ends its PostgreSQL as a crash would; cairnd, if it lives, starts another.
  void kill_postgres_9() const;
  /// Asks it to stop. @returns cairnd's exit code
  int terminate();
  /// Starts it again after any end.
  void restart();

private:
  void start();
  host_port wait_until_ready(int output);
  void end_postgres() const;

  std::optional<scratch_directory> scratch_;
  std::string data_directory_;
  std::string log_path_;
  std::vector<std::string> arguments_;
  std::unique_ptr<program> cairnd_;
  host_port address_;
};

/// Connection string of the database that a node runs in its data directory.
std::string database_of(const std::string& data_directory);

} // namespace cairn::harness
