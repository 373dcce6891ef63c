#pragma once
/// The programs as a user runs them: cairn against a cairnd that tests of one suite share.

#include "tests/harness/archives.hpp"
#include "tests/harness/host_process.hpp"
#include "tests/support/sample_log.hpp"

#include <cstdlib>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

namespace cairn {

inline constexpr std::size_t mebibyte = 1U << 20U;

inline std::string content_of_seed(std::size_t size_bytes, std::uint64_t seed) {
  const auto data = harness::bytes_of_seed(size_bytes, seed);
  return {reinterpret_cast<const char*>(data.bytes().data()), data.size()};
}

inline void write_image(const std::string& path, const log_image& image) {
  harness::write_file(path, {reinterpret_cast<const char*>(image.bytes().data()), image.bytes().size()});
}

inline std::vector<nlohmann::json> json_lines(const std::string& text) {
  std::vector<nlohmann::json> objects;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    objects.push_back(nlohmann::json::parse(line));
  return objects;
}

/// Runs a program below a shell that prepares its world. @param script has the program as "$@"
inline harness::program_outcome in_shell(const std::string& script, std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), {"/bin/sh", "-c", script, "sh"});
  return harness::run_program(arguments);
}

class cli_fixture : public testing::Test {
protected:
  static void SetUpTestSuite() {
    spdlog::set_level(spdlog::level::off);
    scratch_ = std::make_unique<harness::scratch_directory>();
    ::setenv("XDG_STATE_HOME", scratch_->path().c_str(), 1);
    node_ = std::make_unique<harness::host_process>();
  }
  static void TearDownTestSuite() {
    node_.reset();
    scratch_.reset();
  }
  static harness::host_process& node() { return *node_; }
  static std::string path(const std::string& name) { return *scratch_ / name; }

  static std::vector<std::string> command(std::vector<std::string> arguments,
                                          const harness::host_process& at = *node_) {
    arguments.insert(arguments.begin(), {harness::program_path("cairn"), "--node", to_string(at.address())});
    return arguments;
  }
  static harness::program_outcome cairn(std::vector<std::string> arguments, const std::string& input = {}) {
    return harness::run_program(command(std::move(arguments)), input);
  }
  /// The JSON objects that a command that succeeds prints.
  static std::vector<nlohmann::json> tell(std::vector<std::string> arguments, const std::string& input = {}) {
    arguments.emplace_back("--json");
    const auto outcome = cairn(std::move(arguments), input);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    return json_lines(outcome.output);
  }
  static nlohmann::json put(const std::string& key, const std::string& content,
                            std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"put", "-", "--key", key});
    const auto told = tell(std::move(more), content);
    return told.empty() ? nlohmann::json{} : told.front();
  }

private:
  static inline std::unique_ptr<harness::scratch_directory> scratch_;
  static inline std::unique_ptr<harness::host_process> node_;
};

} // namespace cairn
