/// A record that the database refuses, in a whole node: it fails alone, now and at every later start. What
/// the database class does with it is tested in node_database_test.cpp.

#include "tests/harness/archives.hpp"
#include "tests/harness/local_node.hpp"

#include <gtest/gtest.h>
#include <pqxx/pqxx>
#include <spdlog/spdlog.h>

namespace cairn {
namespace {

using namespace harness;

class RejectedTest : public testing::Test {
protected:
  void SetUp() override {
    spdlog::set_level(spdlog::level::off);
    start();
    // As a defect or a hand at the database would: validation let the key through.
    sql("ALTER TABLE cairn.segment ADD CONSTRAINT planted CHECK (key NOT LIKE 'refused/%')");
  }
  void TearDown() override { end(); }

  void start() {
    node_.emplace(settings_in(scratch_ / "node"));
    ASSERT_EQ(node_->start().result, errc::success) << node_->start().error_message;
    client_ = node_->attach();
  }
  void end() {
    client_.reset();
    node_.reset();
  }
  void crash() {
    client_.reset();
    node_->end_abruptly();
    node_.reset();
  }
  client& by() { return *client_; }

  std::string sql(const std::string& text) const {
    pqxx::connection connection(database_of(scratch_ / "node"));
    pqxx::work work(connection);
    const auto rows = work.exec(text);
    work.commit();
    return rows.empty() || rows[0][0].is_null() ? "" : rows[0][0].as<std::string>();
  }
  [[nodiscard]] std::string rejected() const {
    return sql("SELECT string_agg(lsn || ' ' || reason, ';' ORDER BY lsn) FROM cairn.rejected");
  }

  /// Archives all at once, so that they share rounds: those that may be refused, and no others, are.
  void archive_together(const std::vector<sample_object>& objects) {
    std::vector<pending_reply<archive_reply>> replies;
    for (const auto& object : objects)
      replies.push_back(by().send<archive_reply>(entire_of(object)));
    for (std::size_t i = 0; i < objects.size(); ++i) {
      const auto reply = replies[i]();
      ASSERT_TRUE(reply);
      const auto is_planted = objects[i].segment.key.starts_with("refused/");
      EXPECT_EQ(reply->result, is_planted ? errc::invalid_message : errc::success) << reply->error_message;
      EXPECT_EQ(reply->error_message.find("planted") != std::string::npos, is_planted);
    }
  }
  void expect_contents(const std::vector<sample_object>& objects) {
    for (const auto& object : objects)
      if (object.segment.key.starts_with("refused/"))
        EXPECT_EQ(look_up(by(), object.segment.key).result, errc::not_found) << object.segment.key;
      else
        EXPECT_TRUE(retrieve(by(), object.segment.key).bytes == content_of(object)) << object.segment.key;
  }

  scratch_directory scratch_;
  std::optional<local_node> node_;
  std::unique_ptr<client> client_;
};

TEST_F(RejectedTest, RecordThatTheDatabaseRefusesFailsAloneAndIsNotTriedAgain) {
  const auto before = sql("SELECT lsn FROM cairn.log_position");
  std::vector<sample_object> objects;
  for (const auto* key : {"kept/1", "refused/1", "kept/2", "kept/3", "refused/2", "kept/4"})
    objects.push_back(make_object(by(), key, {2'000}));
  archive_together(objects);
  const auto in_sequences = make_object(by(), "refused/3", {1'000, 2'000, 3'000});
  // A final that shares the round of the refused sequence fails with it (write_machine_test.cpp has that
  // alone); in a later round it misses a part. Rounds are cut as disk and database take their time.
  const auto reply = archive(by(), in_sequences);
  if (reply.result == errc::storage_error) {
    EXPECT_NE(reply.error_message.find("an earlier part"), std::string::npos) << reply.error_message;
  } else {
    EXPECT_EQ(reply.result, errc::invalid_message);
    EXPECT_NE(reply.error_message.find("planted"), std::string::npos) << reply.error_message;
  }
  objects.push_back(in_sequences);
  expect_contents(objects);
  const auto refusals = rejected();
  EXPECT_NE(refusals.find("planted"), std::string::npos) << refusals;

  end(); // a start has nothing to do with it
  start();
  expect_contents(objects);
  EXPECT_EQ(rejected(), refusals);
  objects.push_back(make_object(by(), "kept/5", {2'000}));
  archive_together({objects.back()});

  // Nor has one that replays the log from before it.
  sql("UPDATE cairn.log_position SET lsn = " + before);
  crash();
  start();
  EXPECT_GT(node_->start().recovery.records_replayed, 0);
  expect_contents(objects);
  EXPECT_EQ(rejected(), refusals);
}

} // namespace
} // namespace cairn
