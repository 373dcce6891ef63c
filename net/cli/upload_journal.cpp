#include "net/cli/upload_journal.hpp"

#include "core/digest.hpp"

#include <cstdlib>
#include <filesystem>
#include <sstream>

#include <fmt/format.h>

namespace cairn::cli {

namespace {

/// Where programs keep state for the user (XDG base directories).
std::filesystem::path state_directory() {
  if (const char* state = std::getenv("XDG_STATE_HOME"); state != nullptr && *state == '/')
    return state;
  if (const char* home = std::getenv("HOME"); home != nullptr && *home == '/')
    return std::filesystem::path(home) / ".local/state";
  return {};
}

} // namespace

upload_journal::upload_journal(const std::string& identity) {
  const auto state = state_directory();
  std::error_code failed;
  if (state.empty() || (std::filesystem::create_directories(state / "cairn/uploads", failed), failed))
    return;
  const auto name = to_hex(digest_payload(std::as_bytes(std::span(identity))).md5);
  path_ = (state / "cairn/uploads" / name).string();

  std::ifstream file(path_);
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string what;
    stored_part part;
    std::uint64_t version = 0;
    words >> what;
    if (what == "version" && words >> version)
      version_ = unified_id{version};
    else if (what == "begin" && words >> part.number)
      open_part_ = part.number;
    else if (what == "part" && words >> part.number >> part.size_bytes) {
      words >> part.md5;
      note(part);
    } else
      break; // a line cut short: its part counts as open
  }
  if (!version_)
    forget();
}

void upload_journal::note(const stored_part& part) {
  parts_.push_back(part);
  open_part_ = 0;
}

void upload_journal::forget() {
  version_.reset();
  parts_.clear();
  open_part_ = 0;
}

void upload_journal::begin_part(std::int32_t number) {
  open_part_ = number;
  append(fmt::format("begin {}", number));
}

void upload_journal::append(const std::string& line) {
  if (!path_.empty())
    std::ofstream(path_, std::ios::app) << line << std::endl;
}

void upload_journal::begin(unified_id version) {
  remove();
  version_ = version;
  append(fmt::format("version {}", version.value));
}

void upload_journal::add(const stored_part& part) {
  note(part);
  append(fmt::format("part {} {} {}", part.number, part.size_bytes, part.md5));
}

void upload_journal::remove() {
  std::error_code ignored;
  if (!path_.empty())
    std::filesystem::remove(path_, ignored);
  forget();
}

} // namespace cairn::cli
