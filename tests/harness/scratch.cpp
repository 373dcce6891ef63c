#include "tests/harness/scratch.hpp"

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

namespace cairn::harness {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view parent = "/tmp";
/// Only directories of this name are locked while they are in use.
constexpr std::string_view prefix = "cairn-harness-";

/// Between its making and its lock a directory looks abandoned; so young ones are let be.
constexpr std::chrono::minutes min_age{1};

posix::unique_fd lock(const std::string& directory) {
  posix::unique_fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (fd.valid() && ::flock(fd.get(), LOCK_EX | LOCK_NB) != 0)
    fd = posix::unique_fd();
  return fd;
}

bool is_abandoned(const fs::directory_entry& entry) {
  struct stat status {};
  return entry.path().filename().string().starts_with(prefix) && ::lstat(entry.path().c_str(), &status) == 0
         && S_ISDIR(status.st_mode) && status.st_uid == ::geteuid()
         && std::chrono::system_clock::now() - std::chrono::system_clock::from_time_t(status.st_ctime)
              > min_age;
}

void remove_abandoned() {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(parent, ignored))
    if (is_abandoned(entry))
      if (const auto mine = lock(entry.path().string()); mine.valid())
        fs::remove_all(entry.path(), ignored);
}

} // namespace

scratch_directory::scratch_directory() : path_(std::string{parent} + "/" + std::string{prefix} + "XXXXXX") {
  if (::mkdtemp(path_.data()) == nullptr || ::chmod(path_.c_str(), 0755) != 0)
    throw harness_error("mkdtemp " + path_ + ": " + std::generic_category().message(errno));
  lock_ = lock(path_);
  remove_abandoned();
}

scratch_directory::~scratch_directory() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream content;
  content << file.rdbuf();
  if (!file)
    throw harness_error("cannot read " + path);
  return std::move(content).str();
}

void write_file(const std::string& path, const std::string& content) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file << content;
  if (!file.flush())
    throw harness_error("cannot write " + path);
}

} // namespace cairn::harness
