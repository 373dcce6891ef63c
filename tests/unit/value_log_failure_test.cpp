/// The log on disks that fail, fill up and lose power: what it promised stays, what it did not is fenced off.

#include "core/log/value_log.hpp"
#include "tests/support/log_bench.hpp"
#include "tests/support/test_seed.hpp"

#include <functional>
#include <random>

#include <gtest/gtest.h>

namespace cairn {

namespace {

record_body numbered(std::int32_t number) { return collection_record{collection_id{number}, true}; }

record_body sized(std::size_t size_bytes) { return sequence_of(test_bytes().slice(0, size_bytes)); }

/// Until the disk lets it; each try has an id of its own.
void recover(log_bench& bench) {
  for (int tries = 0; tries < 20 && !bench.log->is_open(); ++tries) {
    const auto before = bench.log->current_file();
    const auto row = bench.log->recover();
    EXPECT_TRUE(!row || row->id > before);
  }
  ASSERT_TRUE(bench.log->is_open());
}

void expect_refusal(log_bench& bench) {
  const auto operations = bench.disk.count_all();
  const auto next_lsn = bench.log->next_lsn();
  const auto appended = bench.log->append(std::vector{numbered(1)});
  ASSERT_TRUE(appended.failed);
  EXPECT_EQ(appended.failed->code, errc::storage_error);
  EXPECT_TRUE(appended.placements.empty());
  EXPECT_EQ(bench.log->sync().error().code, errc::storage_error);
  EXPECT_EQ(bench.log->close().error().code, errc::storage_error);
  EXPECT_EQ(bench.disk.count_all(), operations) << "a poisoned file was touched";
  EXPECT_EQ(bench.log->next_lsn(), next_lsn);
}

/// Batches large and small, with rollovers and syncs; goes on after each failure.
/// @param large_bytes of one payload; past the write buffer its batch takes several writes
/// @returns count of failures
int run_workload(log_bench& bench, std::size_t large_bytes = 50'000) {
  int failures = 0;
  const auto settle = [&] {
    if (bench.log->is_open())
      return;
    ++failures;
    expect_refusal(bench);
    recover(bench);
  };
  settle();
  failures = 0; // the first file is no failure
  for (int i = 0; i < 12; ++i) {
    std::vector<record_body> batch{numbered(i)};
    for (int n = 0; n < i % 4; ++n)
      batch.push_back(sized(3000 * (static_cast<std::size_t>(n) + 1)));
    if (i == 7)
      batch.push_back(sized(large_bytes));
    const auto outcome = bench.append(batch);
    EXPECT_EQ(outcome.failed.has_value(), !bench.log->is_open());
    for (const auto& at : outcome.placements)
      EXPECT_TRUE(!outcome.failed || at.lsn <= bench.log->synced_lsn());
    settle();
    if (i % 3 == 2) {
      const auto synced = bench.sync();
      EXPECT_EQ(synced.has_value(), bench.log->is_open());
      settle();
    }
  }
  if (!bench.sync())
    settle();
  return failures;
}

/// Each operation of this kind fails in turn, in a run of its own; nothing that was promised is lost.
void fail_each(disk_operation operation, errc code, std::uint64_t written_bytes = 0) {
  const std::size_t large_bytes = operation == disk_operation::write ? 4'300'000 : 50'000;
  log_bench sound(20'000);
  run_workload(sound, large_bytes);
  const auto count = sound.disk.count(operation);
  ASSERT_GT(count, 4U);
  for (std::uint64_t nth = 1; nth <= count; ++nth) {
    SCOPED_TRACE(testing::Message() << to_string(operation) << ' ' << nth << " of " << count);
    log_bench bench(20'000);
    bench.disk.inject({.operation = operation, .nth = nth, .code = code, .written_bytes = written_bytes});
    run_workload(bench, large_bytes);
    EXPECT_EQ(bench.disk.faults_left(), 0U);
    bench.expect_exactly_held();
    bench.disk.crash(nth);
    bench.expect_held(bench.durable);
    if (testing::Test::HasFatalFailure())
      return;
  }
}

} // namespace

// -- one failure

TEST(ValueLogFailureTest, FailedWriteVoidsWhatWasNotSynced) {
  log_bench bench;
  ASSERT_TRUE(bench.log->open());
  ASSERT_FALSE(bench.append({numbered(1)}).failed);
  ASSERT_TRUE(bench.sync());
  const auto valid_end = bench.log->current_size_bytes();
  ASSERT_FALSE(bench.append({numbered(2)}).failed);
  bench.disk.inject({.operation = disk_operation::write});
  const auto outcome = bench.append({numbered(3), numbered(4)});
  ASSERT_TRUE(outcome.failed);
  EXPECT_EQ(outcome.failed->code, errc::storage_error);
  EXPECT_TRUE(outcome.placements.empty());
  EXPECT_FALSE(bench.log->is_open());
  EXPECT_EQ(bench.log->synced_lsn(), log_sequence_number{1});
  expect_refusal(bench);

  const auto row = bench.log->recover();
  ASSERT_TRUE(row);
  EXPECT_EQ(row->id, value_file_id{2});
  EXPECT_GE(bench.log->next_lsn(), log_sequence_number{4})
    << "a number that may be in the file is not used again";
  ASSERT_FALSE(bench.append({numbered(5)}).failed);
  ASSERT_TRUE(bench.sync());
  const auto header = bench.found_files().at(value_file_id{2}).header;
  EXPECT_EQ(header.predecessor, value_file_id{1});
  EXPECT_EQ(header.predecessor_valid_end, valid_end);
  EXPECT_EQ(bench.held.size(), 2U);
  bench.expect_exactly_held();
}

TEST(ValueLogFailureTest, FailedFirstBatchLeavesAFileThatCountsForNothing) {
  log_bench bench;
  ASSERT_TRUE(bench.log->open());
  bench.disk.inject({.operation = disk_operation::write});
  ASSERT_TRUE(bench.append({numbered(1)}).failed);
  ASSERT_TRUE(bench.log->recover());
  EXPECT_EQ(bench.found_files().at(value_file_id{2}).header.predecessor_valid_end, file_header_bytes);
  ASSERT_TRUE(bench.log->close().value().row) << "its header is the fence: it must stay";
}

TEST(ValueLogFailureTest, DiskFullIsNoSpace) {
  log_bench bench;
  ASSERT_TRUE(bench.log->open());
  ASSERT_FALSE(bench.append({numbered(1)}).failed);
  ASSERT_TRUE(bench.sync());
  bench.disk.inject({.operation = disk_operation::write, .code = errc::no_space, .written_bytes = 4096});
  const auto outcome = bench.append({sized(20'000)});
  ASSERT_TRUE(outcome.failed);
  EXPECT_EQ(outcome.failed->code, errc::no_space);
  bench.disk.inject({.operation = disk_operation::create, .code = errc::no_space, .times = 3});
  for (int i = 0; i < 3; ++i)
    EXPECT_EQ(bench.log->recover().error().code, errc::no_space);
  EXPECT_EQ(bench.log->recover()->id, value_file_id{5}) << "each try takes a new id";
  bench.expect_exactly_held();
}

TEST(ValueLogFailureTest, FullVolumeIsNoSpaceUntilThereIsRoom) {
  log_bench bench;
  bench.disk.set_capacity("/space", 100'000);
  ASSERT_TRUE(bench.log->open());
  ASSERT_FALSE(bench.append({sized(60'000)}).failed) << "preallocation was refused, which is no error";
  ASSERT_TRUE(bench.sync());
  EXPECT_EQ(bench.append({sized(60'000)}).failed->code, errc::no_space);
  EXPECT_FALSE(bench.log->is_open());
  bench.disk.set_capacity("/space", 10'000'000);
  ASSERT_TRUE(bench.log->recover());
  ASSERT_FALSE(bench.append({sized(60'000)}).failed);
  bench.expect_exactly_held();
}

TEST(ValueLogFailureTest, FailedSyncIsNeverRetried) {
  log_bench bench;
  ASSERT_TRUE(bench.log->open());
  ASSERT_FALSE(bench.append({numbered(1)}).failed);
  bench.disk.inject({.operation = disk_operation::sync});
  EXPECT_EQ(bench.sync().error().code, errc::storage_error);
  expect_refusal(bench);
  ASSERT_TRUE(bench.log->recover());
  EXPECT_EQ(bench.disk.count(disk_operation::sync), 3U) << "two headers, and the one that failed";
  EXPECT_TRUE(bench.held.empty());
  bench.expect_exactly_held();
}

TEST(ValueLogFailureTest, FailedSyncAtRolloverVoidsTheWholeBatch) {
  log_bench bench(3 * disk_block_bytes);
  ASSERT_TRUE(bench.log->open());
  bench.disk.inject({.operation = disk_operation::sync});
  const auto outcome = bench.append({sized(4096), sized(4096)});
  ASSERT_TRUE(outcome.failed);
  EXPECT_TRUE(outcome.placements.empty());
  EXPECT_TRUE(outcome.file_rows.empty());
  expect_refusal(bench);
}

TEST(ValueLogFailureTest, RecordsOfAFileThatWasRolledOverSurviveALaterFailure) {
  log_bench bench(3 * disk_block_bytes);
  ASSERT_TRUE(bench.log->open());
  bench.disk.inject({.operation = disk_operation::write, .nth = 3}); // first file's records, header, here
  const auto outcome = bench.append({sized(4096), sized(4096)});
  ASSERT_TRUE(outcome.failed);
  ASSERT_EQ(outcome.placements.size(), 1U);
  EXPECT_EQ(outcome.file_rows.size(), 2U);
  EXPECT_EQ(bench.log->synced_lsn(), outcome.placements[0].lsn);
  bench.disk.crash_losing_unsynced();
  bench.expect_exactly_held();
}

TEST(ValueLogFailureTest, RolloverWithoutASuccessorLeavesTheOldFileClosedAndWhole) {
  log_bench bench(3 * disk_block_bytes);
  ASSERT_TRUE(bench.log->open());
  bench.disk.inject({.operation = disk_operation::create, .code = errc::no_space});
  const auto outcome = bench.append({sized(4096), sized(4096)});
  ASSERT_TRUE(outcome.failed);
  EXPECT_EQ(outcome.failed->code, errc::no_space);
  ASSERT_EQ(outcome.placements.size(), 1U);
  ASSERT_EQ(outcome.file_rows.size(), 1U);
  EXPECT_TRUE(outcome.file_rows[0].close_time);
  expect_refusal(bench);
  ASSERT_TRUE(bench.log->recover());
  const auto header = bench.found_files().at(value_file_id{3}).header;
  EXPECT_EQ(header.predecessor, value_file_id{1});
  EXPECT_EQ(header.predecessor_valid_end, outcome.file_rows[0].size_bytes);
  const auto closed = bench.log->close();
  EXPECT_FALSE(closed.value().row) << "it holds nothing and fences nothing";
}

TEST(ValueLogFailureTest, FailedRecoverChangesNothing) {
  for (const auto operation : {disk_operation::create, disk_operation::sync_directory, disk_operation::write,
                               disk_operation::sync}) {
    log_bench bench;
    ASSERT_TRUE(bench.log->open());
    ASSERT_FALSE(bench.append({numbered(1)}).failed);
    ASSERT_TRUE(bench.sync());
    const auto valid_end = bench.log->current_size_bytes();
    bench.disk.inject({.operation = disk_operation::sync});
    ASSERT_FALSE(bench.append({numbered(2)}).failed);
    ASSERT_FALSE(bench.sync());
    bench.disk.inject({.operation = operation});
    ASSERT_FALSE(bench.log->recover());
    expect_refusal(bench);
    const auto row = bench.log->recover();
    ASSERT_TRUE(row);
    EXPECT_EQ(row->id, value_file_id{3});
    const auto header = bench.found_files().at(value_file_id{3}).header;
    EXPECT_EQ(header.predecessor, value_file_id{1}) << to_string(operation);
    EXPECT_EQ(header.predecessor_valid_end, valid_end);
    bench.expect_exactly_held();
  }
}

TEST(ValueLogFailureTest, FailedOpenIsTriedAgainWithAnotherId) {
  log_bench bench;
  bench.disk.inject({.operation = disk_operation::create, .code = errc::no_space});
  EXPECT_EQ(bench.log->open().error().code, errc::no_space);
  EXPECT_EQ(bench.log->open()->id, value_file_id{2});
}

TEST(ValueLogFailureTest, FailedCloseLeavesTheFileForRecovery) {
  log_bench bench;
  ASSERT_TRUE(bench.log->open());
  ASSERT_FALSE(bench.append({numbered(1)}).failed);
  bench.disk.inject({.operation = disk_operation::sync});
  EXPECT_EQ(bench.log->close().error().code, errc::storage_error);
  EXPECT_FALSE(bench.log->is_open());
}

TEST(ValueLogFailureTest, RefusedPreallocationAndReleaseAreNoErrors) {
  log_bench bench(20'000);
  bench.disk.inject({.operation = disk_operation::preallocate, .times = disk_fault::forever});
  bench.disk.inject({.operation = disk_operation::release_preallocation, .times = disk_fault::forever});
  EXPECT_EQ(run_workload(bench), 0);
  EXPECT_TRUE(bench.log->close());
  bench.expect_exactly_held();
}

// -- each operation fails once

TEST(ValueLogFailureTest, EachWriteMayFail) { fail_each(disk_operation::write, errc::storage_error); }
TEST(ValueLogFailureTest, EachWriteMayFailHalfWay) { fail_each(disk_operation::write, errc::no_space, 6000); }
TEST(ValueLogFailureTest, EachSyncMayFail) { fail_each(disk_operation::sync, errc::storage_error); }
TEST(ValueLogFailureTest, EachCreateMayFail) { fail_each(disk_operation::create, errc::no_space); }
TEST(ValueLogFailureTest, EachDirectorySyncMayFail) {
  fail_each(disk_operation::sync_directory, errc::storage_error);
}

// -- power loss

TEST(ValueLogFailureTest, SyncedRecordsSurvivePowerLossAtAnyOperation) {
  const auto seed = test_seed();
  for (std::uint64_t round = 0; round < 150; ++round) {
    SCOPED_TRACE(testing::Message() << "seed " << seed << " round " << round);
    std::mt19937_64 random(seed + round);
    log_bench bench(8192 + random() % 60'000);
    if (random() % 2 == 0)
      bench.disk.inject({.operation = random() % 2 == 0 ? disk_operation::write : disk_operation::sync,
                         .nth = 1 + random() % 30});
    bench.disk.cut_power_after(1 + random() % 80);
    while (!bench.disk.power_is_cut()) {
      if (!bench.log->is_open()) {
        (void)bench.log->recover();
        continue;
      }
      std::vector<record_body> batch;
      for (auto count = 1 + random() % 5; count != 0; --count)
        batch.push_back(random() % 2 == 0 ? numbered(static_cast<std::int32_t>(random() % 1000))
                                          : sized(random() % 20'000));
      (void)bench.append(batch);
      if (bench.log->is_open() && random() % 2 == 0)
        (void)bench.sync();
    }
    bench.disk.crash(random());
    bench.expect_held(bench.durable);
    if (HasFatalFailure() || HasNonfatalFailure())
      return;
  }
}

} // namespace cairn
