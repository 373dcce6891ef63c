/// The programs as a user runs them: cairn against a cairnd, output and exit codes.

#include "tests/harness/archives.hpp"
#include "tests/harness/host_process.hpp"

#include <csignal>
#include <cstdlib>
#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

namespace cairn {
namespace {

using namespace harness;
using nlohmann::json;

constexpr std::size_t mebibyte = 1U << 20U;

std::string content_of_seed(std::size_t size_bytes, std::uint64_t seed) {
  const auto data = bytes_of_seed(size_bytes, seed);
  return {reinterpret_cast<const char*>(data.bytes().data()), data.size()};
}

class CliTest : public testing::Test {
protected:
  static void SetUpTestSuite() {
    spdlog::set_level(spdlog::level::off);
    scratch_ = std::make_unique<scratch_directory>();
    ::setenv("XDG_STATE_HOME", scratch_->path().c_str(), 1);
    node_ = std::make_unique<host_process>();
  }
  static void TearDownTestSuite() {
    node_.reset();
    scratch_.reset();
  }
  static host_process& node() { return *node_; }
  static std::string path(const std::string& name) { return *scratch_ / name; }

  static std::vector<std::string> command(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {program_path("cairn"), "--node", to_string(node_->address())});
    return arguments;
  }
  static program_outcome cairn(std::vector<std::string> arguments, const std::string& input = {}) {
    return run_program(command(std::move(arguments)), input);
  }
  /// The JSON objects that a command that succeeds prints.
  static std::vector<json> tell(std::vector<std::string> arguments, const std::string& input = {}) {
    arguments.emplace_back("--json");
    const auto outcome = cairn(std::move(arguments), input);
    EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
    std::vector<json> objects;
    std::istringstream lines(outcome.output);
    for (std::string line; std::getline(lines, line);)
      objects.push_back(json::parse(line));
    return objects;
  }
  static json put(const std::string& key, const std::string& content, std::vector<std::string> more = {}) {
    more.insert(more.begin(), {"put", "-", "--key", key});
    const auto told = tell(std::move(more), content);
    return told.empty() ? json{} : told.front();
  }
  static std::vector<std::uint64_t> versions(const std::string& prefix) {
    std::vector<std::uint64_t> out;
    for (const auto& entry : tell({"ls", prefix, "--versions"}))
      out.push_back(entry["version"]);
    return out;
  }

private:
  static inline std::unique_ptr<scratch_directory> scratch_;
  static inline std::unique_ptr<host_process> node_;
};

TEST_F(CliTest, StatShowsMetadataAndTheReceiptThatPutGave) {
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{1'000}, 9 * mebibyte}) { // one sequence, and three
    const auto key = fmt::format("stat/{}", size);
    const auto stored = put(key, content_of_seed(size, 1), {"--meta", "camera=M6", "--meta", "empty="});
    auto receipt = stored["receipt"];
    receipt.erase("round"); // no record tells it
    const auto told = tell({"stat", key}).at(0);
    EXPECT_EQ(told["meta"], (json{{"camera", "M6"}, {"empty", ""}}));
    EXPECT_EQ(told["version"], stored["version"]);
    EXPECT_EQ(told["md5"], stored["md5"]);
    EXPECT_EQ(told["size_bytes"], size);
    ASSERT_EQ(told["segments"].size(), 1U);
    EXPECT_EQ(told["segments"][0]["receipt"], receipt);

    const auto text = cairn({"stat", key}).output;
    EXPECT_NE(text.find("meta       camera=M6\n"), std::string::npos) << text;
    EXPECT_NE(text.find(fmt::format("receipt    record {} ", receipt["lsn"].get<std::uint64_t>())),
              std::string::npos)
      << text;
  }
}

TEST_F(CliTest, GetGivesAVersionOrARange) {
  const auto old_content = content_of_seed(5 * mebibyte, 2);
  const auto old_version = put("get", old_content)["version"].get<std::uint64_t>();
  put("get", "new content");
  EXPECT_EQ(cairn({"get", "get"}).output, "new content");
  EXPECT_TRUE(cairn({"get", "get", "--version", std::to_string(old_version)}).output == old_content);
  const auto range = [&](const std::string& text) {
    return cairn({"get", "get", "--version", std::to_string(old_version), "--range", text});
  };
  EXPECT_EQ(range("0-0").output, old_content.substr(0, 1));
  const auto seam = 4 * mebibyte; // where its second sequence begins
  EXPECT_EQ(range(fmt::format("{}-{}", seam - 2, seam + 1)).output, old_content.substr(seam - 2, 4));
  EXPECT_EQ(range(fmt::format("{}-", old_content.size() - 3)).output,
            old_content.substr(old_content.size() - 3));
  EXPECT_EQ(range(fmt::format("{}-", old_content.size())).exit_code, 2);
  EXPECT_EQ(range("7-3").exit_code, 2);
  EXPECT_EQ(range("all").exit_code, 2);
}

TEST_F(CliTest, RmDeletesAVersionOrTheKey) {
  const auto first = put("rm", "one")["version"].get<std::uint64_t>();
  const auto second = put("rm", "two")["version"].get<std::uint64_t>();
  const auto third = put("rm", "three")["version"].get<std::uint64_t>();
  EXPECT_EQ(versions("rm"), (std::vector{third, second, first}));
  EXPECT_EQ(cairn({"rm", "rm", "--version", std::to_string(second)}).exit_code, 0);
  EXPECT_EQ(versions("rm"), (std::vector{third, first}));
  EXPECT_EQ(cairn({"get", "rm"}).output, "three");
  EXPECT_EQ(cairn({"rm", "rm"}).exit_code, 0);
  EXPECT_TRUE(versions("rm").empty());
  EXPECT_TRUE(tell({"ls", "rm"}).empty());
  EXPECT_EQ(cairn({"get", "rm"}).exit_code, 3);
  EXPECT_EQ(cairn({"rm", "rm"}).exit_code, 3);
  put("rm", "again");
  EXPECT_EQ(cairn({"get", "rm"}).output, "again");
}

TEST_F(CliTest, PutInPartsGoesOnAfterAKill) {
  const auto content = content_of_seed(40 * mebibyte + 12'345, 3);
  write_file(path("disk.img"), content);
  const std::vector<std::string> arguments{"put",  path("disk.img"), "--part-size",
                                           "1MiB", "--meta",         "kind=image"};
  const auto lines_begun = [&] {
    std::size_t parts = 0;
    std::error_code none_yet;
    for (const auto& entry : std::filesystem::directory_iterator(path("cairn/uploads"), none_yet)) {
      std::istringstream lines(read_file(entry.path()));
      for (std::string line; std::getline(lines, line);)
        parts += line.starts_with("part ") ? 1 : 0;
    }
    return parts;
  };
  for (const std::size_t parts : {3U, 9U}) { // interrupted twice
    program running(command(arguments), {});
    for (const auto until = soon(); lines_begun() < parts;)
      ASSERT_LT(std::chrono::steady_clock::now(), until);
    ::kill(node().pid(), SIGSTOP); // in the middle of a part: what becomes of that one is not known
    running.send(SIGKILL);
    EXPECT_EQ(running.wait(soon()), 128 + SIGKILL);
    ::kill(node().pid(), SIGCONT);
    EXPECT_TRUE(versions("disk.img").empty()) << "not visible before its finish";
  }
  const auto done = cairn(arguments);
  ASSERT_EQ(done.exit_code, 0) << done.errors;
  EXPECT_NE((done.output + done.errors).find("going on with version"), std::string::npos)
    << done.output << done.errors;
  EXPECT_EQ(versions("disk.img").size(), 1U);
  EXPECT_TRUE(cairn({"get", "disk.img"}).output == content);
  const auto across = mebibyte - 5; // where parts meet
  EXPECT_EQ(cairn({"get", "disk.img", "--range", fmt::format("{}-{}", across, across + 9)}).output,
            content.substr(across, 10));
  const auto told = tell({"stat", "disk.img"}).at(0);
  EXPECT_EQ(told["meta"]["kind"], "image");
  EXPECT_EQ(told["size_bytes"], content.size());
  EXPECT_EQ(told["segments"].size(), 41U);
  for (const auto& segment : told["segments"])
    EXPECT_TRUE(segment["receipt"].is_object());
  EXPECT_EQ(lines_begun(), 0U) << "its journal is gone";
}

TEST_F(CliTest, VerifyAndRebuildWorkOnTheNodesDirectory) {
  host_process own;
  const auto on_node = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {program_path("cairn"), "--node", to_string(own.address())});
    return run_program(arguments);
  };
  const auto offline = [&](const std::string& what, std::vector<std::string> more = {}) {
    std::vector<std::string> arguments{program_path("cairn"), "--json", what, "--data-dir",
                                       own.data_directory()};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program(arguments);
  };
  write_file(path("kept"), content_of_seed(3 * mebibyte, 1));
  ASSERT_EQ(on_node({"put", path("kept"), "--key", "kept"}).exit_code, 0);

  auto verified = offline("verify");
  EXPECT_EQ(verified.exit_code, 0) << "while the node runs: " << verified.errors;
  EXPECT_EQ(json::parse(verified.output)["problems"], 0);
  EXPECT_EQ(json::parse(verified.output)["sequences"], 1);
  EXPECT_EQ(offline("rebuild").exit_code, 1) << "while the node runs";
  EXPECT_EQ(offline("verify", {"--rate", "much"}).exit_code, 2);
  EXPECT_EQ(run_program({program_path("cairn"), "verify", "--data-dir", path("nowhere")}).exit_code, 3);

  ASSERT_EQ(own.stop(), 0);
  std::filesystem::remove_all(own.data_directory() + "/postgres");
  const auto rebuilt = offline("rebuild");
  ASSERT_EQ(rebuilt.exit_code, 0) << rebuilt.errors;
  verified = offline("verify", {"--rate", "1GiB", "--state", path("state")});
  EXPECT_EQ(verified.exit_code, 0) << verified.errors << verified.output;
  EXPECT_FALSE(std::filesystem::exists(path("state"))) << "it was done";
  own.restart();
  ASSERT_EQ(on_node({"get", "kept", "-o", path("back")}).exit_code, 0);
  EXPECT_TRUE(read_file(path("back")) == content_of_seed(3 * mebibyte, 1));

  // One flipped bit in the file that holds it.
  const auto file = own.data_directory() + "/journal/001/00000001";
  auto bytes = read_file(file);
  bytes[mebibyte] = static_cast<char>(bytes[mebibyte] ^ 1);
  write_file(file, bytes);
  verified = offline("verify");
  EXPECT_EQ(verified.exit_code, 4);
  const auto problem = json::parse(verified.output.substr(0, verified.output.find('\n')));
  EXPECT_EQ(problem["key"], "kept");
  EXPECT_NE(problem["file"].get<std::string>().find("00000001"), std::string::npos);
}

TEST_F(CliTest, BenchMeasuresWhatItIsToldTo) {
  const auto measure = [](std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"bench", "--seconds", "0.3", "--reference-dir", "/tmp"});
    const auto told = tell(std::move(arguments));
    EXPECT_EQ(told.size(), 1U);
    return told.empty() ? json{} : told.front();
  };
  const auto put = measure({"--concurrency", "3", "--size", "1000"});
  EXPECT_EQ(put["mode"], "put");
  EXPECT_EQ(put["size_bytes"], 1000);
  EXPECT_EQ(put["concurrency"], 3);
  EXPECT_GT(put["put"]["objects"], 0);
  EXPECT_EQ(put["put"]["latency"]["count"], put["put"]["objects"]);
  EXPECT_FALSE(put.contains("get"));
  EXPECT_GT(put["rounds_per_second"], 0);
  EXPECT_GT(put["reference"]["write_sync"]["count"], 0);
  EXPECT_GT(put["reference"]["md5_mb_per_second"], 0);
  EXPECT_TRUE(put["cpu"].contains("node")) << "it is on this machine";

  const auto get = measure(
    {"--mode", "get", "--sequences", "3", "--size", "1000", "--concurrency", "2", "--connections", "2"});
  EXPECT_GT(get["get"]["objects"], 0);
  EXPECT_FALSE(get.contains("put"));
  const auto stored = tell({"ls", "bench/"});
  EXPECT_EQ(stored.size(), put["put"]["objects"].get<std::size_t>() + 64)
    << "and 32 for each client that reads";

  const auto range = measure({"--mode", "get", "--size", "64k", "--range", "10", "--objects", "5"});
  EXPECT_GT(range["get"]["objects"], 0);
  const auto mixed = measure({"--mode", "mixed", "--concurrency", "4", "--in-flight", "2", "--objects", "8"});
  EXPECT_GT(mixed["get"]["objects"], 0);
  EXPECT_GT(mixed["put"]["objects"], 0);
  EXPECT_EQ(cairn({"bench", "--reference-dir", "/nowhere"}).exit_code, 1) << "before anything is archived";
  for (const auto& wrong : {std::vector<std::string>{"--mode", "delete"},
                            {"--size", "0"},
                            {"--size", "20MiB"},
                            {"--seconds", "0"},
                            {"--concurrency", "0"},
                            {"--in-flight", "100000"},
                            {"--range", "8k"},
                            {"--connections", "0"},
                            {"--sequences", "2", "--range", "1"}}) {
    auto arguments = wrong;
    arguments.insert(arguments.begin(), "bench");
    const auto outcome = cairn(arguments);
    EXPECT_EQ(outcome.exit_code, 2) << wrong[0] << " " << wrong[1];
    EXPECT_EQ(std::ranges::count(outcome.errors, '\n'), 1) << outcome.errors;
  }
}

TEST_F(CliTest, FailuresAreToldInOneLineAndByTheExitCode) {
  const auto expect = [&](const program_outcome& outcome, int code) {
    EXPECT_EQ(outcome.exit_code, code);
    EXPECT_EQ(outcome.output, "");
    EXPECT_EQ(std::count(outcome.errors.begin(), outcome.errors.end(), '\n'), 1) << outcome.errors;
  };
  expect(cairn({"get", "nothing here"}), 3);
  expect(cairn({"stat", "nothing here"}), 3);
  expect(cairn({"rm", "nothing here"}), 3);
  expect(cairn({"put", path("no such file")}), 1);
  expect(cairn({"put", "-"}), 2);
  expect(cairn({"put", "-", "--key", "k", "--meta", "no equals sign"}), 2);
  expect(cairn({"put", "-", "--key", std::string(1'025, 'k')}), 1);
  expect(run_program({program_path("cairn"), "--node", "127.0.0.1:1", "status"}), 5);
}

} // namespace
} // namespace cairn
