#pragma once
/// Places for a test's files.

#include "core/disk/posix.hpp"

#include <stdexcept>
#include <string>

namespace cairn::harness {

/// What a test cannot go on without did not happen: the text says what, and what the programs printed.
struct harness_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// A new directory under /tmp that other users may pass through; gone with its object. One that a killed
/// process left behind is removed when the next one is made, by whatever process.
class scratch_directory {
public:
  scratch_directory();
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;
  ~scratch_directory();
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
  std::string path_;
  posix::unique_fd lock_; ///< says that somebody uses it, for as long as this process lives
};

/// A whole file. @throws harness_error
std::string read_file(const std::string& path);
void write_file(const std::string& path, const std::string& content);

} // namespace cairn::harness
