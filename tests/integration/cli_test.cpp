/// The programs as a user runs them: cairn against a cairnd, output and exit codes.

#include "tests/integration/cli_fixture.hpp"

#include <algorithm>
#include <filesystem>

namespace cairn {
namespace {

using namespace harness;
using nlohmann::json;

class CliTest : public cli_fixture {
protected:
  static std::vector<std::uint64_t> versions(const std::string& prefix) {
    std::vector<std::uint64_t> out;
    for (const auto& entry : tell({"ls", prefix, "--versions"}))
      out.push_back(entry["version"]);
    return out;
  }
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

TEST_F(CliTest, ResultsThatStandardOutputDoesNotTakeAreAFailure) {
  put("full", "content");
  write_image(path("sample"), sample_log());
  for (const auto& arguments : {std::vector<std::string>{"ls", "full"},
                                {"ls", "full", "--json"},
                                {"stat", "full"},
                                {"status", "--json"},
                                {"get", "full"},
                                {"get", "full", "-o", path("full")},
                                {"put", path("sample"), "--key", "full"},
                                {"dump", path("sample")},
                                {"verify", "--json", "--data-dir", node().data_directory()},
                                {"--help"}}) {
    const auto outcome = in_shell("\"$@\" > /dev/full", command(arguments));
    EXPECT_EQ(outcome.exit_code, 1) << arguments[0] << outcome.errors;
    EXPECT_EQ(std::ranges::count(outcome.errors, '\n'), 1) << arguments[0] << outcome.errors;
  }
}

TEST_F(CliTest, ErrorsThatStandardErrorDoesNotTakeKeepTheirExitCode) {
  EXPECT_EQ(in_shell("\"$@\" 2> /dev/full", command({"get", "nothing here"})).exit_code, 3);
}

TEST_F(CliTest, DumpEndsWhereItFindsNoWayOn) {
  log_image image(sample_file_header());
  const auto damaged_at = image.add(collection_record{collection_id{1}, true});
  image.add_raw(200, 0, {}); // of a newer program
  image.end_batch();
  write_image(path("newer"), image);
  auto bytes = read_file(path("newer"));
  bytes[damaged_at + 8] = static_cast<char>(bytes[damaged_at + 8] ^ 1);
  write_file(path("newer"), bytes);

  // What is printed again and again meets a limit.
  const auto outcome = in_shell("ulimit -f 2048; exec \"$@\"", command({"--json", "dump", path("newer")}));
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(outcome.errors.find("cairn: version_mismatch: "), 0U) << outcome.errors;
  const auto lines = json_lines(outcome.output);
  ASSERT_EQ(lines.size(), 2U) << outcome.output;
  EXPECT_EQ(lines[1]["offset_bytes"], damaged_at);
  EXPECT_FALSE(lines[1].contains("resumes_at"));
}

} // namespace
} // namespace cairn
