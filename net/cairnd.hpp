#pragma once
/// cairnd as a function: command line, log, host.

#include "core/disk/disk.hpp"
#include "net/host.hpp"

#include <optional>
#include <string>

namespace cairn {

/// Reads the command line and the configuration file that it names. What is wrong is said on standard error.
/// @param log_level changed only if it is given
/// @returns the exit code where there is nothing to run: an error, --help, --version
std::optional<int> parse_cairnd(int argc, char** argv, host_settings& settings, std::string& log_level);

/// All that cairnd's main() does.
/// @param value_file_disk where value files live, outlives the call; null = the operating system's
/// @returns the exit code of the process
int run_cairnd(int argc, char** argv, disk* value_file_disk = nullptr);

} // namespace cairn
