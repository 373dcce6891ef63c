/// `cairn put --part-size` that is interrupted, and what it finds when it runs again.

#include "net/network.hpp"
#include "tests/integration/cli_fixture.hpp"

#include <csignal>
#include <filesystem>

namespace cairn {
namespace {

using namespace harness;
namespace fs = std::filesystem;

/// Of the file that each test puts: many parts, so that an interruption finds it under way.
constexpr std::size_t size_bytes = 40 * mebibyte + 12'345;

class CliPutTest : public cli_fixture {
protected:
  CliPutTest() {
    ::setenv("XDG_STATE_HOME", own_.path().c_str(), 1);
    write_file(file_, content_);
  }

  [[nodiscard]] std::string journal() const {
    std::error_code none_yet;
    for (const auto& entry : fs::directory_iterator(own_ / "cairn/uploads", none_yet))
      return entry.path();
    return {};
  }
  /// The journal's lines that begin so.
  [[nodiscard]] std::vector<std::string> noted(const std::string& what) const {
    std::vector<std::string> out;
    const auto file = journal();
    std::istringstream lines(file.empty() ? std::string{} : read_file(file));
    for (std::string line; std::getline(lines, line);)
      if (line.starts_with(what + " "))
        out.push_back(line);
    return out;
  }
  [[nodiscard]] unified_id version() const {
    return unified_id{std::stoull(noted("version").at(0).substr(8))};
  }

  /// Runs it until so many parts are noted, and kills it in the middle of the next one, of which nobody then
  /// knows what became.
  void interrupt(std::size_t parts) {
    program running(command(arguments_), {});
    for (const auto until = soon(); noted("part").size() < parts;)
      ASSERT_LT(std::chrono::steady_clock::now(), until);
    ::kill(node().pid(), SIGSTOP);
    running.send(SIGKILL);
    EXPECT_EQ(running.wait(soon()), 128 + SIGKILL);
    ::kill(node().pid(), SIGCONT);
  }
  /// It succeeds, and the object is whole.
  program_outcome put_again(const host_process& at = node()) {
    const auto done = run_program(command(arguments_, at));
    EXPECT_EQ(done.exit_code, 0) << done.errors;
    EXPECT_TRUE(run_program(command({"get", key_}, at)).output == content_);
    const auto stat = run_program(command({"--json", "stat", key_}, at));
    EXPECT_NE(stat.output.find(R"("kind":"image")"), std::string::npos) << stat.output << stat.errors;
    EXPECT_EQ(journal(), "");
    return done;
  }
  void expect_anew(const program_outcome& outcome, unified_id before) {
    const auto told = fmt::format("cairn: cannot go on with version {}: ", before.value);
    EXPECT_EQ(outcome.errors.find(told), 0U) << outcome.errors;
    EXPECT_EQ(outcome.output.find("going on"), std::string::npos) << outcome.output;
  }
  [[nodiscard]] bool is_visible() const { return cairn({"stat", key_}).exit_code == 0; }

  /// A client of the node beside the command.
  client& other() {
    if (!other_) {
      net_ = std::move(network::open().value());
      auto connected = client::connect(net_->wire(), node().address());
      if (!connected)
        throw harness_error(connected.error().message);
      other_ = std::move(*connected);
    }
    return *other_;
  }

  scratch_directory own_;
  std::string key_ = testing::UnitTest::GetInstance()->current_test_info()->name();
  std::string file_ = own_ / key_;
  std::string content_ = content_of_seed(size_bytes, 3);
  std::vector<std::string> arguments_{"put", file_, "--part-size", "1MiB", "--meta", "kind=image"};

private:
  std::unique_ptr<network> net_;
  std::unique_ptr<client> other_;
};

TEST_F(CliPutTest, GoesOnAfterEachKill) {
  for (const std::size_t parts : {3U, 9U}) {
    interrupt(parts);
    EXPECT_FALSE(is_visible()) << "not before its finish";
  }
  const auto done = put_again();
  EXPECT_NE((done.output + done.errors).find("going on with version"), std::string::npos)
    << done.output << done.errors;
  const auto across = mebibyte - 5; // where parts meet
  EXPECT_EQ(cairn({"get", key_, "--range", fmt::format("{}-{}", across, across + 9)}).output,
            content_.substr(across, 10));
  const auto told = tell({"stat", key_}).at(0);
  EXPECT_EQ(told["size_bytes"], content_.size());
  EXPECT_EQ(told["segments"].size(), 41U);
  for (const auto& segment : told["segments"])
    EXPECT_TRUE(segment["receipt"].is_object());
  EXPECT_EQ(tell({"ls", key_, "--versions"}).size(), 1U);
}

TEST_F(CliPutTest, SendsAllAnewToAnotherNodeOfTheSameName) {
  host_process another;
  interrupt(3);
  const auto before = version();
  expect_anew(put_again(another), before);
}

TEST_F(CliPutTest, SendsAllAnewWhenAPartIsNotThereAnyMore) {
  interrupt(3);
  const auto before = version();
  archive_key_cancel cancel;
  cancel.key = {before, 2, 1, {}};
  ASSERT_EQ(ask<archive_reply>(other(), std::move(cancel)).result, errc::success);
  expect_anew(put_again(), before);
}

TEST_F(CliPutTest, SendsAllAnewWhenAPartIsAnother) {
  interrupt(3);
  const auto before = version();
  const auto part = noted("part").at(1);
  auto text = read_file(journal());
  text.replace(text.find(part) + part.size() - 32, 32, std::string(32, '0')); // its MD5
  write_file(journal(), text);
  expect_anew(put_again(), before);
}

TEST_F(CliPutTest, SendsAllAnewWithOtherMetadata) {
  arguments_.back() = "kind=other";
  interrupt(3);
  const auto before = version();
  arguments_.back() = "kind=image";
  expect_anew(put_again(), before);
}

TEST_F(CliPutTest, GoesOnWithTheJournalOfAnOlderProgram) {
  interrupt(3);
  auto text = read_file(journal());
  for (const auto& part : noted("part"))
    text.replace(text.find(part), part.size(), part.substr(0, part.rfind(' ')));
  write_file(journal(), text);
  EXPECT_NE(put_again().output.find("going on with version"), std::string::npos);
}

TEST_F(CliPutTest, VersionOfAnotherSizeThanWasSentIsTakenBack) {
  interrupt(3);
  auto more = make_object(other(), key_, {1'000});
  more.segment.version = version();
  more.segment.conjoined_part = 1'000;
  ASSERT_EQ(archive(other(), more).result, errc::success);
  const auto outcome = cairn(arguments_);
  EXPECT_EQ(outcome.exit_code, 4);
  EXPECT_NE(outcome.errors.find(std::to_string(size_bytes + 1'000)), std::string::npos) << outcome.errors;
  EXPECT_FALSE(is_visible());
  put_again();
}

TEST_F(CliPutTest, DeleteWhileItIsSentIsTold) {
  interrupt(3);
  other().saw(version());
  auto all = delete_of(other(), make_object(other(), key_, {}));
  all.deletes = {};
  ASSERT_EQ(ask<archive_reply>(other(), std::move(all)).result, errc::success);
  const auto outcome = cairn(arguments_);
  EXPECT_EQ(outcome.exit_code, 3);
  EXPECT_NE(outcome.errors.find("deleted"), std::string::npos) << outcome.errors;
  EXPECT_EQ(outcome.output.find("durable"), std::string::npos) << outcome.output;
  put_again();
}

} // namespace
} // namespace cairn
