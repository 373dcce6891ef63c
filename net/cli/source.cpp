#include "net/cli/source.hpp"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

namespace cairn::cli {

source::~source() {
  if (fd_ > STDIN_FILENO)
    ::close(fd_);
}

std::optional<std::string> source::open(const std::string& path) {
  if (path == "-") {
    fd_ = STDIN_FILENO;
    return {};
  }
  fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0)
    return fmt::format("cannot read {}: {}", path, std::strerror(errno));
  struct stat about {};
  if (::fstat(fd_, &about) != 0)
    return fmt::format("cannot read {}: {}", path, std::strerror(errno));
  if (S_ISDIR(about.st_mode))
    return fmt::format("{} is a directory: name a file", path);
  if (S_ISREG(about.st_mode)) {
    size_bytes_ = static_cast<std::uint64_t>(about.st_size);
    modified_ns_ = about.st_mtim.tv_sec * 1'000'000'000 + about.st_mtim.tv_nsec;
  }
  return {};
}

tl::expected<payload, std::string> source::next(std::size_t max_bytes) {
  auto piece = payload::uninitialized(max_bytes);
  if (piece.size() != max_bytes)
    return tl::unexpected(std::string{"out of memory"});
  std::size_t filled = 0;
  while (filled < max_bytes) {
    const auto got = ::read(fd_, piece.mutable_bytes().data() + filled, max_bytes - filled);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return tl::unexpected(fmt::format("reading failed: {}", std::strerror(errno)));
    if (got == 0)
      break;
    filled += static_cast<std::size_t>(got);
  }
  // A small object must not hold on to a large buffer.
  return filled == max_bytes ? piece : payload::copy_of(piece.bytes().first(filled));
}

std::optional<std::string> source::skip(std::uint64_t bytes) {
  if (::lseek(fd_, static_cast<off_t>(bytes), SEEK_CUR) < 0)
    return fmt::format("cannot pass over what is stored already: {}", std::strerror(errno));
  return {};
}

} // namespace cairn::cli
