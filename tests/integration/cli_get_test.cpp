/// What `cairn get -o` does to what is there already, and what it leaves when it does not end well.

#include "tests/integration/cli_fixture.hpp"

#include <algorithm>
#include <csignal>
#include <filesystem>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

namespace cairn {
namespace {

using namespace harness;
namespace fs = std::filesystem;

/// So large that a get of it can be met under way; one that is not is tried again.
constexpr std::size_t large_bytes = 48 * mebibyte;
constexpr int max_attempts = 50;

class CliGetTest : public cli_fixture {
protected:
  static void SetUpTestSuite() {
    cli_fixture::SetUpTestSuite();
    put("small", "new content");
    put("large", content_of_seed(large_bytes, 5));
  }

  [[nodiscard]] std::string in(const std::string& name) const { return directory_ / name; }
  static program_outcome get(const std::string& output, const std::string& key = "small") {
    return cairn({"get", key, "-o", output});
  }
  [[nodiscard]] std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(directory_.path()))
      out.push_back(entry.path().filename());
    std::ranges::sort(out);
    return out;
  }
  /// The file beside the output that a get makes, when it has bytes; empty = none (yet).
  [[nodiscard]] std::string unfinished() const {
    std::error_code gone;
    for (const auto& name : names())
      if (name != "out" && fs::file_size(in(name), gone) > 0 && !gone)
        return in(name);
    return {};
  }
  /// A get of the large object that has begun to write, or has ended already.
  [[nodiscard]] std::unique_ptr<program> begun_get() const {
    auto running = std::make_unique<program>(command({"get", "large", "-o", in("out")}), program::streams{});
    pollfd end{running->end_fd(), POLLIN, 0};
    for (const auto until = soon(); unfinished().empty() && ::poll(&end, 1, 0) == 0;)
      if (std::chrono::steady_clock::now() >= until)
        throw harness_error("get writes nothing");
    return running;
  }

  scratch_directory directory_;
};

TEST_F(CliGetTest, FifoGetsTheBytesAndStaysOne) {
  ASSERT_EQ(::mkfifo(in("out").c_str(), 0600), 0);
  const posix::unique_fd reader(::open(in("out").c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  ASSERT_TRUE(reader.valid());
  const auto outcome = get(in("out"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  std::string received(100, '\0');
  const auto got = ::read(reader.get(), received.data(), received.size());
  EXPECT_EQ(received.substr(0, static_cast<std::size_t>(std::max<ssize_t>(got, 0))), "new content");
  EXPECT_TRUE(fs::is_fifo(in("out")));
  EXPECT_EQ(names(), std::vector<std::string>{"out"});
}

TEST_F(CliGetTest, DeviceIsWrittenToAndStaysOne) {
  if (::mknod(in("out").c_str(), S_IFCHR | 0666, ::makedev(1, 3)) != 0) // as /dev/null
    GTEST_SKIP() << "this user makes no devices";
  if (!posix::unique_fd(::open(in("out").c_str(), O_WRONLY | O_CLOEXEC)).valid())
    GTEST_SKIP() << "devices are of no use in " << directory_.path();
  const auto outcome = get(in("out"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_TRUE(fs::is_character_file(in("out")));
  EXPECT_EQ(names(), std::vector<std::string>{"out"});
}

TEST_F(CliGetTest, FileOfAnotherNameIsNotTouched) {
  write_file(in("out.part"), "mine");
  EXPECT_EQ(get(in("out")).exit_code, 0);
  EXPECT_EQ(read_file(in("out")), "new content");
  EXPECT_EQ(read_file(in("out.part")), "mine");
  EXPECT_EQ(get(in("out"), "nothing here").exit_code, 3);
  EXPECT_EQ(names(), (std::vector<std::string>{"out", "out.part"}));
}

TEST_F(CliGetTest, LinksAreFollowedAndStay) {
  fs::create_directory(in("elsewhere"));
  write_file(in("elsewhere/there"), "old content");
  fs::create_symlink("elsewhere/there", in("one"));
  fs::create_symlink(in("one"), in("two"));
  fs::create_symlink("elsewhere/not there", in("dangling"));
  EXPECT_EQ(get(in("two")).exit_code, 0);
  EXPECT_EQ(get(in("dangling")).exit_code, 0);
  for (const auto* link : {"one", "two", "dangling"})
    EXPECT_TRUE(fs::is_symlink(in(link))) << link;
  EXPECT_FALSE(fs::is_symlink(in("elsewhere/there")));
  EXPECT_EQ(read_file(in("elsewhere/there")), "new content");
  EXPECT_EQ(read_file(in("elsewhere/not there")), "new content");
}

TEST_F(CliGetTest, LinkToStandardOutputGetsTheBytesAlone) {
  fs::create_symlink("/proc/self/fd/1", in("stdout"));
  const auto outcome = get(in("stdout"));
  EXPECT_EQ(outcome.exit_code, 0) << outcome.errors;
  EXPECT_EQ(outcome.output, "new content");
  EXPECT_TRUE(fs::is_symlink(in("stdout")));
}

TEST_F(CliGetTest, DirectoryIsRefusedBeforeAnybodyIsAsked) {
  for (const auto& output : {directory_.path(), in("not there/"), std::string{}}) {
    const auto outcome =
      run_program({program_path("cairn"), "--node", "127.0.0.1:1", "get", "small", "-o", output});
    EXPECT_EQ(outcome.exit_code, 2) << output << outcome.errors;
    EXPECT_EQ(std::ranges::count(outcome.errors, '\n'), 1) << outcome.errors;
  }
  EXPECT_EQ(get(in("not there/out")).exit_code, 1);
}

TEST_F(CliGetTest, NewFileHasTheUsersMaskAndAnOldOneItsMode) {
  const auto mode_of = [&](const char* name) {
    struct stat about {};
    EXPECT_EQ(::stat(in(name).c_str(), &about), 0);
    return about.st_mode & 07777U;
  };
  write_file(in("secret"), "old content");
  ASSERT_EQ(::chmod(in("secret").c_str(), 0600), 0);
  write_file(in("shared"), "old content");
  ASSERT_EQ(::chmod(in("shared").c_str(), 0666), 0);
  for (const auto* name : {"new", "secret", "shared"}) {
    EXPECT_EQ(in_shell("umask 027; exec \"$@\"", command({"get", "small", "-o", in(name)})).exit_code, 0);
    EXPECT_EQ(read_file(in(name)), "new content");
  }
  EXPECT_EQ(mode_of("new"), 0640U);
  EXPECT_EQ(mode_of("secret"), 0600U);
  EXPECT_EQ(mode_of("shared"), 0666U);
}

TEST_F(CliGetTest, FailedGetLeavesTheOldFileAndNothingElse) {
  write_file(in("out"), "old content");
  write_file(in("out.part"), "mine");
  const auto outcome = in_shell("trap '' XFSZ; ulimit -f 2048; exec \"$@\"",
                                command({"get", "large", "-o", in("out")})); // of half KiB
  EXPECT_EQ(outcome.exit_code, 1);
  EXPECT_EQ(std::ranges::count(outcome.errors, '\n'), 1) << outcome.errors;
  EXPECT_EQ(read_file(in("out")), "old content");
  EXPECT_EQ(read_file(in("out.part")), "mine");
  EXPECT_EQ(names(), (std::vector<std::string>{"out", "out.part"}));
}

TEST_F(CliGetTest, GetThatASignalEndsLeavesTheOldFileAndNothingElse) {
  for (int attempt = 0; attempt < max_attempts; ++attempt) {
    write_file(in("out"), "old content");
    const auto running = begun_get();
    running->send(SIGTERM);
    if (running->wait(soon()) == 0)
      continue; // it was done before
    EXPECT_EQ(running->wait(soon()), 128 + SIGTERM);
    EXPECT_EQ(read_file(in("out")), "old content");
    EXPECT_EQ(names(), std::vector<std::string>{"out"});
    return;
  }
  FAIL() << "get was never met under way";
}

TEST_F(CliGetTest, TwoThatWriteOneNameAtOnceEachGiveItAWholeFile) {
  for (int attempt = 0; attempt < max_attempts; ++attempt) {
    const auto slow = begun_get();
    slow->freeze();
    if (unfinished().empty()) {
      slow->send(SIGCONT);
      EXPECT_EQ(slow->wait(soon()), 0);
      continue; // it was done before
    }
    EXPECT_EQ(get(in("out")).exit_code, 0);
    EXPECT_EQ(read_file(in("out")), "new content");
    slow->send(SIGCONT);
    EXPECT_EQ(slow->wait(soon()), 0);
    EXPECT_TRUE(read_file(in("out")) == content_of_seed(large_bytes, 5));
    EXPECT_EQ(names(), std::vector<std::string>{"out"});
    return;
  }
  FAIL() << "get was never met under way";
}

} // namespace
} // namespace cairn
