#include "net/cli/sink.hpp"

#include <array>
#include <cerrno>
#include <climits>
#include <csignal>
#include <cstring>
#include <random>
#include <tuple>

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

namespace cairn::cli {

namespace {

/// What a signal that ends the process must not leave behind. Nobody else ever has its name, so that it may
/// stay here when the file is done.
std::array<char, PATH_MAX> unfinished_path{};

void remove_unfinished(int signal_number) {
  ::unlink(unfinished_path.data());
  ::raise(signal_number); // ends the process once this returns
}

/// Before the file is made. Signals that are ignored stay so.
void remove_at_signal(const std::string& path) {
  path.copy(unfinished_path.data(), unfinished_path.size() - 1);
  for (const auto number : {SIGHUP, SIGINT, SIGTERM}) {
    struct sigaction action {};
    if (::sigaction(number, nullptr, &action) != 0 || action.sa_handler != SIG_DFL)
      continue;
    action.sa_handler = remove_unfinished;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    ::sigaction(number, &action, nullptr);
  }
}

/// The file that a name stands for, also one that is not there yet.
std::filesystem::path behind_links(const std::filesystem::path& name) {
  constexpr int max_links = 40; // as the kernel's
  std::error_code error;
  auto target = name;
  for (int links = 0; links < max_links && std::filesystem::is_symlink(target, error); ++links)
    target = target.parent_path() / std::filesystem::read_symlink(target, error);
  return target;
}

} // namespace

sink::~sink() {
  if (fd_ >= 0 && fd_ != STDOUT_FILENO)
    ::close(fd_);
  if (!partial_.empty())
    ::unlink(partial_.c_str()); // nobody said it is whole
}

std::optional<refusal> sink::aim(const std::string& path) {
  path_ = path;
  if (path == "-")
    return {};
  struct stat about {};
  if (::stat(path.c_str(), &about) == 0)
    existing_ = about;
  else if (errno != ENOENT)
    return refusal{exit_code::failed, cannot_write()};
  struct stat own {};
  if (existing_ && ::fstat(STDOUT_FILENO, &own) == 0 && own.st_dev == about.st_dev
      && own.st_ino == about.st_ino) {
    path_ = "-"; // /dev/stdout, say: it may be a file that others write to as well
    return {};
  }
  if (existing_ ? S_ISDIR(existing_->st_mode) : path.empty() || path.back() == '/')
    return refusal{exit_code::usage, fmt::format("\"{}\" is no file's name: -o wants one", path)};
  if (!existing_ || S_ISREG(existing_->st_mode))
    target_ = behind_links(path);
  return {};
}

std::optional<std::string> sink::open() {
  if (is_standard_output()) {
    fd_ = STDOUT_FILENO;
    return {};
  }
  if (target_.empty()) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_NOCTTY | O_CLOEXEC);
    return fd_ < 0 ? std::optional(cannot_write()) : std::nullopt;
  }
  std::random_device random;
  const auto partial =
    (target_.parent_path() / fmt::format(".cairn-get-{:08x}{:08x}", random(), random())).string();
  remove_at_signal(partial);
  // Until it has the old file's owner and mode, nobody else may read what may be secret.
  fd_ = ::open(partial.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, existing_ ? 0600 : 0666);
  if (fd_ < 0)
    return fmt::format("cannot make a file beside {}: {}", path_, std::strerror(errno));
  partial_ = partial;
  return {};
}

std::optional<std::string> sink::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto written = ::write(fd_, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      return cannot_write();
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

std::optional<std::string> sink::finish() {
  if (fd_ == STDOUT_FILENO)
    return {};
  if (!partial_.empty() && existing_)
    take_over(*existing_);
  if (::close(std::exchange(fd_, -1)) != 0)
    return cannot_write();
  if (!partial_.empty() && ::rename(partial_.c_str(), target_.c_str()) != 0)
    return cannot_write();
  partial_.clear();
  return {};
}

std::string sink::cannot_write() const {
  return fmt::format("cannot write {}: {}", path_, std::strerror(errno));
}

/// Owner and mode of the file that it replaces, as far as this user and file system can.
void sink::take_over(const struct stat& from) const {
  constexpr mode_t permissions = 0777;
  std::ignore = ::fchown(fd_, from.st_uid, from.st_gid);
  std::ignore = ::fchmod(fd_, from.st_mode & permissions);
}

} // namespace cairn::cli
