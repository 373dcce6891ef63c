#include "tests/harness/database.hpp"

#include "core/db/server_processes.hpp"
#include "tests/harness/program.hpp"

#include <charconv>
#include <csignal>
#include <filesystem>

#include <fmt/format.h>
#include <poll.h>

namespace cairn::harness {

namespace {

namespace fs = std::filesystem;

/// Of a node's directory below the one that is searched.
constexpr int max_depth = 4;

void end_database(const std::string& server_directory) {
  (void)end_server_processes(server_directory, std::chrono::seconds{10});
}

} // namespace

std::string database_of(const std::string& data_directory) {
  return fmt::format("host={}/postgres/socket port=5432 user=cairn dbname=cairn", data_directory);
}

pid_t postgres_pid_of(const std::string& data_directory) {
  const auto text = read_file(data_directory + "/postgres/data/postmaster.pid");
  pid_t pid = 0;
  std::from_chars(text.data(), text.data() + text.size(), pid);
  if (pid <= 0)
    throw harness_error("postmaster.pid holds no process");
  return pid;
}

void lose_database_of(const std::string& data_directory) {
  const auto postmaster = open_pidfd(postgres_pid_of(data_directory));
  send_signal(postmaster, SIGKILL);
  pollfd end{postmaster.get(), POLLIN, 0};
  if (::poll(&end, 1, milliseconds_until(soon())) < 1)
    throw harness_error("PostgreSQL does not end");
}

void end_databases_below(const std::string& directory) {
  end_database(directory + "/postgres/data");
  std::error_code error;
  for (fs::recursive_directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    if (at->path().filename() == "postgres") {
      end_database((at->path() / "data").string());
      at.disable_recursion_pending();
    } else if (at.depth() >= max_depth || at->path().filename() == "spaces") {
      at.disable_recursion_pending();
    }
  }
}

} // namespace cairn::harness
