/// What a scan makes of sound, torn, damaged and foreign bytes.

#include "core/digest.hpp"
#include "core/log/bytes.hpp"
#include "core/log/scanner.hpp"
#include "tests/support/memory_disk.hpp"
#include "tests/support/sample_log.hpp"
#include "tests/support/test_seed.hpp"

#include <algorithm>
#include <map>
#include <random>

#include <gtest/gtest.h>

namespace cairn {

namespace {

using byte_vector = std::vector<std::byte>;

file_header header_with_nonce(std::uint64_t nonce) {
  auto header = sample_file_header();
  header.nonce = nonce;
  return header;
}

byte_vector random_bytes(std::mt19937_64& random, std::size_t count) {
  byte_vector bytes(count);
  for (auto& byte : bytes)
    byte = static_cast<std::byte>(random());
  return bytes;
}

log_scanner opened(std::span<const std::byte> bytes, std::optional<std::uint64_t> end = {}) {
  auto scanner = log_scanner::open(file_over(bytes), end);
  EXPECT_TRUE(scanner) << scanner.error().message;
  return std::move(*scanner);
}

std::vector<std::uint64_t> offsets_of(const scan_findings& findings) {
  std::vector<std::uint64_t> offsets;
  for (const auto& record : findings.records)
    offsets.push_back(record.at.record_offset);
  return offsets;
}

/// Whether both are the same record at the same place, with the same metadata.
bool same_record(const scanned_record& a, const scanned_record& b) {
  if (a.at != b.at || a.header != b.header || a.body.has_value() != b.body.has_value())
    return false;
  const auto* final = a.body ? std::get_if<final_record>(&*a.body) : nullptr;
  return final == nullptr || final->meta == std::get<final_record>(*b.body).meta;
}

/// The sample file, what a scan of it finds, and what becomes of that when it is changed.
class DamagedLogTest : public testing::Test {
protected:
  byte_vector sound_ = sample_log().bytes();
  scan_findings original_ = scan_all(file_over(sound_));

  [[nodiscard]] bool holds(const scan_findings& findings, const scanned_record& wanted) const {
    return std::ranges::any_of(findings.records,
                               [&](const scanned_record& each) { return same_record(each, wanted); });
  }
  [[nodiscard]] bool holds_no_wrong_record(const scan_findings& findings) const {
    return std::ranges::all_of(findings.records,
                               [&](const scanned_record& each) { return holds(original_, each); });
  }

  /// Flips each bit in [begin, end) alone and lets `is_right` judge the scan.
  void flip_each_bit(std::uint64_t begin, std::uint64_t end,
                     const std::function<bool(const scan_findings&)>& is_right) {
    auto bytes = sound_;
    for (auto bit = begin * 8; bit < end * 8; ++bit) {
      const auto mask = static_cast<std::byte>(1U << (bit % 8));
      bytes[bit / 8] ^= mask;
      const auto findings = scan_all(file_over(bytes));
      ASSERT_FALSE(findings.is_clean()) << "bit " << bit % 8 << " of byte " << bit / 8 << " went unnoticed";
      ASSERT_TRUE(holds_no_wrong_record(findings)) << "bit " << bit % 8 << " of byte " << bit / 8;
      ASSERT_TRUE(is_right(findings)) << "bit " << bit % 8 << " of byte " << bit / 8;
      bytes[bit / 8] ^= mask;
    }
  }
  /// All records but one are found.
  [[nodiscard]] bool lost_only(const scan_findings& findings, const scanned_record& lost) const {
    return findings.records.size() + 1 == original_.records.size() && !holds(findings, lost);
  }
  [[nodiscard]] bool lost_none(const scan_findings& findings) const {
    return findings.records.size() == original_.records.size();
  }
};

} // namespace

// -- sound files

TEST(LogScannerTest, FileWithoutRecordsEndsAtOnce) {
  const log_image image(sample_file_header());
  auto scanner = opened(image.bytes());
  EXPECT_EQ(scanner.header(), sample_file_header());
  EXPECT_TRUE(std::ranges::equal(scanner.header_block(), image.bytes()));
  EXPECT_TRUE(std::holds_alternative<end_of_file>(scanner.next().value()));
  EXPECT_TRUE(std::holds_alternative<end_of_file>(scanner.next().value()));
}

TEST(LogScannerTest, FindsEachRecordOnceInOrder) {
  const auto image = sample_log();
  const auto findings = scan_all(file_over(image.bytes()));
  EXPECT_TRUE(findings.is_clean());
  const auto expected = sample_records();
  ASSERT_EQ(findings.records.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i)
    EXPECT_EQ(describe(*findings.records[i].body), describe(expected[i]));
}

TEST(LogScannerTest, ReadsRecordsAcrossItsWindowsWhateverTheirSizes) {
  std::mt19937_64 random(test_seed());
  const auto samples = sample_records();
  const auto data = random_bytes(random, 600'000);
  log_image image(sample_file_header());
  std::vector<std::uint64_t> offsets;
  std::vector<std::string> expected;
  for (int i = 0; i < 400; ++i) {
    record_body body = samples[random() % samples.size()];
    if (random() % 4 == 0)
      body = sample_sequence(std::span(data).first(random() % (random() % 8 == 0 ? data.size() : 9000)));
    if (auto* final = std::get_if<final_record>(&body))
      for (auto pairs = random() % max_meta_pairs; pairs != 0; --pairs)
        final->meta.emplace(std::string(1 + random() % max_meta_key_bytes, static_cast<char>(random())),
                            std::string(random() % max_meta_value_bytes, 'v'));
    offsets.push_back(image.add(body));
    expected.push_back(describe(body));
    if (random() % 5 == 0)
      image.end_batch();
  }
  image.end_batch();
  const auto findings = scan_all(file_over(image.bytes()));
  EXPECT_TRUE(findings.is_clean());
  ASSERT_EQ(offsets_of(findings), offsets);
  for (std::size_t i = 0; i < expected.size(); ++i)
    ASSERT_EQ(describe(*findings.records[i].body), expected[i]);
}

TEST(LogScannerTest, RecordsUpToTheFenceCountAndNoMore) {
  const auto image = sample_log();
  const auto all = scan_all(file_over(image.bytes()));
  for (std::size_t kept = 0; kept < all.records.size(); ++kept) {
    const auto findings = scan_all(file_over(image.bytes()), all.records[kept].at.record_offset);
    EXPECT_TRUE(findings.is_clean()) << kept;
    EXPECT_EQ(findings.records.size(), kept);
  }
}

TEST(LogScannerTest, RecordAcrossTheFenceDoesNotParse) {
  const auto image = sample_log();
  const auto last = scan_all(file_over(image.bytes())).records.back().at;
  for (auto fence = last.record_offset + 8; fence < last.data_offset() + last.data_bytes; fence += 8) {
    const auto findings = scan_all(file_over(image.bytes()), fence);
    ASSERT_EQ(findings.unparsed.size(), 1U) << fence;
    EXPECT_EQ(findings.unparsed.front().offset, last.record_offset);
  }
}

// -- files that cannot be opened

TEST(LogScannerTest, FileWithoutAWholeHeaderIsDamaged) {
  const auto image = sample_log();
  for (const std::size_t size : {0, 1, 8, 56, 4088, 4095}) {
    const auto scanner = log_scanner::open(file_over(std::span(image.bytes()).first(size)));
    ASSERT_FALSE(scanner) << size;
    EXPECT_EQ(scanner.error().code, errc::damaged) << size;
  }
}

// -- blocks that cannot be read

class ReadErrorTest : public testing::Test {
protected:
  void SetUp() override { disk_.set_up_directory("/space"); }
  std::unique_ptr<disk_file> file_of(std::span<const std::byte> bytes) {
    EXPECT_TRUE((*disk_.create("/space/1", io_mode::buffered))->write_at(0, bytes));
    return open();
  }
  std::unique_ptr<disk_file> open() { return std::move(*disk_.open_for_read("/space/1")); }
  /// A sequence that is larger than the scanner's window, and one more record.
  static log_image large_log() {
    log_image image(sample_file_header());
    image.add(sample_sequence(byte_vector(600'000, std::byte{7})));
    image.add(collection_record{collection_id{1}, true});
    image.end_batch();
    return image;
  }

  memory_disk disk_;
};

TEST_F(ReadErrorTest, ReadThatFailsOnceIsTriedAgain) {
  auto file = file_of(large_log().bytes());
  disk_.inject({.operation = disk_operation::read});
  const auto findings = scan_all(std::move(file));
  EXPECT_TRUE(findings.is_clean());
  EXPECT_EQ(findings.records.size(), 2U);
}

TEST_F(ReadErrorTest, UnreadableBlockHidesWhatLiesInItAndNothingElse) {
  const auto image = sample_log();
  const auto all = scan_all(file_over(image.bytes())).records;
  file_of(image.bytes()).reset();
  for (std::uint64_t block = file_header_bytes; block < image.bytes().size(); block += disk_block_bytes) {
    memory_disk disk;
    disk.set_up_directory("/space");
    ASSERT_TRUE((*disk.create("/space/1", io_mode::buffered))->write_at(0, image.bytes()));
    disk.make_unreadable("/space/1", block + 17, 1);
    const auto findings = scan_all(std::move(*disk.open_for_read("/space/1")));
    EXPECT_FALSE(findings.failed) << block;
    ASSERT_FALSE(findings.unparsed.empty()) << block;
    EXPECT_TRUE(findings.unparsed.front().is_unreadable) << block;
    EXPECT_NE(findings.unparsed.front().reason.find("bad sector"), std::string::npos)
      << findings.unparsed.front().reason;
    for (const auto& record : all) {
      const auto end = record.at.data_offset() + record.at.data_bytes;
      const auto is_hit = record.at.record_offset < block + disk_block_bytes && block < end;
      const auto is_found =
        std::any_of(findings.records.begin(), findings.records.end(), [&](const scanned_record& found) {
          return found.at.record_offset == record.at.record_offset
                 && describe(*found.body) == describe(*record.body);
        });
      EXPECT_TRUE(is_found || is_hit) << "block " << block << " record " << record.at.record_offset;
    }
  }
}

TEST_F(ReadErrorTest, DataInAnUnreadableBlockAreNotIntactEvenIfTheyAreZeros) {
  log_image image(sample_file_header());
  image.add(sample_sequence(byte_vector(600'000, std::byte{0})));
  image.end_batch();
  auto file = file_of(image.bytes());
  disk_.make_unreadable("/space/1", 100 * disk_block_bytes, 1);
  auto scanner = log_scanner::open(std::move(file));
  ASSERT_TRUE(scanner);
  const auto sequence = scanner->next();
  ASSERT_TRUE(sequence);
  EXPECT_EQ(scanner->read_trouble(), "");
  EXPECT_EQ(scanner->data_is_intact(std::get<scanned_record>(*sequence)), false);
  EXPECT_NE(scanner->read_trouble().find("bad sector"), std::string::npos);
  EXPECT_TRUE(std::holds_alternative<end_of_file>(scanner->next().value()));
}

TEST_F(ReadErrorTest, UnreadableHeaderIsStorageErrorAndNotDamage) {
  file_of(sample_log().bytes()).reset();
  disk_.make_unreadable("/space/1", 0, 1);
  EXPECT_EQ(log_scanner::open(open()).error().code, errc::storage_error);
}

TEST_F(ReadErrorTest, DiskThatGivesNothingIsStorageErrorAndTheNextTryGoesOn) {
  file_of(large_log().bytes()).reset();
  auto scanner = log_scanner::open(open());
  ASSERT_TRUE(scanner);
  const auto sequence = scanner->next();
  ASSERT_TRUE(sequence);
  disk_.inject({.operation = disk_operation::read, .times = disk_fault::forever});
  EXPECT_EQ(scanner->data_is_intact(std::get<scanned_record>(*sequence)).error().code, errc::storage_error);
  disk_.clear_faults();
  EXPECT_EQ(scanner->data_is_intact(std::get<scanned_record>(*sequence)), true);
  const auto step = scanner->next();
  ASSERT_TRUE(step);
  EXPECT_TRUE(std::holds_alternative<scanned_record>(*step));
  disk_.inject({.operation = disk_operation::size});
  EXPECT_EQ(log_scanner::open(open()).error().code, errc::storage_error);
}

TEST(LogScannerTest, FileThatShrinksWhileItIsReadIsStorageError) {
  memory_disk disk;
  disk.set_up_directory("/space");
  log_image image(sample_file_header());
  image.add(sample_sequence(byte_vector(300'000, std::byte{7})));
  image.add(collection_record{collection_id{1}, true});
  image.end_batch();
  ASSERT_TRUE((*disk.create("/space/1", io_mode::buffered))->write_at(0, image.bytes()));
  auto scanner = log_scanner::open(*disk.open_for_read("/space/1"));
  ASSERT_TRUE(scanner);
  const auto sequence = scanner->next();
  disk.damage("/space/1", [](byte_vector& bytes) { bytes.resize(100'000); });
  EXPECT_EQ(scanner->data_is_intact(std::get<scanned_record>(*sequence)).error().code, errc::storage_error);
  EXPECT_EQ(scanner->next().error().code, errc::storage_error);
}

// -- torn tails

TEST(LogScannerTest, ReportsTornTailAtFirstBadRecord) {
  auto bytes = sample_log().bytes();
  const auto all = scan_all(file_over(bytes));
  const auto torn_at = all.records[6].at.record_offset;
  std::fill(bytes.begin() + static_cast<std::ptrdiff_t>(torn_at), bytes.end(), std::byte{0xee});
  const auto findings = scan_all(file_over(bytes));
  EXPECT_EQ(findings.records.size(), 6U);
  ASSERT_EQ(findings.unparsed.size(), 1U);
  EXPECT_EQ(findings.unparsed.front().offset, torn_at);
}

TEST(LogScannerTest, BlockOfZerosWhereABatchShouldBeginDoesNotParse) {
  auto bytes = sample_log().bytes();
  const auto size = bytes.size();
  bytes.resize(size + 2 * disk_block_bytes);
  const auto findings = scan_all(file_over(bytes));
  ASSERT_EQ(findings.unparsed.size(), 1U);
  EXPECT_EQ(findings.unparsed.front().offset, size);
  EXPECT_EQ(findings.records.size(), sample_records().size());
}

TEST(LogScannerTest, SequenceWhoseDataWereNotWrittenIsFoundAndNotIntact) {
  byte_vector data(9000, std::byte{1});
  log_image image(sample_file_header());
  image.add(sample_sequence(data));
  image.end_batch();
  auto bytes = image.bytes();
  std::fill(bytes.begin() + 8192, bytes.end(), std::byte{0});
  const auto findings = scan_all(file_over(bytes));
  EXPECT_EQ(findings.broken_sequences, std::vector<std::uint64_t>{4096});
  EXPECT_TRUE(findings.unparsed.empty());
}

TEST_F(DamagedLogTest, TruncationInsideABatchIsNoticed) {
  for (std::size_t size = file_header_bytes + 8; size < sound_.size(); size += 8) {
    const auto findings = scan_all(file_over(std::span(sound_).first(size)));
    ASSERT_TRUE(holds_no_wrong_record(findings)) << size;
    // A whole batch less is a shorter, sound file: only a fence can tell.
    ASSERT_EQ(findings.is_clean(), size == 8192) << size;
    ASSERT_LE(findings.unparsed.size(), 1U) << size;
  }
}

TEST_F(DamagedLogTest, TruncationBelowTheFenceIsNoticed) {
  for (std::size_t size = file_header_bytes; size < sound_.size(); size += 8) {
    const auto findings = scan_all(file_over(std::span(sound_).first(size)), sound_.size());
    ASSERT_FALSE(findings.is_clean()) << size;
    ASSERT_TRUE(holds_no_wrong_record(findings)) << size;
  }
}

// -- damage

TEST_F(DamagedLogTest, EachFlippedBitOfTheFileHeaderIsNoticedAndLosesNothing) {
  flip_each_bit(0, file_header_bytes, [&](const scan_findings& findings) {
    return !findings.header_is_whole && lost_none(findings);
  });
}

TEST_F(DamagedLogTest, EachFlippedBitOfARecordHeaderLosesThatRecordAlone) {
  for (const auto& record : original_.records)
    flip_each_bit(record.at.record_offset, record.at.data_offset(), [&](const scan_findings& findings) {
      return lost_only(findings, record) && findings.unparsed.front().offset == record.at.record_offset;
    });
}

TEST_F(DamagedLogTest, EachFlippedBitOfMetadataLosesThatFinalAlone) {
  const auto& final = original_.records[2];
  ASSERT_GT(final.at.data_bytes, 0U);
  flip_each_bit(final.at.data_offset(), final.at.data_offset() + final.at.data_bytes,
                [&](const scan_findings& findings) { return lost_only(findings, final); });
}

TEST_F(DamagedLogTest, EachFlippedBitOfSequenceDataIsFoundByTheirChecksum) {
  const auto& sequence = original_.records[0];
  ASSERT_GT(sequence.at.data_bytes, 0U);
  flip_each_bit(sequence.at.data_offset(), sequence.at.data_offset() + sequence.at.data_bytes,
                [&](const scan_findings& findings) {
                  return lost_none(findings) && findings.unparsed.empty()
                         && findings.broken_sequences == std::vector{sequence.at.record_offset};
                });
}

TEST_F(DamagedLogTest, EachFlippedBitOfPaddingIsNoticedAndLosesNothing) {
  // Few records, as there are many bits: data that are aligned, data that are not, and a block that is not
  // full.
  const byte_vector data(disk_block_bytes, std::byte{0xff});
  log_image image(sample_file_header());
  image.add(sample_sequence(std::span(data).first(9)));
  image.add(sample_sequence(std::span(data).first(8)));
  image.end_batch();
  image.add(sample_sequence(std::span(data).first(disk_block_bytes - 180)));
  image.end_batch();
  sound_ = image.bytes();
  original_ = scan_all(file_over(sound_));
  ASSERT_EQ(original_.records.size(), 3U);
  ASSERT_EQ(sound_.size(), file_header_bytes + 2 * disk_block_bytes);
  for (std::size_t i = 0; i < original_.records.size(); ++i) {
    const auto& at = original_.records[i].at;
    const auto end =
      i + 1 < original_.records.size() ? original_.records[i + 1].at.record_offset : sound_.size();
    flip_each_bit(at.data_offset() + at.data_bytes, end, [&](const scan_findings& findings) {
      return lost_none(findings) && findings.broken_sequences.empty();
    });
  }
}

TEST_F(DamagedLogTest, ResyncFindsTheNextRecordPastAnyDamage) {
  for (std::size_t i = 0; i + 1 < original_.records.size(); ++i) {
    auto bytes = sound_;
    bytes[original_.records[i].at.record_offset] ^= std::byte{1};
    auto scanner = opened(bytes);
    for (std::size_t before = 0; before < i; ++before)
      ASSERT_TRUE(std::holds_alternative<scanned_record>(scanner.next().value()));
    ASSERT_TRUE(std::holds_alternative<unparsed_bytes>(scanner.next().value()));
    EXPECT_EQ(scanner.resync(), original_.records[i + 1].at.record_offset);
    const auto step = scanner.next();
    ASSERT_TRUE(std::holds_alternative<scanned_record>(step.value()));
    EXPECT_TRUE(same_record(std::get<scanned_record>(*step), original_.records[i + 1]));
  }
}

TEST_F(DamagedLogTest, ResyncPastTheLastRecordReachesTheEnd) {
  auto bytes = sound_;
  bytes[original_.records.back().at.record_offset] ^= std::byte{1};
  auto scanner = opened(bytes);
  while (std::holds_alternative<scanned_record>(scanner.next().value()))
    ;
  EXPECT_EQ(scanner.resync(), bytes.size());
  EXPECT_TRUE(std::holds_alternative<end_of_file>(scanner.next().value()));
}

TEST_F(DamagedLogTest, SameBytesDoNotParseUntilResync) {
  auto bytes = sound_;
  bytes[file_header_bytes] ^= std::byte{1};
  auto scanner = opened(bytes);
  for (int i = 0; i < 2; ++i) {
    const auto step = scanner.next();
    ASSERT_TRUE(std::holds_alternative<unparsed_bytes>(step.value()));
    EXPECT_EQ(std::get<unparsed_bytes>(*step).offset, file_header_bytes);
  }
}

TEST_F(DamagedLogTest, RandomDamageNeverYieldsAWrongRecord) {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 3000; ++round) {
    auto bytes = sound_;
    for (auto changes = 1 + random() % 6; changes != 0; --changes) {
      const auto begin = file_header_bytes + random() % (bytes.size() - file_header_bytes);
      const auto count = std::min<std::size_t>(1 + random() % 600, bytes.size() - begin);
      const auto from = random() % (bytes.size() - count + 1);
      for (std::size_t i = 0; i < count; ++i)
        switch (round % 3) {
          case 0: bytes[begin + i] = static_cast<std::byte>(random()); break;
          case 1: bytes[begin + i] = std::byte{0}; break;
          default: bytes[begin + i] = bytes[from + i]; break; // a misplaced write
        }
    }
    bytes.resize(file_header_bytes + random() % (bytes.size() - file_header_bytes + 1));
    const auto findings = scan_all(file_over(bytes));
    for (const auto& record : findings.records)
      ASSERT_TRUE(std::ranges::any_of(
        original_.records, [&](const scanned_record& each) { return each.header == record.header; }))
        << round;
  }
}

// -- records that are no records of this file

TEST(LogScannerTest, ValueFileInsideAValueFileDoesNotParseAsRecords) {
  log_image inner(header_with_nonce(0x1111));
  for (const auto& body : sample_records())
    inner.add(body);
  inner.end_batch();
  log_image outer(header_with_nonce(0x2222));
  const auto sequence_at = outer.add(sample_sequence(inner.bytes()));
  const auto after_at = outer.add(collection_record{collection_id{1}, true});
  outer.end_batch();

  const auto findings = scan_all(file_over(outer.bytes()));
  EXPECT_TRUE(findings.is_clean());
  EXPECT_EQ(offsets_of(findings), (std::vector{sequence_at, after_at}));

  auto damaged = outer.bytes();
  damaged[sequence_at + 20] ^= std::byte{1}; // its header: the scan has to go through the data
  const auto past_damage = scan_all(file_over(damaged));
  EXPECT_EQ(offsets_of(past_damage), std::vector{after_at});
  EXPECT_EQ(past_damage.unparsed.size(), 1U);
}

TEST(LogScannerTest, UnknownTypeThatMayBeSkippedIsSkipped) {
  const byte_vector data(300'001, std::byte{9});
  log_image image(sample_file_header());
  const auto unknown_at = image.add_raw(200, 1, data);
  const auto known_at = image.add(collection_record{collection_id{1}, true});
  image.end_batch();
  const auto findings = scan_all(file_over(image.bytes()));
  EXPECT_TRUE(findings.is_clean());
  ASSERT_EQ(offsets_of(findings), (std::vector{unknown_at, known_at}));
  EXPECT_FALSE(findings.records[0].body);
  EXPECT_EQ(findings.records[0].prefix.type, 200);
  EXPECT_TRUE(findings.records[1].body);
}

TEST(LogScannerTest, DamagedDataOfAnUnknownTypeAreNoticed) {
  log_image image(sample_file_header());
  const auto unknown_at = image.add_raw(200, 1, byte_vector(100, std::byte{9}));
  image.end_batch();
  auto bytes = image.bytes();
  bytes[unknown_at + 56 + 99] ^= std::byte{0x80};
  EXPECT_EQ(scan_all(file_over(bytes)).unparsed.size(), 1U);
}

TEST(LogScannerTest, UnknownTypeThatMayNotBeSkippedIsVersionMismatch) {
  log_image image(sample_file_header());
  image.add(collection_record{collection_id{1}, true});
  image.add_raw(200, 0, {});
  image.end_batch();
  const auto findings = scan_all(file_over(image.bytes()));
  EXPECT_EQ(findings.records.size(), 1U);
  ASSERT_TRUE(findings.failed);
  EXPECT_EQ(findings.failed->code, errc::version_mismatch);
  EXPECT_NE(findings.failed->message.find("1234"), std::string::npos);
  EXPECT_NE(findings.failed->message.find("200"), std::string::npos);
}

TEST(LogScannerTest, UnknownTypeFoundByResyncIsVersionMismatchToo) {
  log_image image(sample_file_header());
  const auto damaged_at = image.add(collection_record{collection_id{1}, true});
  image.add_raw(200, 0, {});
  image.end_batch();
  auto bytes = image.bytes();
  bytes[damaged_at + 8] ^= std::byte{1};
  auto scanner = opened(bytes);
  ASSERT_TRUE(std::holds_alternative<unparsed_bytes>(scanner.next().value()));
  EXPECT_EQ(scanner.resync().error().code, errc::version_mismatch);
}

TEST(LogScannerTest, UnknownFlagsOfAKnownTypeAreNoHindrance) {
  log_image image(sample_file_header());
  image.add_raw(7, 0xfe, {});
  image.end_batch();
  const auto findings = scan_all(file_over(image.bytes()));
  EXPECT_TRUE(findings.is_clean());
  EXPECT_EQ(findings.records.size(), 1U);
}

TEST(LogScannerTest, LargeDataAreVerifiedToTheirLastByte) {
  std::mt19937_64 random(test_seed());
  const auto data = random_bytes(random, (1 << 20) + 13);
  log_image image(sample_file_header());
  const auto sequence = sample_sequence(data);
  const auto at = image.add(sequence);
  image.end_batch();
  EXPECT_TRUE(scan_all(file_over(image.bytes())).is_clean());
  for (const auto byte : {std::size_t{0}, data.size() / 2, data.size() - 1}) {
    auto bytes = image.bytes();
    bytes[at + record_header_bytes(sequence) + byte] ^= std::byte{1};
    EXPECT_EQ(scan_all(file_over(bytes)).broken_sequences, std::vector{at}) << byte;
  }
}

} // namespace cairn
