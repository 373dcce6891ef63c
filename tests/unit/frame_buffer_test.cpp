#include "core/frame_buffer.hpp"

#include <gtest/gtest.h>

namespace cairn {
namespace {

constexpr std::size_t large = frame_buffer::min_part_bytes;

std::shared_ptr<frame_buffer> received(std::size_t size_bytes) {
  auto frame = std::make_shared<frame_buffer>();
  frame->bytes.assign(size_bytes, 'x');
  return frame;
}

TEST(FrameBufferTest, PartLiesInTheFrameAndKeepsIt) {
  auto frame = received(large + 100);
  auto charge = std::make_shared<const int>(1);
  frame->begin_decoding(charge);
  frame->bytes[100] = 'a';
  auto part = frame_buffer::part(frame, frame->bytes.data() + 100, large);
  ASSERT_EQ(part.size(), large);
  EXPECT_EQ(static_cast<const void*>(part.bytes().data()), frame->bytes.data() + 100);
  EXPECT_TRUE(frame->has_parts()) << "the transport sees it";
  frame.reset();
  EXPECT_EQ(part.bytes().front(), std::byte{'a'});
  EXPECT_EQ(charge.use_count(), 2) << "charged for as long as it is held";
  auto slice = part.slice(1, 10);
  part = {};
  EXPECT_EQ(charge.use_count(), 2);
  slice = {};
  EXPECT_EQ(charge.use_count(), 1);
}

TEST(FrameBufferTest, PartIsFoundWhileTheBytesAreElsewhere) {
  auto frame = received(large);
  frame->begin_decoding(nullptr);
  std::vector<char> elsewhere;
  elsewhere.swap(frame->bytes); // as CAF does
  EXPECT_EQ(frame_buffer::part(frame, elsewhere.data(), large).size(), large);
  elsewhere.swap(frame->bytes);
}

TEST(FrameBufferTest, WhatIsNotPartOfTheFrameIsLeftToACopy) {
  auto frame = received(large + 100);
  const std::vector<char> other(large + 100);
  EXPECT_TRUE(frame_buffer::part(frame, frame->bytes.data(), large).empty()) << "nothing is decoded";
  frame->begin_decoding(nullptr);
  const auto* begin = frame->bytes.data();
  EXPECT_FALSE(frame_buffer::part(frame, begin + 100, large).empty());
  EXPECT_TRUE(frame_buffer::part(frame, begin + 101, large).empty()) << "past its end";
  EXPECT_TRUE(frame_buffer::part(frame, begin - 1, large).empty()) << "before its begin";
  EXPECT_TRUE(frame_buffer::part(frame, other.data(), large).empty()) << "of another buffer";
  EXPECT_TRUE(frame_buffer::part(nullptr, begin, large).empty()) << "no frame";
  frame->end_decoding();
  EXPECT_TRUE(frame_buffer::part(frame, begin, large).empty()) << "decoded";
}

TEST(FrameBufferTest, SmallPartsAndThoseOfARoomyBufferAreCopied) {
  auto frame = received(4 * large);
  frame->begin_decoding(nullptr);
  const auto* begin = frame->bytes.data();
  EXPECT_TRUE(frame_buffer::part(frame, begin, large - 1).empty()) << "copied in no time";
  EXPECT_TRUE(frame_buffer::part(frame, begin, 3 * large).empty()) << "a third more would be kept";
  EXPECT_FALSE(frame_buffer::part(frame, begin, 4 * large - 100).empty());
}

std::shared_ptr<frame_buffer> filled(frame_buffer_pool& pool, std::size_t size_bytes) {
  auto frame = pool.take(size_bytes);
  frame->bytes.resize(size_bytes);
  return frame;
}

TEST(FrameBufferPoolTest, BufferOfAboutTheSameSizeIsUsedAgain) {
  const auto pool = std::make_shared<frame_buffer_pool>(100 * large);
  auto frame = filled(*pool, 4 * large);
  const auto* bytes = frame->bytes.data();
  frame->begin_decoding(nullptr);
  auto part = frame_buffer::part(frame, bytes, 4 * large);
  frame.reset();
  EXPECT_EQ(pool->idle_bytes(), 0U) << "the payload has it";
  part = {};
  EXPECT_EQ(pool->idle_bytes(), 4 * large);
  EXPECT_EQ(pool->take(5 * large)->bytes.capacity(), 0U) << "too small";
  EXPECT_EQ(pool->take(3 * large)->bytes.capacity(), 0U) << "too large";
  const auto again = pool->take(4 * large - 100);
  EXPECT_EQ(again->bytes.data(), bytes);
  EXPECT_FALSE(again->has_parts());
  EXPECT_EQ(pool->idle_bytes(), 0U);
}

TEST(FrameBufferPoolTest, NoMoreThanTheLimitLiesIdle) {
  const auto pool = std::make_shared<frame_buffer_pool>(3 * large);
  {
    const auto first = filled(*pool, 2 * large), second = filled(*pool, 2 * large),
               small = filled(*pool, 100);
  }
  EXPECT_EQ(pool->idle_bytes(), 2 * large);
}

TEST(FrameBufferPoolTest, WhatIsNotNeededIsFreed) {
  const auto pool = std::make_shared<frame_buffer_pool>(100 * large);
  { const auto first = filled(*pool, 2 * large), second = filled(*pool, 2 * large); }
  pool->rest();
  EXPECT_EQ(pool->idle_bytes(), 4 * large) << "it was in use a moment ago";
  filled(*pool, 2 * large).reset();
  pool->rest();
  EXPECT_EQ(pool->idle_bytes(), 2 * large) << "one would have done";
  pool->rest();
  EXPECT_EQ(pool->idle_bytes(), 0U);
}

TEST(FrameBufferPoolTest, BuffersMayOutliveThePool) {
  auto pool = std::make_shared<frame_buffer_pool>(100 * large);
  const auto frame = filled(*pool, large);
  pool.reset();
  EXPECT_EQ(frame->bytes.size(), large);
}

} // namespace
} // namespace cairn
