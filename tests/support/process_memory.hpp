#pragma once
/// What a program of a test takes of memory.

#include "tests/harness/scratch.hpp"

#include <cstdlib>
#include <string>

#include <fmt/format.h>
#include <sys/types.h>

namespace cairn::harness {

/// Resident memory now, or (peak) at its largest. @throws harness_error when the process is gone
inline std::size_t resident_kib(pid_t pid, bool peak = false) {
  const auto status = read_file(fmt::format("/proc/{}/status", pid));
  const auto* word = peak ? "VmHWM:" : "VmRSS:";
  const auto at = status.find(word);
  return at == std::string::npos ? 0 : std::strtoull(status.c_str() + at + 6, nullptr, 10);
}

/// Programs started from now on keep little of what is freed when they run under AddressSanitizer: else their
/// memory would tell nothing.
inline void let_programs_free_at_once() {
  const auto* given = std::getenv("ASAN_OPTIONS");
  ::setenv("ASAN_OPTIONS", (std::string(given == nullptr ? "" : given) + ":quarantine_size_mb=1").c_str(), 1);
}

} // namespace cairn::harness
