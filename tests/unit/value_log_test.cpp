/// What is appended is read back, whatever its size and wherever files roll over.

#include "core/log/value_log.hpp"
#include "tests/support/log_bench.hpp"
#include "tests/support/test_seed.hpp"

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <random>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace cairn {

namespace {

constexpr std::size_t write_buffer_bytes = 4U << 20U;

/// A small record with a number to tell it from others.
record_body numbered(std::int32_t number) { return collection_record{collection_id{number}, true}; }

record_body sized(std::size_t size_bytes) { return sequence_of(test_bytes().slice(0, size_bytes)); }

std::vector<record_body> random_batch(std::mt19937_64& random, std::size_t max_records,
                                      std::size_t max_data_bytes) {
  const auto samples = sample_records();
  std::vector<record_body> batch;
  for (auto count = 1 + random() % max_records; count != 0; --count) {
    if (random() % 2 == 0) {
      batch.push_back(samples[random() % samples.size()]);
      continue;
    }
    const auto size = random() % (max_data_bytes + 1);
    batch.emplace_back(sequence_of(test_bytes().slice(random() % (test_bytes().size() - size), size)));
  }
  return batch;
}

void open(log_bench& bench) {
  const auto row = bench.log->open();
  ASSERT_TRUE(row) << row.error().message;
}

} // namespace

// -- round trips

TEST(ValueLogTest, SampleRecordsAreReadBack) {
  log_bench bench;
  open(bench);
  const auto outcome = bench.append(sample_records());
  ASSERT_FALSE(outcome.failed);
  EXPECT_TRUE(outcome.file_rows.empty());
  bench.expect_exactly_held();
}

TEST(ValueLogTest, RandomBatchesAreReadBack) {
  std::mt19937_64 random(test_seed());
  log_bench bench;
  open(bench);
  for (int i = 0; i < 60; ++i) {
    ASSERT_FALSE(bench.append(random_batch(random, 20, i % 10 == 0 ? 2'000'000 : 10'000)).failed);
    if (random() % 3 == 0) {
      ASSERT_TRUE(bench.sync());
    }
  }
  bench.expect_exactly_held();
}

TEST(ValueLogTest, PayloadsAroundTheEdgesOfTheWriteBufferAreReadBack) {
  const auto header_bytes = record_header_bytes(sized(0));
  for (const std::size_t edge : {std::size_t{4096}, write_buffer_bytes, 2 * write_buffer_bytes})
    for (const int delta : {-4097, -4096, -4095, -49, -48, -9, -8, -7, -1, 0, 1, 8, 4096}) {
      log_bench bench;
      open(bench);
      const auto size = edge - header_bytes + static_cast<std::size_t>(delta);
      if (size > test_bytes().size())
        continue; // the header alone passes the edge
      // What follows begins just before, at, or just past the edge.
      ASSERT_FALSE(bench.append({sized(size), numbered(1), sized(100), numbered(2)}).failed);
      bench.expect_exactly_held();
    }
}

TEST(ValueLogTest, HeaderAtEachPlaceNearTheEndOfTheWriteBufferIsReadBack) {
  log_bench bench;
  open(bench);
  const auto header_bytes = record_header_bytes(sized(0));
  for (std::size_t left = 0; left <= 80; left += 8) {
    ASSERT_FALSE(bench.append({sized(write_buffer_bytes - header_bytes - left), numbered(1)}).failed);
  }
  bench.expect_exactly_held();
}

TEST(ValueLogTest, LargestPayloadsAreReadBack) {
  log_bench bench;
  open(bench);
  ASSERT_FALSE(bench
                 .append({sized(0), sized(1), sized((10U << 20U) - 1), sized(10U << 20U),
                          sized((10U << 20U) + 1), numbered(1)})
                 .failed);
  bench.expect_exactly_held();
}

TEST(ValueLogTest, ManySmallRecordsInOneBatchAreReadBack) {
  log_bench bench;
  open(bench);
  std::vector<record_body> batch;
  batch.reserve(80'000);
  for (std::int32_t i = 0; i < 80'000; ++i)
    batch.push_back(numbered(i));
  ASSERT_GT(batch.size() * record_total_bytes(batch[0]), write_buffer_bytes);
  const auto outcome = bench.log->append(batch);
  ASSERT_FALSE(outcome.failed);
  const auto found = bench.found_records();
  ASSERT_EQ(found.size(), batch.size());
  for (const auto& [lsn, record] : found)
    ASSERT_EQ(std::get<collection_record>(record.body).collection.value + 1,
              static_cast<std::int32_t>(lsn.value));
}

TEST(ValueLogTest, RealDiskGivesBackWhatItTook) {
  auto directory = (std::filesystem::temp_directory_path() / "cairn-log-XXXXXX").string();
  ASSERT_NE(::mkdtemp(directory.data()), nullptr);
  const auto path = [&](value_file_id id) { return fmt::format("{}/{}", directory, id.value); };
  value_log_options options;
  options.max_file_bytes = 6'000'000;
  value_log log(options, {}, [&](value_file_id id) -> result<created_value_file> {
    auto file = real_disk().create(path(id), io_mode::direct);
    if (!file)
      return pass_failure(file);
    return created_value_file{std::move(*file), space_id{1}};
  });
  ASSERT_TRUE(log.open());
  auto batch = sample_records();
  batch.push_back(sized(5'000'001));
  batch.push_back(sized(2'000'000));
  const auto outcome = log.append(batch);
  ASSERT_FALSE(outcome.failed) << outcome.failed->message;
  EXPECT_EQ(outcome.file_rows.size(), 2U);
  ASSERT_TRUE(log.close());

  std::vector<std::string> found;
  for (const std::int32_t id : {1, 2}) {
    const auto findings = scan_all(*real_disk().open_for_read(path(value_file_id{id})));
    EXPECT_TRUE(findings.is_clean());
    for (const auto& record : findings.records)
      found.push_back(describe(*record.body));
  }
  std::vector<std::string> expected;
  expected.reserve(batch.size());
  for (const auto& body : batch)
    expected.push_back(describe(body));
  EXPECT_EQ(found, expected);
  std::filesystem::remove_all(directory);
}

TEST(ValueLogTest, CloseTellsTheFilesLastNumberAndNoneThatWasVoid) {
  log_bench bench;
  ASSERT_TRUE(bench.log->open());
  ASSERT_FALSE(bench.append({numbered(1), numbered(2)}).failed);
  ASSERT_TRUE(bench.sync());
  bench.disk.inject({.operation = disk_operation::write});
  ASSERT_TRUE(bench.append({numbered(3)}).failed);
  ASSERT_TRUE(bench.log->recover());
  EXPECT_EQ(bench.log->close()->last_lsn, log_sequence_number{}) << "it holds the fence alone";

  log_bench other;
  ASSERT_TRUE(other.log->open());
  ASSERT_FALSE(other.append({numbered(1), numbered(2)}).failed);
  EXPECT_EQ(other.log->close()->last_lsn, log_sequence_number{2});
}

// -- placement and alignment

TEST(ValueLogTest, LsnsGrowByOneFromTheStart) {
  log_bench bench(1ULL << 30U, {value_file_id{42}, log_sequence_number{500}, value_file_id{41}, 8192, true});
  open(bench);
  EXPECT_EQ(bench.log->current_file(), value_file_id{42});
  EXPECT_EQ(bench.log->synced_lsn(), log_sequence_number{499});
  const auto outcome = bench.append({numbered(1), numbered(2)});
  EXPECT_EQ(outcome.placements[0].lsn, log_sequence_number{500});
  EXPECT_EQ(outcome.placements[1].lsn, log_sequence_number{501});
  EXPECT_EQ(outcome.placements[1].value_file, value_file_id{42});
  EXPECT_EQ(bench.log->next_lsn(), log_sequence_number{502});
  EXPECT_EQ(bench.log->synced_lsn(), log_sequence_number{499});
  ASSERT_TRUE(bench.sync());
  EXPECT_EQ(bench.log->synced_lsn(), log_sequence_number{501});

  const auto header = bench.found_files().at(value_file_id{42}).header;
  EXPECT_EQ(header.kind, file_kind::journal);
  EXPECT_EQ(header.node, node_id{1});
  EXPECT_EQ(header.first_lsn, log_sequence_number{500});
  EXPECT_EQ(header.predecessor, value_file_id{41});
  EXPECT_EQ(header.predecessor_valid_end, 8192U);
  EXPECT_EQ(header.cluster_name, "test");
  EXPECT_EQ(header.node_name, "multi-node-01");
}

TEST(ValueLogTest, RecordsAreAlignedAndBatchesFillBlocks) {
  std::mt19937_64 random(test_seed());
  log_bench bench;
  open(bench);
  EXPECT_EQ(bench.log->current_size_bytes(), file_header_bytes);
  for (int i = 0; i < 50; ++i) {
    const auto begin = bench.log->current_size_bytes();
    const auto outcome = bench.append(random_batch(random, 6, 9000));
    EXPECT_EQ(outcome.placements.front().record_offset, begin);
    for (const auto& at : outcome.placements)
      EXPECT_EQ(at.record_offset % record_alignment_bytes, 0U);
    const auto& last = outcome.placements.back();
    const auto end = bench.log->current_size_bytes();
    EXPECT_EQ(end % disk_block_bytes, 0U);
    EXPECT_LT(end - (last.data_offset() + last.data_bytes), disk_block_bytes);
    EXPECT_EQ(bench.size_of(bench.log->current_file()), end);
  }
}

TEST(ValueLogTest, EachRecordTellsTheLsnSyncedBeforeIt) {
  log_bench bench;
  open(bench);
  ASSERT_FALSE(bench.append({numbered(1), numbered(2)}).failed);
  ASSERT_TRUE(bench.sync());
  ASSERT_FALSE(bench.append({numbered(3)}).failed);
  ASSERT_FALSE(bench.append({numbered(4)}).failed);
  std::vector<std::uint64_t> told;
  const auto files = bench.found_files();
  for (const auto& record : files.begin()->second.findings.records)
    told.push_back(record.prefix.frame.synced_lsn.value);
  EXPECT_EQ(told, (std::vector<std::uint64_t>{0, 0, 2, 2}));
}

TEST(ValueLogTest, EmptyBatchWritesNothing) {
  log_bench bench;
  open(bench);
  const auto writes = bench.disk.count(disk_operation::write);
  const auto outcome = bench.append({});
  EXPECT_FALSE(outcome.failed);
  EXPECT_TRUE(outcome.placements.empty());
  EXPECT_EQ(bench.disk.count(disk_operation::write), writes);
}

TEST(ValueLogTest, EachFileHasANonceOfItsOwn) {
  log_bench bench(1);
  open(bench);
  ASSERT_FALSE(bench.append({numbered(1), numbered(2), numbered(3)}).failed);
  std::vector<std::uint64_t> nonces;
  for (const auto& [id, file] : bench.found_files())
    nonces.push_back(file.header.nonce);
  std::ranges::sort(nonces);
  EXPECT_EQ(nonces.size(), 3U);
  EXPECT_EQ(std::ranges::adjacent_find(nonces), nonces.end());
}

TEST(ValueLogTest, RecordsAreDurableOnceSynced) {
  log_bench bench;
  open(bench);
  ASSERT_FALSE(bench.append(sample_records()).failed);
  ASSERT_TRUE(bench.sync());
  ASSERT_FALSE(bench.append({numbered(1)}).failed);
  bench.disk.crash_losing_unsynced();
  bench.expect_held(bench.durable);
  EXPECT_EQ(bench.found_records().size(), sample_records().size());
}

// -- rollover

TEST(ValueLogTest, RollsOverWhereTheNextRecordWouldNotFit) {
  // Header block and two blocks of records: each 4 KiB payload takes two blocks of its own.
  log_bench bench(3 * disk_block_bytes);
  open(bench);
  const auto outcome = bench.append({sized(4096), sized(4096), numbered(1)});
  ASSERT_FALSE(outcome.failed);
  EXPECT_EQ(outcome.placements[0].value_file, value_file_id{1});
  EXPECT_EQ(outcome.placements[1].value_file, value_file_id{2});
  EXPECT_EQ(outcome.placements[1].record_offset, file_header_bytes);
  EXPECT_EQ(outcome.placements[2].value_file, value_file_id{2}) << "it fits behind the second payload";
  ASSERT_EQ(outcome.file_rows.size(), 2U);
  EXPECT_EQ(outcome.file_rows[0].id, value_file_id{1});
  EXPECT_TRUE(outcome.file_rows[0].close_time);
  EXPECT_EQ(outcome.file_rows[0].size_bytes, 3 * disk_block_bytes);
  EXPECT_EQ(outcome.file_rows[1].id, value_file_id{2});
  EXPECT_FALSE(outcome.file_rows[1].close_time);
  bench.expect_exactly_held();
}

TEST(ValueLogTest, FileIsFilledToItsLastByte) {
  log_bench bench(4 * disk_block_bytes);
  open(bench);
  for (int i = 0; i < 3; ++i)
    ASSERT_TRUE(bench.append({numbered(i)}).file_rows.empty()) << i;
  EXPECT_EQ(bench.log->current_size_bytes(), 4 * disk_block_bytes);
  EXPECT_EQ(bench.append({numbered(3)}).file_rows.size(), 2U);
}

TEST(ValueLogTest, RolloverMakesTheOldFileDurableBeforeTheNewOneHoldsARecord) {
  log_bench bench(3 * disk_block_bytes);
  open(bench);
  ASSERT_FALSE(bench.append({sized(4096)}).failed);
  EXPECT_EQ(bench.log->synced_lsn(), log_sequence_number{0});
  ASSERT_FALSE(bench.append({sized(5000)}).failed);
  EXPECT_EQ(bench.log->synced_lsn(), log_sequence_number{1});
  bench.disk.crash_losing_unsynced();
  EXPECT_EQ(bench.durable.size(), 1U);
  bench.expect_held(bench.durable);
}

TEST(ValueLogTest, TinyMaximumGivesEachRecordAFile) {
  for (const std::uint64_t max_file_bytes : {0, 1, 4096, 8191}) {
    log_bench bench(max_file_bytes);
    open(bench);
    auto batch = sample_records();
    batch.push_back(sized(5'000'000));
    batch.push_back(numbered(1));
    const auto outcome = bench.append(batch);
    ASSERT_FALSE(outcome.failed);
    EXPECT_EQ(bench.found_files().size(), batch.size());
    EXPECT_EQ(outcome.file_rows.size(), 2 * (batch.size() - 1));
    bench.expect_exactly_held();
  }
}

TEST(ValueLogTest, RandomBatchesRollOverAndAreReadBack) {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 20; ++round) {
    const auto max_file_bytes = 8192 + random() % 300'000;
    log_bench bench(max_file_bytes);
    open(bench);
    std::vector<value_file_row> rows;
    for (int i = 0; i < 15; ++i) {
      auto outcome = bench.append(random_batch(random, 12, 40'000));
      ASSERT_FALSE(outcome.failed);
      std::ranges::move(outcome.file_rows, std::back_inserter(rows));
    }
    rows.push_back(*bench.log->close().value().row);
    bench.expect_exactly_held();

    const auto files = bench.found_files();
    std::optional<value_file_id> predecessor;
    for (const auto& [id, file] : files) {
      EXPECT_TRUE(file.size_bytes <= max_file_bytes || file.findings.records.size() == 1);
      EXPECT_TRUE(file.findings.is_clean());
      EXPECT_EQ(file.header.predecessor, predecessor.value_or(value_file_id{}));
      EXPECT_EQ(file.header.first_lsn, file.findings.records.front().at.lsn);
      EXPECT_EQ(file.header.predecessor_valid_end, predecessor ? files.at(*predecessor).size_bytes : 0);
      predecessor = id;
      const auto row = std::ranges::find_if(
        rows, [id = id](const value_file_row& each) { return each.id == id && each.close_time.has_value(); });
      ASSERT_NE(row, rows.end());
      EXPECT_EQ(row->size_bytes, file.size_bytes);
    }
  }
}

// -- rows

TEST(ValueLogTest, ClosedRowEqualsTheOneGatheredByAScan) {
  log_bench bench;
  const auto opened = bench.log->open();
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->id, value_file_id{1});
  EXPECT_EQ(opened->space, space_id{3});
  EXPECT_FALSE(opened->close_time);
  EXPECT_FALSE(opened->hash);
  ASSERT_FALSE(bench.append(sample_records()).failed);
  auto low = sequence_of(test_bytes().slice(0, 10));
  low.of.segment.collection = collection_id{1};
  low.of.id = segment_id{5};
  ASSERT_FALSE(bench.append({low}).failed);
  const auto closed = bench.log->close();
  ASSERT_TRUE(closed);
  ASSERT_TRUE(closed->row);
  EXPECT_EQ(closed->id, value_file_id{1});
  EXPECT_EQ(closed->space, space_id{3});

  auto scanner = log_scanner::open(*bench.disk.open_for_read(log_bench::path(value_file_id{1})));
  value_file_summary summary(scanner->header().id, space_id{3}, scanner->header().creation_time);
  summary.add_file_header(scanner->header_block());
  const auto findings = scan_all(*bench.disk.open_for_read(log_bench::path(value_file_id{1})));
  for (const auto& record : findings.records)
    summary.add_record(record.header, *record.body);
  EXPECT_EQ(*closed->row, summary.closed_row(scanner->end(), *closed->row->close_time));
  EXPECT_EQ(closed->row->sequence_count, 3);
  EXPECT_EQ(closed->row->min_segment, segment_id{5});
  EXPECT_EQ(closed->row->max_segment, segment_id{0x1122334455667788});
  EXPECT_EQ(closed->row->collections, (std::vector{collection_id{1}, collection_id{29}}));
  EXPECT_TRUE(closed->row->hash);
}

TEST(ValueLogTest, CloseOfAFileWithoutRecordsGivesNoRow) {
  log_bench bench;
  open(bench);
  const auto closed = bench.log->close();
  ASSERT_TRUE(closed);
  EXPECT_EQ(closed->id, value_file_id{1});
  EXPECT_FALSE(closed->row);
}

TEST(ValueLogTest, CloseOfAFileThatFencesKeepsIt) {
  log_bench bench(1ULL << 30U, {value_file_id{9}, log_sequence_number{500}, value_file_id{8}, 8192, true});
  open(bench);
  const auto closed = bench.log->close();
  ASSERT_TRUE(closed);
  ASSERT_TRUE(closed->row);
  EXPECT_EQ(closed->row->size_bytes, file_header_bytes);
  EXPECT_EQ(closed->row->sequence_count, 0);
}

TEST(ValueLogTest, FileOpenedAfterCloseNamesTheLastOneThatStayed) {
  log_bench bench;
  open(bench);
  ASSERT_FALSE(bench.append({numbered(1)}).failed);
  const auto end = bench.log->current_size_bytes();
  ASSERT_TRUE(bench.log->close().value().row);
  open(bench);
  ASSERT_FALSE(bench.log->close().value().row);
  ASSERT_TRUE(bench.disk.remove(log_bench::path(value_file_id{2})));
  open(bench);
  const auto header = bench.found_files().at(value_file_id{3}).header;
  EXPECT_EQ(header.predecessor, value_file_id{1});
  EXPECT_EQ(header.predecessor_valid_end, end);
}

TEST(ValueLogTest, CloseSyncsAndReleasesWhatWasPreallocated) {
  log_bench bench;
  open(bench);
  const auto before = bench.disk.space_at("/space").value().available_bytes;
  ASSERT_FALSE(bench.append({numbered(1)}).failed);
  EXPECT_GE(before - bench.disk.space_at("/space").value().available_bytes,
            bench.options.preallocation_bytes / 2);
  EXPECT_EQ(bench.log->current_size_bytes(), 2 * disk_block_bytes);
  ASSERT_TRUE(bench.log->close());
  EXPECT_EQ(before - bench.disk.space_at("/space").value().available_bytes, disk_block_bytes);
  bench.disk.crash_losing_unsynced();
  EXPECT_EQ(bench.found_records().size(), 1U);
}

TEST(ValueLogTest, SpaceIsPreallocatedInStepsAndNeverPastTheMaximum) {
  log_bench bench(10U << 20U);
  open(bench);
  for (int i = 0; i < 20; ++i)
    ASSERT_FALSE(bench.append({sized(100'000)}).failed);
  EXPECT_EQ(bench.disk.count(disk_operation::preallocate), 1U);
  const auto space = bench.disk.space_at("/space").value();
  EXPECT_EQ(space.total_bytes - space.available_bytes, 10U << 20U);
}

} // namespace cairn
