#pragma once
/// A directory in memory: what really happens to files there is not what the simulation is about, and syncs
/// of a real disk would take most of its time.

#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>

#include <sys/stat.h>

namespace cairn::power {

/// Gone with this object. Below /tmp where there is no /dev/shm.
class volatile_directory {
public:
  volatile_directory() {
    std::error_code error;
    path_ = std::filesystem::is_directory("/dev/shm", error) ? "/dev/shm" : "/tmp";
    path_ += "/cairn-power-XXXXXX";
    if (::mkdtemp(path_.data()) == nullptr)
      throw std::runtime_error(path_ + ": mkdtemp failed");
    ::chmod(path_.c_str(), 0755); // PostgreSQL may run as another user
  }
  volatile_directory(const volatile_directory&) = delete;
  volatile_directory& operator=(const volatile_directory&) = delete;
  ~volatile_directory() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }

  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
  std::string path_;
};

} // namespace cairn::power
