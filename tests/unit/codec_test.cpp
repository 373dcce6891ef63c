/// Headers and records survive encoding; bytes that do not fit are refused.

#include "core/digest.hpp"
#include "core/log/codec.hpp"
#include "tests/support/sample_log.hpp"
#include "tests/support/test_seed.hpp"

#include <cstring>
#include <functional>
#include <random>

#include <gtest/gtest.h>

namespace cairn {

namespace {

using byte_vector = std::vector<std::byte>;

constexpr std::uint64_t nonce = 0x1234567890abcdef;
constexpr record_frame frame{log_sequence_number{77}, nonce, log_sequence_number{70}};

/// A record as its header and its data.
struct encoded_record {
  byte_vector header;
  byte_vector data;
};

encoded_record encode(const record_body& body) {
  encoded_record out;
  out.header.resize(record_header_bytes(body));
  if (const auto* sequence = std::get_if<sequence_record>(&body))
    out.data.assign(sequence->data.bytes().begin(), sequence->data.bytes().end());
  else
    out.data = encode_record_data(body);
  encode_record_header(body, frame, crc32c(out.data), out.header);
  return out;
}

result<record_body> decode(const encoded_record& record) {
  auto prefix = decode_record_prefix(record.header, nonce);
  if (!prefix)
    return pass_failure(prefix);
  return decode_record(*prefix, record.header, record.data);
}

template <class T>
void overwrite(byte_vector& bytes, std::size_t offset, T value) {
  std::memcpy(&bytes[offset], &value, sizeof value);
}

/// Changes a header as a faulty program would: with a checksum that fits.
void overwrite_checked(byte_vector& header, std::size_t offset, auto value) {
  overwrite(header, offset, value);
  overwrite(header, 4, crc32c(std::span(header).subspan(8)));
}

errc code_of(const auto& outcome) { return outcome ? errc::success : outcome.error().code; }

template <class Record>
Record sample_of() {
  for (const auto& body : sample_records())
    if (const auto* record = std::get_if<Record>(&body))
      return *record;
  return {};
}

std::string random_text(std::mt19937_64& random, std::size_t max_bytes) {
  std::string text(random() % (max_bytes + 1), ' ');
  for (auto& c : text)
    c = static_cast<char>(random());
  return text;
}

} // namespace

// -- file header

TEST(FileHeaderTest, SurvivesEncoding) {
  for (auto header : {file_header{}, sample_file_header()}) {
    header.cluster_name += std::string(63 - header.cluster_name.size(), 'x');
    const auto block = encode_file_header(header);
    ASSERT_EQ(block.size(), file_header_bytes);
    const auto decoded = decode_file_header(block);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, header) << describe(*decoded);
  }
}

TEST(FileHeaderTest, ReadsTheFirstBlockOfMore) {
  auto bytes = encode_file_header(sample_file_header());
  bytes.resize(2 * file_header_bytes, std::byte{0x55});
  const auto decoded = decode_file_header(bytes);
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(*decoded, sample_file_header());
}

TEST(FileHeaderTest, EachShorterBlockIsDamaged) {
  const auto block = encode_file_header(sample_file_header());
  for (std::size_t size = 0; size < block.size(); ++size)
    ASSERT_EQ(code_of(decode_file_header(std::span(block).first(size))), errc::damaged) << size;
}

TEST(FileHeaderTest, OtherFileIsNamedAsSuch) {
  const auto decoded = decode_file_header(byte_vector(file_header_bytes));
  ASSERT_EQ(code_of(decoded), errc::damaged);
  EXPECT_NE(decoded.error().message.find("not a value file"), std::string::npos);
}

/// Changes one field in both copies of a header, as a program that wrote it so would have.
template <class T>
byte_vector header_with(std::size_t offset, T value) {
  auto block = encode_file_header(sample_file_header());
  overwrite(block, offset, value);
  overwrite(block, 2044, crc32c(std::span(block).first(2044)));
  std::copy_n(block.begin(), 2048, block.begin() + 2048);
  return block;
}

TEST(FileHeaderTest, NewerFormatIsVersionMismatchAndNotDamage) {
  auto block = header_with(8, std::uint16_t{2});
  EXPECT_EQ(code_of(decode_file_header(block)), errc::version_mismatch);
  block[100] ^= std::byte{1};
  EXPECT_EQ(code_of(decode_file_header(block)), errc::version_mismatch) << "by the second copy";
  block[2148] ^= std::byte{1};
  EXPECT_EQ(code_of(decode_file_header(block)), errc::damaged) << "the checksums do not fit";
}

TEST(FileHeaderTest, UnknownKindAndOverlongNameAreDamaged) {
  for (const auto& [offset, value] : {std::pair{10, std::uint8_t{0}},
                                      {10, std::uint8_t{3}},
                                      {56, std::uint8_t{64}},
                                      {120, std::uint8_t{255}}})
    EXPECT_EQ(code_of(decode_file_header(header_with(static_cast<std::size_t>(offset), value))),
              errc::damaged)
      << offset << ' ' << int{value};
}

TEST(FileHeaderTest, EitherCopyWillDo) {
  const auto sound = encode_file_header(sample_file_header());
  EXPECT_TRUE(file_header_is_whole(sound));
  for (std::size_t bit = 0; bit < 8 * file_header_bytes; ++bit) {
    auto block = sound;
    block[bit / 8] ^= std::byte{1} << (bit % 8);
    ASSERT_FALSE(file_header_is_whole(block)) << bit;
    const auto decoded = decode_file_header(block);
    ASSERT_TRUE(decoded) << bit;
    ASSERT_EQ(*decoded, sample_file_header()) << bit;
  }
}

// -- records

TEST(RecordCodecTest, EachTypeSurvivesEncoding) {
  for (const auto& body : sample_records()) {
    const auto record = encode(body);
    const auto prefix = decode_record_prefix(record.header, nonce);
    ASSERT_TRUE(prefix) << prefix.error().message;
    EXPECT_EQ(prefix->frame.lsn, frame.lsn);
    EXPECT_EQ(prefix->frame.nonce, nonce);
    EXPECT_EQ(prefix->frame.synced_lsn, frame.synced_lsn);
    EXPECT_EQ(prefix->header_bytes, record.header.size());
    EXPECT_EQ(prefix->data_bytes, record.data.size());
    EXPECT_EQ(prefix->data_crc32c, crc32c(record.data));
    EXPECT_EQ(prefix->type, body.index() + 1);
    EXPECT_FALSE(prefix->skippable);
    EXPECT_TRUE(record_header_is_intact(*prefix, record.header));
    const auto decoded = decode_record(*prefix, record.header, record.data);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(describe(*decoded), describe(body));
  }
}

TEST(RecordCodecTest, SizesAreTheOnesOfTheBytes) {
  for (const auto& body : sample_records()) {
    const auto record = encode(body);
    EXPECT_EQ(record_header_bytes(body) % record_alignment_bytes, 0U);
    EXPECT_EQ(record_data_bytes(body), record.data.size());
    EXPECT_EQ(record_total_bytes(body) % record_alignment_bytes, 0U);
    EXPECT_GE(record_total_bytes(body), record.header.size() + record.data.size());
    EXPECT_LT(record_total_bytes(body), record.header.size() + record.data.size() + record_alignment_bytes);
  }
}

TEST(RecordCodecTest, ReturnsTheChecksumThatItWrote) {
  const auto body = sample_records().back();
  byte_vector header(record_header_bytes(body));
  const auto crc = encode_record_header(body, frame, 0, header);
  EXPECT_EQ(decode_record_prefix(header, nonce)->header_crc32c, crc);
  EXPECT_EQ(crc, crc32c(std::span(header).subspan(8)));
}

TEST(RecordCodecTest, RandomRecordsSurviveEncoding) {
  std::mt19937_64 random(test_seed());
  for (int i = 0; i < 500; ++i) {
    auto final = sample_of<final_record>();
    final.of.segment.key = random_text(random, max_key_bytes);
    final.of.segment.version = unified_id{random()};
    final.of.segment.timestamp = timestamp_us{static_cast<std::int64_t>(random())};
    final.total_bytes = random();
    final.meta.clear();
    for (auto pairs = random() % (max_meta_pairs + 1); pairs != 0; --pairs)
      final.meta.insert_or_assign(random_text(random, max_meta_key_bytes),
                                  random_text(random, max_meta_value_bytes));
    const auto decoded = decode(encode(final));
    ASSERT_TRUE(decoded) << decoded.error().message;
    ASSERT_EQ(describe(*decoded), describe(final));
  }
}

TEST(RecordCodecTest, LongestKeyAndMostMetadataSurvive) {
  auto final = sample_of<final_record>();
  final.of.segment.key = std::string(max_key_bytes, 'k');
  final.meta.clear();
  for (std::size_t i = 0; i < max_meta_pairs; ++i)
    final.meta.emplace(std::string(max_meta_key_bytes, static_cast<char>('!' + i)),
                       std::string(max_meta_value_bytes, 'v'));
  ASSERT_EQ(final.meta.size(), max_meta_pairs);
  const auto decoded = decode(encode(final));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(describe(*decoded), describe(final));
}

TEST(RecordCodecTest, HeaderOfTheLargestSizeSurvives) {
  file_space_record space;
  space.path = std::string(max_record_header_bytes - record_frame_bytes - 24, 'p');
  ASSERT_EQ(record_header_bytes(space), max_record_header_bytes);
  const auto decoded = decode(encode(space));
  ASSERT_TRUE(decoded) << decoded.error().message;
  EXPECT_EQ(describe(*decoded), describe(space));
}

TEST(RecordCodecDeathTest, RecordThatCouldNotBeReadBackEndsTheProgram) {
  file_space_record space;
  space.path = std::string(max_record_header_bytes - record_frame_bytes - 23, 'p');
  EXPECT_DEATH((void)encode(space), "");
  space.path = std::string(70'000, 'p');
  EXPECT_DEATH((void)encode(space), "");
  sequence_record sequence;
  sequence.data = payload::uninitialized(max_record_data_bytes + 1);
  byte_vector header(record_header_bytes(sequence));
  EXPECT_DEATH((void)encode_record_header(sequence, frame, 0, header), "");
}

TEST(RecordCodecTest, FinalWithoutItsDataHasNoMetadata) {
  auto final = sample_of<final_record>();
  const auto record = encode(final);
  const auto prefix = decode_record_prefix(record.header, nonce);
  const auto decoded = decode_record(*prefix, record.header, {});
  ASSERT_TRUE(decoded) << decoded.error().message;
  final.meta.clear();
  EXPECT_EQ(describe(*decoded), describe(final));
}

TEST(RecordCodecTest, KnowsItsTenTypes) {
  for (int type = 0; type < 256; ++type)
    EXPECT_EQ(is_known_record_type(static_cast<std::uint8_t>(type)), type >= 1 && type <= 10) << type;
}

TEST(RecordCodecTest, UnknownTypeIsRefused) {
  auto record = encode(collection_record{collection_id{1}, true});
  overwrite_checked(record.header, 10, std::uint8_t{11});
  EXPECT_EQ(code_of(decode(record)), errc::damaged);
}

TEST(RecordCodecTest, RecordOfAnotherFileIsRefused) {
  const auto record = encode(sample_records().front());
  EXPECT_EQ(code_of(decode_record_prefix(record.header, nonce + 1)), errc::damaged);
}

TEST(RecordCodecTest, EachShorterHeaderIsRefused) {
  for (const auto& body : sample_records()) {
    const auto record = encode(body);
    for (std::size_t size = 0; size < record.header.size(); ++size) {
      const auto cut = std::span(record.header).first(size);
      const auto prefix = decode_record_prefix(cut, nonce);
      if (!prefix)
        continue;
      EXPECT_FALSE(record_header_is_intact(*prefix, cut));
      EXPECT_EQ(code_of(decode_record(*prefix, cut, {})), errc::damaged);
    }
  }
}

TEST(RecordCodecTest, EachFlippedBitOfAHeaderIsNoticed) {
  for (const auto& body : sample_records()) {
    auto record = encode(body);
    for (std::size_t bit = 0; bit < record.header.size() * 8; ++bit) {
      const auto mask = static_cast<std::byte>(1U << (bit % 8));
      record.header[bit / 8] ^= mask;
      ASSERT_EQ(code_of(decode(record)), errc::damaged) << type_name(body) << " bit " << bit;
      record.header[bit / 8] ^= mask;
    }
  }
}

TEST(RecordCodecTest, SizesOutOfBoundsAreRefused) {
  const auto sound = encode(sample_records().front());
  for (const auto header_bytes : std::initializer_list<std::uint16_t>{0, 40, 52, 4104, 65528}) {
    auto record = sound;
    overwrite_checked(record.header, 8, header_bytes);
    EXPECT_EQ(code_of(decode_record_prefix(record.header, nonce)), errc::damaged) << header_bytes;
  }
  auto record = sound;
  overwrite_checked(record.header, 12, max_record_data_bytes + 1);
  EXPECT_EQ(code_of(decode_record_prefix(record.header, nonce)), errc::damaged);
}

TEST(RecordCodecTest, KeyPastTheHeaderIsRefused) {
  auto record = encode(sample_of<sequence_record>());
  overwrite_checked(record.header, 48 + 72, std::uint16_t{1025});
  EXPECT_EQ(code_of(decode(record)), errc::damaged);
}

TEST(RecordCodecTest, EnumeratorsOutOfRangeAreRefused) {
  for (const std::uint32_t wrong : {0U, 6U, 257U, 0xffffffffU}) {
    auto record = encode(sample_of<cancel_record>());
    overwrite_checked(record.header, 48 + 28, wrong);
    EXPECT_EQ(code_of(decode(record)), errc::damaged) << wrong;
  }
  for (const std::uint32_t wrong : {0U, 3U, 258U}) {
    auto record = encode(sample_of<file_space_record>());
    overwrite_checked(record.header, 48 + 4, wrong);
    EXPECT_EQ(code_of(decode(record)), errc::damaged) << wrong;
  }
  for (const auto wrong : std::initializer_list<std::uint8_t>{0, 4, 255}) {
    auto record = encode(sample_of<conjoined_record>());
    overwrite_checked(record.header, 48 + 32, wrong);
    EXPECT_EQ(code_of(decode(record)), errc::damaged) << int{wrong};
  }
}

TEST(RecordCodecTest, MetadataThatDoNotFillTheirDataAreRefused) {
  const auto sound = encode(sample_of<final_record>());
  for (std::size_t size = 1; size < sound.data.size(); ++size) {
    auto record = sound;
    record.data.resize(size);
    ASSERT_EQ(code_of(decode(record)), errc::damaged) << size;
  }
  auto record = sound;
  record.data.push_back(std::byte{0});
  EXPECT_EQ(code_of(decode(record)), errc::damaged);
}

TEST(RecordCodecTest, RepairOfWhichTheDataDoNotFitIsRefused) {
  const auto sound = encode(sample_of<repair_record>());
  constexpr std::size_t sequences = 2 * 48;
  for (std::size_t size = 0; size < sound.data.size(); ++size) {
    auto record = sound;
    record.data.resize(size);
    overwrite_checked(record.header, 12, static_cast<std::uint32_t>(size));
    ASSERT_EQ(code_of(decode(record)), size == sequences ? errc::success : errc::damaged) << size;
  }
  auto shorter = sound;
  shorter.data.pop_back();
  EXPECT_EQ(code_of(decode(shorter)), errc::damaged) << "not all of its data";
  for (const auto count : {-1, 0, 3, 0x7fffffff}) {
    auto record = sound;
    overwrite_checked(record.header, 48 + 44, count);
    EXPECT_EQ(code_of(decode(record)), errc::damaged) << count;
  }
}

TEST(RecordCodecTest, RepairWithoutItsDataHasNoSequences) {
  auto repair = sample_of<repair_record>();
  const auto record = encode(repair);
  const auto prefix = decode_record_prefix(record.header, nonce);
  const auto decoded = decode_record(*prefix, record.header, {});
  ASSERT_TRUE(decoded) << decoded.error().message;
  repair.sequences.clear();
  repair.meta.clear();
  EXPECT_EQ(describe(*decoded), describe(repair));
}

TEST(RecordCodecTest, RandomBytesWithARightChecksumNeverCrash) {
  std::mt19937_64 random(test_seed());
  for (int i = 0; i < 20000; ++i) {
    encoded_record record;
    record.header.resize(record_frame_bytes + random() % 40 * record_alignment_bytes);
    record.data.resize(random() % 200);
    for (auto* bytes : {&record.header, &record.data})
      for (auto& byte : *bytes)
        byte = static_cast<std::byte>(random() % 8 == 0 ? random() : 0);
    std::memcpy(record.header.data(), "CRec", 4);
    overwrite(record.header, 8, static_cast<std::uint16_t>(record.header.size()));
    overwrite(record.header, 10, static_cast<std::uint8_t>(random() % 12));
    overwrite(record.header, 12, static_cast<std::uint32_t>(record.data.size()));
    overwrite(record.header, 24, nonce);
    overwrite(record.header, 4, crc32c(std::span(record.header).subspan(8)));
    if (const auto decoded = decode(record); decoded) {
      EXPECT_LE(record_header_bytes(*decoded), record.header.size());
    }
  }
}

} // namespace cairn
