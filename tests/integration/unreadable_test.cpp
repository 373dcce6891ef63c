/// Blocks of a value file that the disk does not give: what may be torn or has yet to be folded is not given
/// up for that.

#include "core/store/replay.hpp"
#include "core/store/tail_recovery.hpp"
#include "tests/support/log_bench.hpp"
#include "tests/support/test_database.hpp"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

namespace cairn {
namespace {

/// A value file with four records, each in a block and a round of its own.
class UnreadableTest : public testing::Test {
protected:
  static void SetUpTestSuite() { spdlog::set_level(spdlog::level::off); }

  void SetUp() override {
    ASSERT_TRUE(bench_.log->open());
    for (std::int32_t i = 1; i <= 4; ++i) {
      const auto appended = bench_.append({collection_record{collection_id{i}, true}});
      ASSERT_EQ(appended.placements.size(), 1U);
      offsets_.push_back(appended.placements.front().record_offset);
      ASSERT_TRUE(bench_.sync());
    }
    auto found = bench_.found_files();
    const auto& [id, file] = *found.begin();
    log_.files.push_back({id, space_id{1}, log_bench::path(id), file.header, file.size_bytes, {}});
  }
  /// @param number 1..4
  void lose_record(std::size_t number) {
    bench_.disk.make_unreadable(log_.files[0].path, offsets_[number - 1], 1);
  }
  result<recovered_file> recover(log_gaps gaps) {
    return recover_file(bench_.disk, log_.files[0], {}, timestamp_us{1}, gaps);
  }
  result<replay_outcome> replay(std::uint64_t from, std::uint64_t to, log_gaps gaps = log_gaps::refuse) {
    return replay_log(bench_.disk, log_, *database_, log_sequence_number{from}, log_sequence_number{to},
                      {gaps, {}});
  }

  log_bench bench_;
  std::vector<std::uint64_t> offsets_;
  log_directory log_;
  test_database server_;
  std::unique_ptr<node_database> database_ = server_.open();
};

TEST_F(UnreadableTest, EndOfTheLogIsNotCutOffWhereItCannotBeRead) {
  lose_record(4);
  const auto refused = recover(log_gaps::refuse);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::storage_error);
  EXPECT_NE(refused.error().message.find("cairn rebuild"), std::string::npos) << refused.error().message;

  const auto reported = recover(log_gaps::report);
  ASSERT_TRUE(reported) << reported.error().message;
  EXPECT_EQ(reported->damaged_regions, 1);
  EXPECT_EQ(reported->torn_bytes, 0U);
  EXPECT_EQ(reported->last_lsn.value, 3U);
  EXPECT_EQ(reported->row.size_bytes, log_.files[0].size_bytes);
}

TEST_F(UnreadableTest, BlockBelowWhatWasSyncedIsDamage) {
  lose_record(2);
  const auto recovered = recover(log_gaps::refuse);
  ASSERT_TRUE(recovered) << recovered.error().message;
  EXPECT_EQ(recovered->damaged_regions, 1);
  EXPECT_EQ(recovered->last_lsn.value, 4U);
}

TEST_F(UnreadableTest, RecordsThatAreYetToBeFoldedAreNotPassedOver) {
  lose_record(3);
  const auto refused = replay(0, 4);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::storage_error);
  EXPECT_EQ(database_->position().value().value, 0U);

  const auto reported = replay(0, 4, log_gaps::report);
  ASSERT_TRUE(reported) << reported.error().message;
  EXPECT_EQ(reported->records, 3);
  EXPECT_EQ(server_.query("SELECT string_agg(id::text, ' ' ORDER BY id) FROM cairn.collection"), "1 2 4");
}

TEST_F(UnreadableTest, LastRecordIsNotPassedOverEither) {
  lose_record(4);
  EXPECT_FALSE(replay(0, 4));
  EXPECT_EQ(database_->position().value().value, 0U);
  const auto before_it = replay(0, 3);
  ASSERT_TRUE(before_it) << before_it.error().message;
  EXPECT_EQ(before_it->records, 3);
}

TEST_F(UnreadableTest, RecordsThatAreFoldedAlreadyAreNotMissed) {
  ASSERT_TRUE(replay(0, 3));
  lose_record(2);
  const auto replayed = replay(3, 4);
  ASSERT_TRUE(replayed) << replayed.error().message;
  EXPECT_EQ(replayed->position.value, 4U);
  EXPECT_EQ(server_.query("SELECT count(*) FROM cairn.collection"), "4");
}

} // namespace
} // namespace cairn
