#pragma once
/// Finding and ending PostgreSQL processes that an earlier life of the node left behind. Private to core.

#include "core/errc.hpp"

#include <chrono>
#include <string>
#include <vector>

#include <sys/types.h>

namespace cairn {

/// The PostgreSQL processes (server, its backends, initdb, the setpriv that starts them) whose working
/// directory is `directory`, which every server process has for as long as it lives. Others are never named:
/// a number from a stale file proves nothing. Source: /proc/PID/exe and /proc/PID/cwd, proc(5); only
/// processes that the caller may inspect.
std::vector<pid_t> find_server_processes(const std::string& directory);

/// Ends them all: SIGINT (fast shutdown), after `patience` SIGQUIT (immediate), after the same again SIGKILL.
/// A server whose backends lost it ends by itself; this waits for them too.
/// @returns how many there were
/// @error database_unavailable: one does not end even so, the text names it; or there is no /proc
result<std::size_t> end_server_processes(const std::string& directory, std::chrono::milliseconds patience);

} // namespace cairn
