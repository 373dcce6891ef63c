#include "net/bench/process_usage.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include <fmt/format.h>
#include <unistd.h>

namespace cairn::bench {

namespace {

/// The number behind a word at the begin of a line, 0 without one.
std::uint64_t number_after(const std::string& path, const std::string& word) {
  std::ifstream lines(path);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(word))
      return std::strtoull(line.c_str() + word.size(), nullptr, 10);
  return 0;
}

} // namespace

process_usage usage_of(pid_t process) {
  process_usage usage;
  // Source: proc(5), /proc/PID/stat: what follows the name in parentheses begins with field 3.
  std::ifstream file(fmt::format("/proc/{}/stat", process));
  std::string stat;
  std::getline(file, stat);
  std::istringstream fields(stat.substr(std::min(stat.size(), stat.rfind(')') + 1)));
  std::string skipped;
  for (int field = 3; field < 14; ++field)
    fields >> skipped;
  std::uint64_t ticks = 0; // utime, stime, cutime, cstime
  for (int field = 14; field < 18; ++field) {
    std::uint64_t each = 0;
    fields >> each;
    ticks += each;
  }
  usage.cpu =
    std::chrono::duration<double>(static_cast<double>(ticks) / static_cast<double>(::sysconf(_SC_CLK_TCK)));
  usage.peak_resident_bytes = number_after(fmt::format("/proc/{}/status", process), "VmHWM:") * 1024;
  usage.written_bytes = number_after(fmt::format("/proc/{}/io", process), "write_bytes:");
  return usage;
}

std::vector<pid_t> descendants_of(pid_t process) {
  std::vector<pid_t> found{process};
  for (std::size_t i = 0; i < found.size(); ++i) {
    std::error_code gone; // the process may end meanwhile
    std::filesystem::directory_iterator thread(fmt::format("/proc/{}/task", found[i]), gone);
    for (; !gone && thread != std::filesystem::directory_iterator{}; thread.increment(gone)) {
      std::ifstream children(thread->path() / "children");
      for (pid_t child = 0; children >> child;)
        found.push_back(child);
    }
  }
  found.erase(found.begin());
  return found;
}

} // namespace cairn::bench
