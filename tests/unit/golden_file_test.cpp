/// The bytes of format version 1, held still: a value file made once, and the offsets of core/log/FORMAT.md.
/// CAIRN_MAKE_GOLDEN=1 rewrites the file, on purpose.

#include "core/digest.hpp"
#include "core/log/value_file_row.hpp"
#include "tests/support/sample_log.hpp"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

namespace cairn {

namespace {

std::string golden_path() {
  return (std::filesystem::path(__FILE__).parent_path() / "golden" / "value_file_v1.bin").string();
}

class GoldenFileTest : public testing::Test {
protected:
  static void SetUpTestSuite() {
    if (std::getenv("CAIRN_MAKE_GOLDEN") != nullptr) {
      const auto image = sample_log();
      std::filesystem::create_directories(std::filesystem::path(golden_path()).parent_path());
      std::ofstream(golden_path(), std::ios::binary | std::ios::trunc)
        .write(reinterpret_cast<const char*>(image.bytes().data()),
               static_cast<std::streamsize>(image.bytes().size()));
    }
  }

  void SetUp() override {
    auto file = real_disk().open_for_read(golden_path());
    ASSERT_TRUE(file) << file.error().message;
    golden_.resize((*file)->size().value());
    ASSERT_EQ((*file)->read_at(0, golden_), golden_.size());
  }

  template <class T>
  [[nodiscard]] T at(std::uint64_t offset) const {
    T value{};
    std::memcpy(&value, &golden_.at(static_cast<std::size_t>(offset)), sizeof value);
    return value;
  }
  [[nodiscard]] std::string text_at(std::uint64_t offset, std::size_t count) const {
    return {reinterpret_cast<const char*>(&golden_.at(static_cast<std::size_t>(offset))), count};
  }
  [[nodiscard]] std::span<const std::byte> bytes_at(std::uint64_t offset, std::size_t count) const {
    return std::span(golden_).subspan(static_cast<std::size_t>(offset), count);
  }
  /// Offset of the fields after the frame of the nth record.
  [[nodiscard]] std::uint64_t fields_of(std::size_t index) const { return record_offsets[index] + 48; }

  void expect_identity(std::uint64_t offset) const {
    EXPECT_EQ(at<std::int64_t>(offset), 0x1122334455667788);
    EXPECT_EQ(at<std::uint64_t>(offset + 8), 0x0102030405060708U);
    EXPECT_EQ(at<std::int64_t>(offset + 16), 1'700'000'000'123'456);
    EXPECT_EQ(at<std::int32_t>(offset + 24), 29);
    EXPECT_EQ(at<std::int32_t>(offset + 28), 3);
    EXPECT_EQ(at<std::int32_t>(offset + 32), 255);
    EXPECT_EQ(at<std::int32_t>(offset + 36), 4);
    EXPECT_EQ(at<std::int32_t>(offset + 40), 5);
  }
  void expect_segment_key(std::uint64_t offset) const {
    EXPECT_EQ(at<std::uint64_t>(offset), 0x0807060504030201U);
    EXPECT_EQ(at<std::int32_t>(offset + 8), 11);
    EXPECT_EQ(at<std::int32_t>(offset + 12), 12);
    EXPECT_EQ(at<std::int32_t>(offset + 16), 13);
  }

  /// Where the records lie; the sixth opens the second batch.
  static constexpr std::uint64_t record_offsets[] = {4096, 4296, 4432, 4656, 4824, 8192,
                                                     8328, 8424, 8512, 8568, 8648, 8744};
  static constexpr std::string_view key = "Müller/été/日本.txt";

  std::vector<std::byte> golden_;
};

} // namespace

TEST_F(GoldenFileTest, SameValuesGiveTheSameBytes) { EXPECT_TRUE(golden_ == sample_log().bytes()); }

TEST_F(GoldenFileTest, ScanGivesEveryFieldBack) {
  auto scanner = log_scanner::open(*real_disk().open_for_read(golden_path()));
  ASSERT_TRUE(scanner) << scanner.error().message;
  EXPECT_EQ(scanner->header(), sample_file_header()) << describe(scanner->header());
  EXPECT_TRUE(std::ranges::equal(scanner->header_block(), bytes_at(0, 4096)));
  EXPECT_EQ(scanner->end(), golden_.size());

  const auto findings = scan_all(*real_disk().open_for_read(golden_path()));
  EXPECT_TRUE(findings.is_clean());
  const auto expected = sample_records();
  ASSERT_EQ(findings.records.size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    const auto& record = findings.records[i];
    ASSERT_TRUE(record.body);
    EXPECT_EQ(describe(*record.body), describe(expected[i]));
    EXPECT_EQ(record.at.record_offset, record_offsets[i]);
    EXPECT_EQ(record.at.lsn.value, 1001 + i);
    EXPECT_EQ(record.at.value_file, value_file_id{1234});
    EXPECT_EQ(record.at.header_bytes, record_header_bytes(expected[i]));
    EXPECT_EQ(record.at.data_bytes, record_data_bytes(expected[i]));
    EXPECT_EQ(record.at.header_crc32c, record.prefix.header_crc32c);
    EXPECT_EQ(record.prefix.frame.synced_lsn, log_sequence_number{1000});
  }
}

TEST_F(GoldenFileTest, HoldsEachType) {
  std::vector<bool> seen(std::variant_size_v<record_body>);
  for (const auto& body : sample_records())
    seen[body.index()] = true;
  EXPECT_TRUE(std::ranges::all_of(seen, [](bool each) { return each; }));
}

TEST_F(GoldenFileTest, FileHeaderLiesAsDocumented) {
  EXPECT_EQ(text_at(0, 8), "CAIRNVF1");
  EXPECT_EQ(at<std::uint16_t>(8), 1);
  EXPECT_EQ(at<std::uint8_t>(10), 2);
  EXPECT_EQ(at<std::uint8_t>(11), 0);
  EXPECT_EQ(at<std::int32_t>(12), 1234);
  EXPECT_EQ(at<std::int32_t>(16), 7);
  EXPECT_EQ(at<std::int32_t>(20), 1233);
  EXPECT_EQ(at<std::uint64_t>(24), 0xa1b2c3d4e5f60718U);
  EXPECT_EQ(at<std::uint64_t>(32), 1001U);
  EXPECT_EQ(at<std::uint64_t>(40), 0x12345000U);
  EXPECT_EQ(at<std::int64_t>(48), 1'700'000'000'000'001);
  EXPECT_EQ(at<std::uint8_t>(56), 5);
  EXPECT_EQ(text_at(57, 5), "Köln");
  EXPECT_EQ(at<std::uint8_t>(120), 13);
  EXPECT_EQ(text_at(121, 13), "multi-node-07");
  EXPECT_TRUE(std::ranges::all_of(bytes_at(134, 2044 - 134), [](std::byte b) { return b == std::byte{0}; }));
  EXPECT_EQ(at<std::uint32_t>(2044), crc32c(bytes_at(0, 2044)));
  EXPECT_TRUE(std::ranges::equal(bytes_at(0, 2048), bytes_at(2048, 2048)));
}

TEST_F(GoldenFileTest, EachRecordFrameLiesAsDocumented) {
  constexpr std::uint8_t types[] = {1, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10};
  constexpr std::uint16_t header_sizes[] = {152, 136, 168, 168, 88, 136, 96, 88, 56, 80, 96, 152};
  constexpr std::uint32_t data_sizes[] = {43, 0, 55, 0, 0, 0, 0, 0, 0, 0, 0, 116};
  for (std::size_t i = 0; i < std::size(types); ++i) {
    const auto begin = record_offsets[i];
    EXPECT_EQ(begin % 8, 0U);
    EXPECT_EQ(text_at(begin, 4), "CRec");
    EXPECT_EQ(at<std::uint32_t>(begin + 4), crc32c(bytes_at(begin + 8, header_sizes[i] - 8)));
    EXPECT_EQ(at<std::uint16_t>(begin + 8), header_sizes[i]);
    EXPECT_EQ(at<std::uint8_t>(begin + 10), types[i]);
    EXPECT_EQ(at<std::uint8_t>(begin + 11), 0);
    EXPECT_EQ(at<std::uint32_t>(begin + 12), data_sizes[i]);
    EXPECT_EQ(at<std::uint64_t>(begin + 16), 1001 + i);
    EXPECT_EQ(at<std::uint64_t>(begin + 24), 0xa1b2c3d4e5f60718U);
    EXPECT_EQ(at<std::uint64_t>(begin + 32), 1000U);
    EXPECT_EQ(at<std::uint32_t>(begin + 40), crc32c(bytes_at(begin + header_sizes[i], data_sizes[i])));
    EXPECT_EQ(at<std::uint32_t>(begin + 44), 0U);
  }
}

TEST_F(GoldenFileTest, SequenceLiesAsDocumented) {
  const auto fields = fields_of(0);
  const auto data = record_offsets[0] + 152;
  expect_identity(fields);
  EXPECT_EQ(at<std::int32_t>(fields + 44), 6);
  EXPECT_EQ(at<std::uint32_t>(fields + 48), 9U);
  EXPECT_EQ(at<std::uint32_t>(fields + 52), adler32(bytes_at(data, 43)));
  EXPECT_EQ(at<md5_digest>(fields + 56), digest_payload(bytes_at(data, 43)).md5);
  EXPECT_EQ(at<std::uint16_t>(fields + 72), key.size());
  EXPECT_EQ(at<std::uint16_t>(fields + 74), 0);
  EXPECT_EQ(at<std::uint32_t>(fields + 76), 0U);
  EXPECT_EQ(text_at(fields + 80, key.size()), key);
  EXPECT_EQ(text_at(data, 43), "What a node has acknowledged it gives back.");
}

/// Not in the golden file, which is looked through bit by bit elsewhere.
TEST_F(GoldenFileTest, SequenceOfSeveralBlocksLiesAsDocumented) {
  std::vector<std::byte> data(65'537, std::byte{7});
  data[40'000] = std::byte{8};
  const auto sequence = sample_sequence(data);
  log_image image(sample_file_header());
  const auto begin = image.add(sequence);
  golden_ = image.bytes();
  EXPECT_EQ(at<std::uint16_t>(begin + 8), 168);
  EXPECT_EQ(at<std::uint32_t>(begin + 40), crc32c(data));
  const auto fields = begin + 48;
  EXPECT_EQ(at<std::uint32_t>(fields + 80), crc32c(std::span(data).first(32'768)));
  EXPECT_EQ(at<std::uint32_t>(fields + 84), crc32c(std::span(data).subspan(32'768, 32'768)));
  EXPECT_EQ(at<std::uint32_t>(fields + 88), crc32c(std::span(data).last(1)));
  EXPECT_EQ(text_at(fields + 92, key.size()), key);
  EXPECT_TRUE(std::ranges::equal(bytes_at(begin + 168, data.size()), data));
}

TEST_F(GoldenFileTest, FinalLiesAsDocumented) {
  const auto fields = fields_of(2);
  expect_identity(fields);
  EXPECT_EQ(at<std::int32_t>(fields + 44), 7);
  EXPECT_EQ(at<std::uint32_t>(fields + 48), 0xfedcba98U);
  EXPECT_EQ(at<std::uint16_t>(fields + 52), key.size());
  EXPECT_EQ(at<std::uint16_t>(fields + 54), 0);
  EXPECT_EQ(at<std::uint8_t>(fields + 56), 0xb0);
  EXPECT_EQ(at<std::uint8_t>(fields + 71), 0xbf);
  EXPECT_EQ(at<std::int64_t>(fields + 72), 0x7766554433221100);
  EXPECT_EQ(at<std::uint64_t>(fields + 80), 0x0011223344556677U);
  EXPECT_EQ(at<std::uint64_t>(fields + 88), 0U);
  EXPECT_EQ(text_at(fields + 96, key.size()), key);

  const auto data = record_offsets[2] + 168;
  EXPECT_EQ(at<std::uint16_t>(data), 3);
  EXPECT_EQ(at<std::uint16_t>(data + 2), 12);
  EXPECT_EQ(at<std::uint16_t>(data + 4), 10);
  EXPECT_EQ(text_at(data + 6, 22), "content-typetext/plain");
  EXPECT_EQ(at<std::uint16_t>(data + 28), 5);
  EXPECT_EQ(at<std::uint16_t>(data + 30), 0);
  EXPECT_EQ(text_at(data + 32, 5), "empty");
  EXPECT_EQ(at<std::uint16_t>(data + 37), 7);
  EXPECT_EQ(at<std::uint16_t>(data + 39), 7);
  EXPECT_EQ(text_at(data + 41, 14), "größe±1 µm");
}

TEST_F(GoldenFileTest, CancelLiesAsDocumented) {
  const auto fields = fields_of(4);
  EXPECT_EQ(at<std::int64_t>(fields), 0x2122232425262728);
  expect_segment_key(fields + 8);
  EXPECT_EQ(at<std::uint32_t>(fields + 28), 4U);
  EXPECT_EQ(at<std::int64_t>(fields + 32), -1);
}

TEST_F(GoldenFileTest, TombstoneLiesAsDocumented) {
  const auto fields = fields_of(5);
  expect_identity(fields);
  EXPECT_EQ(at<std::uint32_t>(fields + 44), 0U);
  EXPECT_EQ(at<std::uint64_t>(fields + 48), 0x3132333435363738U);
  EXPECT_EQ(at<std::uint16_t>(fields + 56), key.size());
  EXPECT_EQ(at<std::uint16_t>(fields + 58), 0);
  EXPECT_EQ(at<std::uint32_t>(fields + 60), 0U);
  EXPECT_EQ(text_at(fields + 64, key.size()), key);
}

TEST_F(GoldenFileTest, ConjoinedLiesAsDocumented) {
  const auto fields = fields_of(6);
  EXPECT_EQ(at<std::int64_t>(fields), 0x4142434445464748);
  EXPECT_EQ(at<std::uint64_t>(fields + 8), 0x5152535455565758U);
  EXPECT_EQ(at<std::int64_t>(fields + 16), 1'600'000'000'000'000);
  EXPECT_EQ(at<std::int32_t>(fields + 24), 31);
  EXPECT_EQ(at<std::int32_t>(fields + 28), 14);
  EXPECT_EQ(at<std::uint8_t>(fields + 32), 3);
  EXPECT_EQ(at<std::uint8_t>(fields + 33), 0);
  EXPECT_EQ(at<std::uint16_t>(fields + 34), 8);
  EXPECT_EQ(at<std::uint32_t>(fields + 36), 0U);
  EXPECT_EQ(text_at(fields + 40, 8), "ключ");
}

TEST_F(GoldenFileTest, PurgeLiesAsDocumented) {
  const auto fields = fields_of(7);
  EXPECT_EQ(at<std::int64_t>(fields), 0x6162636465666768);
  expect_segment_key(fields + 8);
  EXPECT_EQ(at<std::uint32_t>(fields + 28), 0U);
  EXPECT_EQ(at<std::int64_t>(fields + 32), 1'500'000'000'000'000);
}

TEST_F(GoldenFileTest, CollectionLiesAsDocumented) {
  const auto fields = fields_of(8);
  EXPECT_EQ(at<std::int32_t>(fields), 37);
  EXPECT_EQ(at<std::uint32_t>(fields + 4), 1U);
}

TEST_F(GoldenFileTest, NodeLiesAsDocumented) {
  const auto fields = fields_of(9);
  EXPECT_EQ(at<std::int32_t>(fields), 15);
  EXPECT_EQ(at<std::int32_t>(fields + 4), 4815);
  EXPECT_EQ(at<std::uint16_t>(fields + 8), 7);
  EXPECT_EQ(at<std::uint16_t>(fields + 10), 8);
  EXPECT_EQ(at<std::uint32_t>(fields + 12), 0U);
  EXPECT_EQ(text_at(fields + 16, 15), "node-15fd00::15");
}

TEST_F(GoldenFileTest, FileSpaceLiesAsDocumented) {
  const auto fields = fields_of(10);
  EXPECT_EQ(at<std::int32_t>(fields), 16);
  EXPECT_EQ(at<std::uint32_t>(fields + 4), 2U);
  EXPECT_EQ(at<std::int64_t>(fields + 8), 1'400'000'000'000'000);
  EXPECT_EQ(at<std::uint16_t>(fields + 16), 14);
  EXPECT_EQ(at<std::uint16_t>(fields + 18), 6);
  EXPECT_EQ(at<std::uint32_t>(fields + 20), 0U);
  EXPECT_EQ(text_at(fields + 24, 20), "/srv/caché/16vol-16");
}

TEST_F(GoldenFileTest, RepairLiesAsDocumented) {
  const auto fields = fields_of(11);
  expect_identity(fields);
  EXPECT_EQ(at<std::int32_t>(fields + 44), 2);
  EXPECT_EQ(at<std::uint32_t>(fields + 48), 0xfedcba97U);
  EXPECT_EQ(at<std::uint16_t>(fields + 52), key.size());
  EXPECT_EQ(at<std::uint16_t>(fields + 54), 0);
  EXPECT_EQ(at<std::uint8_t>(fields + 56), 0xd0);
  EXPECT_EQ(at<std::int64_t>(fields + 72), 0x1716151413121110);
  EXPECT_EQ(text_at(fields + 80, key.size()), key);

  const auto first = record_offsets[11] + 152;
  EXPECT_EQ(at<std::uint64_t>(first), 0x0102030405060708U);
  EXPECT_EQ(at<std::int32_t>(first + 8), 17);
  EXPECT_EQ(at<std::uint32_t>(first + 12), 0x01020304U);
  EXPECT_EQ(at<std::uint32_t>(first + 16), 9U);
  EXPECT_EQ(at<std::uint32_t>(first + 20), 0xfedcba96U);
  EXPECT_EQ(at<std::uint8_t>(first + 24), 0xe0);
  EXPECT_EQ(at<std::uint64_t>(first + 40), 0U);
  const auto second = first + 48;
  EXPECT_EQ(at<std::uint64_t>(second), 4096U);
  EXPECT_EQ(at<std::int32_t>(second + 8), 18);
  EXPECT_EQ(at<std::uint8_t>(second + 24), 0xf0);
  const auto pairs = second + 48;
  EXPECT_EQ(at<std::uint16_t>(pairs), 1);
  EXPECT_EQ(at<std::uint16_t>(pairs + 2), 7);
  EXPECT_EQ(at<std::uint16_t>(pairs + 4), 7);
  EXPECT_EQ(text_at(pairs + 6, 14), "größe±2 µm");
}

TEST_F(GoldenFileTest, DigestCoversHeaderBlockAndRecordHeadersInOrder) {
  value_file_summary summary(value_file_id{1234}, space_id{1}, timestamp_us{1});
  summary.add_file_header(bytes_at(0, 4096));
  md5_hasher by_hand;
  by_hand.update(bytes_at(0, 4096));
  const auto findings = scan_all(*real_disk().open_for_read(golden_path()));
  for (const auto& record : findings.records) {
    summary.add_record(record.header, *record.body);
    by_hand.update(bytes_at(record.at.record_offset, record.at.header_bytes));
  }
  const auto row = summary.closed_row(golden_.size(), timestamp_us{2});
  EXPECT_EQ(row.hash, by_hand.digest());
  EXPECT_EQ(to_hex(*row.hash), "be6d55302fd968773189f3630367000d");
  EXPECT_EQ(row.sequence_count, 2);
  EXPECT_EQ(row.collections, std::vector{collection_id{29}});
}

} // namespace cairn
