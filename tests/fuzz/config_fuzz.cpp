/// Any bytes as cairnd's configuration file: refused, or settings that can be checked.

#include "net/cairnd.hpp"
#include "tests/fuzz/fuzz_target.hpp"

#include <array>
#include <string>

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

using namespace cairn;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* bytes, std::size_t size) {
  static const int file = ::memfd_create("config", 0);
  fuzz::require(::ftruncate(file, 0) == 0);
  fuzz::require(::pwrite(file, bytes, size, 0) == static_cast<ssize_t>(size));
  std::string program = "cairnd";
  std::string directory = "--data-dir=/nowhere";
  auto from = fmt::format("--config-file=/proc/self/fd/{}", file);
  std::array<char*, 3> arguments{program.data(), directory.data(), from.data()};
  host_settings settings;
  std::string log_level = "info";
  if (!parse_cairnd(static_cast<int>(arguments.size()), arguments.data(), settings, log_level))
    fuzz::require(check(settings).has_value());
  return 0;
}
