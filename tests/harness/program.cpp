#include "tests/harness/program.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cairn::harness {

namespace {

constexpr std::chrono::seconds patience{120};

[[noreturn]] void give_up(const std::string& what) {
  throw harness_error(fmt::format("{}: {}", what, std::generic_category().message(errno)));
}

/// Between fork and exec: async-signal-safe calls alone.
[[noreturn]] void become(char* const* arguments, const program::streams& given, pid_t parent) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t none;
  sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  const auto null = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  const auto use = [&](int fd, int as) { return ::dup2(fd >= 0 ? fd : null, as) >= 0; };
  if (::getppid() == parent && use(given.input, STDIN_FILENO) && use(given.output, STDOUT_FILENO)
      && use(given.errors, STDERR_FILENO))
    ::execv(arguments[0], arguments);
  ::_exit(127);
}

posix::unique_fd memory_file(const std::string& content) {
  posix::unique_fd file(::memfd_create("stream", MFD_CLOEXEC));
  if (!file.valid() || ::write(file.get(), content.data(), content.size()) != std::ssize(content)
      || ::lseek(file.get(), 0, SEEK_SET) != 0)
    give_up("memfd_create");
  return file;
}

std::string content_of(const posix::unique_fd& file) {
  return read_file(fmt::format("/proc/self/fd/{}", file.get()));
}

} // namespace

deadline soon() { return std::chrono::steady_clock::now() + patience; }

int milliseconds_until(deadline until) {
  const auto left =
    std::chrono::duration_cast<std::chrono::milliseconds>(until - std::chrono::steady_clock::now()).count();
  return left < 0 ? 0 : static_cast<int>(left) + 1;
}

std::string program_path(const std::string& name) {
  const auto* folder = std::getenv("CAIRN_BIN_DIR");
  auto path = fmt::format("{}/{}", folder == nullptr ? program_folder() : folder, name);
  if (::access(path.c_str(), X_OK) != 0)
    give_up(fmt::format("{} (CAIRN_BIN_DIR names the folder of Cairn's programs)", path));
  return path;
}

program::program(const std::vector<std::string>& arguments, const streams& given) {
  std::vector<char*> pointers;
  for (const auto& argument : arguments)
    pointers.push_back(const_cast<char*>(argument.c_str()));
  pointers.push_back(nullptr);
  const auto parent = ::getpid();
  pid_ = ::fork();
  if (pid_ == 0)
    become(pointers.data(), given, parent);
  if (pid_ < 0)
    give_up("fork");
  pidfd_ = open_pidfd(pid_);
}

program::~program() {
  if (reaped_)
    return;
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

void program::send(int signal_number) const {
  if (!reaped_)
    ::kill(pid_, signal_number); // not reaped: the number is still its own
}

void program::freeze() const {
  siginfo_t info{};
  send(SIGSTOP);
  // All its threads have stopped, or it has ended: either way nothing more comes from it.
  if (!reaped_)
    posix::retry_interrupted(
      [&] { return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WSTOPPED | WEXITED | WNOWAIT); });
}

int program::wait(deadline until) {
  if (reaped_)
    return exit_code_;
  pollfd end{pidfd_.get(), POLLIN, 0};
  while (::poll(&end, 1, milliseconds_until(until)) < 1)
    if (std::chrono::steady_clock::now() >= until)
      throw harness_error(fmt::format("process {} does not end", pid_));
  int status = 0;
  ::waitpid(pid_, &status, 0);
  reaped_ = true;
  exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return exit_code_;
}

program_outcome run_program(const std::vector<std::string>& arguments, const std::string& input) {
  const auto in = memory_file(input);
  const auto out = memory_file({});
  const auto err = memory_file({});
  program running(arguments, {in.get(), out.get(), err.get()});
  const auto code = running.wait(soon());
  return {code, content_of(out), content_of(err)};
}

void wait_for_end_of(pid_t pid, deadline until) {
  const auto pidfd = open_pidfd(pid);
  if (!pidfd.valid())
    return;
  pollfd end{pidfd.get(), POLLIN, 0};
  while (::poll(&end, 1, milliseconds_until(until)) < 1)
    if (std::chrono::steady_clock::now() >= until)
      throw harness_error(fmt::format("process {} does not end", pid));
}

} // namespace cairn::harness
