/// Parts of sequences are read and verified by the blocks they lie in, and by no others.

#include "core/read/value_file_cache.hpp"
#include "core/store/file_spaces.hpp"
#include "tests/support/memory_disk.hpp"
#include "tests/support/sample_log.hpp"
#include "tests/support/test_seed.hpp"

#include <algorithm>
#include <filesystem>
#include <random>

#include <gtest/gtest.h>

namespace cairn {

namespace {

constexpr auto block_bytes = static_cast<std::uint32_t>(checksum_block_bytes);

/// A value file with one sequence.
class ValueFileCacheTest : public testing::Test {
protected:
  void store(std::size_t data_bytes) {
    std::mt19937_64 random(test_seed());
    data_.resize(data_bytes);
    std::ranges::generate(data_, [&] { return static_cast<std::byte>(random()); });
    record_ = sample_sequence(data_);
    log_image image(sample_file_header());
    record_offset_ = image.add(record_);
    image.end_batch();
    path_ = value_file_path("/spaces", space_id{1}, sample_file_header().id);
    disk_.set_up_directory(std::filesystem::path(path_).parent_path().string());
    auto file = disk_.create(path_, io_mode::buffered);
    ASSERT_TRUE(file) << file.error().message;
    ASSERT_TRUE((*file)->write_at(0, image.bytes()));
  }

  [[nodiscard]] std::uint64_t data_offset() const { return record_offset_ + record_header_bytes(record_); }

  result<payload> read(const value_file_cache::data_part& part) {
    return cache_.read(
      {space_id{1}, sample_file_header().id, data_offset(), &record_.of.segment, &record_.sequence}, part);
  }

  void expect_part(const value_file_cache::data_part& part) {
    const auto got = read(part);
    ASSERT_TRUE(got) << got.error().message;
    EXPECT_TRUE(
      std::ranges::equal(got->bytes(), std::span(data_).subspan(part.offset_bytes, part.size_bytes)))
      << part.offset_bytes << " + " << part.size_bytes;
  }

  void expect_damaged(const value_file_cache::data_part& part) {
    const auto got = read(part);
    ASSERT_FALSE(got) << part.offset_bytes << " + " << part.size_bytes;
    EXPECT_EQ(got.error().code, errc::damaged) << got.error().message;
  }

  void flip(std::uint64_t offset) {
    disk_.damage(path_, [&](auto& bytes) { bytes.at(static_cast<std::size_t>(offset)) ^= std::byte{16}; });
  }

  memory_disk disk_;
  value_file_cache cache_{disk_, "/spaces"};
  std::vector<std::byte> data_;
  sequence_record record_;
  std::string path_;
  std::uint64_t record_offset_ = 0;
};

} // namespace

TEST_F(ValueFileCacheTest, AnyPartComesBack) {
  constexpr auto size = 5 * block_bytes + 77;
  store(size);
  std::vector<std::uint32_t> edges = {0, 1, size - 1, size};
  for (std::uint32_t i = 1; i <= 5; ++i)
    for (const auto edge : {i * block_bytes - 1, i * block_bytes, i * block_bytes + 1})
      edges.push_back(edge);
  for (const auto from : edges)
    for (const auto to : edges)
      if (from < to)
        expect_part({from, to - from});
}

TEST_F(ValueFileCacheTest, MemoryIsUsedAgainOnceItsPayloadIsGone) {
  constexpr auto size = 10 * block_bytes;
  store(size);
  auto first = read({0, size});
  ASSERT_TRUE(first);
  const auto* const memory = first->bytes().data();
  const auto second = read({0, size});
  ASSERT_TRUE(second);
  EXPECT_NE(second->bytes().data(), memory) << "the first payload is held still";
  *first = {};
  const auto third = read({0, size});
  ASSERT_TRUE(third);
  EXPECT_EQ(third->bytes().data(), memory);
  EXPECT_TRUE(std::ranges::equal(second->bytes(), data_));
  EXPECT_TRUE(std::ranges::equal(third->bytes(), data_));
}

TEST_F(ValueFileCacheTest, MemoryThatIsUsedAgainShowsNothingOfWhatItHeld) {
  store(10 * block_bytes);
  expect_part({0, 10 * block_bytes});
  const auto end = data_offset() + 9 * block_bytes;
  disk_.damage(path_, [&](auto& bytes) { bytes.resize(static_cast<std::size_t>(end)); });
  expect_damaged({0, 10 * block_bytes});
}

TEST_F(ValueFileCacheTest, RecordsBeyondWhatMayLieIdleComeBack) {
  constexpr auto size = static_cast<std::uint32_t>(value_file_cache::max_idle_bytes) + 5;
  store(size);
  for (int i = 0; i < 2; ++i)
    expect_part({0, size});
  expect_part({3, size - 16 * block_bytes});
}

TEST_F(ValueFileCacheTest, SmallSequenceIsOneBlock) {
  store(block_bytes);
  expect_part({0, block_bytes});
  expect_part({block_bytes - 1, 1});
  flip(data_offset() + 5);
  expect_damaged({block_bytes - 1, 1});
}

TEST_F(ValueFileCacheTest, EmptySequenceComesBack) {
  store(0);
  expect_part({0, 0});
}

TEST_F(ValueFileCacheTest, DamageIsFoundByThePartsThatTouchItsBlock) {
  store(4 * block_bytes);
  flip(data_offset() + 2 * block_bytes + 9);
  expect_part({0, 2 * block_bytes});
  expect_part({3 * block_bytes, block_bytes});
  expect_damaged({2 * block_bytes, 1});
  expect_damaged({3 * block_bytes - 1, 2});
  expect_damaged({block_bytes + 5, block_bytes});
  expect_damaged({0, 4 * block_bytes});
}

TEST_F(ValueFileCacheTest, DamageToTheHeaderIsFoundByEveryPart) {
  store(4 * block_bytes);
  flip(data_offset() - 60); // among the block checksums or the key
  expect_damaged({0, 1});
  expect_damaged({3 * block_bytes, 1});
  expect_damaged({0, 4 * block_bytes});
}

TEST_F(ValueFileCacheTest, FileThatEndsTooEarlyIsDamagedWhereItIsMissing) {
  store(4 * block_bytes);
  const auto end = data_offset() + 3 * block_bytes;
  disk_.damage(path_, [&](auto& bytes) { bytes.resize(static_cast<std::size_t>(end)); });
  expect_part({2 * block_bytes, block_bytes});
  expect_damaged({3 * block_bytes, 1});
  expect_damaged({0, 4 * block_bytes});
}

TEST_F(ValueFileCacheTest, BlockBehindASequenceThatCannotBeReadIsNoDamageOfIt) {
  store(3 * block_bytes);
  const value_file_cache::wanted last{space_id{1}, sample_file_header().id, data_offset(),
                                      &record_.of.segment, &record_.sequence};
  disk_.make_unreadable(path_, data_offset() + 3 * block_bytes, 1);
  const auto found = cache_.find_final(last);
  ASSERT_TRUE(found) << found.error().message;
  EXPECT_FALSE(found->has_value());
  flip(data_offset() - 60);
  const auto damaged = cache_.find_final(last);
  ASSERT_FALSE(damaged);
  EXPECT_EQ(damaged.error().code, errc::damaged);
}

TEST_F(ValueFileCacheTest, BlockThatCannotBeReadDamagesThePartsThatTouchIt) {
  store(3 * checksum_block_bytes);
  disk_.make_unreadable(path_, data_offset() + checksum_block_bytes, 1);
  expect_damaged({0, 3 * block_bytes});
  expect_damaged({block_bytes + 5, 1});
  expect_part({0, block_bytes});
  expect_part({2 * block_bytes, block_bytes});
}

TEST_F(ValueFileCacheTest, FileThatCannotBeOpenedNowIsNotDamaged) {
  store(100);
  disk_.inject({.operation = disk_operation::open});
  const auto refused = read({0, 100});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, errc::busy) << refused.error().message;
  expect_part({0, 100});
}

TEST_F(ValueFileCacheTest, ReadsNoMoreThanThePartsBlocks) {
  store(200 * block_bytes);
  flip(data_offset() + 10 * block_bytes);
  const auto before = disk_.count(disk_operation::read);
  expect_part({100 * block_bytes + 1, 4'096});
  EXPECT_EQ(disk_.count(disk_operation::read), before + 3) << "file header, record header, one block";
}

} // namespace cairn
