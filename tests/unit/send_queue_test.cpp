#include "net/transport/send_queue.hpp"

#include <memory>
#include <random>

#include <gtest/gtest.h>

namespace cairn {
namespace {

class SendQueueTest : public testing::Test {
protected:
  /// As CAF does with a message.
  void append(std::size_t size_bytes) {
    for (std::size_t i = 0; i < size_bytes; ++i)
      queue_.open_end().push_back(static_cast<char>(next_++));
    expected_bytes_ += size_bytes;
    queue_.seal_if_large();
  }
  /// Sends as a socket that takes so many bytes.
  void send(std::size_t size_bytes) {
    const auto front = queue_.front();
    ASSERT_GE(front.size(), size_bytes);
    for (const auto byte : front.first(size_bytes))
      ASSERT_EQ(byte, static_cast<char>(sent_++));
    expected_bytes_ -= size_bytes;
    queue_.drop_front(size_bytes);
  }
  void send_all() {
    while (!queue_.empty())
      ASSERT_NO_FATAL_FAILURE(send(queue_.front().size()));
  }

  const std::shared_ptr<spare_buffers> spares_ = std::make_shared<spare_buffers>();
  send_queue queue_{spares_};
  std::size_t expected_bytes_ = 0;
  std::uint64_t next_ = 0;
  std::uint64_t sent_ = 0;
};

TEST_F(SendQueueTest, BytesGoInTheOrderInWhichTheyCame) {
  std::mt19937 random(7);
  for (int step = 0; step < 2'000; ++step) {
    const auto front = queue_.front();
    if (random() % 2 == 0)
      append(random() % 50 == 0 ? send_queue::large_bytes + random() % 1'000 : random() % 5'000);
    else if (!front.empty()) {
      ASSERT_NO_FATAL_FAILURE(send(1 + random() % front.size()));
    }
    ASSERT_EQ(queue_.size_bytes(), expected_bytes_);
    ASSERT_EQ(queue_.empty(), expected_bytes_ == 0);
  }
  ASSERT_NO_FATAL_FAILURE(send_all());
  EXPECT_EQ(sent_, next_);
}

TEST_F(SendQueueTest, FrontStaysWhereItIsUntilItIsSent) {
  append(100);
  const auto front = queue_.front();
  append(10 * send_queue::large_bytes);
  EXPECT_EQ(queue_.front().data(), front.data()) << "TLS must be given the same bytes again";
  EXPECT_EQ(queue_.front().size(), front.size());
  ASSERT_NO_FATAL_FAILURE(send(30));
  EXPECT_EQ(queue_.front().data(), front.data() + 30);
}

TEST_F(SendQueueTest, LargeBuffersAreNotJoined) {
  append(send_queue::large_bytes);
  append(send_queue::large_bytes);
  append(10);
  EXPECT_EQ(queue_.front().size(), send_queue::large_bytes);
  EXPECT_EQ(queue_.size_bytes(), 2 * send_queue::large_bytes + 10);
}

TEST_F(SendQueueTest, LargeBuffersAreUsedAgain) {
  append(send_queue::large_bytes);
  append(send_queue::large_bytes);
  const auto* const first = queue_.front().data();
  ASSERT_NO_FATAL_FAILURE(send_all());
  EXPECT_EQ(queue_.open_end().data(), first);
  EXPECT_GE(spares_->size_bytes(), send_queue::large_bytes);
  append(send_queue::large_bytes);
  EXPECT_EQ(spares_->size_bytes(), 0U) << "the next bytes have it";
  ASSERT_NO_FATAL_FAILURE(send_all());
}

TEST_F(SendQueueTest, SmallBufferStaysAtTheOpenEnd) {
  append(1'000);
  const auto* const first = queue_.front().data();
  ASSERT_NO_FATAL_FAILURE(send_all());
  append(1'000);
  EXPECT_EQ(queue_.front().data(), first);
  ASSERT_NO_FATAL_FAILURE(send_all());
  queue_.rest();
  EXPECT_EQ(queue_.open_end().data(), first);
  append(send_queue::large_bytes / 2);
  ASSERT_NO_FATAL_FAILURE(send_all());
  queue_.rest();
  EXPECT_EQ(queue_.open_end().capacity(), 0U) << "an idle connection keeps nothing large";
}

TEST_F(SendQueueTest, VeryLargeBufferIsFreed) {
  append(spare_buffers::max_buffer_bytes + 1);
  ASSERT_NO_FATAL_FAILURE(send_all());
  EXPECT_EQ(spares_->size_bytes(), 0U);
  EXPECT_LE(queue_.open_end().capacity(), spare_buffers::max_buffer_bytes);
}

TEST_F(SendQueueTest, WhatLiesReadyIsBoundedAndFreedAtRest) {
  for (int i = 0; i < 100; ++i)
    append(send_queue::large_bytes);
  ASSERT_NO_FATAL_FAILURE(send_all());
  EXPECT_LE(spares_->size_bytes(), spare_buffers::max_bytes);
  EXPECT_GE(spares_->size_bytes(), spare_buffers::max_bytes - 2 * send_queue::large_bytes);
  spares_->rest();
  EXPECT_NE(spares_->size_bytes(), 0U) << "buffers were taken until now";
  spares_->rest();
  EXPECT_EQ(spares_->size_bytes(), 0U);
  append(5);
  ASSERT_NO_FATAL_FAILURE(send_all());
}

TEST_F(SendQueueTest, ClearForgetsAll) {
  append(100);
  append(send_queue::large_bytes);
  ASSERT_NO_FATAL_FAILURE(send(50));
  queue_.clear();
  EXPECT_TRUE(queue_.empty());
  EXPECT_EQ(queue_.size_bytes(), 0U);
  EXPECT_TRUE(queue_.front().empty());
  sent_ = next_;
  expected_bytes_ = 0;
  append(20);
  ASSERT_NO_FATAL_FAILURE(send_all());
}

} // namespace
} // namespace cairn
