#pragma once
/// What the sources that call the operating system directly share. Private to core.

#include "core/errc.hpp"

#include <cerrno>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <unistd.h>

namespace cairn::posix {

/// Owns a file descriptor.
class unique_fd {
public:
  unique_fd() = default;
  explicit unique_fd(int fd) : fd_(fd) {}
  unique_fd(unique_fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  unique_fd& operator=(unique_fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~unique_fd() {
    if (fd_ >= 0)
      ::close(fd_);
  }

  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }
  /// Hands the descriptor over: the caller closes it.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

private:
  int fd_ = -1;
};

/// The result code that stands for an errno of a call other than a sync.
inline errc code_of(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EFBIG: return errc::no_space;
    case ENOENT:
    case ENOTDIR: return errc::not_found;
    case EEXIST: return errc::conflict;
    default: return errc::storage_error;
  }
}

/// A failure that names path, call and error.
inline tl::unexpected<failure> fail_with(errc code, std::string_view path, std::string_view call, int error) {
  return fail(code, fmt::format("{}: {} failed: {}", path, call, std::generic_category().message(error)));
}

/// The same, with the code that the error stands for.
inline tl::unexpected<failure> fail_errno(std::string_view path, std::string_view call, int error) {
  return fail_with(code_of(error), path, call, error);
}

/// Repeats a call for as long as a signal interrupts it.
template <class Call>
auto retry_interrupted(Call call) {
  auto outcome = call();
  while (outcome < 0 && errno == EINTR)
    outcome = call();
  return outcome;
}

} // namespace cairn::posix
