#include "core/db/server_processes.hpp"

#include "core/db/child_process.hpp"

#include <algorithm>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <set>

#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/stat.h>

namespace cairn {

namespace {

namespace fs = std::filesystem;
using clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kill_bound{5};

/// One process; the pidfd keeps a signal from reaching a later process with the same number.
struct server_process {
  pid_t pid = 0;
  pid_t parent = 0;
  posix::unique_fd pidfd;
};

bool is_server_program(const std::string& proc) {
  std::error_code error;
  std::string program = fs::read_symlink(proc + "/exe", error).filename().string();
  constexpr std::string_view replaced = " (deleted)"; // by an upgrade of the package
  if (program.ends_with(replaced))
    program.resize(program.size() - replaced.size());
  // setpriv is what the other two are started through.
  return program == "postgres" || program == "postmaster" || program == "initdb" || program == "setpriv";
}

bool works_in(const std::string& proc, const struct stat& directory) {
  struct stat own {};
  return ::stat((proc + "/cwd").c_str(), &own) == 0 && own.st_dev == directory.st_dev
         && own.st_ino == directory.st_ino;
}

pid_t parent_of(const std::string& proc) {
  std::ifstream in(proc + "/stat");
  std::string text;
  std::getline(in, text);
  // "pid (name) state ppid ...": the name may hold anything, so count from its end.
  int parent = 0;
  const auto end = text.rfind(") ");
  if (end != std::string::npos && end + 4 < text.size())
    std::from_chars(text.data() + end + 4, text.data() + text.size(), parent);
  return parent;
}

std::vector<server_process> scan(const std::string& directory) {
  std::vector<server_process> found;
  struct stat wanted {};
  if (::stat(directory.c_str(), &wanted) != 0)
    return found;
  std::error_code error;
  for (auto entry = fs::directory_iterator("/proc", error); !error && entry != fs::directory_iterator();
       entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    pid_t pid = 0;
    const auto [end, bad] = std::from_chars(name.data(), name.data() + name.size(), pid);
    if (bad != std::errc{} || end != name.data() + name.size())
      continue;
    const std::string proc = "/proc/" + name;
    if (!works_in(proc, wanted))
      continue;
    posix::unique_fd pidfd = open_pidfd(pid);
    // Looked at again now that the pidfd pins the number.
    if (pidfd.valid() && works_in(proc, wanted) && is_server_program(proc))
      found.push_back({pid, parent_of(proc), std::move(pidfd)});
  }
  return found;
}

/// A server without its parent, a backend without its server: the processes from which all others hang.
bool is_root(const server_process& process, const std::vector<server_process>& all) {
  return std::none_of(all.begin(), all.end(), [&](const auto& other) { return other.pid == process.parent; });
}

void wait_for_an_end(const std::vector<server_process>& processes, clock::time_point until) {
  std::vector<pollfd> watched;
  watched.reserve(processes.size());
  for (const auto& process : processes)
    watched.push_back({process.pidfd.get(), POLLIN, 0});
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()).count();
  ::poll(watched.data(), watched.size(), static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000)));
}

/// Sends one signal to each root (SIGKILL: to each process) and waits; also for children that come up
/// meanwhile.
/// @returns the processes that are left
std::vector<server_process> end_with(int signal_number, const std::string& directory,
                                     clock::time_point until) {
  std::set<pid_t> told;
  for (;;) {
    auto left = scan(directory);
    if (left.empty() || clock::now() >= until)
      return left;
    for (const auto& process : left)
      if ((signal_number == SIGKILL || is_root(process, left)) && told.insert(process.pid).second)
        send_signal(process.pidfd, signal_number);
    wait_for_an_end(left, until);
  }
}

} // namespace

std::vector<pid_t> find_server_processes(const std::string& directory) {
  std::vector<pid_t> pids;
  for (const auto& process : scan(directory))
    pids.push_back(process.pid);
  return pids;
}

result<std::size_t> end_server_processes(const std::string& directory, std::chrono::milliseconds patience) {
  // Without it nothing would be found, and locks of live servers be taken for stale.
  if (::access("/proc/self/exe", F_OK) != 0)
    return fail(errc::database_unavailable,
                "/proc is not mounted, so earlier PostgreSQL servers cannot be found");
  const std::size_t count = scan(directory).size();
  if (count == 0)
    return count;
  spdlog::info("postgres_leftover_ending directory=\"{}\" processes={}", directory, count);
  if (end_with(SIGINT, directory, clock::now() + patience).empty()
      || end_with(SIGQUIT, directory, clock::now() + patience).empty())
    return count;
  const auto left = end_with(SIGKILL, directory, clock::now() + kill_bound);
  if (left.empty())
    return count;
  return fail(errc::database_unavailable,
              fmt::format("process {} is an earlier PostgreSQL server in {} and does not end; end it by hand",
                          left.front().pid, directory));
}

} // namespace cairn
