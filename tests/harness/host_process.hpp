#pragma once
/// A host process as its users have it: a cairnd of its own, on a free port, with directories and a
/// PostgreSQL of its own, and with faults to be called by name.

#include "net/address.hpp"
#include "net/transport/transport_options.hpp"
#include "tests/harness/certificates.hpp"
#include "tests/harness/database.hpp"
#include "tests/harness/faulty_disk.hpp"
#include "tests/harness/log_file.hpp"
#include "tests/harness/program.hpp"
#include "tests/harness/relay.hpp"

#include <csignal>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cairn::harness {

struct host_options {
  bool has_node = true;                 ///< serves a node of its own; without one it is an empty host
  bool remote_spawn = false;            ///< coordinators may spawn nodes in it
  bool tls = false;                     ///< both sides show certificates of an authority made for this host
  bool disk_faults = false;             ///< runs cairn-faulty-host, which is cairnd over a faulty_disk
  std::string data_directory{};         ///< of its own node; empty = a new one, gone with the object
  std::string spawn_root{};             ///< of spawned nodes; empty = a new one, gone with the object
  std::vector<std::string> arguments{}; ///< of cairnd, beyond what these options say
};

/// Running from construction on. The thread that made it must outlive it: the kernel kills the host with that
/// thread, and so with a test that is killed. Whatever happens, no process and, unless the directory was
/// given, no file is left behind. One thread at a time uses it. Every wait ends with a harness_error at the
/// latest after two minutes (soon()).
class host_process {
public:
  /// Returns when the host is ready. @throws harness_error with its last words
  explicit host_process(host_options options = {});
  host_process(const host_process&) = delete;
  host_process& operator=(const host_process&) = delete;
  ~host_process();

  /// Where clients reach it, through the relay that cut() and stall() act on; the same over restarts.
  [[nodiscard]] const host_port& address() const { return relay_.address(); }
  /// Where it listens itself; another port after each restart.
  [[nodiscard]] const host_port& direct_address() const { return direct_address_; }
  [[nodiscard]] const host_options& options() const { return options_; }
  [[nodiscard]] pid_t pid() const { return program_->pid(); }
  /// Of its own node.
  [[nodiscard]] const std::string& data_directory() const { return options_.data_directory; }
  /// Where spawned nodes have their directories.
  [[nodiscard]] const std::string& spawn_root() const { return options_.spawn_root; }
  /// What it printed when it was ready.
  [[nodiscard]] const std::string& ready_line() const { return ready_line_; }
  /// Its own node's PostgreSQL: postmaster and connection string.
  [[nodiscard]] pid_t postgres_pid() const { return postgres_pid_of(data_directory()); }
  [[nodiscard]] std::string database() const { return database_of(data_directory()); }
  /// What a client needs to reach it: with TLS, a certificate for "client". @throws harness_error
  [[nodiscard]] transport_options client_net();
  /// Who may use it, with TLS. @throws harness_error without
  certificates& authority();

  // --- life ---

  /// Ends it as a crash would. PostgreSQL notices and shuts down; the next start waits for it.
  void kill();
  /// Asks it to stop (SIGTERM). @returns its exit code
  int stop();
  /// Starts it again after any end.
  void restart();

  // --- faults ---

  /// It stands still (SIGSTOP) but keeps its connections, until it is thawed.
  void freeze() { program_->freeze(); }
  void thaw() { program_->send(SIGCONT); }
  /// Its connections are reset and new ones refused, until heal().
  void cut() { relay_.cut(); }
  /// Its connections stay, but no byte passes, until heal().
  void stall() { relay_.stall(); }
  void heal() { relay_.heal(); }
  /// See disk_faults. @throws harness_error without options.disk_faults
  void fill_disk(std::int64_t bytes_left = full_disk_bytes_left) { faults().fill(bytes_left); }
  void free_disk() { faults().free(); }
  void fail_sync(std::int64_t nth = 1) { faults().fail_sync(nth); }
  /// Its own node's PostgreSQL ends as a crash would; the host starts another.
  void lose_database() { lose_database_of(data_directory()); }

  // --- events ---

  /// All that it logged, over all starts.
  [[nodiscard]] std::string log() const { return log_.text(); }
  /// Waits until the text is logged, by this start of the host.
  /// @returns the line. @throws harness_error when the host ends without it
  std::string wait_for_log(const std::string& text);
  /// Waits until it has ended by itself. @returns its exit code
  int wait_for_end() { return program_->wait(soon()); }
  /// Faults that have struck, and what they were. @throws harness_error without options.disk_faults
  disk_faults& faults();

private:
  void start();
  [[nodiscard]] std::vector<std::string> command_line();
  [[nodiscard]] std::string wait_until_ready(int output);
  void end_databases() const;

  host_options options_;
  scratch_directory scratch_;
  log_file log_{scratch_ / "host.log"};
  std::size_t log_begin_ = 0; ///< where the log of this start begins
  std::optional<disk_faults> faults_;
  std::optional<certificates> authority_;
  relay relay_;
  std::string ready_line_;
  host_port direct_address_;
  std::unique_ptr<program> program_;
};

} // namespace cairn::harness
