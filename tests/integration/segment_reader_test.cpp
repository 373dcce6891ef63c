/// What a reader answers when the database lost what was acknowledged.

#include "core/read/segment_reader.hpp"
#include "tests/support/log_records.hpp"
#include "tests/support/test_database.hpp"

#include <gtest/gtest.h>

namespace cairn {
namespace {

class SegmentReaderTest : public testing::Test {
protected:
  void SetUp() override {
    record_list list;
    list.add_entire(here_);
    node_database::round round;
    round.new_position = list.last_lsn();
    round.records = list.all();
    ASSERT_TRUE(node_->begin_round(round));
    ASSERT_TRUE(node_->commit_round());
    position_ = list.last_lsn();
  }
  errc look_up(log_sequence_number acknowledged) {
    const auto found = reader_.look_up(here_.segment.collection, here_.segment.key, {}, acknowledged);
    return found ? errc::success : found.error().code;
  }
  [[nodiscard]] log_sequence_number next() const { return log_sequence_number{position_.value + 1}; }
  void catch_up() { database_.query("UPDATE cairn.log_position SET lsn = lsn + 1"); }

  const segment_identity here_ = make_identity(1, 1, "here");
  test_database database_;
  std::unique_ptr<node_database> node_ = database_.open();
  segment_reader reader_{real_disk(), "/nonexistent/spaces", database_.connection_string()};
  log_sequence_number position_;
};

TEST_F(SegmentReaderTest, DatabaseBehindWhatWasAcknowledgedIsNotServedFromUntilItHasCaughtUp) {
  EXPECT_EQ(look_up(next()), errc::database_unavailable);
  EXPECT_EQ(look_up(next()), errc::database_unavailable);
  catch_up();
  EXPECT_EQ(look_up(next()), errc::success);
}

TEST_F(SegmentReaderTest, ConnectionThatAReadOfDataMadeIsComparedBeforeALookUp) {
  stored_segment segment;
  segment.sequences.resize(1);
  EXPECT_TRUE(reader_.find_receipt(segment)); // asks where a value file lies
  EXPECT_EQ(look_up(next()), errc::database_unavailable);
  catch_up();
  EXPECT_EQ(look_up(next()), errc::success);
}

TEST_F(SegmentReaderTest, AcknowledgementThatCameWhileTheConnectionWasMadeIsCompared) {
  EXPECT_EQ(look_up(position_), errc::success);
  EXPECT_EQ(look_up(next()), errc::database_unavailable);
}

TEST_F(SegmentReaderTest, DamageIsToldOnlyOnceItIsNoted) {
  const auto segment = reader_.find_segment({here_.segment.version, 0, here_.segment.segment_num, {}}, {});
  ASSERT_TRUE(segment);
  const auto read = [&] { return reader_.read_sequence(*segment, 0, {}).error().code; }; // there are no files
  database_.query("ALTER TABLE cairn.damaged_segment RENAME TO elsewhere");
  EXPECT_EQ(read(), errc::database_unavailable);
  database_.query("ALTER TABLE cairn.elsewhere RENAME TO damaged_segment");
  EXPECT_EQ(read(), errc::damaged);
  EXPECT_EQ(database_.query("SELECT count(*) FROM cairn.damaged_segment"), "1");
}

} // namespace
} // namespace cairn
