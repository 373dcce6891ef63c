#pragma once
/// Programs as tests run them: their output kept, their end awaited with a limit, nothing left running.

#include "core/db/child_process.hpp"
#include "core/disk/posix.hpp"
#include "tests/harness/scratch.hpp"

#include <string>
#include <vector>

#include <sys/types.h>

namespace cairn::harness {

/// How long anything may take before a test gives up.
deadline soon();

/// One of Cairn's programs, e.g. "cairnd", in the build tree or the installed tree that the test was built
/// with. CAIRN_BIN_DIR in the environment names another folder. @throws harness_error when it is not there
std::string program_path(const std::string& name);
/// That folder without regard to the environment. Compiled into whatever links to the harness.
const char* program_folder();

/// A running program. It is killed when its object dies, and by the kernel when the thread that started it
/// ends.
class program {
public:
  /// Descriptors that the program gets; each stays the caller's.
  struct streams {
    int input = -1; ///< -1 = nothing to read
    int output = -1;
    int errors = -1;
  };
  /// @param arguments the first is the program's path
  /// @throws harness_error when it cannot be started
  program(const std::vector<std::string>& arguments, const streams& given);
  program(const program&) = delete;
  program& operator=(const program&) = delete;
  ~program();

  [[nodiscard]] pid_t pid() const { return pid_; }
  /// Readable once the program has ended.
  [[nodiscard]] int end_fd() const { return pidfd_.get(); }
  void send(int signal_number) const;
  /// Stops it (SIGSTOP) until it gets SIGCONT. Returns when it stands still.
  void freeze() const;
  /// Waits for the end. @returns the exit code, 128 + N after signal N. @throws harness_error at the deadline
  int wait(deadline until);

private:
  pid_t pid_ = -1;
  posix::unique_fd pidfd_;
  int exit_code_ = -1;
  bool reaped_ = false;
};

/// What a program that ran to its end left.
struct program_outcome {
  int exit_code = -1;
  std::string output;
  std::string errors;
};

/// Runs a program to its end. @throws harness_error when it does not end
program_outcome run_program(const std::vector<std::string>& arguments, const std::string& input = {});

/// Milliseconds until then, for poll(); 0 when it is past.
int milliseconds_until(deadline until);

/// Waits until a process is gone that need not be a child. @throws harness_error at the deadline
void wait_for_end_of(pid_t pid, deadline until);

} // namespace cairn::harness
