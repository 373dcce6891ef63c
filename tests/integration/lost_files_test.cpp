/// Value files that are not there any more, or not where they were: a node that cannot know what it lacks
/// does not start.

#include "core/store/file_spaces.hpp"
#include "core/store/rebuild.hpp"
#include "tests/harness/archives.hpp"
#include "tests/harness/local_node.hpp"
#include "tests/support/test_database.hpp"

#include <filesystem>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace cairn {
namespace {

using namespace harness;
namespace fs = std::filesystem;

class LostFilesTest : public testing::Test {
protected:
  static void SetUpTestSuite() { spdlog::set_level(spdlog::level::off); }

  [[nodiscard]] std::string directory() const { return scratch_ / "node"; }
  [[nodiscard]] node_settings settings() const {
    auto s = settings_in(directory());
    s.max_value_file_bytes = 64U << 10U;
    return s;
  }
  [[nodiscard]] std::string value_file(std::int32_t id) const {
    return value_file_path(directory() + "/spaces", space_id{1}, value_file_id{id});
  }
  /// A node with two value files, of which the second is open when it dies.
  std::vector<sample_object> die_in_the_second_file() const {
    local_node node(settings());
    EXPECT_EQ(node.start().result, errc::success) << node.start().error_message;
    const auto client = node.attach();
    std::vector<sample_object> objects;
    for (int i = 0; i < 2; ++i) {
      objects.push_back(make_object(*client, fmt::format("object/{}", i), {40'000}));
      const auto reply = archive(*client, objects.back());
      EXPECT_EQ(reply.result, errc::success) << reply.error_message;
      EXPECT_EQ(reply.proof.value_file.value, i + 1);
    }
    node.end_abruptly();
    return objects;
  }
  void expect_refused(const std::string& text) const {
    local_node node(settings());
    EXPECT_EQ(node.start().result, errc::conflict);
    EXPECT_NE(node.start().error_message.find(text), std::string::npos) << node.start().error_message;
  }
  void expect_served(const std::vector<sample_object>& objects) const {
    local_node node(settings());
    ASSERT_EQ(node.start().result, errc::success) << node.start().error_message;
    const auto client = node.attach();
    for (const auto& object : objects)
      EXPECT_EQ(retrieve(*client, object.segment.key).bytes, content_of(object)) << object.segment.key;
    EXPECT_EQ(archive(*client, make_object(*client, "afterwards", {100})).result, errc::success);
  }
  void rebuild() const {
    rebuild_options options;
    options.node = {directory(), {}, {}};
    const auto rebuilt = rebuild_database(real_disk(), options);
    ASSERT_TRUE(rebuilt) << rebuilt.error().message;
  }

  scratch_directory scratch_;
};

TEST_F(LostFilesTest, NewestFileThatIsGoneIsNotTakenForOneThatHeldNothing) {
  const auto objects = die_in_the_second_file();
  const auto aside = scratch_ / "aside";
  fs::rename(value_file(2), aside);
  expect_refused("the log ends at");
  expect_refused("the log ends at"); // the first refusal changed nothing
  fs::rename(aside, value_file(2));
  expect_served(objects);
}

TEST_F(LostFilesTest, NewestFileThatWasEmptiedIsNotTakenForOneThatHeldNothing) {
  auto objects = die_in_the_second_file();
  fs::resize_file(value_file(2), 0);
  expect_refused("the log ends at");
  rebuild();
  objects.pop_back();
  expect_served(objects);
}

TEST_F(LostFilesTest, NewestFileThatLostItsRecordsIsNotTakenForOneThatHeldNone) {
  die_in_the_second_file();
  fs::resize_file(value_file(2), file_header_bytes);
  expect_refused("the log ends at");
}

TEST_F(LostFilesTest, NodeThatDiedBeforeItWroteStartsAgain) {
  const auto objects = die_in_the_second_file();
  for (int i = 0; i < 2; ++i) {
    local_node node(settings());
    ASSERT_EQ(node.start().result, errc::success) << node.start().error_message;
    node.end_abruptly();
  }
  expect_served(objects);
}

TEST_F(LostFilesTest, VolumeThatIsNotMountedIsNotWrittenBeneath) {
  std::vector<sample_object> objects;
  {
    local_node node(settings());
    const auto client = node.attach();
    objects.push_back(make_object(*client, "mounted", {10'000}));
    ASSERT_EQ(archive(*client, objects.back()).result, errc::success);
  }
  const auto journal = directory() + "/journal";
  fs::rename(journal, journal + ".volume");
  fs::create_directory(journal);
  expect_refused("file space 1 holds no value file");
  EXPECT_TRUE(fs::is_empty(journal));
  fs::remove(journal);
  fs::rename(journal + ".volume", journal);
  expect_served(objects);
}

TEST_F(LostFilesTest, CopyOfADataDirectoryDoesNotWriteIntoTheOriginalsValueFiles) {
  const test_database database;
  auto original = settings();
  original.database = database.connection_string();
  local_node node(original);
  ASSERT_EQ(node.start().result, errc::success) << node.start().error_message;
  const auto client = node.attach();
  const auto object = make_object(*client, "original", {1'000});
  ASSERT_EQ(archive(*client, object).result, errc::success);

  auto copied = original;
  copied.data_directory = scratch_ / "copy";
  fs::create_directory(copied.data_directory);
  for (const auto* part : {"identity", "spaces", "journal"})
    fs::copy(directory() + "/" + part, copied.data_directory + "/" + part,
             fs::copy_options::recursive | fs::copy_options::copy_symlinks);
  local_node copy(copied);
  EXPECT_EQ(copy.start().result, errc::conflict);
  EXPECT_NE(copy.start().error_message.find("is in use by another node"), std::string::npos)
    << copy.start().error_message;

  ASSERT_EQ(archive(*client, make_object(*client, "more", {1'000})).result, errc::success);
  EXPECT_EQ(retrieve(*client, "original").bytes, content_of(object));
}

TEST_F(LostFilesTest, ValueFilesAndIdentityAloneAreABackup) {
  const auto objects = die_in_the_second_file();
  const auto old = scratch_ / "old";
  fs::rename(directory(), old);
  fs::create_directory(directory());
  fs::copy(old + "/journal", directory() + "/journal", fs::copy_options::recursive);
  fs::copy(old + "/identity", directory() + "/identity");
  fs::remove_all(old);
  rebuild();
  expect_served(objects);
  expect_served(objects);
}

TEST_F(LostFilesTest, ValueFilesMayMoveWithTheirLinkAndARebuild) {
  const auto objects = die_in_the_second_file();
  const auto moved = scratch_ / "moved";
  fs::rename(directory() + "/journal", moved);
  fs::remove(directory() + "/spaces/1");
  fs::create_directory_symlink(moved, directory() + "/spaces/1");
  expect_refused("cairn rebuild");
  rebuild();
  expect_served(objects);
  expect_served(objects);
}

} // namespace
} // namespace cairn
