#pragma once
/// Child processes of a threaded program: posix_spawn instead of fork, a pidfd to wait on. Private to core.

#include "core/disk/posix.hpp"
#include "core/errc.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace cairn {

/// A descriptor that names a process for as long as it is open and is readable once the process has ended.
/// Not valid when there is no such process. By system call: glibc 2.36 declares the functions for C only.
posix::unique_fd open_pidfd(pid_t pid);

/// Sends a signal to the process that a pidfd names, never to a later one with its number.
void send_signal(const posix::unique_fd& pidfd, int signal_number);

/// A moment to give up; time_point::max() for never.
using deadline = std::chrono::steady_clock::time_point;

/// What to run. The child gets no descriptor but null input and the given output, a minimal environment
/// (PATH, the C locale), a session of its own (the terminal's Ctrl-C does not reach it) and no blocked or
/// ignored signal.
struct child_options {
  std::vector<std::string> arguments; ///< the first is the program's absolute path
  std::string working_directory;      ///< absolute
  int output_fd = -1;                 ///< its standard output and standard error
};

/// How a child ended.
struct child_exit {
  bool success = false;
  std::string text; ///< for a person, e.g. "exit status 1", "killed by SIGKILL"
};

/// Why a wait returned.
enum class wait_outcome : std::uint8_t { exited, deadline_passed, interrupted };

/// One running child. Owned and used by one thread; a child that lives when its object dies is killed.
class child_process {
public:
  /// @error not_found: no such program or directory; storage_error: the system refuses another process
  static result<child_process> spawn(const child_options& options);

  child_process(child_process&& other) noexcept;
  child_process& operator=(child_process&&) = delete;
  ~child_process();

  [[nodiscard]] pid_t pid() const { return pid_; }

  /// Sends a signal; does nothing once the child was reaped, so it never reaches a stranger.
  void send(int signal_number) const;

  /// Waits for the child's end, and reaps it.
  /// @param interrupt_fd ends the wait when it is readable; -1 for none
  wait_outcome wait(deadline until, int interrupt_fd = -1);

  /// How the child ended; only after wait() said `exited`.
  [[nodiscard]] const child_exit& how_it_ended() const { return *exit_; }

private:
  child_process(pid_t pid, posix::unique_fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  void reap();

  pid_t pid_;                      ///< -1 once moved from
  posix::unique_fd pidfd_;         ///< readable when the child has ended
  std::optional<child_exit> exit_; ///< set once the child is reaped
};

/// What a command that ran to its end left.
struct command_outcome {
  child_exit exit;
  std::string output; ///< standard output and standard error
};

/// Runs a command in "/" or the given directory and waits for it.
/// @error as spawn(); timed_out: it was interrupted (SIGINT), then killed if that did not help
result<command_outcome> run_command(std::vector<std::string> arguments, deadline until,
                                    std::string working_directory = "/");

/// The last lines of some output as one line, at most about 1000 bytes, for a failure's message.
std::string last_lines(std::string_view output);

} // namespace cairn
