#pragma once
/// Where the bytes of an object go that a user fetches.

#include "net/cli/command.hpp"

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>

#include <sys/stat.h>

namespace cairn::cli {

/// Why an output cannot be.
struct refusal {
  exit_code code = exit_code::failed;
  std::string message;
};

/// Standard output; or a file, which changes only when all of its new bytes are there; or a device, FIFO or
/// the like, which takes them as they come. One in a process.
class sink {
public:
  sink() = default;
  sink(const sink&) = delete;
  sink& operator=(const sink&) = delete;
  /// Leaves nothing behind of a file that is not finished. Nor does a signal that ends the process.
  ~sink();

  /// Looks what there is, and touches nothing. @param path "-" = standard output
  std::optional<refusal> aim(const std::string& path);
  [[nodiscard]] bool is_standard_output() const { return path_ == "-"; }
  /// @returns what went wrong, as all below
  std::optional<std::string> open();
  std::optional<std::string> write(std::span<const std::byte> bytes);
  /// All bytes were written: the file gets its name.
  std::optional<std::string> finish();

private:
  [[nodiscard]] std::string cannot_write() const;
  void take_over(const struct stat& from) const;

  std::string path_;                    ///< as the user gave it
  std::optional<struct stat> existing_; ///< what is there already
  std::filesystem::path target_;        ///< the file to replace; empty = written in place
  std::string partial_;                 ///< has the bytes until then; empty = none
  int fd_ = -1;
};

} // namespace cairn::cli
