/// A node whose database is lost, and the one that `cairn rebuild` makes of its value files.

#include "core/store/file_spaces.hpp"
#include "core/store/rebuild.hpp"
#include "tests/harness/local_node.hpp"
#include "tests/support/every_fact.hpp"
#include "tests/support/test_database.hpp"

#include <filesystem>

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace cairn {
namespace {

using namespace harness;

class RebuildTest : public testing::Test {
protected:
  static void SetUpTestSuite() { spdlog::set_level(spdlog::level::off); }

  [[nodiscard]] std::string directory() const { return scratch_ / "node"; }
  /// Small value files, so that there are several.
  [[nodiscard]] node_settings settings(const std::string& database = {}) const {
    auto s = settings_in(directory());
    s.database = database;
    s.max_value_file_bytes = 128U << 10U;
    return s;
  }
  [[nodiscard]] rebuild_options options(const std::string& database = {}) const {
    rebuild_options o;
    o.node = {directory(), database, {}};
    return o;
  }
  /// Runs a node that leaves facts of every kind. @returns what is visible
  std::vector<sample_object> leave_facts(const node_settings& on) const {
    local_node node(on);
    EXPECT_EQ(node.start().result, errc::success) << node.start().error_message;
    return every_fact(*node.attach()).visible();
  }
  static void expect_served(const node_settings& by, const std::vector<sample_object>& objects) {
    local_node node(by);
    ASSERT_EQ(node.start().result, errc::success) << node.start().error_message;
    const auto client = node.attach();
    for (const auto& object : objects) {
      const auto back = retrieve(*client, object.segment.key);
      EXPECT_EQ(back.bytes, content_of(object)) << object.segment.key;
      EXPECT_EQ(back.first.meta, object.meta) << object.segment.key;
    }
    EXPECT_EQ(archive(*client, make_object(*client, "afterwards", {100})).result, errc::success);
  }
  [[nodiscard]] std::string value_file(std::int32_t id) const {
    return value_file_path(directory() + "/spaces", space_id{1}, value_file_id{id});
  }
  /// All rows, but for the time at which files were closed: that is known to nobody but the database.
  static std::string rows(const test_database& of) {
    of.query("UPDATE cairn.value_file SET close_time = creation_time");
    return of.dump();
  }

  scratch_directory scratch_;
};

TEST_F(RebuildTest, GivesTheRowsThatTheDatabaseHad) {
  const test_database lost, made;
  const auto objects = leave_facts(settings(lost.connection_string()));
  const auto rebuilt = rebuild_database(real_disk(), options(made.connection_string()));
  ASSERT_TRUE(rebuilt) << rebuilt.error().message;
  EXPECT_GT(rebuilt->database.report.value_files, 3);
  EXPECT_EQ(rebuilt->database.report.damaged_regions, 0);
  EXPECT_EQ(rebuilt->database.gaps, 0);
  EXPECT_EQ(rebuilt->database.old_schema, "");
  EXPECT_EQ(rows(made), rows(lost));
  expect_served(settings(made.connection_string()), objects);
}

TEST_F(RebuildTest, IsMadeOfWhatACrashLeftOpenToo) {
  const test_database lost, made;
  std::vector<sample_object> objects;
  {
    local_node node(settings(lost.connection_string()));
    objects = every_fact(*node.attach()).visible();
    node.end_abruptly();
  }
  const auto rebuilt = rebuild_database(real_disk(), options(made.connection_string()));
  ASSERT_TRUE(rebuilt) << rebuilt.error().message;
  expect_served(settings(made.connection_string()), objects);
}

TEST_F(RebuildTest, KeepsTheOldTablesAside) {
  const test_database database;
  const auto objects = leave_facts(settings(database.connection_string()));
  const auto before = rows(database);
  const auto rebuilt = rebuild_database(real_disk(), options(database.connection_string()));
  ASSERT_TRUE(rebuilt) << rebuilt.error().message;
  ASSERT_NE(rebuilt->database.old_schema, "");
  EXPECT_EQ(rows(database), before);
  EXPECT_NE(database.query("SELECT count(*) FROM " + rebuilt->database.old_schema + ".segment"), "0");
  expect_served(settings(database.connection_string()), objects);
}

TEST_F(RebuildTest, MakesANewServerWhereTheOldOneIsOfNoUse) {
  const auto objects = leave_facts(settings());
  std::filesystem::remove_all(directory() + "/postgres/data/global"); // it does not start any more
  const auto without = rebuild_database(real_disk(), options());
  EXPECT_FALSE(without);
  auto with = options();
  with.new_server = true;
  const auto rebuilt = rebuild_database(real_disk(), with);
  ASSERT_TRUE(rebuilt) << rebuilt.error().message;
  EXPECT_TRUE(std::filesystem::exists(rebuilt->old_server + "/data")) << rebuilt->old_server;
  expect_served(settings(), objects);
}

TEST_F(RebuildTest, LeavesTheServerOfARunningNodeAlone) {
  local_node node(settings());
  ASSERT_EQ(node.start().result, errc::success);
  auto with = options();
  with.new_server = true;
  const auto refused = rebuild_database(real_disk(), with);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::conflict) << refused.error().message;
  EXPECT_TRUE(std::filesystem::exists(directory() + "/postgres/data"));
  const auto client = node.attach();
  EXPECT_EQ(archive(*client, make_object(*client, "kept", {10})).result, errc::success);
}

TEST_F(RebuildTest, GoesOnWhereAValueFileIsMissing) {
  const test_database lost, made;
  leave_facts(settings(lost.connection_string()));
  const auto kept = lost.query("SELECT count(*) FROM cairn.segment WHERE status = 'F' AND id NOT IN"
                               " (SELECT segment_id FROM cairn.segment_sequence WHERE value_file_id = 2)");
  std::filesystem::remove(value_file(2));
  const auto rebuilt = rebuild_database(real_disk(), options(made.connection_string()));
  ASSERT_TRUE(rebuilt) << rebuilt.error().message;
  EXPECT_EQ(rebuilt->database.gaps, 1);
  // A cancel or a purge may have been lost with the file, a segment of the others may not.
  EXPECT_GE(std::stoi(made.query("SELECT count(*) FROM cairn.segment WHERE status = 'F'")), std::stoi(kept));
  EXPECT_EQ(made.query("SELECT count(*) FROM cairn.segment_sequence WHERE value_file_id = 2"), "0");
  expect_served(settings(made.connection_string()), {});
}

TEST_F(RebuildTest, RefusesWhatIsNoNodeOrNotItsDatabase) {
  const test_database database, of_another;
  auto nowhere = options(database.connection_string());
  nowhere.node.data_directory = scratch_ / "nothing";
  const auto no_node = rebuild_database(real_disk(), nowhere);
  ASSERT_FALSE(no_node);
  EXPECT_EQ(no_node.error().code, errc::not_found);
  EXPECT_FALSE(std::filesystem::exists(nowhere.node.data_directory));
  {
    local_node node(settings(database.connection_string()));
    ASSERT_EQ(node.start().result, errc::success);
    const auto running = rebuild_database(real_disk(), options(database.connection_string()));
    ASSERT_FALSE(running);
    EXPECT_EQ(running.error().code, errc::conflict) << running.error().message;
    EXPECT_EQ(archive(*node.attach(), make_object(*node.attach(), "kept", {10})).result, errc::success);
  }
  { const auto opened = of_another.open(); } // by test_database::identity()
  const auto foreign = rebuild_database(real_disk(), options(of_another.connection_string()));
  ASSERT_FALSE(foreign);
  EXPECT_EQ(foreign.error().code, errc::conflict) << foreign.error().message;
}

} // namespace
} // namespace cairn
