#pragma once
/// Programs as tests run them: their output kept, their end awaited with a limit, nothing left running.

#include "core/db/child_process.hpp"
#include "core/disk/posix.hpp"

#include <stdexcept>
#include <string>
#include <vector>

#include <sys/types.h>

namespace cairn::harness {

/// What a test cannot go on without did not happen: the text says what, and what the programs printed.
struct harness_error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

/// How long anything may take before a test gives up.
deadline soon();

/// Where the build left its programs, e.g. "cairnd". CAIRN_BIN_DIR in the environment names another folder.
std::string program_path(const std::string& name);

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

/// A new directory under /tmp that other users may pass through; gone with its object.
class scratch_directory {
public:
  scratch_directory();
  scratch_directory(const scratch_directory&) = delete;
  scratch_directory& operator=(const scratch_directory&) = delete;
  ~scratch_directory();
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
  std::string path_;
};

/// A whole file. @throws harness_error
std::string read_file(const std::string& path);
void write_file(const std::string& path, const std::string& content);

} // namespace cairn::harness
