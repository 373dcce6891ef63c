#include "core/db/child_process.hpp"

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

namespace cairn {

namespace {

using clock = std::chrono::steady_clock;

constexpr std::chrono::seconds interrupt_bound{5};
constexpr std::chrono::seconds kill_bound{5};
constexpr std::size_t max_tail_bytes = 1000;

/// posix_spawn's two settings objects, destroyed together.
struct spawn_settings {
  posix_spawnattr_t attributes{};
  posix_spawn_file_actions_t actions{};

  spawn_settings() {
    ::posix_spawnattr_init(&attributes);
    ::posix_spawn_file_actions_init(&actions);
  }
  spawn_settings(const spawn_settings&) = delete;
  spawn_settings& operator=(const spawn_settings&) = delete;
  ~spawn_settings() {
    ::posix_spawn_file_actions_destroy(&actions);
    ::posix_spawnattr_destroy(&attributes);
  }

  /// @returns an error number, 0 when all was accepted
  int describe(const child_options& options) {
    sigset_t none;
    sigset_t all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    int error = ::posix_spawnattr_setsigmask(&attributes, &none);
    if (error == 0)
      error = ::posix_spawnattr_setsigdefault(&attributes, &all);
    if (error == 0)
      error = ::posix_spawnattr_setflags(
        &attributes, static_cast<short>(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID));
    // The output first: its descriptor may be number 0 in a process whose standard input was closed.
    if (error == 0)
      error = ::posix_spawn_file_actions_adddup2(&actions, options.output_fd, STDOUT_FILENO);
    if (error == 0)
      error = ::posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    if (error == 0)
      error = ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (error == 0)
      error = ::posix_spawn_file_actions_addchdir_np(&actions, options.working_directory.c_str());
    // The caller's lock on its data directory must not live on in the child.
    if (error == 0)
      error = ::posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    return error;
  }
};

std::string read_all(int fd) {
  std::string out;
  std::array<char, 4096> buffer{};
  for (;;) {
    const auto count = posix::retry_interrupted(
      [&] { return ::pread(fd, buffer.data(), buffer.size(), static_cast<off_t>(out.size())); });
    if (count <= 0)
      return out;
    out.append(buffer.data(), static_cast<std::size_t>(count));
  }
}

int poll_timeout_ms(deadline until) {
  if (until == deadline::max())
    return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - clock::now()).count();
  return static_cast<int>(std::clamp<std::int64_t>(left, 0, 60'000));
}

} // namespace

posix::unique_fd open_pidfd(pid_t pid) {
  return posix::unique_fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

void send_signal(const posix::unique_fd& pidfd, int signal_number) {
  ::syscall(SYS_pidfd_send_signal, pidfd.get(), signal_number, nullptr, 0);
}

result<child_process> child_process::spawn(const child_options& options) {
  spawn_settings settings;
  int error = settings.describe(options);
  std::vector<char*> arguments;
  for (const auto& argument : options.arguments)
    arguments.push_back(const_cast<char*>(argument.c_str())); // posix_spawn does not write to them
  arguments.push_back(nullptr);
  // Neither PG* variables, which would change the server's settings, nor NOTIFY_SOCKET, through which it
  // would report itself ready to systemd in the node's place.
  std::string path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
  std::string locale = "LC_ALL=C";
  std::array<char*, 3> environment{path.data(), locale.data(), nullptr};
  pid_t pid = -1;
  if (error == 0)
    error = ::posix_spawn(&pid, arguments.front(), &settings.actions, &settings.attributes, arguments.data(),
                          environment.data());
  if (error != 0)
    return posix::fail_errno(options.arguments.front(), "posix_spawn", error);
  // The child cannot be reaped before this, so the number is still its own.
  child_process child(pid, open_pidfd(pid));
  if (!child.pidfd_.valid())
    return posix::fail_errno(options.arguments.front(), "pidfd_open", errno);
  return child;
}

child_process::child_process(child_process&& other) noexcept
    : pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)), exit_(std::move(other.exit_)) {}

child_process::~child_process() {
  if (pid_ < 0 || exit_)
    return;
  send(SIGKILL);
  wait(clock::now() + kill_bound); // a process stuck in the kernel stays behind as a zombie
}

void child_process::send(int signal_number) const {
  if (pid_ > 0 && !exit_)
    ::kill(pid_, signal_number);
}

wait_outcome child_process::wait(deadline until, int interrupt_fd) {
  while (!exit_) {
    std::array<pollfd, 2> watched{pollfd{pidfd_.get(), POLLIN, 0}, pollfd{interrupt_fd, POLLIN, 0}};
    ::poll(watched.data(), watched.size(), poll_timeout_ms(until));
    if (watched[0].revents != 0)
      reap();
    else if (watched[1].revents != 0)
      return wait_outcome::interrupted;
    else if (clock::now() >= until)
      return wait_outcome::deadline_passed;
  }
  return wait_outcome::exited;
}

void child_process::reap() {
  siginfo_t info{};
  const int outcome =
    posix::retry_interrupted([&] { return ::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED); });
  if (outcome < 0) // somebody else in this process waits for any child, or ignores SIGCHLD
    exit_ = child_exit{false, "exit status lost"};
  else if (info.si_code == CLD_EXITED)
    exit_ = child_exit{info.si_status == 0, fmt::format("exit status {}", info.si_status)};
  else if (const char* name = ::sigabbrev_np(info.si_status))
    exit_ = child_exit{false, fmt::format("killed by SIG{}", name)};
  else
    exit_ = child_exit{false, fmt::format("killed by signal {}", info.si_status)};
}

result<command_outcome> run_command(std::vector<std::string> arguments, deadline until,
                                    std::string working_directory) {
  // A memory file takes the output, so nothing waits on a pipe that a grandchild keeps open.
  const posix::unique_fd output(::memfd_create("command-output", MFD_CLOEXEC));
  if (!output.valid())
    return posix::fail_errno(arguments.front(), "memfd_create", errno);
  ::fchmod(output.get(), 0666); // the command may reopen it as another user
  auto child = child_process::spawn({arguments, std::move(working_directory), output.get()});
  if (!child)
    return pass_failure(child);
  if (child->wait(until) != wait_outcome::exited) {
    child->send(SIGINT);
    child->wait(clock::now() + interrupt_bound);
    return fail(errc::timed_out, fmt::format("{} did not end in time; its output: {}", arguments.front(),
                                             last_lines(read_all(output.get()))));
  }
  return command_outcome{child->how_it_ended(), read_all(output.get())};
}

std::string last_lines(std::string_view output) {
  if (output.size() > max_tail_bytes) {
    output.remove_prefix(output.size() - max_tail_bytes);
    if (const auto end = output.find('\n'); end < output.size() - 1)
      output.remove_prefix(end + 1);
  }
  std::string line;
  while (!output.empty()) {
    const auto end = std::min(output.find('\n'), output.size());
    if (const auto part = output.substr(0, end); !part.empty())
      line.append(line.empty() ? "" : "; ").append(part);
    output.remove_prefix(std::min(end + 1, output.size()));
  }
  return line.empty() ? "(none)" : line;
}

} // namespace cairn
