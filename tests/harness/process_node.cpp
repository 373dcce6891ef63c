#include "tests/harness/process_node.hpp"

#include "core/db/managed_postgres.hpp"
#include "core/db/server_processes.hpp"

#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <filesystem>

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

namespace cairn::harness {

namespace {

constexpr std::string_view ready_word = "ready ";

/// The address in "ready node=NAME listen=HOST:PORT".
host_port address_in(const std::string& line) {
  const auto at = line.rfind("listen=");
  const auto address = parse_address(at == std::string::npos ? std::string{} : line.substr(at + 7));
  if (!line.starts_with(ready_word) || !address)
    throw harness_error("not a ready line: " + line);
  return *address;
}

} // namespace

process_node::process_node(process_node_options options)
    : data_directory_(std::move(options.data_directory)), arguments_(std::move(options.arguments)) {
  if (data_directory_.empty())
    data_directory_ = scratch_.emplace() / "node";
  log_path_ = data_directory_ + ".log";
  try {
    start();
  } catch (...) {
    cairnd_.reset();
    end_postgres();
    throw;
  }
}

process_node::~process_node() {
  cairnd_.reset();
  end_postgres();
}

void process_node::start() {
  // An end that is not closed on exec would keep the pipe open after cairnd's end.
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    throw harness_error(fmt::format("pipe2: {}", std::strerror(errno)));
  const posix::unique_fd output(ends[0]);
  posix::unique_fd input(ends[1]);
  const posix::unique_fd log(::open(log_path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  std::vector<std::string> arguments{program_path("cairnd"), "--data-dir=" + data_directory_,
                                     "--listen=127.0.0.1:0", "--reserve-percent=0", "--min-reserve=0"};
  arguments.insert(arguments.end(), arguments_.begin(), arguments_.end());
  cairnd_ = std::make_unique<program>(arguments, program::streams{-1, input.get(), log.get()});
  input = posix::unique_fd();
  address_ = wait_until_ready(output.get());
}

host_port process_node::wait_until_ready(int output) {
  const auto until = soon();
  std::string line;
  for (;;) {
    pollfd waiting{output, POLLIN, 0};
    if (::poll(&waiting, 1, milliseconds_until(until)) < 1 && std::chrono::steady_clock::now() >= until)
      throw harness_error("cairnd is not ready in time: " + log());
    char byte = 0;
    const auto got = ::read(output, &byte, 1);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      throw harness_error(fmt::format("cairnd ended with exit code {}: {}", cairnd_->wait(until), log()));
    if (byte == '\n')
      return address_in(line);
    line += byte;
  }
}

std::string process_node::log() const {
  return std::filesystem::exists(log_path_) ? read_file(log_path_) : std::string{};
}

std::string process_node::database() const { return database_of(data_directory_); }

pid_t process_node::postgres_pid() const {
  const auto text = read_file(data_directory_ + "/postgres/data/postmaster.pid");
  pid_t pid = 0;
  std::from_chars(text.data(), text.data() + text.size(), pid);
  if (pid <= 0)
    throw harness_error("postmaster.pid holds no process");
  return pid;
}

void process_node::kill_9() {
  cairnd_->send(SIGKILL);
  cairnd_->wait(soon());
}

void process_node::kill_postgres_9() const {
  const auto postmaster = open_pidfd(postgres_pid());
  send_signal(postmaster, SIGKILL);
  pollfd end{postmaster.get(), POLLIN, 0};
  if (::poll(&end, 1, milliseconds_until(soon())) < 1)
    throw harness_error("PostgreSQL does not end");
}

int process_node::terminate() {
  cairnd_->send(SIGTERM);
  return cairnd_->wait(soon());
}

void process_node::restart() {
  cairnd_.reset();
  start();
}

void process_node::end_postgres() const {
  (void)end_server_processes(data_directory_ + "/postgres/data", std::chrono::seconds{10});
}

std::string database_of(const std::string& data_directory) {
  return fmt::format("host={}/postgres/socket port=5432 user=cairn dbname=cairn", data_directory);
}

} // namespace cairn::harness
