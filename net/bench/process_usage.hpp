#pragma once
/// What processes take of the machine, as /proc tells.

#include <chrono>
#include <cstdint>
#include <vector>

#include <sys/types.h>

namespace cairn::bench {

struct process_usage {
  std::chrono::duration<double> cpu{};   ///< user and system time, of ended children too
  std::uint64_t peak_resident_bytes = 0; ///< since it started
  std::uint64_t written_bytes = 0;       ///< that went to block devices on its account
};

/// Nothing of what cannot be read: the process has ended, or is another user's.
process_usage usage_of(pid_t process);

/// Children of a process, their children, and so on.
std::vector<pid_t> descendants_of(pid_t process);

} // namespace cairn::bench
