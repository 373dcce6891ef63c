#include "net/cli/output.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace cairn::cli {

namespace {

/// Keys may hold anything that is valid UTF-8: what could move a terminal's cursor is shown, not sent.
std::string printable(const std::string& text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F)
      out += fmt::format("\\x{:02x}", byte);
    else
      out += c;
  }
  return out;
}

} // namespace

void output::result(const nlohmann::json& object, const std::string& line) {
  auto* stream = notes_to_stderr_ ? stderr : stdout;
  if (json_)
    fmt::print(stream, "{}\n", object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  else
    fmt::print(stream, "{}\n", printable(line));
}

void output::note(const std::string& line) {
  if (!json_)
    fmt::print(notes_to_stderr_ ? stderr : stdout, "{}\n", printable(line));
}

void output::error(const std::string& line) {
  // Not fmt::print, which throws when standard error takes nothing: the exit code still tells.
  std::fputs(fmt::format("cairn: {}\n", printable(line)).c_str(), stderr);
}

bool output::flush() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0)
    return true;
  error(fmt::format("cannot write to standard output: {}", std::strerror(errno)));
  return false;
}

void log_to_stderr() {
  auto logger = spdlog::stderr_logger_mt("cairn");
  logger->set_pattern("cairn: %v");
  logger->set_level(spdlog::level::warn);
  spdlog::set_default_logger(std::move(logger));
}

std::string time_text(timestamp_us time) {
  constexpr std::int64_t us_per_second = 1'000'000;
  auto seconds = time.value / us_per_second;
  auto us = time.value % us_per_second;
  if (us < 0) {
    us += us_per_second;
    --seconds;
  }
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:06}Z", fmt::gmtime(static_cast<std::time_t>(seconds)), us);
}

} // namespace cairn::cli
