#include "tests/harness/host_process.hpp"

#include <algorithm>
#include <cerrno>
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

host_process::host_process(host_options options) : options_(std::move(options)) {
  if (!options_.has_node && !options_.remote_spawn)
    throw harness_error("a host without a node is of no use unless it allows remote_spawn");
  if (options_.data_directory.empty())
    options_.data_directory = scratch_ / "node";
  if (options_.spawn_root.empty())
    options_.spawn_root = scratch_ / "spawned";
  if (options_.disk_faults)
    faults_.emplace(scratch_ / "faults");
  if (options_.tls)
    authority_.emplace();
  try {
    start();
  } catch (...) {
    program_.reset();
    end_databases();
    throw;
  }
}

host_process::~host_process() {
  program_.reset();
  end_databases();
}

std::vector<std::string> host_process::command_line() {
  std::vector<std::string> command;
  if (faults_)
    command = {program_path("cairn-faulty-host"), scratch_ / "faults"};
  else
    command = {program_path("cairnd")};
  command.insert(command.end(), {"--listen=127.0.0.1:0", "--reserve-percent=0"});
  const auto has_reserve = std::ranges::any_of(
    options_.arguments, [](const auto& argument) { return argument.starts_with("--min-reserve="); });
  if (!has_reserve)
    command.push_back(fmt::format("--min-reserve={}", harness_reserve_bytes));
  if (options_.has_node)
    command.push_back("--data-dir=" + options_.data_directory);
  if (options_.remote_spawn)
    command.insert(command.end(), {"--allow-remote-spawn", "--spawn-root=" + options_.spawn_root});
  if (authority_) {
    const auto files = authority_->of("node-1"); // its own node's name
    command.insert(command.end(), {"--tls-ca=" + files.ca, "--tls-cert=" + files.certificate,
                                   "--tls-key=" + files.key, "--tls-peer=client"});
  }
  command.insert(command.end(), options_.arguments.begin(), options_.arguments.end());
  return command;
}

void host_process::start() {
  // An end that is not closed on exec would keep the pipe open after the host's end.
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0)
    throw harness_error(fmt::format("pipe2: {}", std::strerror(errno)));
  const posix::unique_fd output(ends[0]);
  posix::unique_fd input(ends[1]);
  const posix::unique_fd log(::open(log_.path().c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  log_begin_ = log_.text().size();
  program_ = std::make_unique<program>(command_line(), program::streams{-1, input.get(), log.get()});
  input = posix::unique_fd();
  ready_line_ = wait_until_ready(output.get());
  direct_address_ = address_in(ready_line_);
  relay_.forward_to(direct_address_.port);
}

std::string host_process::wait_until_ready(int output) {
  const auto until = soon();
  std::string line;
  for (;;) {
    pollfd waiting{output, POLLIN, 0};
    if (::poll(&waiting, 1, milliseconds_until(until)) < 1 && std::chrono::steady_clock::now() >= until)
      throw harness_error("the host is not ready in time: " + log());
    char byte = 0;
    const auto got = ::read(output, &byte, 1);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      throw harness_error(fmt::format("the host ended with exit code {}: {}", program_->wait(until), log()));
    if (byte == '\n')
      return line;
    line += byte;
  }
}

transport_options host_process::client_net() {
  transport_options options;
  if (authority_) {
    const auto files = authority_->of("client");
    options.tls = {files.ca, files.certificate, files.key};
  }
  return options;
}

certificates& host_process::authority() {
  if (!authority_)
    throw harness_error("the host was started without host_options.tls");
  return *authority_;
}

disk_faults& host_process::faults() {
  if (!faults_)
    throw harness_error("the host was started without host_options.disk_faults");
  return *faults_;
}

void host_process::kill() {
  if (!program_)
    return; // it did not start again
  program_->send(SIGKILL);
  program_->wait(soon());
}

int host_process::stop() {
  program_->send(SIGTERM);
  return program_->wait(soon());
}

void host_process::restart() {
  program_.reset();
  start();
}

std::string host_process::wait_for_log(const std::string& text) {
  return log_.wait_for(text, soon(), program_->end_fd(), log_begin_);
}

void host_process::end_databases() const {
  end_databases_below(options_.data_directory);
  end_databases_below(spawn_root());
}

} // namespace cairn::harness
