#include "tests/harness/log_file.hpp"

#include "tests/harness/program.hpp"

#include <array>
#include <filesystem>
#include <optional>

#include <fmt/format.h>
#include <poll.h>
#include <sys/inotify.h>

namespace cairn::harness {

namespace {

std::optional<std::string> line_with(const std::string& text, const std::string& in, std::size_t after) {
  const auto at = in.find(text, after);
  // A line that is not complete yet is waited for.
  const auto end = at == std::string::npos ? at : in.find('\n', at);
  if (end == std::string::npos)
    return std::nullopt;
  const auto before = at == 0 ? std::string::npos : in.rfind('\n', at - 1);
  const auto begin = before == std::string::npos ? 0 : before + 1;
  return in.substr(begin, end - begin);
}

} // namespace

std::string log_file::text() const {
  return std::filesystem::exists(path_) ? read_file(path_) : std::string{};
}

std::string log_file::wait_for(const std::string& wanted, deadline until, int writer_end,
                               std::size_t after) const {
  // Watched before it is read, so that nothing is missed.
  const posix::unique_fd watch(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!watch.valid() || ::inotify_add_watch(watch.get(), path_.c_str(), IN_MODIFY) < 0)
    throw harness_error(path_ + ": cannot be watched");
  for (bool has_ended = false;;) {
    if (auto line = line_with(wanted, text(), after))
      return *line;
    if (has_ended || std::chrono::steady_clock::now() >= until)
      throw harness_error(fmt::format("\"{}\" was never logged{}: {}", wanted,
                                      has_ended ? " before the program's end" : "", text()));
    std::array<pollfd, 2> events{pollfd{watch.get(), POLLIN, 0}, pollfd{writer_end, POLLIN, 0}};
    ::poll(events.data(), events.size(), milliseconds_until(until));
    has_ended = events[1].revents != 0; // its last words may be there, so they are read once more
    std::array<char, 4096> ignored;
    while (::read(watch.get(), ignored.data(), ignored.size()) > 0) {}
  }
}

} // namespace cairn::harness
