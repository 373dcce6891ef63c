/// Lock and identity of a data directory, on the real disk and with real processes.

#include "core/store/data_directory.hpp"

#include <csignal>
#include <filesystem>
#include <fstream>
#include <optional>
#include <stdexcept>
#include <string>

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

namespace cairn {

namespace {

const node_identity alpha{"north", "alpha", node_id{1}};

class DataDirectoryTest : public testing::Test {
protected:
  DataDirectoryTest() {
    auto pattern = (std::filesystem::temp_directory_path() / "cairn-data-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      throw std::runtime_error("mkdtemp failed");
    base_ = pattern;
  }
  ~DataDirectoryTest() override { std::filesystem::remove_all(base_); }

  [[nodiscard]] std::string path() const { return base_ + "/node"; }

  data_directory opened() {
    auto directory = data_directory::open(path());
    if (!directory)
      throw std::runtime_error(directory.error().message);
    return std::move(*directory);
  }

  void write_identity(const std::string& text) { std::ofstream(path() + "/identity") << text; }

  static mode_t mode_of(const std::string& path) {
    struct stat status {};
    EXPECT_EQ(::stat(path.c_str(), &status), 0) << path;
    return status.st_mode & 07777;
  }

  std::string base_;
};

/// Another process that opens a data directory and holds it until it is killed.
class holder {
public:
  explicit holder(const std::string& path) {
    int ready[2];
    if (::pipe(ready) != 0)
      throw std::runtime_error("pipe failed");
    pid_ = ::fork();
    if (pid_ == 0) {
      const auto directory = data_directory::open(path);
      const char outcome = directory ? 'y' : 'n';
      if (::write(ready[1], &outcome, 1) == 1)
        for (;;)
          ::pause();
      ::_exit(1);
    }
    ::close(ready[1]);
    char outcome = 'n';
    has_lock_ = ::read(ready[0], &outcome, 1) == 1 && outcome == 'y';
    ::close(ready[0]);
  }
  holder(const holder&) = delete;
  holder& operator=(const holder&) = delete;
  ~holder() { kill(); }

  [[nodiscard]] pid_t pid() const { return pid_; }
  [[nodiscard]] bool has_lock() const { return has_lock_; }

  void kill() {
    if (pid_ <= 0)
      return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }

private:
  pid_t pid_ = 0;
  bool has_lock_ = false;
};

} // namespace

// -- directory

TEST_F(DataDirectoryTest, MakesItsFoldersSearchableOrPrivate) {
  const auto old_mask = ::umask(0077);
  auto directory = data_directory::open(base_ + "/a/b/node/");
  ::umask(old_mask);
  ASSERT_TRUE(directory) << directory.error().message;
  EXPECT_EQ(directory->path(), base_ + "/a/b/node");
  EXPECT_EQ(mode_of(base_ + "/a"), 0755U);
  EXPECT_EQ(mode_of(directory->path()), 0711U);
  EXPECT_EQ(mode_of(directory->spaces_path()), 0700U);
  EXPECT_EQ(mode_of(directory->journal_path()), 0700U);
  EXPECT_EQ(mode_of(directory->path() + "/lock"), 0600U);
  EXPECT_FALSE(std::filesystem::exists(directory->postgres_path()));
}

TEST_F(DataDirectoryTest, RelativePathBecomesAbsolute) {
  const auto old_folder = std::filesystem::current_path();
  std::filesystem::current_path(base_);
  auto directory = data_directory::open("./x/../node");
  std::filesystem::current_path(old_folder);
  ASSERT_TRUE(directory) << directory.error().message;
  EXPECT_EQ(directory->path(), path());
}

TEST_F(DataDirectoryTest, OperatorsDirectoryBecomesSearchableWhereRootNeedsIt) {
  std::filesystem::create_directory(path());
  std::filesystem::permissions(path(), std::filesystem::perms::owner_all);
  auto directory = opened();
  EXPECT_EQ(mode_of(path()), ::geteuid() == 0 ? 0711U : 0700U);
}

TEST_F(DataDirectoryTest, RefusesWhatIsNoDirectory) {
  std::ofstream(path()) << "a file";
  EXPECT_FALSE(data_directory::open(path()));
  EXPECT_FALSE(data_directory::open(path() + "/below"));
  EXPECT_FALSE(data_directory::open(""));
}

// -- lock

TEST_F(DataDirectoryTest, SecondProcessIsRefusedAndToldWhoHoldsIt) {
  holder first(path());
  ASSERT_TRUE(first.has_lock());
  const auto second = data_directory::open(path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, errc::conflict);
  EXPECT_NE(second.error().message.find(fmt::format("process {};", first.pid())), std::string::npos)
    << second.error().message;
  EXPECT_NE(second.error().message.find(path()), std::string::npos);
}

TEST_F(DataDirectoryTest, KilledHolderFreesTheLock) {
  holder first(path());
  ASSERT_TRUE(first.has_lock());
  first.kill();
  EXPECT_TRUE(data_directory::open(path()));
}

TEST_F(DataDirectoryTest, LockHoldsWithinOneProcessToo) {
  auto first = opened();
  const auto second = data_directory::open(path());
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find(fmt::format("process {};", ::getpid())), std::string::npos);
}

TEST_F(DataDirectoryTest, LockMovesWithItsOwnerAndEndsWithIt) {
  {
    auto first = opened();
    auto moved = std::move(first);
    EXPECT_FALSE(data_directory::open(path()));
  }
  EXPECT_TRUE(data_directory::open(path()));
}

TEST_F(DataDirectoryTest, StartedProgramDoesNotInheritTheLock) {
  int input[2];
  int output[2];
  ASSERT_EQ(::pipe2(input, O_CLOEXEC), 0);
  ASSERT_EQ(::pipe2(output, O_CLOEXEC), 0);
  pid_t child = 0;
  {
    auto directory = opened();
    child = ::fork();
    if (child == 0) {
      ::dup2(input[0], STDIN_FILENO);
      ::dup2(output[1], STDOUT_FILENO);
      ::execlp("cat", "cat", nullptr); // runs until its input is closed
      ::_exit(127);
    }
    // Its answer shows that it runs: until its exec, the child shares the lock.
    char answer = '.';
    ASSERT_EQ(::write(input[1], "!", 1), 1);
    ASSERT_EQ(::read(output[0], &answer, 1), 1);
    ASSERT_EQ(answer, '!');
  }
  EXPECT_TRUE(data_directory::open(path()));
  ::close(input[1]);
  ::waitpid(child, nullptr, 0);
  for (const int fd : {input[0], output[0], output[1]})
    ::close(fd);
}

TEST_F(DataDirectoryTest, StrangeLockFileNamesNobody) {
  holder first(path());
  ASSERT_TRUE(first.has_lock());
  std::ofstream(path() + "/lock") << "not a number\n";
  const auto second = data_directory::open(path());
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("another process"), std::string::npos) << second.error().message;
}

// -- identity

TEST_F(DataDirectoryTest, IdentityIsWrittenOnceAndThenCompared) {
  {
    auto directory = opened();
    EXPECT_EQ(directory.identity().value(), std::optional<node_identity>());
    ASSERT_TRUE(directory.claim(alpha));
    EXPECT_EQ(directory.identity().value(), std::optional(alpha));
  }
  auto directory = opened();
  EXPECT_EQ(directory.identity().value(), std::optional(alpha));
  EXPECT_TRUE(directory.claim(alpha));
  EXPECT_EQ(mode_of(path() + "/identity"), 0600U);
  EXPECT_FALSE(std::filesystem::exists(path() + "/identity.new"));
}

TEST_F(DataDirectoryTest, AnotherNodesDirectoryIsRefusedNamingBoth) {
  auto directory = opened();
  ASSERT_TRUE(directory.claim(alpha));
  for (const auto& other :
       {node_identity{"north", "beta", node_id{1}}, node_identity{"north", "alpha", node_id{2}},
        node_identity{"south", "alpha", node_id{1}}}) {
    const auto outcome = directory.claim(other);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, errc::conflict);
    for (const auto& text :
         {fmt::format("'{}' (id {}) of cluster '{}'", other.node_name, other.id.value, other.cluster_name),
          std::string("'alpha' (id 1) of cluster 'north'"), path()})
      EXPECT_NE(outcome.error().message.find(text), std::string::npos) << outcome.error().message;
  }
  EXPECT_EQ(directory.identity().value(), std::optional(alpha));
}

TEST_F(DataDirectoryTest, MalformedIdentityIsDamagedAndLeftAsItIs) {
  auto directory = opened();
  const std::string good = "cairn-identity 1\ncluster=north\nnode=alpha\nid=1\n";
  write_identity(good);
  ASSERT_TRUE(directory.claim(alpha));
  for (const auto& text :
       {std::string(), good.substr(0, good.size() - 1), good.substr(0, 30), good + "more\n", good + "\n",
        std::string("cairn-identity 2\ncluster=north\nnode=alpha\nid=1\n"),
        std::string("cairn-identity 12\ncluster=north\nnode=alpha\nid=1\n"),
        std::string("cairn-identity 1\nnode=alpha\ncluster=north\nid=1\n"),
        std::string("cairn-identity 1\ncluster=\nnode=alpha\nid=1\n"),
        std::string("cairn-identity 1\ncluster=no rth\nnode=alpha\nid=1\n"),
        std::string("cairn-identity 1\ncluster=north\nnode=alpha\nid=0\n"),
        std::string("cairn-identity 1\ncluster=north\nnode=alpha\nid=-1\n"),
        std::string("cairn-identity 1\ncluster=north\nnode=alpha\nid=1x\n"),
        std::string("cairn-identity 1\ncluster=north\nnode=alpha\nid=99999999999\n"),
        std::string(100'000, 'x'), std::string(1000, '\0')}) {
    write_identity(text);
    SCOPED_TRACE(text.substr(0, 80));
    EXPECT_EQ(directory.identity().error().code, errc::damaged);
    const auto outcome = directory.claim(alpha);
    ASSERT_FALSE(outcome);
    EXPECT_EQ(outcome.error().code, errc::damaged);
    EXPECT_NE(outcome.error().message.find(path() + "/identity"), std::string::npos);
    EXPECT_EQ(std::filesystem::file_size(path() + "/identity"), text.size());
  }
}

TEST_F(DataDirectoryTest, ClaimCutShortLeavesNoIdentity) {
  auto directory = opened();
  std::ofstream(path() + "/identity.new") << "cairn-identity 1\nclus";
  EXPECT_EQ(directory.identity().value(), std::optional<node_identity>());
  ASSERT_TRUE(directory.claim(alpha));
  EXPECT_EQ(directory.identity().value(), std::optional(alpha));
}

TEST_F(DataDirectoryTest, RefusesNamesOutOfRange) {
  auto directory = opened();
  for (const auto& wrong :
       {node_identity{"", "alpha", node_id{1}}, node_identity{"north", "", node_id{1}},
        node_identity{"north", "a/b", node_id{1}}, node_identity{"north", "a\nb", node_id{1}},
        node_identity{std::string(64, 'x'), "alpha", node_id{1}},
        node_identity{"north", "alpha", node_id{0}}})
    EXPECT_EQ(directory.claim(wrong).error().code, errc::invalid_message);
  EXPECT_EQ(directory.identity().value(), std::optional<node_identity>());
  EXPECT_TRUE(directory.claim({std::string(63, 'x'), "A-z_0.9", node_id{2147483647}}));
}

TEST_F(DataDirectoryTest, NamesAreOfTheAllowedBytes) {
  EXPECT_TRUE(is_valid_name("a"));
  EXPECT_TRUE(is_valid_name("Node-7_b.example"));
  for (const auto* wrong : {"", " ", "a b", "ä", "a:b", "a/b", "a\n"})
    EXPECT_FALSE(is_valid_name(wrong)) << wrong;
  EXPECT_FALSE(is_valid_name(std::string_view("a\0b", 3)));
}

} // namespace cairn
