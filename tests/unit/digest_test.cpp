/// Digests against published values, and in pieces against the whole.

#include "core/digest.hpp"
#include "core/md5_lanes.hpp"
#include "tests/support/test_seed.hpp"

#include <numeric>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <gtest/gtest.h>

namespace cairn {

namespace {

std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

md5_digest md5_of(std::span<const std::byte> data) {
  md5_hasher hasher;
  hasher.update(data);
  return hasher.digest();
}

std::vector<std::byte> random_bytes(std::mt19937_64& random, std::size_t count) {
  std::vector<std::byte> bytes(count);
  for (auto& byte : bytes)
    byte = static_cast<std::byte>(random());
  return bytes;
}

} // namespace

TEST(DigestTest, Md5GivesTheValuesOfRfc1321) {
  EXPECT_EQ(to_hex(md5_of({})), "d41d8cd98f00b204e9800998ecf8427e");
  EXPECT_EQ(to_hex(md5_of(bytes_of("a"))), "0cc175b9c0f1b6a831c399e269772661");
  EXPECT_EQ(to_hex(md5_of(bytes_of("abc"))), "900150983cd24fb0d6963f7d28e17f72");
  EXPECT_EQ(to_hex(md5_of(bytes_of("message digest"))), "f96b697d7cb7938d525a2f31aaf161d0");
  EXPECT_EQ(to_hex(md5_of(bytes_of("abcdefghijklmnopqrstuvwxyz"))), "c3fcd3d76192e4007dfb496cca67e13b");
  EXPECT_EQ(to_hex(md5_of(bytes_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"))),
            "d174ab98d277d9f5a5611c2c9f419d9f");
}

TEST(DigestTest, Crc32cGivesTheValuesOfRfc3720) {
  const std::vector<std::byte> zeros(32);
  const std::vector<std::byte> ones(32, std::byte{0xff});
  std::vector<std::byte> rising(32);
  std::vector<std::byte> falling(32);
  for (std::size_t i = 0; i < rising.size(); ++i) {
    rising[i] = static_cast<std::byte>(i);
    falling[i] = static_cast<std::byte>(31 - i);
  }
  EXPECT_EQ(crc32c(zeros), 0x8a9136aaU);
  EXPECT_EQ(crc32c(ones), 0x62a8ab43U);
  EXPECT_EQ(crc32c(rising), 0x46dd794eU);
  EXPECT_EQ(crc32c(falling), 0x113fdb5cU);
  EXPECT_EQ(crc32c(bytes_of("123456789")), 0xe3069283U);
  EXPECT_EQ(crc32c({}), 0U);
}

TEST(DigestTest, Adler32GivesKnownValues) {
  EXPECT_EQ(adler32({}), 1U);
  EXPECT_EQ(adler32(bytes_of("a")), 0x00620062U);
  EXPECT_EQ(adler32(bytes_of("Wikipedia")), 0x11e60398U);
}

TEST(DigestTest, Adler32IsUnsigned) {
  const std::vector<std::byte> ones(115, std::byte{0xff});
  EXPECT_EQ(adler32(ones), 0xf5dc728eU);
}

TEST(DigestTest, NothingMoreLeavesTheSeed) {
  EXPECT_EQ(adler32({}, 0x11e60398U), 0x11e60398U);
  EXPECT_EQ(crc32c({}, 0xe3069283U), 0xe3069283U);
}

TEST(DigestTest, PiecesGiveTheDigestsOfTheWhole) {
  std::mt19937_64 random(test_seed());
  for (int round = 0; round < 50; ++round) {
    const auto data = random_bytes(random, random() % 20000);
    md5_hasher hasher;
    std::uint32_t crc = 0;
    std::uint32_t adler = 1;
    for (std::size_t offset = 0; offset < data.size();) {
      const auto piece = std::span(data).subspan(offset, std::min(data.size() - offset, random() % 3000));
      hasher.update(piece);
      crc = crc32c(piece, crc);
      adler = adler32(piece, adler);
      offset += piece.size();
    }
    EXPECT_EQ(hasher.digest(), md5_of(data));
    EXPECT_EQ(crc, crc32c(data));
    EXPECT_EQ(adler, adler32(data));
  }
}

TEST(DigestTest, DigestIsReadWithoutEndingTheHash) {
  md5_hasher hasher;
  hasher.update(bytes_of("message "));
  EXPECT_EQ(hasher.digest(), md5_of(bytes_of("message ")));
  EXPECT_EQ(hasher.digest(), hasher.digest());
  hasher.update(bytes_of("digest"));
  EXPECT_EQ(to_hex(hasher.digest()), "f96b697d7cb7938d525a2f31aaf161d0");
}

TEST(DigestTest, MovedHasherGoesOn) {
  md5_hasher hasher;
  hasher.update(bytes_of("a"));
  auto moved = std::move(hasher);
  moved.update(bytes_of("bc"));
  EXPECT_EQ(moved.digest(), md5_of(bytes_of("abc")));
}

TEST(DigestTest, OnePassGivesAllAroundItsBlocks) {
  std::mt19937_64 random(test_seed());
  constexpr auto block_bytes = checksum_block_bytes;
  for (const std::size_t size : {std::size_t{0}, std::size_t{1}, block_bytes - 1, block_bytes,
                                 block_bytes + 1, 2 * block_bytes, 5 * block_bytes + 7}) {
    const auto data = random_bytes(random, size);
    const auto digests = digest_payload(data);
    EXPECT_EQ(digests.md5, md5_of(data)) << size;
    EXPECT_EQ(digests.adler32, adler32(data)) << size;
    EXPECT_EQ(digests.checksums, checksum_data(data)) << size;
    EXPECT_EQ(digests.checksums.crc32c, crc32c(data)) << size;
    ASSERT_EQ(digests.checksums.blocks.size(), checksum_block_count(size)) << size;
    for (std::size_t i = 0; i < digests.checksums.blocks.size(); ++i) {
      const auto begin = i * block_bytes;
      const auto block = std::span(data).subspan(begin, std::min(block_bytes, size - begin));
      EXPECT_EQ(digests.checksums.blocks[i], crc32c(block)) << size << ", block " << i;
    }
  }
}

TEST(DigestTest, BlockChecksumsBeginWithTheSecondBlock) {
  EXPECT_EQ(checksum_block_count(0), 0U);
  EXPECT_EQ(checksum_block_count(32 * 1024), 0U);
  EXPECT_EQ(checksum_block_count(32 * 1024 + 1), 2U);
  EXPECT_EQ(checksum_block_count(64 * 1024), 2U);
  EXPECT_EQ(checksum_block_count(10 * 1024 * 1024), 320U);
}

/// Lanes end at different times, are given the next buffer, and move together when there is none.
TEST(DigestTest, SideBySideGivesWhatOneByOneGives) {
  std::mt19937_64 random(test_seed());
  constexpr std::size_t block = 64; // and where the padding begins to need one more
  const std::size_t edges[] = {0, 1, 55, 56, 63, block, block + 1, 119, 120, 10 * block, 64 * block};
  for (std::size_t count = 0; count <= 3 * md5_lane_count; ++count) {
    std::vector<std::vector<std::byte>> buffers;
    for (std::size_t i = 0; i < count; ++i)
      buffers.push_back(
        random_bytes(random, random() % 2 == 0 ? edges[random() % std::size(edges)] : random() % 9000));
    const std::vector<std::span<const std::byte>> spans(buffers.begin(), buffers.end());
    const auto digests = digest_payloads(spans);
    std::vector<md5_digest> md5(count);
    md5_of_many(spans, md5);
    ASSERT_EQ(digests.size(), count);
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_EQ(md5[i], md5_of(buffers[i])) << buffers[i].size() << " bytes, one of " << count;
      EXPECT_EQ(digests[i].md5, md5_of(buffers[i]));
      EXPECT_EQ(digests[i].adler32, adler32(buffers[i])) << buffers[i].size() << " bytes";
      EXPECT_EQ(digests[i].checksums, checksum_data(buffers[i]));
    }
  }
}

TEST(DigestTest, OnePassGivesKnownValues) {
  const auto digests = digest_payload(bytes_of("123456789"));
  EXPECT_EQ(to_hex(digests.md5), "25f9e794323b453885f5181f1b624d0b");
  EXPECT_EQ(digests.adler32, 0x091e01deU);
  EXPECT_EQ(digests.checksums.crc32c, 0xe3069283U);
}

TEST(DigestTest, HexIsLowerCaseWithLeadingZeros) {
  EXPECT_EQ(to_hex(std::vector<std::uint8_t>{0x00, 0x0a, 0xf0, 0xff}), "000af0ff");
  EXPECT_EQ(to_hex({}), "");
}

} // namespace cairn
